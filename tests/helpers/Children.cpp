#include "tests/helpers/Children.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/Files.h"
#include "core/base/Process.h"
#include "core/base/Text.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

namespace {

std::vector<std::int64_t> childPids() {
    std::vector<std::int64_t> pids;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        const std::string text = base::readFile(task.path() / "children").valueOr({});
        for (const std::string& pid : base::split(base::trim(text), ' ')) {
            if (!pid.empty() && base::identify(std::atoll(pid.c_str()))) {
                pids.push_back(std::atoll(pid.c_str()));
            }
        }
    }
    return pids;
}

}  // namespace

std::vector<std::string> liveChildren() {
    std::vector<std::string> out;
    for (const std::int64_t pid : childPids()) {
        std::string command = base::readFile("/proc/" + std::to_string(pid) + "/cmdline").valueOr({});
        for (char& c : command) {
            c = c == '\0' ? ' ' : c;
        }
        out.push_back(std::to_string(pid) + " " + command);
    }
    return out;
}

ChildGuard::ChildGuard() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

bool ChildGuard::noneLeft(int timeoutMillis) {
    if (waitFor([] { return childPids().empty(); }, timeoutMillis)) {
        return true;
    }
    for (const std::string& child : liveChildren()) {
        m_report += child + "\n";
    }
    for (const std::int64_t pid : childPids()) {
        kill(static_cast<pid_t>(pid), SIGKILL);
        waitpid(static_cast<pid_t>(pid), nullptr, 0);
    }
    return false;
}

}  // namespace trainyard::test
