#include "core/engine/data/ImageLoader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <stdexcept>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/data/CentreCrop.h"
#include "core/engine/data/ColourJitter.h"
#include "core/engine/data/Sampler.h"
#include "core/spec/ImageNormal.h"

namespace trainyard::engine {

namespace {

/// Batches that are made ahead of the one that trains.
constexpr std::size_t kAhead = 3;
/// Neighbours that are tried in the place of a file that cannot be read.
constexpr int kMaxStandIns = 16;

/// Uniform numbers of one sample, in a fixed order.
class Dice {
public:
    Dice(std::int64_t seed, std::int64_t epoch, std::int64_t index)
        : m_state(mixSeeds(mixSeeds(static_cast<std::uint64_t>(seed) ^ 0x1A6E5ULL, static_cast<std::uint64_t>(epoch)),
                           static_cast<std::uint64_t>(index))) {}
    /// [0, 1)
    double roll() {
        m_state = mixSeeds(m_state, ++m_count);
        return static_cast<double>(m_state >> 11) * 0x1.0p-53;
    }
    double between(double low, double high) { return low + (high - low) * roll(); }
    int whole(int low, int high) { return low + static_cast<int>(roll() * (high - low + 1)); }

private:
    std::uint64_t m_state;
    std::uint64_t m_count = 0;
};

/// Torchvision's RandomResizedCrop.get_params.
Box drawCrop(const spec::AugmentSpec& spec, int width, int height, Dice& dice) {
    const double area = static_cast<double>(width) * height;
    const double largest = std::log(spec.cropRatioMax);
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double target = area * dice.between(spec.cropScaleMin, 1.0);
        const double ratio = std::exp(dice.between(-largest, largest));
        const int w = static_cast<int>(std::lround(std::sqrt(target * ratio)));
        const int h = static_cast<int>(std::lround(std::sqrt(target / ratio)));
        if (w > 0 && h > 0 && w <= width && h <= height) {
            const int top = dice.whole(0, height - h);
            return {dice.whole(0, width - w), top, w, h};
        }
    }
    const double ratio = static_cast<double>(width) / height;
    int w = width;
    int h = height;
    if (ratio < 1 / spec.cropRatioMax) {
        h = std::clamp(static_cast<int>(std::lround(w * spec.cropRatioMax)), 1, height);
    } else if (ratio > spec.cropRatioMax) {
        w = std::clamp(static_cast<int>(std::lround(h * spec.cropRatioMax)), 1, width);
    }
    return {(width - w) / 2, (height - h) / 2, w, h};
}

/// About the centre, nearest neighbour, black outside; then left and right change places where `flip`.
void rotate(std::vector<std::uint8_t>& pixels, int size, double degrees, bool flip) {
    const double angle = degrees * std::numbers::pi / 180;
    const double c = std::cos(angle);
    const double s = std::sin(angle);
    const double middle = size / 2.0;
    std::vector<std::uint8_t> from(pixels.size());
    from.swap(pixels);
    for (int y = 0; y < size; ++y) {
        for (int x = 0; x < size; ++x) {
            const double dx = x + 0.5 - middle;
            const double dy = y + 0.5 - middle;
            const int sourceX = static_cast<int>(std::floor(c * dx - s * dy + middle));
            const int sourceY = static_cast<int>(std::floor(s * dx + c * dy + middle));
            if (sourceX >= 0 && sourceX < size && sourceY >= 0 && sourceY < size) {
                std::copy_n(from.data() + (static_cast<std::ptrdiff_t>(sourceY) * size + sourceX) * 3, 3,
                            pixels.data() + (static_cast<std::ptrdiff_t>(y) * size + (flip ? size - 1 - x : x)) * 3);
            }
        }
    }
}

PixelScale scaleOf(const ChannelNormalization& normalization) {
    std::array<std::array<float, 256>, 3> tables;
    std::array<float, 3> subtract{};
    std::array<float, 3> divide{};
    for (std::size_t c = 0; c < tables.size(); ++c) {
        tables[c] = normalization[c].table();
        subtract[c] = static_cast<float>(normalization[c].mean);
        divide[c] = static_cast<float>(normalization[c].deviation);
    }
    return pixelScale(tables, subtract, divide);
}

/// A loader that nobody gave a list of bad pictures keeps its own.
ImageLoaderOptions withList(ImageLoaderOptions options, std::size_t files) {
    if (!options.bad) {
        options.bad = std::make_shared<BadPictures>(options.firstFile + files, 0);
    }
    return options;
}

}  // namespace

