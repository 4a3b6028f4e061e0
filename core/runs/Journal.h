#pragma once
// The journal of a run: what the workspace's side did and decided. Several processes may append; each holds a lock for
// as long as one append takes.
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/RunState.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

struct JournalEntry {
    std::string kind;
    base::Json body;
};

[[nodiscard]] JournalEntry stateEntry(spec::RunState state, const std::string& reason, int attempt = 0);

/// Appends the entries in one write and syncs. Waits for another process's append until the deadline ("lock.held").
/// Blocks for the time of one fsync.
[[nodiscard]] base::Status appendJournal(const base::Path& journal, const base::Path& lock,
                                         const std::vector<JournalEntry>& entries, base::Deadline deadline);
[[nodiscard]] base::Status appendJournal(const wire::WorkspaceLayout& layout, const base::RunId& run,
                                         const std::vector<JournalEntry>& entries);

}  // namespace trainyard::runs
