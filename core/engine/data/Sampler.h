#pragma once
// Which samples make which step, on which rank. Arithmetic alone: the same on every machine and every rank.
#include <cstdint>
#include <vector>

namespace trainyard::engine {

/// A well-mixed 64-bit value of two (SplitMix64 finaliser, Steele et al. 2014).
[[nodiscard]] std::uint64_t mixSeeds(std::uint64_t a, std::uint64_t b);

/// Cuts epochs into global batches and batches into the ranks' shards. The order of an epoch depends on (seed, epoch)
/// alone and equals torch.randperm(count, generator=torch.Generator().manual_seed(orderSeed(seed, epoch))).
/// Every sample appears exactly once an epoch over all ranks, uneven ends included.
class Sampler {
public:
    /// Preconditions: count ≥ 1, globalBatch ≥ 1, 0 ≤ rank < world.
    Sampler(std::int64_t count, std::int64_t globalBatch, std::int64_t seed, int rank, int world);

    [[nodiscard]] std::int64_t stepsPerEpoch() const;
    /// Draws the epoch's order; epochs count from 0.
    void startEpoch(std::int64_t epoch);

    struct Shard {
        const std::int64_t* indices = nullptr;  ///< This rank's samples; valid until the next startEpoch.
        std::int64_t count = 0;                 ///< May be 0 at an epoch's end, when a batch has fewer samples than ranks.
        std::int64_t globalCount = 0;           ///< Samples of the step over all ranks.
    };
    /// Precondition: 0 ≤ step < stepsPerEpoch().
    [[nodiscard]] Shard shard(std::int64_t step) const;

    [[nodiscard]] static std::uint32_t orderSeed(std::int64_t seed, std::int64_t epoch);

private:
    std::int64_t m_count;
    std::int64_t m_globalBatch;
    std::int64_t m_seed;
    int m_rank;
    int m_world;
    std::vector<std::int64_t> m_order;
};

/// The contiguous part of [0, count) that belongs to `rank`; parts differ by at most one in size.
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};
[[nodiscard]] Range shardRange(std::int64_t count, int rank, int world);

}  // namespace trainyard::engine
