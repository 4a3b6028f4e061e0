#pragma once
// What this machine is, read from /proc, /sys and the kernel; no name service.
#include <cstdint>
#include <string>

namespace trainyard::agent {

struct Machine {
    std::string host;
    std::string kernel;             ///< "Linux 6.1.0 x86_64"
    int cores = 1;                  ///< What this process may use: affinity and cgroup quota considered.
    std::int64_t memoryBytes = 0;   ///< Physical, or the cgroup's limit when that is lower.
    int gpus = 0;                   ///< NVIDIA device files; other makers' are not counted yet.
};

[[nodiscard]] Machine inspectMachine();

/// Protocol between workspace and agent: plan, control files, run stream.
inline constexpr int kAgentProtocol = 1;

}  // namespace trainyard::agent
