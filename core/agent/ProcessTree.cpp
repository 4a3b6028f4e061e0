#include "core/agent/ProcessTree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>

#include "core/base/Files.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMaxEnvironBytes = 2 << 20;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};
using DirHandle = std::unique_ptr<DIR, CloseDir>;

/// Reads a /proc file, which has no size of its own. Empty when the process is gone.
std::string readProc(const std::string& path, std::size_t limit = 16 << 10) {
    base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    if (!fd.valid()) return text;
    while (text.size() < limit) {
        const std::size_t had = text.size();
        text.resize(had + 4096);
        const ssize_t got = ::read(fd.get(), text.data() + had, 4096);
        text.resize(had + static_cast<std::size_t>(got > 0 ? got : 0));
        if (got <= 0) break;
    }
    return text;
}

std::vector<pid_t> pidsIn(const std::string& folder) {
    std::vector<pid_t> pids;
    DirHandle dir(::opendir(folder.c_str()));
    if (!dir) return pids;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (parsed.ec == std::errc{} && parsed.ptr == name.data() + name.size()) pids.push_back(pid);
    }
    return pids;
}

/// Parent pid and state from /proc/PID/stat; the name in it may hold spaces and brackets.
bool parentOf(pid_t pid, pid_t& parent, char& state) {
    const std::string stat = readProc("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t close = stat.rfind(')');
    if (close == std::string::npos || close + 4 >= stat.size()) return false;
    state = stat[close + 2];
    const char* from = stat.data() + close + 4;
    return std::from_chars(from, stat.data() + stat.size(), parent).ec == std::errc{};
}

bool isZombie(pid_t pid) {
    pid_t parent = 0;
    char state = 0;
    return !parentOf(pid, parent, state) || state == 'Z' || state == 'X';
}

bool hasVariable(std::string_view environ, const std::string& assignment) {
    std::size_t at = 0;
    while (at < environ.size()) {
        std::size_t end = environ.find('\0', at);
        if (end == std::string_view::npos) end = environ.size();
        if (environ.substr(at, end - at) == assignment) return true;
        at = end + 1;
    }
    return false;
}

}  // namespace

std::vector<pid_t> descendantsOf(pid_t root) {
    std::multimap<pid_t, pid_t> children;
    std::map<pid_t, char> states;
    for (const pid_t pid : pidsIn("/proc")) {
        pid_t parent = 0;
        char state = 0;
        if (!parentOf(pid, parent, state)) continue;
        children.emplace(parent, pid);
        states[pid] = state;
    }
    std::vector<pid_t> found;
    std::vector<pid_t> open{root};
    while (!open.empty()) {
        const pid_t at = open.back();
        open.pop_back();
        for (auto [it, end] = children.equal_range(at); it != end; ++it) {
            open.push_back(it->second);
            if (states[it->second] != 'Z' && states[it->second] != 'X') found.push_back(it->second);
        }
    }
    return found;
}

std::vector<pid_t> treeOf(pid_t root) {
    static const bool hasChildrenFiles =
        ::access(("/proc/self/task/" + std::to_string(::getpid()) + "/children").c_str(), R_OK) == 0;
    if (!hasChildrenFiles) return descendantsOf(root);
    std::vector<pid_t> found;
    std::vector<pid_t> open{root};
    while (!open.empty()) {
        const std::string tasks = "/proc/" + std::to_string(open.back()) + "/task";
        open.pop_back();
        for (const pid_t thread : pidsIn(tasks)) {
            const std::string text = readProc(tasks + "/" + std::to_string(thread) + "/children");
            const char* at = text.data();
            const char* const end = at + text.size();
            while (at < end) {
                pid_t pid = 0;
                const auto parsed = std::from_chars(at, end, pid);
                if (parsed.ec != std::errc{}) break;
                found.push_back(pid);
                open.push_back(pid);
                at = parsed.ptr + 1;
            }
        }
    }
    return found;
}

std::vector<pid_t> processesOfRun(const std::string& run, int attempt) {
    const std::string runVariable = std::string(wire::variable::kRunId) + "=" + run;
    const std::string attemptVariable = std::string(wire::variable::kAttempt) + "=" + std::to_string(attempt);
    std::vector<pid_t> found;
    for (const pid_t pid : pidsIn("/proc")) {
        if (pid == ::getpid()) continue;
        const std::string environ = readProc("/proc/" + std::to_string(pid) + "/environ", kMaxEnvironBytes);
        if (environ.find(run) == std::string::npos) continue;
        if (hasVariable(environ, runVariable) && hasVariable(environ, attemptVariable) && !isZombie(pid)) {
            found.push_back(pid);
        }
    }
    return found;
}

bool signalProcess(const ProcessIdentity& identity, int signal) {
    const pid_t pid = static_cast<pid_t>(identity.pid);
    if (pid <= 1) return false;
    base::UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!handle.valid()) {
        if (errno != ENOSYS && errno != EPERM) return false;
        return base::liveness(identity) == base::Liveness::Alive && ::kill(pid, signal) == 0;
    }
    // The pidfd pins the pid: if the identity matches now, the signal goes to that very process.
    if (base::liveness(identity) != base::Liveness::Alive) return false;
    return ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0) == 0;
}

}  // namespace trainyard::agent
