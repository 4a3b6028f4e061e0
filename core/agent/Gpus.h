#pragma once
// The GPUs of this machine, asked of the program nvidia-smi (a static agent cannot load NVML), else read from
// /proc/driver/nvidia or seen by their device files.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/Child.h"
#include "core/base/Files.h"

namespace trainyard::agent {

struct Gpu {
    int index = 0;  ///< In the order of the PCI bus, as nvidia-smi and, with CUDA_DEVICE_ORDER=PCI_BUS_ID, CUDA count.
    std::string name;
    std::string uuid;
    std::string driver;
    std::int64_t memoryBytes = 0;  ///< 0 when not known, as the next.
    std::int64_t memoryUsedBytes = 0;
    int utilizationPercent = -1;  ///< -1 when not known.
};

struct GpuProcess {
    std::string uuid;  ///< Of the GPU.
    pid_t pid = 0;
    std::string name;
};

struct GpuList {
    std::vector<Gpu> gpus;
    std::vector<GpuProcess> processes;  ///< That compute; only as nvidia-smi tells them.
    std::string source;                 ///< "nvidia-smi", "driver", "devices", or empty: none was found.
    std::string trouble;  ///< What nvidia-smi complained about; empty where it works and where it is not there.
    bool processesKnown = false;
};

/// Blocks until nvidia-smi has answered, 10 s at most.
[[nodiscard]] GpuList findGpus();
/// The same without asking nvidia-smi a second time in one boot of the machine: what it said stands in `cache`. Without
/// processes and use.
[[nodiscard]] GpuList findGpusOnce(const base::Path& cache);
/// What the kernel's files say, without any program.
[[nodiscard]] GpuList gpusOfKernel();

/// "[N/A]", "12", "12.5 %" → number.
[[nodiscard]] std::optional<double> smiNumber(const std::string& field);

/// Looks who computes on the GPUs, without waiting: for the queue, several times a second.
class GpuLook {
public:
    /// A list not older than `maxAgeMillis`, or nothing yet: then nvidia-smi is at work, ask again.
    [[nodiscard]] std::optional<GpuList> recent(std::int64_t maxAgeMillis);

private:
    void begin();
    std::optional<Child> m_gpus;
    std::optional<Child> m_processes;
    std::string m_gpuText;
    std::string m_processText;
    std::int64_t m_begun = 0;   ///< Monotonic ns.
    std::int64_t m_lastAt = 0;  ///< Monotonic ns of `m_last`.
    GpuList m_last;
};

}  // namespace trainyard::agent
