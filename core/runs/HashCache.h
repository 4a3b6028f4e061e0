#pragma once
// SHA-256 of files here, remembered by path, size, time of change, inode and device: what was not touched is not read
// again.
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::runs {

/// Thread-safe. Kept in $XDG_CACHE_HOME/trainyard/hashes.jsonl, one line a file; a damaged line counts as none. Several
/// processes may use it at once.
class HashCache {
public:
    explicit HashCache(base::Path file = {});
    /// The one of this process.
    [[nodiscard]] static HashCache& shared();

    /// `report(bytesDone)` returning false cancels ("canceled"). Errors: file.*.
    [[nodiscard]] base::Result<std::string> sha256(const base::Path& file,
                                                   const std::function<bool(std::int64_t)>& report = {});

private:
    struct Known {
        std::int64_t size = 0;
        std::int64_t changedNanos = 0;
        std::uint64_t inode = 0;
        std::uint64_t device = 0;
        std::string sha256;
    };
    void load();
    void remember(const std::string& path, const Known& known);

    base::Path m_file;
    std::mutex m_lock;
    bool m_loaded = false;
    std::unordered_map<std::string, Known> m_known;
    std::int64_t m_lines = 0;
};

}  // namespace trainyard::runs
