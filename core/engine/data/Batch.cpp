#include "core/engine/data/Batch.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/engine/data/Sampler.h"

namespace trainyard::engine {

namespace {

constexpr int kMaxShift = 2;
/// Samples a thread takes at least: below that, starting threads costs more than it saves.
constexpr std::int64_t kGrain = 64;

void convert(const std::uint8_t* from, std::int64_t size, const float* table, float* to) {
    for (std::int64_t i = 0; i < size; ++i) {
        to[i] = table[from[i]];
    }
}

void convertAugmented(const std::uint8_t* from, std::int64_t channels, std::int64_t height, std::int64_t width,
                      const Augmentation& change, const float* table, float* to) {
    const float zero = table[0];
    for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t y = 0; y < height; ++y) {
            const std::int64_t sourceY = y - change.dy;
            for (std::int64_t x = 0; x < width; ++x) {
                const std::int64_t shifted = x - change.dx;
                const bool inside = sourceY >= 0 && sourceY < height && shifted >= 0 && shifted < width;
                const std::int64_t sourceX = change.flip ? width - 1 - shifted : shifted;
                to[(c * height + y) * width + x] =
                    inside ? table[from[(c * height + sourceY) * width + sourceX]] : zero;
            }
        }
    }
}

}  // namespace

Augmentation augmentationOf(std::int64_t seed, std::int64_t epoch, std::int64_t index) {
    // A constant apart from the sampler's use of the same seeds.
    const std::uint64_t stream =
        mixSeeds(static_cast<std::uint64_t>(seed) ^ 0xA5A5A5A5A5A5A5A5ULL, static_cast<std::uint64_t>(epoch));
    const std::uint64_t bits = mixSeeds(stream, static_cast<std::uint64_t>(index));
    Augmentation change;
    change.dx = static_cast<int>((bits & 0xFFFF) % (2 * kMaxShift + 1)) - kMaxShift;
    change.dy = static_cast<int>(((bits >> 16) & 0xFFFF) % (2 * kMaxShift + 1)) - kMaxShift;
    change.flip = ((bits >> 32) & 1) != 0;
    return change;
}

BatchCutter::BatchCutter(const ImageSet& set, const Normalization& normalization, at::Device device)
    : m_set(set), m_table(normalization.table()), m_device(device) {}

void BatchCutter::prepare(std::int64_t count) {
    if (!m_host.images.defined() || m_host.images.size(0) != count) {
        const auto pinned = m_device.is_cuda();
        m_host.images = at::empty({count, m_set.channels, m_set.height, m_set.width},
                                  at::TensorOptions().dtype(at::kFloat).pinned_memory(pinned));
        m_host.labels = at::empty({count}, at::TensorOptions().dtype(at::kLong).pinned_memory(pinned));
    }
}

const Batch& BatchCutter::finish() {
    if (m_device.is_cpu()) {
        return m_host;
    }
    // Blocking: the pinned buffer is written again by the next call.
    m_onDevice.images = m_host.images.to(m_device);
    m_onDevice.labels = m_host.labels.to(m_device);
    return m_onDevice;
}

const Batch& BatchCutter::cut(const std::int64_t* indices, std::int64_t count) {
    prepare(count);
    const std::int64_t size = m_set.pixelsPerSample();
    float* images = m_host.images.data_ptr<float>();
    std::int64_t* labels = m_host.labels.data_ptr<std::int64_t>();
    at::parallel_for(0, count, kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            convert(m_set.pixels.data() + indices[i] * size, size, m_table.data(), images + i * size);
            labels[i] = m_set.labels[static_cast<std::size_t>(indices[i])];
        }
    });
    return finish();
}

const Batch& BatchCutter::cutAugmented(const std::int64_t* indices, std::int64_t count, std::int64_t seed,
                                       std::int64_t epoch) {
    prepare(count);
    const std::int64_t size = m_set.pixelsPerSample();
    float* images = m_host.images.data_ptr<float>();
    std::int64_t* labels = m_host.labels.data_ptr<std::int64_t>();
    at::parallel_for(0, count, kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            convertAugmented(m_set.pixels.data() + indices[i] * size, m_set.channels, m_set.height, m_set.width,
                             augmentationOf(seed, epoch, indices[i]), m_table.data(), images + i * size);
            labels[i] = m_set.labels[static_cast<std::size_t>(indices[i])];
        }
    });
    return finish();
}

const Batch& BatchCutter::cutRange(std::int64_t begin, std::int64_t end) {
    const std::int64_t count = end - begin;
    prepare(count);
    const std::int64_t size = m_set.pixelsPerSample();
    float* images = m_host.images.data_ptr<float>();
    std::int64_t* labels = m_host.labels.data_ptr<std::int64_t>();
    at::parallel_for(0, count, kGrain, [&](std::int64_t first, std::int64_t last) {
        convert(m_set.pixels.data() + (begin + first) * size, (last - first) * size, m_table.data(),
                images + first * size);
        for (std::int64_t i = first; i < last; ++i) {
            labels[i] = m_set.labels[static_cast<std::size_t>(begin + i)];
        }
    });
    return finish();
}

}  // namespace trainyard::engine
