#pragma once
// The folder that holds everything: trainyard.json marks it. Files are the truth, history.sqlite is the index.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/store/Types.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

inline constexpr const char* kWorkspaceFormat = "trainyard.workspace";
inline constexpr int kWorkspaceVersion = 1;

/// An opened workspace, as a value. Thread-safe to copy and read.
struct Workspace {
    wire::WorkspaceLayout layout;
    std::string id;    ///< UUIDv7, from the marker.
    std::string name;  ///< For people; the folder's name unless the marker has one.
    store::IndexLocation
        index;  ///< history.sqlite; in the cache folder when the workspace is on a network file system.
    bool readOnly = false;
    std::string readOnlyReason;  ///< One sentence, empty when it can be written.
};

/// Makes folder and marker. "workspace.exists" when it is one already, "workspace.not_empty" when the folder holds
/// other things. `name` may be empty.
[[nodiscard]] base::Result<Workspace> initWorkspace(const base::Path& folder, const std::string& name);
/// "workspace.none" when the folder is missing or has no marker, "workspace.damaged" when the marker cannot be read,
/// "workspace.unreadable" when it may not be read, "workspace.newer" when it is of a later version, "workspace.owner"
/// when another user owns it and it can be written. A folder that cannot be written opens read-only.
[[nodiscard]] base::Result<Workspace> openWorkspace(const base::Path& folder);

struct RecentWorkspace {
    base::Path root;
    std::string name;
    std::int64_t openedAt = 0;  ///< Microseconds UTC.
};
/// Newest first, 20 at most. A damaged list counts as empty.
[[nodiscard]] std::vector<RecentWorkspace> readRecentWorkspaces();
[[nodiscard]] base::Status noteRecentWorkspace(const Workspace& workspace);
[[nodiscard]] base::Status forgetRecentWorkspace(const base::Path& root);

}  // namespace trainyard::runs
