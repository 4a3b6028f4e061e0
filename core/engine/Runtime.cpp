#include "core/engine/Runtime.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sched.h>
#include <torch/cuda.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::engine {

namespace {

std::atomic<bool> g_stop{false};
std::atomic<bool> g_checkpoint{false};
static_assert(std::atomic<bool>::is_always_lock_free);

/// Whole cores that a cgroup v2 quota allows, or 0 without one.
std::int64_t quotaCores() {
    auto text = base::readFile("/sys/fs/cgroup/cpu.max", 256);
    if (!text) {
        return 0;
    }
    const auto parts = base::split(base::trim(*text), ' ');
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (parts.size() != 2 ||
        std::from_chars(parts[0].data(), parts[0].data() + parts[0].size(), quota).ec != std::errc() ||
        std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), period).ec != std::errc() || period <= 0) {
        return 0;
    }
    return std::max<std::int64_t>(1, (quota + period / 2) / period);
}

}  // namespace

void tuneAllocator() {
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
}

void waitWithoutSpinning(char** argv) {
    if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) {
        return;
    }
    std::error_code failed;
    const base::Path self = std::filesystem::read_symlink("/proc/self/exe", failed);
    // Started through a loader of its own, the process is the loader, and its arguments are not ours to repeat.
    if (failed || self.filename() != "trainyard-engine") {
        return;
    }
    setenv("GOMP_SPINCOUNT", "1000", 1);
    execv(self.c_str(), argv);
}

std::string ownProgram() {
    std::error_code failed;
    const base::Path self = std::filesystem::read_symlink("/proc/self/exe", failed);
    const char* launcher = std::getenv("TRAINYARD_ENGINE_LAUNCHER");
    const bool underLoader = self.filename().string().starts_with("ld-linux");
    return underLoader && launcher != nullptr ? std::string(launcher) : self.string();
}

std::int64_t usableCores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::int64_t cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        cores = std::max(1, CPU_COUNT(&set));
    }
    const std::int64_t quota = quotaCores();
    return quota > 0 ? std::min(cores, quota) : cores;
}

ThreadPlan planThreads(std::int64_t asked, int localWorld) {
    const std::int64_t cores = usableCores();
    ThreadPlan plan;
    plan.oversubscribed = localWorld > cores;
    plan.threads = plan.oversubscribed ? 1 : asked > 0 ? asked : std::max<std::int64_t>(1, cores / localWorld);
    return plan;
}

std::int64_t worthwhileThreads(std::int64_t multiplyAdds, std::int64_t most) {
    // About a millisecond's work for one thread, and as much again for the backward pass.
    constexpr std::int64_t kWorkOfAThread = 50'000'000;
    return std::clamp<std::int64_t>(multiplyAdds / kWorkOfAThread, 1, std::max<std::int64_t>(1, most));
}

void setThreads(std::int64_t threads, std::int64_t blasThreads) {
    at::set_num_threads(static_cast<int>(threads));
    using SetThreads = void (*)(int);
    if (auto* set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")); set != nullptr) {
        set(static_cast<int>(blasThreads));
    }
}

Result<c10::Device> chooseDevice(const std::string& asked, int localRank) {
    return guarded("looking for a GPU", [&]() -> Result<c10::Device> {
        if (asked == "cpu") {
            return c10::Device(c10::kCPU);
        }
        const std::int64_t count =
            torch::cuda::is_available() ? static_cast<std::int64_t>(torch::cuda::device_count()) : 0;
        if (asked == "auto" && count == 0) {
            return c10::Device(c10::kCPU);
        }
        if (localRank >= count) {
            return Error{"engine.device",
                         TRAINYARD_HAVE_CUDA == 0
                             ? std::string("The device \"cuda\" is asked for, but this engine is built without CUDA.")
                         : count == 0
                             ? std::string("The device \"cuda\" is asked for, but this engine finds no NVIDIA GPU.")
                             : "Rank " + std::to_string(localRank) +
                                   " of this machine needs a GPU of its own, but "
                                   "there are only " +
                                   std::to_string(count) + ".",
                         "task.device"};
        }
        const c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(localRank));
        // NCCL, and whatever names no GPU, takes the current one.
        c10::impl::VirtualGuardImpl(c10::kCUDA).setDevice(device);
        return device;
    });
}

PeakMemory peakMemory() {
    PeakMemory peak;
    const std::string status = base::readFile("/proc/self/status", 1 << 16).valueOr("");
    for (const std::string& line : base::split(status, '\n')) {
        for (const auto& [name, value] : {std::pair{"VmHWM:", &peak.resident}, std::pair{"VmPeak:", &peak.address}}) {
            if (line.starts_with(name)) {
                const std::string_view number =
                    base::trim(std::string_view(line).substr(std::string_view(name).size()));
                std::int64_t kibibytes = 0;
                (void) std::from_chars(number.data(), number.data() + number.size(), kibibytes);
                *value = kibibytes * 1024;
            }
        }
    }
    return peak;
}

std::int64_t freeDeviceBytes() {
    using MemoryInfo = int (*)(std::size_t*, std::size_t*);
    auto* ask = reinterpret_cast<MemoryInfo>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
    std::size_t free = 0;
    std::size_t total = 0;
    return ask != nullptr && ask(&free, &total) == 0 ? static_cast<std::int64_t>(free) : 0;
}

void watchSignals() {
    struct sigaction action {};
    action.sa_handler = [](int) { g_stop.store(true); };
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    action.sa_handler = [](int) { g_checkpoint.store(true); };
    sigaction(SIGUSR1, &action, nullptr);
}

bool stopRequested() { return g_stop.load(); }

bool takeCheckpointRequest() { return g_checkpoint.exchange(false); }

}  // namespace trainyard::engine
