#include "core/runs/DiskUse.h"

#include <sys/stat.h>

#include <system_error>

namespace trainyard::runs {

std::int64_t diskUse(const base::Path& folder) {
    constexpr std::int64_t kBlock = 512;  // Unit of st_blocks, whatever the file system's own is.
    std::int64_t bytes = 0;
    std::error_code error;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (auto entry = std::filesystem::recursive_directory_iterator(folder, options, error);
         !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
        struct stat info {};
        if (::lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1) {
            bytes += std::int64_t{info.st_blocks} * kBlock;
        }
    }
    return bytes;
}

}  // namespace trainyard::runs
