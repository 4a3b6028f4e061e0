#pragma once
// Programs that the agent starts for its own needs or for a client, never by a shell. Each is the leader of a process
// group and dies with the agent.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

struct ChildSpec {
    std::vector<std::string> argv;                                 ///< The first is looked up in PATH.
    std::string folder;                                            ///< Empty: ours.
    std::vector<std::pair<std::string, std::string>> environment;  ///< Added to ours.
    bool pipeIn = false;                                           ///< Otherwise /dev/null.
    bool pipeOut = true;
    bool pipeErr = true;
    bool mergeErr = false;  ///< stderr goes where stdout goes.
};

/// How a program ended.
struct ChildEnd {
    int exit = 0;
    int signal = 0;  ///< 0: it exited by itself.
};

/// One program under way. Ended, with its whole group, at the end of its life.
class Child {
public:
    /// Errors: "exec.missing", "exec.denied", "exec.folder", "exec.start".
    [[nodiscard]] static base::Result<Child> start(const ChildSpec& spec);
    Child(Child&&) noexcept;
    Child& operator=(Child&&) noexcept;
    ~Child();

    base::UniqueFd in;  ///< Not blocking, as the next two.
    base::UniqueFd out;
    base::UniqueFd err;

    [[nodiscard]] pid_t pid() const { return m_pid; }
    /// Looks without waiting.
    [[nodiscard]] std::optional<ChildEnd> end();
    /// SIGTERM, then SIGKILL to the whole group; takes the program's end. Waits a second at most.
    void stop(std::int64_t graceMillis = 200);

private:
    Child() = default;
    pid_t m_pid = -1;
    std::optional<ChildEnd> m_end;
};

struct ProgramResult {
    bool started = false;
    bool timedOut = false;
    ChildEnd end;
    std::string out;  ///< At most 1 MiB, as `err`.
    std::string err;
    std::string error;  ///< Why it did not start.

    [[nodiscard]] bool succeeded() const { return started && !timedOut && end.signal == 0 && end.exit == 0; }
    /// One sentence without a full stop about what went wrong: for messages.
    [[nodiscard]] std::string trouble(const std::string& name) const;
};

/// Runs a program to its end or the limit, whichever comes first. Blocks.
[[nodiscard]] ProgramResult runProgram(const ChildSpec& spec, std::int64_t limitMillis);

/// For a forked child: default signals, none blocked, and SIGKILL when the parent dies.
void becomeChild(pid_t parent);

/// Reads what is there without waiting, at most `limit` bytes; false at the end or on an error.
bool readAvailable(int fd, std::string& into, std::size_t limit = 1 << 20);

}  // namespace trainyard::agent
