#pragma once
// What a run will take, reckoned from what was measured of it. Arithmetic alone.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::engine {

/// Steps or samples that were timed from the start of an epoch on: the first of them wait and warm up as in the run.
struct Pace {
    double seconds = 0;  ///< Of all that were done.
    double done = 0;
    double each = 0;  ///< Of a further one, once it runs evenly.

    /// Seconds of `count` of them. What was done is taken as it was when that is all there is.
    [[nodiscard]] double whole(double count) const;
};

/// Peak memory in bytes at a number of samples that a rank takes for a step.
struct MemoryAt {
    std::int64_t share = 0;
    std::int64_t trained = 0;  ///< After training steps alone.
    std::int64_t peak = 0;     ///< All in all, with validation and saving.
};

/// A fixed part and one a sample, from two measurements. Of one rank, or summed over several.
class MemoryModel {
public:
    /// `leastPerSample`: bytes that a sample takes at any rate, so that the unrest of two measurements never makes
    /// batches free. `later`: bytes that the run takes beyond what was measured, such as pictures that are not yet
    /// kept.
    MemoryModel(const MemoryAt& small, const MemoryAt& large, std::int64_t leastPerSample, std::int64_t later);

    [[nodiscard]] std::int64_t perSample() const { return m_perSample; }
    [[nodiscard]] std::int64_t at(std::int64_t share) const;
    /// The largest share that takes no more than `bytes`; 0 when none does.
    [[nodiscard]] std::int64_t mostWithin(std::int64_t bytes) const;

private:
    MemoryAt m_small;
    MemoryAt m_large;
    std::int64_t m_perSample;
    std::int64_t m_later;
};

/// Memory that is there for a new process and its children.
struct MemoryRoom {
    std::int64_t freeBytes = 0;
    std::int64_t addressBytes = -1;  ///< Of address space for each process; −1: not limited.
    std::string limit;               ///< What sets freeBytes: "machine" or "cgroup".
};
/// Of this process: the machine's available memory, the limits of its control groups (v1 and v2, at every level),
/// `ulimit -v`.
[[nodiscard]] MemoryRoom memoryRoom();
/// Bytes that a control group's files leave: the limit less what is used and cannot be dropped; −1 without a limit.
/// `limit` and `usage` as in memory.max and memory.current (v1: memory.limit_in_bytes, memory.usage_in_bytes), `stat`
/// as in memory.stat.
[[nodiscard]] std::int64_t roomOfGroup(std::string_view limit, std::string_view usage, std::string_view stat);

}  // namespace trainyard::engine
