#include "core/engine/train/Session.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>
#include <utility>

#include "core/base/Clock.h"
#include "core/engine/Runtime.h"
#include "core/engine/train/Evaluate.h"
#include "core/engine/train/Schedule.h"
#include "core/engine/train/StepMeter.h"
#include "core/engine/weights/WeightFile.h"

namespace trainyard::engine {

namespace {

/// Samples of a validation batch of pictures: a batch of 256 would take 150 MB, three times over.
constexpr std::int64_t kPictureBatch = 32;

/// The last layer's name with a dot; it is what is trained while the rest is frozen.
std::string headOf(const spec::LayerTable& table) { return table.layers.back().name + "."; }

/// The ranks of one machine share its cores.
int loaderThreads(const spec::RunSpec& spec) {
    return static_cast<int>(
        std::clamp<std::int64_t>(usableCores() / std::max<std::int64_t>(1, spec.distribution.processes), 1, 16));
}

CheckpointSubject subjectOf(const spec::TrainTask& task, const spec::LayerTable& table, std::int64_t samples) {
    CheckpointSubject subject;
    subject.family = table.family;
    subject.options = table.options;
    subject.inputShape = table.inputShape;
    subject.classes = table.classes;
    subject.optimizer = task.optimizer.kind;
    subject.batchSize = task.batchSize;
    subject.seed = task.seed;
    subject.samples = samples;
    if (task.sampling == "balanced") {
        subject.sampling = task.sampling;
    } else if (task.sampling == "weighted") {
        subject.sampling = task.samplingWeights;
    }
    return subject;
}

/// The first batch normalisation that sees planes of 1 × 1; empty where none does. It cannot train on one sample.
std::string singlePointNorm(const spec::LayerTable& table) {
    for (const spec::Layer& layer : table.layers) {
        if (layer.op == spec::LayerOp::BatchNorm2d && layer.outShape.size() == 3 &&
            layer.outShape[1] * layer.outShape[2] == 1) {
            return layer.name;
        }
    }
    return {};
}

Status checkListed(const std::vector<double>& listed, std::int64_t classes, const char* field) {
    if (static_cast<std::int64_t>(listed.size()) == classes) {
        return {};
    }
    return Error{"data.classes",
                 std::to_string(listed.size()) + " numbers are listed, but the data has " + std::to_string(classes) +
                     " classes.",
                 field};
}

}  // namespace

std::int64_t LoadedData::trainingCount() const {
    return folder ? static_cast<std::int64_t>(folder->training.size()) : training.count;
}
std::int64_t LoadedData::validationCount() const {
    return folder ? static_cast<std::int64_t>(folder->validation.size()) : validation.count;
}
std::vector<std::int64_t> LoadedData::sampleShape() const {
    return folder ? std::vector<std::int64_t>{3, imageSize, imageSize} : training.sampleShape();
}

std::int64_t LoadedData::trainingLabel(std::int64_t sample) const {
    const auto index = static_cast<std::size_t>(sample);
    return folder ? folder->training[index].label : training.labels[index];
}
std::string LoadedData::validationName(std::int64_t sample) const {
    return folder ? (folder->root / folder->validation[static_cast<std::size_t>(sample)].path).string()
                  : validationFile + " #" + std::to_string(sample);
}

Result<LoadedData> loadData(const spec::TrainTask& task, int threads) {
    if (task.dataset.kind == "images") {
        auto folder = guarded("reading the image folder", [&] { return scanImageFolder(task.dataset, threads); });
        if (!folder) {
            return folder.error();
        }
        LoadedData data;
        data.folder = std::make_shared<const ImageFolder>(std::move(*folder));
        data.imageSize = task.dataset.imageSize;
        data.classes = static_cast<std::int64_t>(data.folder->classes.size());
        data.classNames = data.folder->classes;
        if (task.normalize) {
            data.channels = imageNetNormalization();
        }
        return data;
    }
    // Unpacking is half a second's work; the two splits take a core each.
    auto later = std::async(std::launch::async, [&] {
        return guarded("reading the validation data", [&] { return loadValidationSet(task.dataset); });
    });
    auto training = guarded("reading the training data", [&] { return loadTrainingSet(task.dataset); });
    auto validation = later.get();
    if (!training) {
        return training.error();
    }
    if (!validation) {
        return validation.error();
    }
    LoadedData data;
    data.training = std::move(*training);
    data.validation = std::move(*validation);
    auto classes = countClasses(task.dataset, data.training);
    if (!classes) {
        return classes.error();
    }
    data.classes = *classes;
    data.classNames = task.dataset.classNames;
    data.validationFile = task.dataset.valImages;
    TRAINYARD_TRY(checkValidationSet(task.dataset, data.training, data.validation, data.classes));
    if (task.normalize) {
        data.normalization = measureNormalization(data.training);
    }
    return data;
}

Session::Session(const spec::RunSpec& spec, LoadedData data, spec::LayerTable table, ProcessGroup& group,
                 at::Device device)
    : m_task(spec.train), m_data(std::move(data)), m_group(group), m_device(device),
      m_network(std::move(table), device),
      m_sampler(m_data.trainingCount(), m_task.batchSize, m_task.seed, group.rank(), group.world()),
      m_cutter(m_data.training, m_data.normalization, device),
      m_validationCutter(m_data.validation, m_data.normalization, device) {
    if (!m_data.folder) {
        return;
    }
    const ImageFolder& folder = *m_data.folder;
    ImageLoaderOptions options = loaderOptions(m_task, folder);
    options.device = device;
    options.threads = loaderThreads(spec);
    m_badPictures = options.bad;
    m_cache = options.cache;
    options.onBad = [this](const ImageFile& file, const std::string& why) {
        const std::lock_guard lock(m_badMutex);
        m_bad.push_back({file.path, why});
    };
    ImageLoaderOptions training = options;
    training.augment = true;
    m_loader = std::make_unique<ImageLoader>(folder.root, folder.training, std::move(training));
    options.firstFile = folder.training.size();
    m_validationLoader = std::make_unique<ImageLoader>(folder.root, folder.validation, std::move(options));
}

Result<std::unique_ptr<Session>> Session::make(const TrainRequest& request, LoadedData data, ProcessGroup& group,
                                               at::Device device) {
    const spec::TrainTask& task = request.spec.train;
    auto table = spec::buildLayerTable(task.model.family, task.model.options, data.sampleShape(), data.classes);
    if (!table) {
        Error error = std::move(table).error();
        error.field = "task.model." + error.field;
        return error;
    }
    return guarded("building the model", [&]() -> Result<std::unique_ptr<Session>> {
        at::manual_seed(static_cast<std::uint64_t>(task.seed));
        std::unique_ptr<Session> session(new Session(request.spec, std::move(data), std::move(*table), group, device));
        if (task.syncBatchNorm && group.world() > 1) {
            session->m_sync = std::make_unique<SyncBatchNorm>(group);
            session->m_network.setTrainingNorm([sync = session->m_sync.get()](const Network::NormInput& in) {
                return sync->normalize(in.x, in.weight, in.bias, in.runningMean, in.runningVar, in.momentum,
                                       in.epsilon);
            });
        }
        TRAINYARD_TRY(session->settleClasses());
        TRAINYARD_TRY(session->settleBatches());
        if (group.rank() == 0) {
            TRAINYARD_TRY(session->takeStartingWeights());
        }
        session->shareWeights();
        if (task.memoryFormat == "channels_last") {
            session->m_network.useChannelsLast();
        }
        if (group.rank() > 0) {
            // Dropout must not drop the same units on every rank.
            at::manual_seed(mixSeeds(static_cast<std::uint64_t>(task.seed), static_cast<std::uint64_t>(group.rank())));
        }
        session->trainLayersOf(0);
        if (group.world() == 1 && task.labelSmoothing == 0 && !task.model.weights.freeze && !session->m_data.folder &&
            task.accumulation == 1 && task.classWeights == "none") {
            session->m_dense = DenseStep::forNetwork(session->m_network);
        }
        session->startEpoch(0);
        return session;
    });
}

void Session::shareWeights() {
    std::vector<at::Tensor> all = m_network.parameters();
    all.insert(all.end(), m_network.buffers().begin(), m_network.buffers().end());
    if (const Status shared = m_group.broadcast(all); !shared) {
        throw std::runtime_error(shared.error().message);
    }
}

Status Session::takeStartingWeights() {
    const std::string& source = m_task.model.weights.source;
    if (source.empty()) {
        return {};
    }
    const auto named = [](Error error) {
        error.field = "task.model.weights.source";
        return error;
    };
    auto file = readWeightFile(source);
    if (!file) {
        return named(std::move(file).error());
    }
    auto match = matchWeights(*file, m_network);
    if (!match) {
        return named(std::move(match).error());
    }
    TRAINYARD_TRY(applyWeights(*file, *match, m_network));
    m_startingWeights = toJson(*file, *match);
    return {};
}

Status Session::settleClasses() {
    const std::int64_t classes = m_data.classes;
    std::vector<std::vector<std::int64_t>> samplesOf;
    if (m_task.classWeights == "balanced" || m_task.sampling != "shuffle") {
        samplesOf.resize(static_cast<std::size_t>(classes));
        for (std::int64_t i = 0; i < m_data.trainingCount(); ++i) {
            samplesOf[static_cast<std::size_t>(m_data.trainingLabel(i))].push_back(i);
        }
    }
    if (m_task.classWeights == "list") {
        TRAINYARD_TRY(checkListed(m_task.classWeightList, classes, "task.class_weight_list"));
        m_weightOf = m_task.classWeightList;
    } else if (m_task.classWeights == "balanced") {
        // scikit-learn's: samples / (classes × samples of the class). A class without samples never asks for its
        // weight.
        for (const auto& own : samplesOf) {
            m_weightOf.push_back(own.empty() ? 1.0
                                             : static_cast<double>(m_data.trainingCount()) /
                                                   (static_cast<double>(classes) * static_cast<double>(own.size())));
        }
    }
    if (!m_weightOf.empty()) {
        m_classWeights = at::tensor(m_weightOf, at::kDouble).to(m_device, at::kFloat);
    }
    if (m_task.sampling == "shuffle") {
        return {};
    }
    std::vector<double> weights(static_cast<std::size_t>(classes), 1.0);
    if (m_task.sampling == "weighted") {
        TRAINYARD_TRY(checkListed(m_task.samplingWeights, classes, "task.sampling_weights"));
        weights = m_task.samplingWeights;
    }
    double drawn = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        drawn += samplesOf[i].empty() ? 0 : weights[i];
    }
    if (drawn <= 0) {
        return Error{"data.classes", "The classes that are to be drawn have no training samples.",
                     "task.sampling_weights"};
    }
    m_sampler.drawByClass(std::move(samplesOf), weights);
    return {};
}

