#include "core/engine/data/Sampler.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace trainyard::engine {

Range shardRange(std::int64_t count, int rank, int world) {
    const std::int64_t base = count / world;
    const std::int64_t longer = count % world;  // The first `longer` ranks take one more.
    const std::int64_t begin = rank * base + std::min<std::int64_t>(rank, longer);
    return {begin, begin + base + (rank < longer ? 1 : 0)};
}

Sampler::Sampler(std::int64_t count, std::int64_t globalBatch, std::int64_t seed, int rank, int world)
    : m_count(count), m_globalBatch(globalBatch), m_seed(seed), m_rank(rank), m_world(world),
      m_order(static_cast<std::size_t>(count)) {}

std::int64_t Sampler::stepsPerEpoch() const {
    return m_dropTail ? m_count / m_globalBatch : (m_count + m_globalBatch - 1) / m_globalBatch;
}

void Sampler::drawByClass(std::vector<std::vector<std::int64_t>> samplesOfClass, const std::vector<double>& weights) {
    double sum = 0;
    for (std::size_t i = 0; i < samplesOfClass.size(); ++i) {
        if (!samplesOfClass[i].empty() && weights[i] > 0) {
            m_upTo.push_back(sum += weights[i]);
            m_classes.push_back(std::move(samplesOfClass[i]));
        }
    }
}

void Sampler::drawEpoch(std::uint32_t seed) {
    std::mt19937 generator(seed);
    const auto below = [&generator](std::size_t bound) { return static_cast<std::size_t>(generator()) % bound; };
    std::vector<std::vector<std::int64_t>> left(m_classes.size());
    for (std::int64_t& sample : m_order) {
        const std::uint64_t high = generator() >> 5;
        const std::uint64_t low = generator() >> 6;
        const double at = static_cast<double>(high << 26 | low) * 0x1.0p-53 * m_upTo.back();
        const auto found = std::ranges::upper_bound(m_upTo, at);
        const auto chosen = static_cast<std::size_t>(std::min(found, m_upTo.end() - 1) - m_upTo.begin());
        std::vector<std::int64_t>& queue = left[chosen];
        if (queue.empty()) {
            queue = m_classes[chosen];
            for (std::size_t i = queue.size(); i > 1; --i) {
                std::swap(queue[i - 1], queue[below(i)]);
            }
        }
        sample = queue.back();
        queue.pop_back();
    }
}

std::uint32_t Sampler::orderSeed(std::int64_t seed, std::int64_t epoch) {
    return static_cast<std::uint32_t>(mixSeeds(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(epoch)));
}

void Sampler::startEpoch(std::int64_t epoch) {
    if (!m_classes.empty()) {
        drawEpoch(orderSeed(m_seed, epoch));
        return;
    }
    std::iota(m_order.begin(), m_order.end(), std::int64_t{0});
    // libtorch's CPU generator is MT19937 too, and its randperm walks upwards with one 32-bit draw a place.
    std::mt19937 generator(orderSeed(m_seed, epoch));
    for (std::int64_t i = 0; i < m_count - 1; ++i) {
        const auto z = static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(m_count - i));
        std::swap(m_order[static_cast<std::size_t>(i)], m_order[static_cast<std::size_t>(i + z)]);
    }
}

Sampler::Shard Sampler::shard(std::int64_t step) const {
    const std::int64_t begin = step * m_globalBatch;
    const std::int64_t global = std::min(m_globalBatch, m_count - begin);
    const Range own = shardRange(global, m_rank, m_world);
    return {m_order.data() + begin + own.begin, own.end - own.begin, global, m_order.data() + begin};
}

}  // namespace trainyard::engine
