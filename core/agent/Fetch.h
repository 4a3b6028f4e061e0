#pragma once
// Data and weights from an address into <work>/data, on the machine that trains: checked, unpacked, kept by their
// content hash. By the target's own curl or wget, so that its proxies and certificates count. For a process that may
// block.
#include <string>
#include <vector>

#include "core/agent/Prepare.h"
#include "core/wire/Layout.h"

namespace trainyard::agent {

struct FetchOrder {
    std::string name;               ///< For people; also in the cache.
    std::string address;            ///< http or https.
    std::string sha256;             ///< What the file's SHA-256 begins with: 8 to 64 lower-case digits.
    bool unpack = false;            ///< It is an archive; what is in it becomes the entry.
    std::string entry;              ///< The content hash that the archive's files must have; empty: whatever is in it.
    std::vector<std::string> only;  ///< With `entry`: paths of these files; empty: all.
    std::int64_t bytes = 0;         ///< Of the files in it, as far as that is known: for the disk.
};

struct Fetched {
    std::string entry;  ///< Content hash: the key in <work>/data.
    std::string path;   ///< The file, or the folder of an archive's files; absolute.
    std::int64_t bytes = 0;
    bool wasThere = false;
};

/// Finds it in the cache, or fetches it: gone on with after a break, one process at a time for one hash. A folder
/// around everything in an archive is left out, as datasets::findPlace does. `progress` in bytes. Errors:
/// "input.address", "input.fetch" (with the program's words), "input.program" (neither curl nor wget), "input.hash"
/// (another file, or other files in it; they are thrown away), "archive.*", "file.full" (seen before, or met),
/// "canceled", file.*.
[[nodiscard]] Result<Fetched> fetchData(const wire::WorkLayout& work, const FetchOrder& order,
                                        const PrepareProgress& progress);

}  // namespace trainyard::agent
