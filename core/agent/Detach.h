#pragma once
// Going into the background with a handshake, so that whoever starts an agent learns within a time limit whether it is
// at work or why not.
#include <functional>
#include <string>

#include "core/base/Files.h"

namespace trainyard::agent {

/// The background side's word to the one that waits in front. Without a front side it does nothing.
class Handshake {
public:
    Handshake() = default;
    explicit Handshake(base::UniqueFd pipe) : m_pipe(std::move(pipe)) {}
    void succeed();
    /// `status` becomes the front side's exit status, `message` goes to its stderr.
    void fail(int status, const std::string& message);

private:
    void say(const std::string& text);
    base::UniqueFd m_pipe;
};

/// Closes descriptors from 3 on that came from the parent (open files of a workbench would stay open for the run's
/// life).
void closeInherited();

/// Forks twice into a session of its own, stdin from /dev/null, stdout and stderr appended to `log`, and calls `work`
/// there with the handshake; its result is the background process's exit status. Returns in the front process, with its
/// exit status, when the handshake was given or `limitMillis` is over.
[[nodiscard]] int runDetached(const base::Path& log, std::int64_t limitMillis,
                              const std::function<int(Handshake&)>& work);

}  // namespace trainyard::agent
