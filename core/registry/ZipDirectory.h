#pragma once
// The list of a zip archive's members, from its directory at the end. Nothing is ever unpacked, so an archive that
// would unpack to terabytes costs no more than its list.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Result.h"
#include "core/registry/FileBytes.h"

namespace trainyard::registry {

struct ZipMember {
    std::string name;
    bool stored = false;     ///< Not compressed: its bytes stand in the file as they are.
    std::uint64_t size = 0;  ///< Unpacked, as the directory claims.
    std::uint64_t packed = 0;
    std::uint64_t header = 0;  ///< Where its local header is.
};

/// At most 200,000 members and 32 MiB of directory, zip64 included. Source of the format: APPNOTE.TXT 6.3.
/// "model.zip" when there is no whole directory, or when it names bytes that are not there.
[[nodiscard]] base::Result<std::vector<ZipMember>> readZipDirectory(FileBytes& file);

/// The bytes of a stored member; "model.zip" for a packed one, and when its header is not where it should be.
[[nodiscard]] base::Result<FileBytes> storedMember(FileBytes& file, const ZipMember& member);

}  // namespace trainyard::registry
