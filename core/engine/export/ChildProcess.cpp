#include "core/engine/export/ChildProcess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/base/Text.h"

namespace trainyard::engine {

namespace {

base::Result<base::UniqueFd> openFor(const base::Path& path, int flags) {
    base::UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
    if (!fd.valid()) {
        return base::errnoError(errno, "opening", path);
    }
    return fd;
}

}  // namespace

base::Result<ChildResult> runChild(const std::vector<std::string>& argv, const base::Path& folder,
                                   base::Deadline deadline) {
    auto in = openFor("/dev/null", O_RDONLY);
    auto out = openFor(folder / "stdout", O_WRONLY | O_CREAT | O_TRUNC);
    auto err = openFor(folder / "stderr", O_WRONLY | O_CREAT | O_TRUNC);
    for (const auto* fd : {&in, &out, &err}) {
        if (!fd->ok()) {
            return fd->error();
        }
    }
    std::vector<char*> arguments;
    for (const std::string& argument : argv) {
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) {
        return base::errnoError(errno, "starting", argv[0]);
    }
    if (child == 0) {
        // Only async-signal-safe calls until exec.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) {
            ::_exit(127);
        }
        ::dup2(in->get(), STDIN_FILENO);
        ::dup2(out->get(), STDOUT_FILENO);
        ::dup2(err->get(), STDERR_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    ChildResult result;
    int status = 0;
    for (;;) {
        const pid_t ended = ::waitpid(child, &status, WNOHANG);
        if (ended == child) {
            break;
        }
        if (ended < 0 && errno != EINTR) {
            return base::errnoError(errno, "waiting for", argv[0]);
        }
        if (!result.timedOut && deadline.passed()) {
            result.timedOut = true;
            ::kill(child, SIGKILL);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::error_code error;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(folder / "stderr", error));
    if (!error && size > 0) {
        const std::int64_t from = size > 4096 ? size - 4096 : 0;
        result.errors = base::toValidUtf8(base::readFileRange(folder / "stderr", from, 4096).valueOr(""));
    }
    if (result.exitStatus == 127) {
        return base::Error{"process.start", argv[0] + " could not be started."};
    }
    return result;
}

base::Path findInPath(const std::string& program) {
    const char* path = std::getenv("PATH");
    for (const std::string& folder : base::split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
        const base::Path candidate = base::Path(folder.empty() ? "." : folder) / program;
        if (::access(candidate.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(candidate)) {
            return candidate;
        }
    }
    return {};
}

}  // namespace trainyard::engine
