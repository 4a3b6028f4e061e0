#pragma once
// Archives that others made: unpacked with limits, so that nothing leaves the folder and nothing fills the disk.
#include <cstdint>
#include <functional>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::unpack {

/// Thousandths done so far; false: stop ("canceled").
using Report = std::function<bool(std::int64_t)>;

/// What keeps a small file from filling the disk.
struct ArchiveLimits {
    std::int64_t entries = 20'000'000;
    std::int64_t bytes = std::int64_t{4} << 40;
    /// Unpacked bytes by packed ones, once more than `ratioFrom` bytes came out. Pictures are packed already, and lie
    /// near 1.
    double ratio = 200;
    std::int64_t ratioFrom = std::int64_t{64} << 20;
    std::int64_t reserve = std::int64_t{1} << 30;  ///< Left free on the disk.
};

struct Unpacked {
    std::int64_t files = 0;
    std::int64_t bytes = 0;
};

/// Unpacks zip, 7z and tar (plain, gz, bz2, xz, zst, lz4) into an existing, empty folder; files become read-only. What
/// macOS and Windows leave behind (__MACOSX, .DS_Store, Thumbs.db) is left out. `report` gets thousandths. Errors, with
/// the field "source": "archive.kind", "archive.damaged", "archive.encrypted", "archive.path" (absolute, "..", or no
/// name for a file), "archive.link" (links and devices are not unpacked), "archive.twice", "archive.bomb" (beyond the
/// limits), "file.full", file.*, "canceled", and "archive.unavailable" where the build had no libarchive. What was
/// unpacked until then stays; the caller removes the folder.
[[nodiscard]] base::Result<Unpacked> unpackArchive(const base::Path& file, const base::Path& folder,
                                                   const ArchiveLimits& limits, const Report& report);

/// False where the build had no libarchive.
[[nodiscard]] bool canUnpack();

}  // namespace trainyard::unpack
