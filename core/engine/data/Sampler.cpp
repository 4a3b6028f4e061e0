#include "core/engine/data/Sampler.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace trainyard::engine {

std::uint64_t mixSeeds(std::uint64_t a, std::uint64_t b) {
    std::uint64_t z = a + 0x9E3779B97F4A7C15ULL * (b + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

Range shardRange(std::int64_t count, int rank, int world) {
    const std::int64_t base = count / world;
    const std::int64_t longer = count % world;  // The first `longer` ranks take one more.
    const std::int64_t begin = rank * base + std::min<std::int64_t>(rank, longer);
    return {begin, begin + base + (rank < longer ? 1 : 0)};
}

Sampler::Sampler(std::int64_t count, std::int64_t globalBatch, std::int64_t seed, int rank, int world)
    : m_count(count), m_globalBatch(globalBatch), m_seed(seed), m_rank(rank), m_world(world),
      m_order(static_cast<std::size_t>(count)) {}

std::int64_t Sampler::stepsPerEpoch() const { return (m_count + m_globalBatch - 1) / m_globalBatch; }

std::uint32_t Sampler::orderSeed(std::int64_t seed, std::int64_t epoch) {
    return static_cast<std::uint32_t>(mixSeeds(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(epoch)));
}

void Sampler::startEpoch(std::int64_t epoch) {
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
    return {m_order.data() + begin + own.begin, own.end - own.begin, global};
}

}  // namespace trainyard::engine
