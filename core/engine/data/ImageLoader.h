#pragma once
// Batches of an image folder: files are read, decoded, cut, changed and normalised on threads of their own, some
// batches ahead of the one that trains. What a batch holds depends on (seed, epoch, index) alone, whatever the number
// of threads.
#include <ATen/core/Tensor.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/engine/data/BadPictures.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/FileReader.h"
#include "core/engine/data/ImageFolder.h"
#include "core/engine/data/PictureResize.h"

namespace trainyard::engine {

/// One value a channel.
using ChannelNormalization = std::array<Normalization, 3>;
/// Mean and deviation of ImageNet's training images, which torchvision's weights expect.
[[nodiscard]] ChannelNormalization imageNetNormalization();

enum class ColourChange : std::uint8_t { Brightness, Contrast, Saturation, Hue };

/// What is done to one sample; drawn by changeOf.
struct ImageChange {
    Box box;  ///< Part of the picture that is kept.
    bool flip = false;
    bool verticalFlip = false;
    double rotation = 0;  ///< Degrees, against the clock.
    double brightness = 1;
    double contrast = 1;
    double saturation = 1;
    double hue = 0;  ///< Share of the colour circle.
    std::array<ColourChange, 4> colours{ColourChange::Brightness, ColourChange::Contrast, ColourChange::Saturation,
                                        ColourChange::Hue};  ///< In which order they are made.
    bool erase = false;
    Box erased;  ///< In the output.
};
/// From (seed, epoch, index) alone. The part is drawn as torchvision's RandomResizedCrop draws it: ten tries, then the
/// centre.
[[nodiscard]] ImageChange changeOf(const spec::AugmentSpec& spec, const PictureInfo& info, int size, std::int64_t seed,
                                   std::int64_t epoch, std::int64_t index);

/// Decoded pictures of both splits, shared by a rank's loaders; filled as they are first used. Thread-safe.
class PictureCache {
public:
    explicit PictureCache(std::size_t files) : m_pictures(files) {}
    [[nodiscard]] std::shared_ptr<const Picture> find(std::size_t file);
    void put(std::size_t file, std::shared_ptr<const Picture> picture);
    /// Of the pictures in it.
    [[nodiscard]] std::int64_t bytes() const;

private:
    mutable std::mutex m_mutex;
    std::vector<std::shared_ptr<const Picture>> m_pictures;
};

struct ImageLoaderOptions {
    bool augment = false;  ///< Training's random changes; else resize and centre crop.
    spec::AugmentSpec augmentation;
    int size = 224;
    int resize = 256;
    std::int64_t seed = 1;
    ChannelNormalization normalization;
    at::Device device = at::kCPU;
    int threads = 1;
    std::shared_ptr<PictureCache> cache;  ///< Null: each picture is decoded when it is wanted.
    std::shared_ptr<BadPictures>
        bad;  ///< Files that turn out unreadable in mid-run; null: the first one ends the run ("data.bad").
    std::size_t firstFile = 0;  ///< Number of this split's first file in both of these.
    /// Called on a loader's thread, once for a file, when it could not be read in mid-run; another sample stands in for
    /// it.
    std::function<void(const ImageFile&, const std::string& why)> onBad;
};

/// What a run with this task reads its pictures with, in so far as the task says it: size, seed, changes,
/// normalisation, the list of unreadable files with its limit, and a cache where all of `folder` fits; both have room
/// for both splits. `augment`, `device`, `threads`, `firstFile` and `onBad` are the caller's.
[[nodiscard]] ImageLoaderOptions loaderOptions(const spec::TrainTask& task, const ImageFolder& folder);

/// `next` and `plan` are for one thread.
class ImageLoader {
public:
    /// `files` must outlive the loader.
    ImageLoader(const Path& root, const std::vector<ImageFile>& files, ImageLoaderOptions options);
    ~ImageLoader();
    ImageLoader(const ImageLoader&) = delete;
    ImageLoader& operator=(const ImageLoader&) = delete;

    /// The batches that come next, as indices into the files; what was planned before is dropped.
    void plan(std::vector<std::vector<std::int64_t>> batches, std::int64_t epoch);
    /// The next planned batch; its tensors are written again by the call after the next. Throws Failed: "data.gone"
    /// when neighbouring files cannot be read any more, "data.bad" when more than ImageLoaderOptions::bad allows could
    /// not. Precondition: one is left.
    [[nodiscard]] const Batch& next();
    /// Nanoseconds that `next` has waited since the last call of this.
    [[nodiscard]] std::int64_t takeWaitedNanos();

private:
    struct Slot {
        std::vector<std::int64_t> indices;
        Batch room;             ///< For the largest batch so far: an epoch's last one is often smaller.
        Batch host;             ///< The first samples of it.
        std::size_t taken = 0;  ///< Samples that a thread has begun.
        std::size_t finished = 0;
    };
    /// A thread's own, with memory that is used again.
    struct Tools {
        FileReader reader;
        DecodedPart part;
        Resizer resizer;
        std::vector<std::uint8_t> pixels;
    };
    void work();
    void fill(Slot& slot, std::size_t position, std::int64_t epoch, Tools& tools);
    [[nodiscard]] bool render(const ImageFile& file, std::int64_t index, std::int64_t epoch, float* to, Tools& tools,
                              std::string& why);
    void openSlots();
    [[nodiscard]] Error gone(const ImageFile& file, const std::string& why) const;
    [[nodiscard]] Error tooManyBad(const ImageFile& file, const std::string& why) const;

    const Path m_root;
    const std::vector<ImageFile>& m_files;
    const ImageLoaderOptions m_options;
    const PixelScale m_scale;
    std::mutex m_mutex;
    std::condition_variable m_wake;   ///< For the threads.
    std::condition_variable m_ready;  ///< For next().
    std::condition_variable m_idle;   ///< For plan().
    std::deque<std::vector<std::int64_t>> m_waiting;
    std::deque<std::unique_ptr<Slot>> m_open;  ///< Being filled, oldest first.
    std::vector<std::unique_ptr<Slot>> m_spare;
    std::unique_ptr<Slot> m_held;  ///< What next() gave out last.
    std::int64_t m_epoch = 0;
    std::uint64_t m_generation = 0;  ///< Of plans.
    std::size_t m_busy = 0;          ///< Threads at work on a sample.
    std::optional<Error> m_failure;
    bool m_stop = false;
    std::int64_t m_waited = 0;
    Batch m_onDevice;
    std::vector<std::thread> m_threads;
};

}  // namespace trainyard::engine
