#pragma once
// What git says of a source folder: so that a run can be traced to its commit. Nothing that the repository configures
// is run.
#include <string>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::runs {

struct GitState {
    bool repository = false;  ///< False: the folder lies in none, or git is not there; everything else is empty then.
    std::string commit;       ///< 40 or 64 hex characters; empty in a repository without one.
    std::string branch;       ///< Empty when HEAD is detached.
    std::string remote;       ///< Address of "origin", without user, password and query.
    bool dirty = false;       ///< Tracked files of the folder differ from the commit.
    std::string patch;        ///< Their difference, binary-safe; empty when clean or when `patchCut`.
    bool patchCut = false;    ///< It is larger than is kept (10 MiB).
    std::string warning;      ///< One sentence: why some of this could not be read.
};

/// Asks git, a few programs of some milliseconds each. For a pool thread.
[[nodiscard]] GitState readGit(const base::Path& folder, base::Deadline deadline);
/// Everything but the patch.
[[nodiscard]] base::Json toJson(const GitState& state);
/// An address without what may be secret in it: "https://me:token@host/x.git?key=1" is "https://host/x.git".
[[nodiscard]] std::string withoutCredentials(const std::string& address);

}  // namespace trainyard::runs