ChannelNormalization imageNetNormalization() {
    ChannelNormalization normalization;
    for (std::size_t c = 0; c < normalization.size(); ++c) {
        normalization[c] = {spec::kImageMean[c], spec::kImageDeviation[c]};
    }
    return normalization;
}

ImageChange changeOf(const spec::AugmentSpec& spec, const PictureInfo& info, int size, std::int64_t seed,
                     std::int64_t epoch, std::int64_t index) {
    Dice dice(seed, epoch, index);
    ImageChange change;
    if (spec.crop) {
        change.box = drawCrop(spec, info.width, info.height, dice);
    }
    change.flip = dice.roll() < spec.flip;
    change.verticalFlip = dice.roll() < spec.verticalFlip;
    change.rotation = dice.between(-spec.rotation, spec.rotation);
    change.brightness = dice.between(1 - spec.brightness, 1 + spec.brightness);
    change.contrast = dice.between(1 - spec.contrast, 1 + spec.contrast);
    change.saturation = dice.between(1 - spec.saturation, 1 + spec.saturation);
    if (dice.roll() < spec.erase) {
        // Zhong et al. 2017, with torchvision's ranges.
        for (int attempt = 0; attempt < 10 && !change.erase; ++attempt) {
            const double area = size * static_cast<double>(size) * dice.between(0.02, 0.33);
            const double ratio = std::exp(dice.between(std::log(0.3), std::log(3.3)));
            const int w = static_cast<int>(std::lround(std::sqrt(area / ratio)));
            const int h = static_cast<int>(std::lround(std::sqrt(area * ratio)));
            if (w > 0 && h > 0 && w < size && h < size) {
                const int top = dice.whole(0, size - h);
                change.erased = {dice.whole(0, size - w), top, w, h};
                change.erase = true;
            }
        }
    }
    change.hue = dice.between(-spec.hue, spec.hue);
    for (int last = static_cast<int>(change.colours.size()) - 1; last > 0; --last) {
        std::swap(change.colours[static_cast<std::size_t>(last)],
                  change.colours[static_cast<std::size_t>(dice.whole(0, last))]);
    }
    return change;
}

std::shared_ptr<const Picture> PictureCache::find(std::size_t file) {
    const std::lock_guard lock(m_mutex);
    return m_pictures[file];
}

void PictureCache::put(std::size_t file, std::shared_ptr<const Picture> picture) {
    const std::lock_guard lock(m_mutex);
    m_pictures[file] = std::move(picture);
}

std::int64_t PictureCache::bytes() const {
    const std::lock_guard lock(m_mutex);
    std::int64_t sum = 0;
    for (const auto& picture : m_pictures) {
        sum += picture ? static_cast<std::int64_t>(picture->pixels.size()) : 0;
    }
    return sum;
}

ImageLoaderOptions loaderOptions(const spec::TrainTask& task, const ImageFolder& folder) {
    const std::size_t files = folder.training.size() + folder.validation.size();
    ImageLoaderOptions options;
    options.augmentation = task.augmentation;
    options.size = static_cast<int>(task.dataset.imageSize);
    options.resize = static_cast<int>(task.dataset.resizeSize);
    options.seed = task.seed;
    if (task.normalize) {
        options.normalization = imageNetNormalization();
    }
    options.bad = std::make_shared<BadPictures>(
        files, static_cast<std::size_t>(task.dataset.maxBadFraction * static_cast<double>(files)));
    if (folder.pixelBytes() <= task.dataset.cacheMiB << 20) {
        options.cache = std::make_shared<PictureCache>(files);
    }
    return options;
}

ImageLoader::ImageLoader(const Path& root, const std::vector<ImageFile>& files, ImageLoaderOptions options)
    : m_root(root), m_files(files), m_options(withList(std::move(options), files.size())),
      m_scale(scaleOf(m_options.normalization)) {
    for (int i = 0; i < std::max(1, m_options.threads); ++i) {
        m_threads.emplace_back([this] { work(); });
    }
}

ImageLoader::~ImageLoader() {
    {
        const std::lock_guard lock(m_mutex);
        m_stop = true;
    }
    m_wake.notify_all();
    for (std::thread& thread : m_threads) {
        thread.join();
    }
}

