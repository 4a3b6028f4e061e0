#pragma once
// What one rank trains with: data, network, optimizer, reducer. Used by the training loop and by the probe of `check`.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "core/engine/data/BadPictures.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/ImageFolder.h"
#include "core/engine/data/ImageLoader.h"
#include "core/engine/data/Sampler.h"
#include "core/engine/distributed/GradientReducer.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/distributed/SyncBatchNorm.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/Checkpoint.h"
#include "core/engine/train/ClassScores.h"
#include "core/engine/train/DenseStep.h"
#include "core/engine/train/Mistakes.h"
#include "core/engine/train/Optimizer.h"
#include "core/engine/train/RankTimes.h"
#include "core/engine/train/Trainer.h"

namespace trainyard::engine {

/// Both splits: of IDX files in memory, of an image folder the list of its files.
struct LoadedData {
    ImageSet training;
    ImageSet validation;
    std::shared_ptr<const ImageFolder> folder;  ///< Null for IDX files; then the sets above are filled.
    std::int64_t imageSize = 0;                 ///< Of an image folder.
    std::int64_t classes = 0;
    std::vector<std::string> classNames;
    Normalization normalization;
    ChannelNormalization channels;  ///< Of an image folder.

    [[nodiscard]] std::int64_t trainingCount() const;
    [[nodiscard]] std::int64_t validationCount() const;
    [[nodiscard]] std::vector<std::int64_t> sampleShape() const;
    [[nodiscard]] std::int64_t trainingLabel(std::int64_t sample) const;
    /// Of a validation sample, for people: its path, or the file of images and the sample's number in it.
    [[nodiscard]] std::string validationName(std::int64_t sample) const;
    std::string validationFile;  ///< Of IDX data.
};
/// IDX files of the two splits are unpacked at the same time; an image folder's headers are read on `threads` threads.
[[nodiscard]] Result<LoadedData> loadData(const spec::TrainTask& task, int threads);

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
    /// Draws the order of `epoch` anew; call before its first step and after a resume. Collective in the epoch that
    /// unfreezes.
    void startEpoch(std::int64_t epoch);
    /// What a validation of this rank's part came to.
    struct Validation {
        Scores scores;
        ClassScores classes;
        Mistakes mistakes;
    };
    /// This rank's part of the validation set. Batch statistics must be rank 0's by then.
    [[nodiscard]] Validation validate(const std::function<bool(std::int64_t)>& onBatch = {});
    /// Seconds of the steps since the last call of this, summed: waiting for data and for other ranks; `step` is left
    /// at 0.
    [[nodiscard]] StepTimes takeTimes();
    /// Seconds of a step's exchange that lie under its backward pass; 0 until known.
    [[nodiscard]] double hiddenExchangeSeconds() { return m_reducer->hiddenSeconds(); }

    /// Takes up a checkpoint: weights, optimizer, this rank's generator.
    [[nodiscard]] Result<TrainingState> resume(const base::Path& checkpoint);
    /// Collective: every rank's generator is gathered; rank 0 writes the files.
    [[nodiscard]] Status checkpoint(const std::vector<base::Path>& files, const TrainingState& state);

