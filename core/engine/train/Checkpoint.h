#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/Optimizer.h"
#include "core/engine/train/StepMeter.h"

namespace trainyard::engine {

inline constexpr const char* kCheckpointFormat = "trainyard.checkpoint";
inline constexpr int kCheckpointVersion = 1;  ///< Minor additions keep it; a reader refuses a higher one.

/// Where a training stands between two steps.
struct TrainingState {
    std::int64_t epoch = 0;        ///< From 0; the epoch that the next step belongs to.
    std::int64_t stepInEpoch = 0;  ///< Steps of that epoch already done: the sampler's position.
    std::int64_t step = 0;         ///< Optimizer steps done in all.
    Scores window;                 ///< Since the last reported point (sums over all ranks).
    Scores epochScores;            ///< Since the epoch's start (sums over all ranks).
    double bestAccuracy = -1;
    std::int64_t bestEpoch = -1;
    std::int64_t scheduleStart = 0;            ///< The step that the learning rate's schedule counts from.
    std::string run;                           ///< The run that trained last; may be empty.
    base::Json history = base::Json::array();  ///< One {"epoch","step","val/loss","val/accuracy"} an epoch.
};

/// What a checkpoint must agree with before anything is taken from it.
struct CheckpointSubject {
    std::string family;
    base::Json options;
    std::vector<std::int64_t> inputShape;
    std::int64_t classes = 0;
    std::string optimizer;
    std::int64_t batchSize = 0;
    std::int64_t seed = 0;
    std::int64_t samples = 0;
    base::Json sampling;  ///< Null: each sample once an epoch.
};

/// Weights, optimizer, every rank's generator and the position, in one safetensors file: temp, fsync, rename.
[[nodiscard]] Status writeCheckpoint(const base::Path& path, const CheckpointSubject& subject, const Network& network,
                                     const Optimizer& optimizer, const TrainingState& state,
                                     const std::vector<at::Tensor>& generators);

/// Restores all of it. Returns the generators' states, by rank. `optimizerFor` is asked for the optimizer that belongs
/// to the position, once the checkpoint is known to fit. Errors: "resume.format", "format.newer", "resume.model",
/// "resume.optimizer", "resume.data" (in the middle of an epoch: other data, seed, batch size or sampling).
struct Restored {
    TrainingState state;
    std::vector<at::Tensor> generators;
};
[[nodiscard]] Result<Restored> readCheckpoint(const base::Path& path, const CheckpointSubject& subject,
                                              Network& network,
                                              const std::function<Optimizer&(const TrainingState&)>& optimizerFor);

/// State of libtorch's default generator of `device`, as a byte tensor on the CPU.
[[nodiscard]] at::Tensor generatorState(at::Device device);
void setGeneratorState(at::Device device, const at::Tensor& state);

}  // namespace trainyard::engine
