#pragma once
// The file store of a work folder: objects, data entries and engines by their hashes.
#include "core/agent/ServeRequest.h"

namespace trainyard::agent {

/// Makes the work folder, or says why it cannot be used.
[[nodiscard]] Status openWork(const wire::WorkLayout& work);

/// The list of files that were put into a data entry that is not complete yet: a line {"path","sha256","size"} each.
[[nodiscard]] Path partsFile(const wire::WorkLayout& work, const std::string& entry);
/// Files of the entry lie in it.
[[nodiscard]] Path dataFiles(const wire::WorkLayout& work, const std::string& entry);
[[nodiscard]] Path dataInfo(const wire::WorkLayout& work, const std::string& entry);

/// Syncs the file system of the work folder: once for all uploads of a launch.
[[nodiscard]] Status syncWork(const wire::WorkLayout& work);

/// Removes a tree whose folders may be read-only.
[[nodiscard]] Status removeReadOnlyTree(const Path& path);

}  // namespace trainyard::agent
