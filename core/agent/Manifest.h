#pragma once
// The list of a run's outputs with their hashes.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::agent {

struct OutputFile {
    std::string path;  ///< Relative to the outputs folder, '/' between parts.
    std::int64_t size = 0;
    std::string sha256;
};

struct Manifest {
    std::vector<OutputFile> files;      ///< By path.
    std::vector<std::string> warnings;  ///< What was left out, in words.
    bool canceled = false;              ///< `files` then holds what had been hashed so far.
};

/// More would not fit into one record of the stream; what is beyond is left out with a warning.
inline constexpr std::size_t kMaxOutputs = 20'000;

/// Regular files under `folder`. Links are not followed, special files are left out; both with a warning, as are names
/// that are no UTF-8. `progress(bytes done, bytes in all)` may return false to cancel; it is called every 4 MB or so.
[[nodiscard]] Manifest listOutputs(const base::Path& folder,
                                   const std::function<bool(std::int64_t, std::int64_t)>& progress);

[[nodiscard]] base::Json toJson(const std::vector<OutputFile>& files);

}  // namespace trainyard::agent
