#pragma once
// What a process of the engine settles once, before the first tensor.
#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Keeps large blocks inside the process instead of giving them back to the kernel each step; on glibc that is worth a
/// quarter of a small CNN's step. First line of main().
void tuneAllocator();

/// Cores this process may run on (affinity and cgroup quota honoured), at least 1.
[[nodiscard]] std::int64_t usableCores();

struct ThreadPlan {
    std::int64_t threads = 1;  ///< For each rank.
    bool oversubscribed = false;  ///< More ranks on this machine than cores.
};
/// `asked` 0 divides the cores among the ranks of this machine. More ranks than cores get one thread each.
[[nodiscard]] ThreadPlan planThreads(std::int64_t asked, int localWorld);
/// Sets libtorch's and the BLAS library's threads.
void setThreads(std::int64_t threads);

/// "auto", "cpu", "cuda" → device of this rank. "engine.device" when CUDA is asked for and absent, or has fewer GPUs than ranks.
[[nodiscard]] Result<c10::Device> chooseDevice(const std::string& asked, int localRank);

/// Largest resident memory of this process so far, bytes.
[[nodiscard]] std::int64_t peakResidentBytes();

/// SIGTERM and SIGINT ask the training loop to write a checkpoint and end.
void watchStopSignals();
[[nodiscard]] bool stopRequested();

}  // namespace trainyard::engine
