#pragma once
// A program with all that it starts, ended as a whole: a keeper between us and it collects what the program leaves
// behind (subreaper), ends it when the program ends, when it is asked to, and when we are gone. Nothing here waits.
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/Child.h"

namespace trainyard::agent {

struct TreeSpec {
    std::vector<std::string> argv;         ///< The first is looked up in the PATH of `environment`.
    std::vector<std::string> environment;  ///< "NAME=value", the whole of it.
    std::string folder;
    std::string log;  ///< stdout and stderr are appended to this file.
    int held = -1;    ///< A descriptor that the keeper holds to its end: a lock; the program does not get it.
    std::int64_t graceMillis = 5000;  ///< Between SIGTERM and SIGKILL when asked to end.
    std::function<void()> abandoned;  ///< Called by the keeper when all has ended and we are gone.
};

class TreeChild {
public:
    [[nodiscard]] static base::Result<TreeChild> start(const TreeSpec& spec);
    /// The same for a piece of our own code in a process of its own; what it returns is the exit status. `spec.argv` is
    /// not used.
    [[nodiscard]] static base::Result<TreeChild> call(const TreeSpec& spec, std::function<int()> work);

    TreeChild(TreeChild&& other) noexcept;
    TreeChild& operator=(TreeChild&& other) noexcept;
    /// Asks, and does not wait: the keeper ends the rest by itself.
    ~TreeChild() { ask(); }

    /// How the program ended, once nothing of it is left.
    [[nodiscard]] std::optional<ChildEnd> end();
    /// errno of a program that did not start; 0: it did.
    [[nodiscard]] int notStarted() const { return m_error; }
    /// Politely, then by force after the grace time.
    void ask();

private:
    TreeChild() = default;
    pid_t m_keeper = -1;
    base::UniqueFd m_report;
    std::optional<ChildEnd> m_end;
    int m_error = 0;
};

}  // namespace trainyard::agent