void ImageLoader::plan(std::vector<std::vector<std::int64_t>> batches, std::int64_t epoch) {
    std::unique_lock lock(m_mutex);
    ++m_generation;
    m_waiting.clear();
    for (std::unique_ptr<Slot>& slot : m_open) {
        slot->taken = slot->indices.size();  // Nobody begins another sample of it.
    }
    m_idle.wait(lock, [this] { return m_busy == 0; });
    for (std::unique_ptr<Slot>& slot : m_open) {
        m_spare.push_back(std::move(slot));
    }
    m_open.clear();
    m_waiting.assign(std::make_move_iterator(batches.begin()), std::make_move_iterator(batches.end()));
    m_epoch = epoch;
    m_failure.reset();
    openSlots();
    m_wake.notify_all();
}

void ImageLoader::openSlots() {
    while (!m_waiting.empty() && m_open.size() < kAhead) {
        std::unique_ptr<Slot> slot;
        if (m_spare.empty()) {
            slot = std::make_unique<Slot>();
        } else {
            slot = std::move(m_spare.back());
            m_spare.pop_back();
        }
        slot->indices = std::move(m_waiting.front());
        m_waiting.pop_front();
        slot->taken = 0;
        slot->finished = 0;
        const auto count = static_cast<std::int64_t>(slot->indices.size());
        if (!slot->room.images.defined() || slot->room.images.size(0) < count) {
            const bool pinned = m_options.device.is_cuda();
            slot->room.images = at::empty({count, 3, m_options.size, m_options.size},
                                          at::TensorOptions().dtype(at::kFloat).pinned_memory(pinned));
            slot->room.labels = at::empty({count}, at::TensorOptions().dtype(at::kLong).pinned_memory(pinned));
        }
        slot->host.images = slot->room.images.narrow(0, 0, count);
        slot->host.labels = slot->room.labels.narrow(0, 0, count);
        m_open.push_back(std::move(slot));
    }
}

const Batch& ImageLoader::next() {
    const std::int64_t begin = base::monotonicNanos();
    std::unique_lock lock(m_mutex);
    if (m_held) {
        m_spare.push_back(std::move(m_held));
    }
    if (m_open.empty()) {
        throw std::logic_error("no batch is planned");
    }
    m_ready.wait(
        lock, [this] { return m_failure.has_value() || m_open.front()->finished == m_open.front()->indices.size(); });
    m_waited += base::monotonicNanos() - begin;
    if (m_failure) {
        throw Failed(*m_failure);
    }
    m_held = std::move(m_open.front());
    m_open.pop_front();
    openSlots();
    lock.unlock();
    m_wake.notify_all();
    if (m_options.device.is_cpu()) {
        return m_held->host;
    }
    // The card is not waited for: it copies when it gets there, and libtorch gives pinned memory out anew only after
    // that. So the slot lets go of its own.
    m_onDevice.images = m_held->host.images.to(m_options.device, /*non_blocking=*/true);
    m_onDevice.labels = m_held->host.labels.to(m_options.device, /*non_blocking=*/true);
    m_held->room = {};
    m_held->host = {};
    return m_onDevice;
}

std::int64_t ImageLoader::takeWaitedNanos() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_waited, 0);
}

void ImageLoader::work() {
    Tools tools;
    std::unique_lock lock(m_mutex);
    for (;;) {
        Slot* slot = nullptr;
        for (const std::unique_ptr<Slot>& open : m_open) {
            if (open->taken < open->indices.size()) {
                slot = open.get();
                break;
            }
        }
        if (m_stop) {
            return;
        }
        if (slot == nullptr || m_failure) {
            m_wake.wait(lock);
            continue;
        }
        const std::size_t position = slot->taken++;
        const std::int64_t epoch = m_epoch;
        ++m_busy;
        lock.unlock();
        fill(*slot, position, epoch, tools);
        lock.lock();
        --m_busy;
        ++slot->finished;
        // Not for each sample: next() would be woken to find nothing.
        if (slot->finished == slot->indices.size() || m_failure) {
            m_ready.notify_all();
        }
        if (m_busy == 0) {
            m_idle.notify_all();
        }
    }
}

void ImageLoader::fill(Slot& slot, std::size_t position, std::int64_t epoch, Tools& tools) {
    const std::int64_t index = slot.indices[position];
    float* to =
        slot.host.images.data_ptr<float>() + static_cast<std::int64_t>(position) * 3 * m_options.size * m_options.size;
    std::string why;
    std::int64_t shown = index;
    const auto count = static_cast<std::int64_t>(m_files.size());
    for (int attempt = 0; attempt < kMaxStandIns; ++attempt) {
        const ImageFile& file = m_files[static_cast<std::size_t>(shown)];
        if (render(file, shown, epoch, to, tools, why)) {
            slot.host.labels.data_ptr<std::int64_t>()[position] = file.label;
            return;
        }
        if (m_options.bad->add(m_options.firstFile + static_cast<std::size_t>(shown))) {
            if (m_options.onBad) {
                m_options.onBad(file, why);
            }
            if (m_options.bad->tooMany()) {
                const std::lock_guard lock(m_mutex);
                m_failure = m_failure ? m_failure : tooManyBad(file, why);
            }
        }
        shown = (shown + 1) % count;
    }
    const std::lock_guard lock(m_mutex);
    m_failure = gone(m_files[static_cast<std::size_t>(index)], why);
}

