#pragma once
// Which samples make which step, on which rank. Arithmetic alone: the same on every machine and every rank.
#include <cstdint>
#include <vector>

#include "core/base/Seeds.h"

namespace trainyard::engine {

using base::mixSeeds;

/// Cuts epochs into global batches and batches into the ranks' shards. The order of an epoch depends on (seed, epoch)
/// alone and equals torch.randperm(count, generator=torch.Generator().manual_seed(orderSeed(seed, epoch))).
/// Every sample appears exactly once an epoch over all ranks, uneven ends included, unless samples are drawn by class.
class Sampler {
public:
    /// Preconditions: count ≥ 1, globalBatch ≥ 1, 0 ≤ rank < world.
    Sampler(std::int64_t count, std::int64_t globalBatch, std::int64_t seed, int rank, int world);

    /// Draws as many samples an epoch as there are, with classes as often as `weights` say in relation to each other:
    /// each class goes through its samples in an order of its own, and begins anew when it is through. From (seed,
    /// epoch) alone. Preconditions: one weight from 0 for each list of samples; one of them above 0 with samples.
    void drawByClass(std::vector<std::vector<std::int64_t>> samplesOfClass, const std::vector<double>& weights);
    /// Leaves a last batch that is smaller than the others out.
    void dropTail() { m_dropTail = true; }

    [[nodiscard]] std::int64_t stepsPerEpoch() const;
    /// Draws the epoch's order; epochs count from 0.
    void startEpoch(std::int64_t epoch);

    struct Shard {
        const std::int64_t* indices = nullptr;  ///< This rank's samples; valid until the next startEpoch.
        std::int64_t count = 0;        ///< May be 0 at an epoch's end, when a batch has fewer samples than ranks.
        std::int64_t globalCount = 0;  ///< Samples of the step over all ranks.
        const std::int64_t* globalIndices = nullptr;
    };
    /// Precondition: 0 ≤ step < stepsPerEpoch().
    [[nodiscard]] Shard shard(std::int64_t step) const;

    [[nodiscard]] static std::uint32_t orderSeed(std::int64_t seed, std::int64_t epoch);

private:
    void drawEpoch(std::uint32_t seed);

    std::int64_t m_count;
    std::int64_t m_globalBatch;
    std::int64_t m_seed;
    int m_rank;
    int m_world;
    std::vector<std::int64_t> m_order;
    bool m_dropTail = false;
    std::vector<std::vector<std::int64_t>> m_classes;  ///< Empty: each sample once.
    std::vector<double> m_upTo;                        ///< Sums of the classes' weights.
};

/// The contiguous part of [0, count) that belongs to `rank`; parts differ by at most one in size.
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};
[[nodiscard]] Range shardRange(std::int64_t count, int rank, int world);

}  // namespace trainyard::engine