Status Session::settleBatches() {
    const std::string norm = singlePointNorm(m_network.table());
    if (norm.empty()) {
        return {};
    }
    const std::int64_t count = m_data.trainingCount();
    const std::int64_t world = m_group.world();
    const std::int64_t least = m_sync ? 2 : 2 * world;
    m_leastSamples = m_sync ? 1 : 2;
    const std::string why = "The layer " + norm +
                            " normalises planes of 1 × 1 pixel over the batch and takes at least two samples" +
                            (m_sync || world == 1 ? "" : " a process");
    if (const std::int64_t batch = std::min(m_task.batchSize, count); batch < least) {
        return Error{"train.batch_norm",
                     why + "; a batch has " + std::to_string(batch) + ". Take a batch of " + std::to_string(least) +
                         " or more, or larger images.",
                     count < least ? "task.dataset" : "task.batch_size"};
    }
    if (const std::int64_t tail = count % m_task.batchSize; count > m_task.batchSize && tail > 0 && tail < least) {
        m_sampler.dropTail();
        m_whyTailDropped = why + ", so the last batch of each epoch, of " + std::to_string(tail) + ", is left out.";
    }
    return {};
}

bool Session::isFrozenIn(std::int64_t epoch) const {
    const spec::WeightsSpec& weights = m_task.model.weights;
    return weights.freeze && (weights.unfreezeEpoch == 0 || epoch < weights.unfreezeEpoch);
}

