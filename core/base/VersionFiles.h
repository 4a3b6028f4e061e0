#pragma once
// A folder of numbered versions: <folder>/<number>.json, each written once, and <folder>/last, the highest number that
// was ever given out. What names a version by its number never finds another one under it, also after a removal.
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::base {

[[nodiscard]] Path versionFile(const Path& folder, int version);

/// The numbers that are there, rising; none where the folder is missing.
[[nodiscard]] std::vector<int> versionsIn(const Path& folder);

/// Writes the next version, makes the folder where it is missing, and answers with the number. Two that write at once
/// get two numbers. Errors: file.*.
[[nodiscard]] Result<int> addVersion(const Path& folder, const Json& document);

/// Removes these versions; their numbers are not given out again. Errors: file.*.
[[nodiscard]] Status removeVersions(const Path& folder, const std::vector<int>& versions);

}  // namespace trainyard::base
