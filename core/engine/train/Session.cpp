#include "core/engine/train/Session.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>
#include <utility>

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
    return static_cast<int>(std::clamp<std::int64_t>(usableCores() / std::max<std::int64_t>(1, spec.distribution.processes), 1, 16));
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
    return subject;
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
    TRAINYARD_TRY(checkValidationSet(task.dataset, data.training, data.validation, data.classes));
    if (task.normalize) {
        data.normalization = measureNormalization(data.training);
    }
    return data;
}

Session::Session(const spec::RunSpec& spec, LoadedData data, spec::LayerTable table, ProcessGroup& group,
                 at::Device device)
    : m_task(spec.train), m_data(std::move(data)), m_group(group), m_device(device), m_network(std::move(table), device),
      m_sampler(m_data.trainingCount(), m_task.batchSize, m_task.seed, group.rank(), group.world()),
      m_cutter(m_data.training, m_data.normalization, device),
      m_validationCutter(m_data.validation, m_data.normalization, device) {
    if (!m_data.folder) {
        return;
    }
    const ImageFolder& folder = *m_data.folder;
    ImageLoaderOptions options;
    options.size = static_cast<int>(m_task.dataset.imageSize);
    options.resize = static_cast<int>(m_task.dataset.resizeSize);
    options.seed = m_task.seed;
    options.normalization = m_data.channels;
    options.device = device;
    options.threads = loaderThreads(spec);
    options.onBad = [this](const ImageFile& file, const std::string& why) {
        const std::lock_guard lock(m_badMutex);
        m_bad.push_back({file.path, why});
    };
    if (folder.pixelBytes() <= m_task.dataset.cacheMiB << 20) {
        m_cache = std::make_shared<PictureCache>(folder.training.size() + folder.validation.size());
        options.cache = m_cache;
    }
    ImageLoaderOptions training = options;
    training.augment = true;
    training.augmentation = m_task.augmentation;
    m_loader = std::make_unique<ImageLoader>(folder.root, folder.training, std::move(training));
    options.cacheOffset = folder.training.size();
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
        if (group.rank() == 0) {
            TRAINYARD_TRY(session->takeStartingWeights());
        }
        session->shareWeights();
        if (group.rank() > 0) {
            // Dropout must not drop the same units on every rank.
            at::manual_seed(mixSeeds(static_cast<std::uint64_t>(task.seed), static_cast<std::uint64_t>(group.rank())));
        }
        session->trainLayersOf(0);
        if (group.world() == 1 && task.labelSmoothing == 0 && !task.model.weights.freeze && !session->m_data.folder) {
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
            rules.push_back({inHead ? 1.0 : m_task.model.weights.backboneRate, m_task.decayNorms || parameter.dim() > 1});
        }
    }
    m_reducer.reset();
    m_reducer = std::make_unique<GradientReducer>(m_group, parameters, names);
    m_optimizer = std::make_unique<Optimizer>(m_task.optimizer, std::move(parameters), std::move(names), std::move(rules));
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

const Batch& Session::nextPictures(const TrainingState& state) {
    if (m_plannedEpoch != state.epoch || m_plannedStep != state.stepInEpoch) {
        std::vector<std::vector<std::int64_t>> batches;
        for (std::int64_t step = state.stepInEpoch; step < stepsPerEpoch(); ++step) {
            const Sampler::Shard shard = m_sampler.shard(step);
            if (shard.count > 0) {
                batches.emplace_back(shard.indices, shard.indices + shard.count);
            }
        }
        m_loader->plan(std::move(batches), state.epoch);
        m_plannedEpoch = state.epoch;
    }
    m_plannedStep = state.stepInEpoch + 1;
    return m_loader->next();
}

const Batch& Session::cutShard(const Sampler::Shard& shard, const TrainingState& state) {
    if (m_loader) {
        return nextPictures(state);
    }
    if (m_task.augment) {
        return m_cutter.cutAugmented(shard.indices, shard.count, m_task.seed, state.epoch);
    }
    return m_cutter.cut(shard.indices, shard.count);
}

Session::StepResult Session::step(TrainingState& state) {
    const Sampler::Shard shard = m_sampler.shard(state.stepInEpoch);
    StepResult result;
    result.localCount = shard.count;
    result.learningRate =
        learningRateAt(m_task.schedule, m_task.optimizer.learningRate, state.step, totalSteps(), stepsPerEpoch());

    m_network.train(true);
    m_optimizer->clearGradients();
    m_reducer->beforeForward();
    if (m_dense != nullptr) {
        const Batch& batch = cutShard(shard, state);
        const DenseStep::Result dense = m_dense->run(batch);
        result.finite = m_meter.add(dense.loss, dense.logits, batch.labels);
    } else if (shard.count > 0) {
        const Batch& batch = cutShard(shard, state);
        const at::Tensor logits = m_network.forward(batch.images);
        const at::Tensor loss = crossEntropy(logits, batch.labels, m_task.labelSmoothing);
        result.finite = m_meter.add(loss, logits, batch.labels);
        const double weight = GradientReducer::shardWeight(shard.count, shard.globalCount, m_group.world());
        m_reducer->beforeBackward();
        (weight == 1.0 ? loss : loss * weight).backward();
    } else {
        // At an epoch's end a batch may have fewer samples than ranks. The exchange still needs this rank's backward
        // pass; two samples (batch statistics are not defined for one) with weight 0 give it gradients of zero.
        const std::vector<std::int64_t> shape = m_data.sampleShape();
        const auto options = at::TensorOptions().device(m_device);
        const at::Tensor images = at::zeros({2, shape[0], shape[1], shape[2]}, options.dtype(at::kFloat));
        const at::Tensor labels = at::zeros({2}, options.dtype(at::kLong));
        const at::Tensor loss = crossEntropy(m_network.forward(images), labels, 0.0) * 0.0;
        m_reducer->beforeBackward();
        loss.backward();
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

Scores Session::validate(const std::function<bool(std::int64_t)>& onBatch) {
    m_network.train(false);
    const Range own = shardRange(m_data.validationCount(), m_group.rank(), m_group.world());
    EvaluateOptions options;
    options.begin = own.begin;
    options.end = own.end;
    options.onBatch = onBatch;
    const auto forward = [this](const at::Tensor& images) { return m_network.forward(images); };
    if (!m_validationLoader) {
        return evaluate(
            forward, [this](std::int64_t first, std::int64_t last) -> const Batch& { return m_validationCutter.cutRange(first, last); },
            options);
    }
    options.batchSize = kPictureBatch;
    std::vector<std::vector<std::int64_t>> batches;
    for (std::int64_t at = own.begin; at < own.end; at += kPictureBatch) {
        std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(kPictureBatch, own.end - at)));
        std::iota(indices.begin(), indices.end(), at);
        batches.push_back(std::move(indices));
    }
    m_validationLoader->plan(std::move(batches), 0);
    return evaluate(forward, [this](std::int64_t, std::int64_t) -> const Batch& { return m_validationLoader->next(); }, options);
}

Result<TrainingState> Session::resume(const base::Path& checkpoint) {
    auto restored = readCheckpoint(checkpoint, subjectOf(m_task, m_network.table(), m_data.trainingCount()), m_network,
                                   [this](const TrainingState& state) -> Optimizer& {
                                       // Written between two epochs, it still holds what the one before was trained with.
                                       const std::int64_t epoch = state.stepInEpoch > 0 ? state.epoch : std::max<std::int64_t>(0, state.epoch - 1);
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
        return Error{"resume.data", "The checkpoint stands at step " + std::to_string(state.stepInEpoch) +
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
