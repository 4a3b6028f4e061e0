#pragma once
// POSIX files with the rules of the workspace: folders 0700, files 0600, whole files appear by temp, fsync, rename.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::base {

using Path = std::filesystem::path;

/// Owns a file descriptor; closes it (EINTR-safe) at the end of its life.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : m_fd(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : m_fd(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept;
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const { return m_fd; }
    [[nodiscard]] bool valid() const { return m_fd >= 0; }
    int release();
    void reset(int fd = -1);

private:
    int m_fd = -1;
};

/// An Error from errno: code "file.missing", "file.denied", "file.full" (ENOSPC, EDQUOT, EFBIG), "file.exists",
/// "file.io"…; the message names `what` and `path`.
[[nodiscard]] Error errnoError(int error, std::string_view what, const Path& path);

/// The whole file; "file.too_large" above `maxBytes`. Refuses anything but a regular file ("file.kind").
[[nodiscard]] Result<std::string> readFile(const Path& path, std::int64_t maxBytes = 64 << 20);

/// Bytes [offset, offset + maxBytes) or fewer at the end of the file.
[[nodiscard]] Result<std::string> readFileRange(const Path& path, std::int64_t offset, std::int64_t maxBytes);

/// Writes temp beside `path`, fsyncs, renames, fsyncs the folder. On failure `path` is untouched and temp is gone.
[[nodiscard]] Status writeFileAtomically(const Path& path, std::string_view bytes, int mode = 0600);

/// Writes all bytes to a descriptor (loops over short writes and EINTR).
[[nodiscard]] Status writeAll(int fd, std::string_view bytes, const Path& nameForErrors);

/// Folder and its missing parents, 0700.
[[nodiscard]] Status makeDirs(const Path& path);

/// "file.owner" when `path` exists and another user owns it.
[[nodiscard]] Status checkOwnedByUs(const Path& path);

/// Copies a regular file (copy_file_range, reflink where it can be), by temp and rename; keeps the mode's x bits.
/// `progress(bytesDone)` may return false to cancel ("canceled").
[[nodiscard]] Status copyFile(const Path& from, const Path& to, const std::function<bool(std::int64_t)>& progress = {});

/// Removes a file or a whole folder; follows no links; missing is success.
[[nodiscard]] Status removeTree(const Path& path);

struct DiskSpace {
    std::int64_t freeBytes = 0;
    std::int64_t totalBytes = 0;
};
[[nodiscard]] Result<DiskSpace> diskSpace(const Path& path);

/// True on NFS, SMB, FUSE and the like, where flock and WAL cannot be trusted.
[[nodiscard]] bool isNetworkFileSystem(const Path& path);

/// flock(2) on a file that is made when missing. Released by the kernel when the holder dies.
class FileLock {
public:
    /// Takes the lock now or returns "lock.held". The file's text is `note` (who holds it), for messages.
    [[nodiscard]] static Result<FileLock> tryExclusive(const Path& path, std::string_view note = {});
    [[nodiscard]] static Result<FileLock> tryShared(const Path& path);
    [[nodiscard]] int fd() const { return m_fd.get(); }
    void release() { m_fd.reset(); }

private:
    UniqueFd m_fd;
};

/// $HOME; without it the user's folder in /etc/passwd (no name service), else one under /var/tmp.
[[nodiscard]] Path homeFolder();

/// Base folders by the XDG specification, with homeFolder() as fallback: data, config, cache, runtime (may be empty).
[[nodiscard]] Path xdgDataHome();
[[nodiscard]] Path xdgConfigHome();
[[nodiscard]] Path xdgCacheHome();

/// The folder of the running executable.
[[nodiscard]] Path executableFolder();

}  // namespace trainyard::base
