#include "core/engine/train/Session.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <future>

#include "core/engine/train/Evaluate.h"
#include "core/engine/train/Schedule.h"
#include "core/engine/train/StepMeter.h"

namespace trainyard::engine {

namespace {

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

Result<LoadedData> loadData(const spec::TrainTask& task) {
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
    TRAINYARD_TRY(checkValidationSet(task.dataset, data.training, data.validation, data.classes));
    if (task.normalize) {
        data.normalization = measureNormalization(data.training);
    }
    return data;
}

Session::Session(const spec::TrainTask& task, LoadedData data, spec::LayerTable table, ProcessGroup& group,
                 at::Device device)
    : m_task(task), m_data(std::move(data)), m_group(group), m_device(device), m_network(std::move(table), device),
      m_optimizer(m_task.optimizer, m_network.parameters(), m_network.parameterNames()),
      m_sampler(m_data.training.count, m_task.batchSize, m_task.seed, group.rank(), group.world()),
      m_cutter(m_data.training, m_data.normalization, device),
      m_validationCutter(m_data.validation, m_data.normalization, device) {}

Result<std::unique_ptr<Session>> Session::make(const TrainRequest& request, LoadedData data, ProcessGroup& group,
                                               at::Device device) {
    const spec::TrainTask& task = request.spec.train;
    auto table = spec::buildLayerTable(task.model.family, task.model.options, data.training.sampleShape(), data.classes);
    if (!table) {
        Error error = std::move(table).error();
        error.field = "task.model." + error.field;
        return error;
    }
    return guarded("building the model", [&]() -> Result<std::unique_ptr<Session>> {
        at::manual_seed(static_cast<std::uint64_t>(task.seed));
        std::unique_ptr<Session> session(new Session(task, std::move(data), std::move(*table), group, device));
        session->shareWeights();
        if (group.rank() > 0) {
            // Dropout must not drop the same units on every rank.
            at::manual_seed(mixSeeds(static_cast<std::uint64_t>(task.seed), static_cast<std::uint64_t>(group.rank())));
        }
        session->m_reducer = std::make_unique<GradientReducer>(group, session->m_network.parameters(),
                                                               session->m_network.parameterNames());
        if (group.world() == 1 && task.labelSmoothing == 0) {
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

const Batch& Session::cutShard(const Sampler::Shard& shard, std::int64_t epoch) {
    if (m_task.augment) {
        return m_cutter.cutAugmented(shard.indices, shard.count, m_task.seed, epoch);
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
    m_optimizer.clearGradients();
    m_reducer->beforeForward();
    if (m_dense != nullptr) {
        const Batch& batch = cutShard(shard, state.epoch);
        const DenseStep::Result dense = m_dense->run(batch);
        result.finite = m_meter.add(dense.loss, dense.logits, batch.labels);
    } else if (shard.count > 0) {
        const Batch& batch = cutShard(shard, state.epoch);
        const at::Tensor logits = m_network.forward(batch.images);
        const at::Tensor loss = crossEntropy(logits, batch.labels, m_task.labelSmoothing);
        result.finite = m_meter.add(loss, logits, batch.labels);
        const double weight = GradientReducer::shardWeight(shard.count, shard.globalCount, m_group.world());
        m_reducer->beforeBackward();
        (weight == 1.0 ? loss : loss * weight).backward();
    } else {
        // At an epoch's end a batch may have fewer samples than ranks. The exchange still needs this rank's backward
        // pass; two samples (batch statistics are not defined for one) with weight 0 give it gradients of zero.
        const std::int64_t stand[2] = {0, std::min<std::int64_t>(1, m_data.training.count - 1)};
        const Batch& batch = m_cutter.cut(stand, 2);
        const at::Tensor loss = crossEntropy(m_network.forward(batch.images), batch.labels, 0.0) * 0.0;
        m_reducer->beforeBackward();
        loss.backward();
    }
    if (result.finite) {
        m_optimizer.step(result.learningRate);
    }
    ++state.step;
    ++state.stepInEpoch;
    return result;
}

Scores Session::validate(const std::function<bool(std::int64_t)>& onBatch) {
    m_network.train(false);
    const Range own = shardRange(m_data.validation.count, m_group.rank(), m_group.world());
    EvaluateOptions options;
    options.begin = own.begin;
    options.end = own.end;
    options.onBatch = onBatch;
    return evaluate([this](const at::Tensor& images) { return m_network.forward(images); }, m_validationCutter, options);
}

Result<TrainingState> Session::resume(const base::Path& checkpoint) {
    auto restored = readCheckpoint(checkpoint, subjectOf(m_task, m_network.table(), m_data.training.count), m_network,
                                   m_optimizer);
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
        TRAINYARD_TRY(writeCheckpoint(file, subjectOf(m_task, m_network.table(), m_data.training.count), m_network,
                                      m_optimizer, state, *generators));
    }
    return {};
}

}  // namespace trainyard::engine