void Session::trainLayersOf(std::int64_t epoch) {
    m_frozen = isFrozenIn(epoch);
    const std::string head = headOf(m_network.table());
    std::vector<at::Tensor> parameters;
    std::vector<std::string> names;
    std::vector<Optimizer::Rule> rules;
    for (std::size_t i = 0; i < m_network.parameters().size(); ++i) {
        at::Tensor parameter = m_network.parameters()[i];
        const std::string& name = m_network.parameterNames()[i];
        const bool inHead = name.starts_with(head);
        parameter.set_requires_grad(inHead || !m_frozen);
        parameter.mutable_grad().reset();
        if (parameter.requires_grad()) {
            parameters.push_back(parameter);
            names.push_back(name);
            rules.push_back(
                {inHead ? 1.0 : m_task.model.weights.backboneRate, m_task.decayNorms || parameter.dim() > 1});
        }
    }
    m_reducerNanos += m_reducer ? m_reducer->takeWaitedNanos() : 0;
    m_reducer.reset();
    m_reducer = std::make_unique<GradientReducer>(m_group, parameters, names);
    m_optimizer =
        std::make_unique<Optimizer>(m_task.optimizer, std::move(parameters), std::move(names), std::move(rules));
}

void Session::startEpoch(std::int64_t epoch) {
    if (m_frozen && !isFrozenIn(epoch)) {
        trainLayersOf(epoch);
    }
    m_sampler.startEpoch(epoch);
    m_plannedEpoch = -1;
}

