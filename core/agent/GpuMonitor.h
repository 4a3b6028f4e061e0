#pragma once
// What the GPUs of a run do, told once a second by two long-lived programs, `nvidia-smi --query-gpu=… -l 1` and
// `nvidia-smi pmon`: a static agent cannot load NVML. Each is started again when it dies, with growing pauses; where
// there is no nvidia-smi there are no values. What is older than a few seconds is not told.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/Child.h"
#include "core/base/Json.h"

namespace trainyard::agent {

/// Values by GPU index N, in the flat form of a `system` record:
///   gpuN_utilization_percent, gpuN_memory_utilization_percent, gpuN_memory_bytes, gpuN_memory_total_bytes,
///   gpuN_temperature_celsius, gpuN_power_watts   of the GPU, whoever uses it
///   gpuN_run_utilization_percent, gpuN_run_memory_bytes   of the run's own processes
///   gpuN_other_processes   that use the GPU and are not the run's
class GpuMonitor {
public:
    /// `gpus`: indices; empty: all that nvidia-smi shows.
    explicit GpuMonitor(std::vector<int> gpus) : m_gpus(std::move(gpus)) {}

    /// Reads what has come since the last call, without waiting. `processes`: the run's.
    void sample(base::Json& values, const std::set<pid_t>& processes);

private:
    struct Program {
        std::optional<Child> child;
        std::string text;             ///< The line that is not whole yet.
        std::int64_t mayStartAt = 0;  ///< Monotonic ns.
        std::int64_t pause = 0;       ///< ns.
        bool missing = false;
    };
    struct Device {
        std::int64_t at = 0;  ///< Monotonic ns.
        std::vector<std::pair<std::string, double>> values;
    };
    struct Use {
        std::int64_t at = 0;
        std::optional<double> sm;
        std::optional<double> memoryBytes;
    };
    static void keepAlive(Program& program, const std::vector<std::string>& argv);
    [[nodiscard]] static std::vector<std::string> newLines(Program& program);
    void takeDevice(const std::string& line);
    void takeProcess(const std::string& line);
    [[nodiscard]] bool wanted(int gpu) const;

    std::vector<int> m_gpus;
    Program m_query;
    Program m_pmon;
    std::map<int, Device> m_devices;
    std::vector<std::string> m_columns;  ///< Of pmon, as its header names them.
    std::map<std::pair<int, pid_t>, Use> m_uses;
    std::int64_t m_pmonAt = 0;  ///< Monotonic ns: when pmon last said anything.
};

}  // namespace trainyard::agent
