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

/// Whether all of the entry is there.
[[nodiscard]] bool isDataComplete(const wire::WorkLayout& work, const std::string& entry);
/// Makes the entry's files read-only, syncs them and says that the entry is complete. `archive`: the hash of the
/// archive that it came from, or empty.
[[nodiscard]] Status sealData(const wire::WorkLayout& work, const std::string& entry, const std::string& name,
                              std::size_t files, std::int64_t bytes, const std::string& archive);

/// Syncs the file system of the work folder: once for all uploads of a launch.
[[nodiscard]] Status syncWork(const wire::WorkLayout& work);

/// Gives the owner's write bits to all folders below (`writable`) or takes all write bits of files and folders.
[[nodiscard]] Status setWritable(const Path& root, bool writable);
/// Removes a tree whose folders may be read-only.
[[nodiscard]] Status removeReadOnlyTree(const Path& path);

}  // namespace trainyard::agent