std::vector<BadFile> Session::takeBadFiles() {
    const std::lock_guard lock(m_badMutex);
    return std::exchange(m_bad, {});
}

std::vector<std::int64_t> Session::takeBadNumbers() {
    return m_badPictures ? m_badPictures->takeNews() : std::vector<std::int64_t>();
}

Status Session::learnBadNumbers(const std::vector<std::int64_t>& files) {
    if (files.empty() || !m_badPictures) {
        return {};
    }
    m_badPictures->learn(files);
    if (!m_badPictures->tooMany()) {
        return {};
    }
    return Error{"data.bad",
                 std::to_string(m_badPictures->count()) +
                     " pictures that could be read at the start cannot be read any more "
                     "by the processes of this run, which is more than allowed.",
                 "task.dataset.max_bad_fraction"};
}

Batch Session::validationSamples(std::int64_t count) {
    count = std::min(count, m_data.validationCount());
    const Batch* batch = nullptr;
    if (m_validationLoader) {
        std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
        std::iota(indices.begin(), indices.end(), std::int64_t{0});
        m_validationLoader->plan({std::move(indices)}, 0);
        batch = &m_validationLoader->next();
    } else {
        batch = &m_validationCutter.cutRange(0, count);
    }
    return {batch->images.to(at::kCPU), batch->labels.to(at::kCPU)};
}

std::vector<Sampler::Shard> Session::partsOf(const Sampler::Shard& shard) const {
    const std::int64_t most = shard.globalCount / m_group.world() / m_leastSamples;
    const std::int64_t parts = std::clamp<std::int64_t>(most, 1, m_task.accumulation);
    std::vector<Sampler::Shard> cut;
    for (std::int64_t i = 0; i < parts; ++i) {
        const Range own = shardRange(shard.count, static_cast<int>(i), static_cast<int>(parts));
        Sampler::Shard part = shard;
        part.indices += own.begin;
        part.count = own.end - own.begin;
        cut.push_back(part);
    }
    return cut;
}

double Session::lossWeight(const Sampler::Shard& part) const {
    if (m_weightOf.empty()) {
        return GradientReducer::shardWeight(part.count, part.globalCount, m_group.world());
    }
    const auto sum = [this](const std::int64_t* indices, std::int64_t count) {
        double weights = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            weights += m_weightOf[static_cast<std::size_t>(m_data.trainingLabel(indices[i]))];
        }
        return weights;
    };
    return sum(part.indices, part.count) * m_group.world() / sum(part.globalIndices, part.globalCount);
}

