#pragma once
// What the machine and the run's processes use, from /proc; what its GPUs do, from nvidia-smi.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/agent/GpuMonitor.h"
#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::agent {

/// Values of one `system` record:
///   cpu_percent                          of the whole machine, 0–100
///   memory_bytes, memory_total_bytes     used (without caches) and there
///   run_cpu_percent                      of the run's processes; 100 is one core
///   run_memory_bytes                     resident, shared pages counted once a process
///   run_processes                        how many those are
///   disk_free_bytes                      where the run's folder lies
///   network_received_bytes_per_second, network_sent_bytes_per_second   all interfaces but loopback
///   disk_read_bytes_per_second, disk_written_bytes_per_second   all whole disks of the machine
///   gpuN_…                               as GpuMonitor.h says, for a run that has GPUs
/// Rates need two samples, so the first has none.
class SystemMetrics {
public:
    explicit SystemMetrics(base::Path folder) : m_folder(std::move(folder)) {}
    /// Of these GPUs too; an empty list: all that are to be seen.
    void watchGpus(std::vector<int> gpus) { m_gpus.emplace(std::move(gpus)); }

    /// `shims`: the roots of the run's process trees; they themselves are not counted.
    [[nodiscard]] base::Json sample(const std::vector<pid_t>& shims);

private:
    struct CpuTimes {
        std::int64_t busy = 0;
        std::int64_t total = 0;
    };
    void sampleMachine(base::Json& values);
    void sampleNetwork(base::Json& values, double seconds);
    void sampleDisks(base::Json& values, double seconds);
    void sampleRun(base::Json& values, const std::vector<pid_t>& shims, double seconds);

    base::Path m_folder;
    std::int64_t m_lastNanos = 0;
    CpuTimes m_lastCpu;
    std::int64_t m_lastReceived = -1;
    std::int64_t m_lastSent = -1;
    std::int64_t m_lastRead = -1;
    std::int64_t m_lastWritten = -1;
    std::optional<GpuMonitor> m_gpus;
    std::map<pid_t, std::int64_t> m_lastTicks;  ///< CPU ticks of each process of the run at the last sample.
};

}  // namespace trainyard::agent
