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

/// Starts this program anew, once, with GOMP_SPINCOUNT set where the environment says nothing about how OpenMP's
/// threads wait: by default they spin for milliseconds, and on a busy machine a step with two threads then takes five
/// times as long. OpenMP reads it while it is loaded, so only a new start helps. Second line of main(); returns when
/// nothing was to do.
void waitWithoutSpinning(char** argv);

/// The path by which this program is started anew: its launcher where it runs under a loader of its own.
[[nodiscard]] std::string ownProgram();

/// Cores this process may run on (affinity and cgroup quota honoured), at least 1.
[[nodiscard]] std::int64_t usableCores();

struct ThreadPlan {
    std::int64_t threads = 1;     ///< For each rank.
    bool oversubscribed = false;  ///< More ranks on this machine than cores.
};
/// `asked` 0 divides the cores among the ranks of this machine. More ranks than cores get one thread each.
[[nodiscard]] ThreadPlan planThreads(std::int64_t asked, int localWorld);
/// Threads worth having for `multiplyAdds` of one step of one rank: threads that wait for each other after every short
/// operation make small steps slower, many times so on a busy machine.
[[nodiscard]] std::int64_t worthwhileThreads(std::int64_t multiplyAdds, std::int64_t most);
/// Sets libtorch's threads and those of the BLAS library, which keeps its own and lets them spin.
void setThreads(std::int64_t threads, std::int64_t blasThreads);

/// "auto", "cpu", "cuda" → device of this rank, which becomes the calling thread's current GPU. "engine.device" when
/// CUDA is asked for and absent (this engine is built without it, or sees no GPU), or has fewer GPUs than ranks. Never
/// falls back.
[[nodiscard]] Result<c10::Device> chooseDevice(const std::string& asked, int localRank);

/// Highest values of this process so far, bytes.
struct PeakMemory {
    std::int64_t resident = 0;
    std::int64_t address = 0;  ///< Of its address space, which `ulimit -v` limits.
};
[[nodiscard]] PeakMemory peakMemory();
/// Free memory of the current GPU, bytes; 0 where this build cannot tell.
[[nodiscard]] std::int64_t freeDeviceBytes();

/// SIGTERM and SIGINT ask the training loop to write a checkpoint and end; SIGUSR1 asks for a checkpoint.
void watchSignals();
[[nodiscard]] bool stopRequested();
/// Whether SIGUSR1 came since the last call.
[[nodiscard]] bool takeCheckpointRequest();

}  // namespace trainyard::engine
