#pragma once
// Runs a helper program to its end or to a deadline. POSIX; blocks the calling thread.
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"

namespace trainyard::engine {

struct ChildResult {
    int exitStatus = -1;  ///< Valid when signal is 0.
    int signal = 0;
    bool timedOut = false;  ///< It was killed at the deadline.
    std::string errors;     ///< The end of what it wrote to stderr, at most 4 KiB.
};

/// argv[0] is a path. stdin is empty, stdout and stderr go to files in `folder`. The child dies with this process, so a
/// cancelled export leaves nothing behind. Error "process.start" when it cannot be started.
[[nodiscard]] base::Result<ChildResult> runChild(const std::vector<std::string>& argv, const base::Path& folder,
                                                 base::Deadline deadline);

/// The first executable of that name in $PATH; empty when there is none.
[[nodiscard]] base::Path findInPath(const std::string& program);

}  // namespace trainyard::engine
