#pragma once
// The first words on a machine that may have nothing of ours: a constant POSIX script that finds the agent by its hash,
// or receives it, and becomes it. What differs between machines goes to its standard input, never into its text.
#include <cstdint>
#include <optional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::targets {

/// The agent's program as it lies here.
struct AgentFile {
    base::Path path;
    std::string sha256;
    std::int64_t size = 0;
};
/// `path` empty: looked for beside our programs. The hash is computed once a file. Errors: "target.program".
[[nodiscard]] base::Result<AgentFile> findAgentFile(const base::Path& path = {});

/// What the login shell there is given. One line, without single quotes and exclamation marks inside, so that sh, bash,
/// zsh, fish and csh all pass it on as it is.
[[nodiscard]] std::string bootstrapCommand();
/// What the script reads first.
[[nodiscard]] std::string bootstrapInput(const AgentFile& agent, const std::string& workFolder,
                                         const std::string& slotsFolder, const std::string& clientId);

/// A line of the script's.
struct BootWord {
    enum class Kind { Need, Error } kind = Kind::Need;
    std::int64_t offset = 0;      ///< Need: so many bytes of the agent are there.
    std::int64_t freeBytes = -1;  ///< Need: free on that disk; -1: not known.
    base::Error error;
};
/// Takes the first whole line of the script's out of `bytes` with all that stands before it.
[[nodiscard]] std::optional<BootWord> takeBootWord(std::string& bytes, const std::string& destination,
                                                   const std::string& workFolder);

}  // namespace trainyard::targets
