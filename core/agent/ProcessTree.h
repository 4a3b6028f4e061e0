#pragma once
// Finding and ending processes through /proc. Pids are reused, so whoever signals checks the identity first.
#include <sys/types.h>

#include <string>
#include <vector>

#include "core/base/Process.h"

namespace trainyard::agent {

using base::ProcessIdentity;

/// All living descendants of `root` (not itself, no zombies), found by one scan of /proc.
[[nodiscard]] std::vector<pid_t> descendantsOf(pid_t root);

/// The same by /proc/PID/task/TID/children: cheap for a small tree, used once a second. Falls back to the scan on
/// kernels without those files.
[[nodiscard]] std::vector<pid_t> treeOf(pid_t root);

/// Living processes whose start environment carries this run and attempt. Finds what a killed shim left behind, except
/// for programs that overwrite their own environment.
[[nodiscard]] std::vector<pid_t> processesOfRun(const std::string& run, int attempt);

/// Sends a signal to exactly this process (through a pidfd, so a reused pid is never hit). False when it is gone.
bool signalProcess(const ProcessIdentity& identity, int signal);

}  // namespace trainyard::agent
