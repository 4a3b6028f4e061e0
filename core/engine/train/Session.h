#pragma once
// What one rank trains with: data, network, optimizer, reducer. Used by the training loop and by the probe of `check`.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/engine/data/Batch.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/Sampler.h"
#include "core/engine/distributed/GradientReducer.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/Checkpoint.h"
#include "core/engine/train/DenseStep.h"
#include "core/engine/train/Optimizer.h"
#include "core/engine/train/Trainer.h"

namespace trainyard::engine {

/// Both splits, loaded at the same time on two threads.
struct LoadedData {
    ImageSet training;
    ImageSet validation;
    std::int64_t classes = 0;
    Normalization normalization;
};
[[nodiscard]] Result<LoadedData> loadData(const spec::TrainTask& task);

/// One rank's training. Not thread-safe. Methods throw what libtorch throws.
class Session {
public:
    /// `group` must outlive the session. Every rank makes its session at the same time: weights come from rank 0.
    [[nodiscard]] static Result<std::unique_ptr<Session>> make(const TrainRequest& request, LoadedData data,
                                                               ProcessGroup& group, at::Device device);

    struct StepResult {
        double learningRate = 0;
        std::int64_t localCount = 0;
        bool finite = true;  ///< False: the loss is no finite number; the weights were left as they were.
    };
    /// One optimizer step at the position of `state`, which moves on by it.
    [[nodiscard]] StepResult step(TrainingState& state);
    /// Draws the order of `epoch` anew; call before its first step and after a resume.
    void startEpoch(std::int64_t epoch) { m_sampler.startEpoch(epoch); }
    /// This rank's part of the validation set. Batch statistics must be rank 0's by then.
    [[nodiscard]] Scores validate(const std::function<bool(std::int64_t)>& onBatch = {});

    /// Takes up a checkpoint: weights, optimizer, this rank's generator.
    [[nodiscard]] Result<TrainingState> resume(const base::Path& checkpoint);
    /// Collective: every rank's generator is gathered; rank 0 writes the files.
    [[nodiscard]] Status checkpoint(const std::vector<base::Path>& files, const TrainingState& state);

    [[nodiscard]] const spec::TrainTask& task() const { return m_task; }
    [[nodiscard]] const LoadedData& data() const { return m_data; }
    [[nodiscard]] Network& network() { return m_network; }
    [[nodiscard]] StepMeter& meter() { return m_meter; }
    [[nodiscard]] std::int64_t stepsPerEpoch() const { return m_sampler.stepsPerEpoch(); }
    [[nodiscard]] std::int64_t totalSteps() const { return m_sampler.stepsPerEpoch() * m_task.epochs; }

private:
    Session(const spec::TrainTask& task, LoadedData data, spec::LayerTable table, ProcessGroup& group, at::Device device);
    void shareWeights();
    [[nodiscard]] const Batch& cutShard(const Sampler::Shard& shard, std::int64_t epoch);

    spec::TrainTask m_task;
    LoadedData m_data;
    ProcessGroup& m_group;
    at::Device m_device;
    Network m_network;
    Optimizer m_optimizer;
    Sampler m_sampler;
    BatchCutter m_cutter;
    BatchCutter m_validationCutter;
    StepMeter m_meter;
    std::unique_ptr<GradientReducer> m_reducer;
    std::unique_ptr<DenseStep> m_dense;  ///< Null where autograd is needed.
};

}  // namespace trainyard::engine
