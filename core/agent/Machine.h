#pragma once
// What this machine is, read from /proc, /sys and the kernel; no name service.
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace trainyard::agent {

struct Machine {
    std::string host;
    std::string kernel;            ///< "Linux 6.1.0 x86_64"
    int cores = 1;                 ///< What this process may use: affinity and cgroup quota considered.
    std::int64_t memoryBytes = 0;  ///< Physical, or the cgroup's limit when that is lower.
    int gpus = 0;                  ///< NVIDIA; other makers' are not counted yet.
    std::string driver;            ///< NVIDIA's, "535.104.05"; empty: there is none, or it is not known.
};

/// Asks nvidia-smi for the GPUs only where the kernel's own files name none and the program is there.
[[nodiscard]] Machine inspectMachine();

[[nodiscard]] std::string hostName();
/// By /etc/passwd, for ourselves also by $USER; "uid 1234" where neither knows.
[[nodiscard]] std::string userName(uid_t uid);
/// "glibc 2.36", "musl", or "unknown": the C library that programs of this machine are linked with.
[[nodiscard]] std::string libcOfMachine();

/// Protocol between workspace and agent: plan, control files, run stream.
inline constexpr int kAgentProtocol = 1;

}  // namespace trainyard::agent