    [[nodiscard]] const spec::TrainTask& task() const { return m_task; }
    [[nodiscard]] const LoadedData& data() const { return m_data; }
    [[nodiscard]] Network& network() { return m_network; }
    [[nodiscard]] StepMeter& meter() { return m_meter; }
    /// Pictures that could not be read since the last call of this.
    [[nodiscard]] std::vector<BadFile> takeBadFiles();
    /// The same by the numbers of their files, for the other ranks.
    [[nodiscard]] std::vector<std::int64_t> takeBadNumbers();
    /// What all ranks told each other: "data.bad" when the run has more bad pictures than it may.
    [[nodiscard]] Status learnBadNumbers(const std::vector<std::int64_t>& files);
    /// Memory that pictures kept decoded take now, and will take in the end; 0 where none are kept.
    [[nodiscard]] std::int64_t keptBytes() const { return m_cache ? m_cache->bytes() : 0; }
    [[nodiscard]] std::int64_t mostKeptBytes() const { return m_cache ? m_data.folder->pixelBytes() : 0; }
    /// The first validation samples as the model takes them.
    [[nodiscard]] Batch validationSamples(std::int64_t count);
    /// What was taken from the weights that the task starts from; null where there are none.
    [[nodiscard]] const base::Json& startingWeights() const { return m_startingWeights; }
    /// Why the last, smaller batch of each epoch is left out; empty where none is.
    [[nodiscard]] const std::string& whyTailDropped() const { return m_whyTailDropped; }
    [[nodiscard]] std::int64_t stepsPerEpoch() const { return m_sampler.stepsPerEpoch(); }
    [[nodiscard]] std::int64_t totalSteps() const { return m_sampler.stepsPerEpoch() * m_task.epochs; }

private:
    Session(const spec::RunSpec& spec, LoadedData data, spec::LayerTable table, ProcessGroup& group, at::Device device);
    void shareWeights();
    [[nodiscard]] Status takeStartingWeights();
    /// Optimizer and reducer for the layers that are trained from `epoch` on.
    void trainLayersOf(std::int64_t epoch);
    [[nodiscard]] bool isFrozenIn(std::int64_t epoch) const;
    [[nodiscard]] Status settleClasses();
    [[nodiscard]] Status settleBatches();
    /// The parts that go through the model one after another; their number is the same on every rank.
    [[nodiscard]] std::vector<Sampler::Shard> partsOf(const Sampler::Shard& shard) const;
    /// What the mean loss of a part is to be multiplied by, so that the ranks' average is the gradient of the joint
    /// batch.
    [[nodiscard]] double lossWeight(const Sampler::Shard& part) const;
    [[nodiscard]] at::Tensor partLoss(const Sampler::Shard& part, const TrainingState& state, bool first,
                                      StepResult& result);
    [[nodiscard]] at::Tensor standInLoss();
    [[nodiscard]] const Batch& cutPart(const Sampler::Shard& part, const TrainingState& state, bool first);
    [[nodiscard]] const Batch& nextPictures(const TrainingState& state, bool first);

    spec::TrainTask m_task;
    LoadedData m_data;
    ProcessGroup& m_group;
    at::Device m_device;
    Network m_network;
    std::unique_ptr<Optimizer> m_optimizer;
    bool m_frozen = false;  ///< The optimizer holds the head alone.
    Sampler m_sampler;
    BatchCutter m_cutter;
    BatchCutter m_validationCutter;
    StepMeter m_meter;
    std::unique_ptr<GradientReducer> m_reducer;
    std::unique_ptr<SyncBatchNorm> m_sync;  ///< Null where each rank normalises by itself.
    std::vector<double> m_weightOf;         ///< Of each class in the loss; empty: 1 each.
    at::Tensor m_classWeights;              ///< The same for libtorch; undefined: 1 each.
    std::int64_t m_leastSamples = 1;        ///< That a part must have.
    std::string m_whyTailDropped;
    std::int64_t m_dataNanos = 0;        ///< Waited for batches since takeTimes().
    std::int64_t m_reducerNanos = 0;     ///< Of reducers that were replaced.
    std::unique_ptr<DenseStep> m_dense;  ///< Null where autograd is needed.
    base::Json m_startingWeights;
    std::mutex m_badMutex;
    std::vector<BadFile> m_bad;
    std::shared_ptr<PictureCache> m_cache;       ///< Null where pictures are decoded each time.
    std::shared_ptr<BadPictures> m_badPictures;  ///< Null for IDX files.
    std::unique_ptr<ImageLoader> m_loader;       ///< Null for IDX files; last, so that their threads end first.
    std::unique_ptr<ImageLoader> m_validationLoader;
    std::int64_t m_plannedEpoch = -1;  ///< What the loader gives next.
    std::int64_t m_plannedStep = -1;
};

}  // namespace trainyard::engine