const Batch& Session::nextPictures(const TrainingState& state, bool first) {
    if (first && (m_plannedEpoch != state.epoch || m_plannedStep != state.stepInEpoch)) {
        std::vector<std::vector<std::int64_t>> batches;
        for (std::int64_t step = state.stepInEpoch; step < stepsPerEpoch(); ++step) {
            for (const Sampler::Shard& part : partsOf(m_sampler.shard(step))) {
                if (part.count > 0) {
                    batches.emplace_back(part.indices, part.indices + part.count);
                }
            }
        }
        m_loader->plan(std::move(batches), state.epoch);
        m_plannedEpoch = state.epoch;
    }
    m_plannedStep = state.stepInEpoch + 1;
    return m_loader->next();
}

const Batch& Session::cutPart(const Sampler::Shard& part, const TrainingState& state, bool first) {
    const std::int64_t begin = base::monotonicNanos();
    const Batch& batch = m_loader         ? nextPictures(state, first)
                         : m_task.augment ? m_cutter.cutAugmented(part.indices, part.count, m_task.seed, state.epoch)
                                          : m_cutter.cut(part.indices, part.count);
    m_dataNanos += base::monotonicNanos() - begin;
    return batch;
}

at::Tensor Session::partLoss(const Sampler::Shard& part, const TrainingState& state, bool first, StepResult& result) {
    const Batch& batch = cutPart(part, state, first);
    const at::Tensor logits = m_network.forward(batch.images);
    const at::Tensor loss = crossEntropy(logits, batch.labels, m_task.labelSmoothing, m_classWeights);
    result.finite = m_meter.add(loss, logits, batch.labels) && result.finite;
    const double weight = lossWeight(part);
    return weight == 1.0 ? loss : loss * weight;
}

at::Tensor Session::standInLoss() {
    // At an epoch's end a batch may have fewer samples than ranks. The exchange still needs this rank's backward
    // pass; two samples (batch statistics are not defined for one) with weight 0 give it gradients of zero.
    const std::vector<std::int64_t> shape = m_data.sampleShape();
    const auto options = at::TensorOptions().device(m_device);
    const at::Tensor images = at::zeros({2, shape[0], shape[1], shape[2]}, options.dtype(at::kFloat));
    const at::Tensor labels = at::zeros({2}, options.dtype(at::kLong));
    if (m_sync) {
        m_sync->setCounted(false);
    }
    return crossEntropy(m_network.forward(images), labels, 0.0) * 0.0;
}

Session::StepResult Session::step(TrainingState& state) {
    const Sampler::Shard shard = m_sampler.shard(state.stepInEpoch);
    StepResult result;
    result.localCount = shard.count;
    const std::int64_t start = state.scheduleStart;
    result.learningRate = learningRateAt(m_task.schedule, m_task.optimizer.learningRate, state.step - start,
                                         totalSteps() - start, stepsPerEpoch());

    m_network.train(true);
    m_optimizer->clearGradients();
    if (m_dense != nullptr) {
        const Batch& batch = cutPart(shard, state, /*first=*/true);
        const DenseStep::Result dense = m_dense->run(batch);
        result.finite = m_meter.add(dense.loss, dense.logits, batch.labels);
    } else {
        const std::vector<Sampler::Shard> parts = partsOf(shard);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            const bool last = i + 1 == parts.size();
            if (last) {
                m_reducer->beforeForward();
            }
            const at::Tensor loss = parts[i].count > 0 ? partLoss(parts[i], state, i == 0, result) : standInLoss();
            if (last) {
                m_reducer->backward(loss);
            } else {
                loss.backward();
            }
        }
        if (m_sync) {
            m_sync->setCounted(true);
        }
    }
    if (result.finite) {
        if (m_task.clipNorm > 0) {
            m_optimizer->clipGradients(m_task.clipNorm);
        }
        m_optimizer->step(result.learningRate);
    }
    ++state.step;
    ++state.stepInEpoch;
    return result;
}