Error ImageLoader::gone(const ImageFile& file, const std::string& why) const {
    return {"data.gone",
            "The pictures in \"" + base::stripControl(m_root.string()) + "\" cannot be read any more: \"" +
                base::stripControl(file.path) + "\" and others (" + base::stripControl(why) +
                "). Was the folder moved, or is its disk gone? Bring it back, then resume the run.",
            "task.dataset.folder"};
}

Error ImageLoader::tooManyBad(const ImageFile& file, const std::string& why) const {
    std::error_code unreadable;
    if (!std::filesystem::exists((m_root / file.path).parent_path(), unreadable)) {
        return gone(file, why);
    }
    return {"data.bad",
            std::to_string(m_options.bad->count()) +
                " pictures that could be read at the start cannot be read any more, which is more than "
                "allowed; the last is \"" +
                base::stripControl(file.path) + "\": " + base::stripControl(why) + ".",
            "task.dataset.max_bad_fraction"};
}

bool ImageLoader::render(const ImageFile& file, std::int64_t index, std::int64_t epoch, float* to, Tools& tools,
                         std::string& why) {
    const int size = m_options.size;
    ImageChange change;
    if (m_options.augment) {
        change = changeOf(m_options.augmentation, file.info, size, m_options.seed, epoch, index);
    }
    const bool crop = m_options.augment && m_options.augmentation.crop;
    const CentrePlan plan =
        crop ? CentrePlan{size, size, {0, 0, size, size}} : centreOf(file.info, size, m_options.resize);
    const Box wanted = crop ? change.box : Box{0, 0, file.info.width, file.info.height};

    std::shared_ptr<const Picture> kept;
    const std::size_t place = m_options.firstFile + static_cast<std::size_t>(index);
    if (m_options.cache) {
        kept = m_options.cache->find(place);
    }
    const Picture* picture = kept ? kept.get() : &tools.part.picture;
    Box box = wanted;
    if (!kept) {
        const auto bytes = tools.reader.read(m_root / file.path);
        if (!bytes) {
            why = bytes.error().message;
            return false;
        }
        if (m_options.cache) {
            auto whole = decodePicture(*bytes);
            if (!whole || whole->width != file.info.width || whole->height != file.info.height) {
                why = whole ? "it changed while the run read it" : whole.error().message;
                return false;
            }
            kept = std::make_shared<const Picture>(std::move(*whole));
            m_options.cache->put(place, kept);
            picture = kept.get();
        } else {
            const Status decoded = decodePart(*bytes, file.info, wanted, crop ? size : m_options.resize, tools.part);
            if (!decoded.ok()) {
                why = decoded.error().message;
                return false;
            }
            box = tools.part.box;
        }
    }

    // The flip costs nothing while resizing; a turn must come before it.
    const bool turns = change.rotation != 0;
    const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(size) * size;
    tools.pixels.resize(static_cast<std::size_t>(plane) * 3);
    tools.resizer.resize(*picture, box, plan.width, plan.height, plan.cut, change.flip && !turns, tools.pixels.data());
    jitterColours(tools.pixels, change);
    if (turns) {
        rotate(tools.pixels, size, change.rotation, change.flip);
    }
    const PixelKernels& kernels = bestKernels();
    if (change.verticalFlip) {
        for (std::ptrdiff_t y = 0; y < size; ++y) {
            kernels.planes(tools.pixels.data() + (size - 1 - y) * size * 3, size, m_scale, plane, to + y * size);
        }
    } else {
        kernels.planes(tools.pixels.data(), plane, m_scale, plane, to);
    }
    if (change.erase) {
        for (std::ptrdiff_t c = 0; c < 3; ++c) {
            for (int y = change.erased.top; y < change.erased.top + change.erased.height; ++y) {
                std::fill_n(to + c * plane + static_cast<std::ptrdiff_t>(y) * size + change.erased.left,
                            change.erased.width, 0.0F);
            }
        }
    }
    return true;
}

}  // namespace trainyard::engine
