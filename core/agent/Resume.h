#pragma once
// What a restarted agent learns from the stream that its predecessor wrote.
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/agent/LastWords.h"
#include "core/base/Process.h"
#include "core/base/Result.h"
#include "core/wire/ClientLine.h"
#include "core/wire/Layout.h"

namespace trainyard::agent {

struct Resume {
    bool hasAttempt = false;
    std::int64_t attemptT = 0;
    std::string attemptBootId;
    std::string state;          ///< Of the last state record; empty when there is none.
    std::int64_t runningT = 0;  ///< Of the first Running record; the time limit counts from it.
    bool ended = false;
    bool environmentTold = false;
    bool startedTold = false;
    std::map<std::string, std::int64_t> offsets;     ///< Rank file name → where the last record of it ends.
    std::map<std::string, std::int64_t> logOffsets;  ///< The same for files of the script's own, by inode.
    std::map<std::string, std::string> logNames;     ///< What it was called when it was found.
    std::map<int, LastWords> lastWords;              ///< By rank.
};

/// Reads the whole stream (0.4 M records/s) and tells the translator which steps were numbered before. A stream that is
/// not there yet gives an empty Resume.
[[nodiscard]] base::Result<Resume> readOwnStream(const wire::NodeLayout& layout,
                                                 wire::ClientLineTranslator& translator);

}  // namespace trainyard::agent