StepTimes Session::takeTimes() {
    StepTimes times;
    times.data = static_cast<double>(std::exchange(m_dataNanos, 0)) * 1e-9;
    const std::int64_t waited =
        std::exchange(m_reducerNanos, 0) + m_reducer->takeWaitedNanos() + (m_sync ? m_sync->takeWaitedNanos() : 0);
    times.exchange = static_cast<double>(waited) * 1e-9;
    return times;
}

Session::Validation Session::validate(const std::function<bool(std::int64_t)>& onBatch) {
    m_network.train(false);
    Validation result;
    result.classes = ClassScores(m_data.classes);
    const Range own = shardRange(m_data.validationCount(), m_group.rank(), m_group.world());
    EvaluateOptions options;
    options.begin = own.begin;
    options.end = own.end;
    options.onBatch = onBatch;
    options.onLogits = [&result](const at::Tensor& logits, const at::Tensor& labels, std::int64_t first) {
        result.classes.add(logits, labels);
        result.mistakes.add(logits, labels, first);
    };
    const auto forward = [this](const at::Tensor& images) { return m_network.forward(images); };
    if (!m_validationLoader) {
        result.scores = evaluate(
            forward,
            [this](std::int64_t first, std::int64_t last) -> const Batch& {
                return m_validationCutter.cutRange(first, last);
            },
            options);
        return result;
    }
    options.batchSize = kPictureBatch;
    std::vector<std::vector<std::int64_t>> batches;
    for (std::int64_t at = own.begin; at < own.end; at += kPictureBatch) {
        std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(kPictureBatch, own.end - at)));
        std::iota(indices.begin(), indices.end(), at);
        batches.push_back(std::move(indices));
    }
    m_validationLoader->plan(std::move(batches), 0);
    result.scores = evaluate(
        forward, [this](std::int64_t, std::int64_t) -> const Batch& { return m_validationLoader->next(); }, options);
    return result;
}

Result<TrainingState> Session::resume(const base::Path& checkpoint) {
    auto restored = readCheckpoint(checkpoint, subjectOf(m_task, m_network.table(), m_data.trainingCount()), m_network,
                                   [this](const TrainingState& state) -> Optimizer& {
                                       // Written between two epochs, it still holds what the one before was trained
                                       // with.
                                       const std::int64_t epoch = state.stepInEpoch > 0
                                                                      ? state.epoch
                                                                      : std::max<std::int64_t>(0, state.epoch - 1);
                                       if (m_frozen != isFrozenIn(epoch)) {
                                           trainLayersOf(epoch);
                                       }
                                       return *m_optimizer;
                                   });
    if (!restored) {
        return restored.error();
    }
    TrainingState state = std::move(restored->state);
    if (state.stepInEpoch > stepsPerEpoch()) {
        return Error{"resume.data",
                     "The checkpoint stands at step " + std::to_string(state.stepInEpoch) +
                         " of an epoch that has only " + std::to_string(stepsPerEpoch()) + ".",
                     "task.dataset"};
    }
    return guarded("going on from the checkpoint", [&]() -> Result<TrainingState> {
        const auto rank = static_cast<std::size_t>(m_group.rank());
        if (rank < restored->generators.size()) {
            setGeneratorState(m_device, restored->generators[rank]);
        }
        startEpoch(state.epoch);
        return state;
    });
}

Status Session::checkpoint(const std::vector<base::Path>& files, const TrainingState& state) {
    auto generators = guarded("reading the generator", [&]() -> Result<std::vector<at::Tensor>> {
        return m_group.gather(generatorState(m_device));
    });
    if (!generators) {
        return generators.error();
    }
    if (m_group.rank() != 0) {
        return {};
    }
    for (const base::Path& file : files) {
        TRAINYARD_TRY(writeCheckpoint(file, subjectOf(m_task, m_network.table(), m_data.trainingCount()), m_network,
                                      *m_optimizer, state, *generators));
    }
    return {};
}

}  // namespace trainyard::engine
