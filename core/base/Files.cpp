#include "core/base/Files.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/Ids.h"
#include "core/base/Text.h"

namespace trainyard::base {

namespace {

constexpr std::size_t kChunk = 4 << 20;

Error kindError(const Path& path) { return Error{"file.kind", path.string() + " is not a regular file."}; }

/// Opens for reading and makes sure that it is a regular file. O_NONBLOCK: opening a FIFO must not hang.
Result<UniqueFd> openRegular(const Path& path, struct stat& info) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) {
        return errnoError(errno, "open", path);
    }
    if (fstat(fd.get(), &info) != 0) {
        return errnoError(errno, "look at", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return kindError(path);
    }
    return fd;
}

Path folderOf(const Path& path) {
    const Path folder = path.parent_path();
    return folder.empty() ? Path(".") : folder;
}

/// Some network file systems refuse to sync a folder with EINVAL; there the rename is all there is.
Status syncFolder(const Path& folder) {
    const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) {
        return errnoError(errno, "open", folder);
    }
    if (fsync(fd.get()) != 0 && errno != EINVAL) {
        return errnoError(errno, "sync", folder);
    }
    return {};
}

/// A file that is made beside its final name and moved there when whole; removed when given up.
class TempFile {
public:
    TempFile(const Path& target, int mode) : m_target(target), m_temp(folderOf(target) / (".tmp-" + newUuid7())) {
        m_fd.reset(open(m_temp.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
        m_openErrno = m_fd.valid() ? 0 : errno;
        m_mode = static_cast<mode_t>(mode);
    }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    ~TempFile() {
        if (m_openErrno == 0 && !m_done) {
            unlink(m_temp.c_str());
        }
    }

    [[nodiscard]] Status opened() const {
        if (m_openErrno != 0) {
            return errnoError(m_openErrno, "create a file for", m_target);
        }
        return {};
    }
    [[nodiscard]] int fd() const { return m_fd.get(); }

    [[nodiscard]] Status finish() {
        if (fchmod(m_fd.get(), m_mode) != 0) {  // Independent of the umask.
            return errnoError(errno, "set the mode of", m_target);
        }
        if (fsync(m_fd.get()) != 0) {
            return errnoError(errno, "sync", m_target);
        }
        if (close(m_fd.release()) != 0) {
            return errnoError(errno, "close", m_target);
        }
        if (rename(m_temp.c_str(), m_target.c_str()) != 0) {
            return errnoError(errno, "put in place", m_target);
        }
        m_done = true;
        return syncFolder(folderOf(m_target));
    }

private:
    Path m_target;
    Path m_temp;
    UniqueFd m_fd;
    mode_t m_mode = 0600;
    int m_openErrno = 0;
    bool m_done = false;
};

/// One chunk from `from` to `to` by read and write; bytes copied, 0 at the end.
Result<std::int64_t> copyChunk(int from, int to, std::vector<char>& buffer, const Path& fromName, const Path& toName) {
    buffer.resize(kChunk);
    for (;;) {
        const ssize_t got = read(from, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errnoError(errno, "read", fromName);
        }
        TRAINYARD_TRY(writeAll(to, {buffer.data(), static_cast<std::size_t>(got)}, toName));
        return static_cast<std::int64_t>(got);
    }
}

Path xdgFolder(const char* variable, const char* underHome) {
    if (const char* value = std::getenv(variable); value != nullptr && value[0] == '/') {
        return value;
    }
    return homeFolder() / underHome;
}

Result<UniqueFd> openLocked(const Path& path, int flags, int operation) {
    constexpr int kTries = 16;
    for (int attempt = 0; attempt < kTries; ++attempt) {
        UniqueFd fd(open(path.c_str(), flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd.valid()) {
            return errnoError(errno, "open the lock", path);
        }
        while (flock(fd.get(), operation | LOCK_NB) != 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EWOULDBLOCK) {
                return errnoError(errno, "lock", path);
            }
            const Result<std::string> holder = readFileRange(path, 0, 512);
            const std::string note = holder.ok() ? stripControl(trim(*holder)) : std::string();
            return Error{"lock.held",
                         path.string() + " is locked by " + (note.empty() ? "another process" : note) + "."};
        }
        // The holder before us may have removed the file; a lock on a nameless file would lock nobody out.
        struct stat held {};
        struct stat named {};
        if (fstat(fd.get(), &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
            held.st_dev == named.st_dev) {
            return fd;
        }
    }
    return Error{"lock.held", path.string() + " is removed again and again by another process."};
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
        reset(other.release());
    }
    return *this;
}

int UniqueFd::release() { return std::exchange(m_fd, -1); }

void UniqueFd::reset(int fd) {
    if (m_fd >= 0) {
        close(m_fd);  // On Linux the descriptor is gone even after EINTR, so it is never repeated.
    }
    m_fd = fd;
}

Error errnoError(int error, std::string_view what, const Path& path) {
    const auto make = [&](const char* code, const std::string& why) {
        return Error{code, "Cannot " + std::string(what) + " " + path.string() + ": " + why + "."};
    };
    switch (error) {
    case ENOENT: return make("file.missing", "it does not exist");
    case ENOTDIR: return make("file.missing", "a part of its path is not a folder");
    case EACCES:
    case EPERM: return make("file.denied", "permission is denied");
    case EROFS: return make("file.denied", "the file system is read-only");
    case ENOSPC: return make("file.full", "the disk is full");
    case EDQUOT: return make("file.full", "the disk quota is used up");
    case EFBIG: return make("file.full", "the file would be larger than is allowed here");
    case EEXIST: return make("file.exists", "it exists already");
    case EISDIR: return make("file.kind", "it is a folder");
    case ELOOP: return make("file.kind", "it is a symbolic link or a loop of them");
    case ENAMETOOLONG: return make("file.name", "the name is too long");
    case EMFILE:
    case ENFILE: return make("file.descriptors", "too many files are open");
    default: {
        char text[128];
        return make("file.io", strerror_r(error, text, sizeof text));
    }
    }
}

Result<std::string> readFile(const Path& path, std::int64_t maxBytes) {
    struct stat info {};
    Result<UniqueFd> fd = openRegular(path, info);
    if (!fd.ok()) {
        return fd.error();
    }
    const auto tooLarge = [&] {
        return Error{"file.too_large", path.string() + " is larger than " + formatBytes(maxBytes) + "."};
    };
    if (info.st_size > maxBytes) {
        return tooLarge();
    }
    // One byte more than the size, so that the usual file takes one read and one that tells its end.
    std::string bytes(static_cast<std::size_t>(info.st_size) + 1, '\0');
    std::size_t done = 0;
    for (;;) {
        const ssize_t got = read(fd->get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errnoError(errno, "read", path);
        }
        done += static_cast<std::size_t>(got);
        if (static_cast<std::int64_t>(done) > maxBytes) {
            return tooLarge();
        }
        if (got == 0) {
            bytes.resize(done);
            return bytes;
        }
        if (done == bytes.size()) {
            bytes.resize(bytes.size() * 2);  // It grows while it is read, or lies in /proc and tells no size.
        }
    }
}

Result<std::string> readFileRange(const Path& path, std::int64_t offset, std::int64_t maxBytes) {
    struct stat info {};
    Result<UniqueFd> fd = openRegular(path, info);
    if (!fd.ok()) {
        return fd.error();
    }
    if (offset < 0 || maxBytes < 0) {
        return Error{"file.range", "A range of " + path.string() + " has a negative offset or length."};
    }
    const std::int64_t there = std::max<std::int64_t>(0, info.st_size - offset);
    std::string bytes(static_cast<std::size_t>(std::min(there, maxBytes)), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got =
            pread(fd->get(), bytes.data() + done, bytes.size() - done, offset + static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errnoError(errno, "read", path);
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

Status writeAll(int fd, std::string_view bytes, const Path& nameForErrors) {
    while (!bytes.empty()) {
        const ssize_t put = write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return errnoError(errno, "write", nameForErrors);
        }
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Status writeFileAtomically(const Path& path, std::string_view bytes, int mode) {
    TempFile temp(path, mode);
    TRAINYARD_TRY(temp.opened());
    TRAINYARD_TRY(writeAll(temp.fd(), bytes, path));
    return temp.finish();
}

Status makeDirs(const Path& path) {
    Path sofar;
    for (const Path& part : path) {
        sofar /= part;
        if (mkdir(sofar.c_str(), 0700) == 0) {
            continue;
        }
        const int error = errno;
        struct stat info {};
        // A folder above may be there and yet refuse mkdir with EACCES or EROFS, so what counts is what stands there.
        if (stat(sofar.c_str(), &info) != 0) {
            return errnoError(error, "make the folder", sofar);
        }
        if (!S_ISDIR(info.st_mode)) {
            return Error{"file.kind", sofar.string() + " is not a folder."};
        }
    }
    return {};
}

Status checkOwnedByUs(const Path& path) {
    struct stat link {};
    struct stat target {};
    if (lstat(path.c_str(), &link) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return {};
        }
        return errnoError(errno, "look at", path);
    }
    const bool dangling = stat(path.c_str(), &target) != 0;
    if (link.st_uid != geteuid() || (!dangling && target.st_uid != geteuid())) {
        return Error{"file.owner", path.string() + " belongs to another user (uid " +
                                       std::to_string(link.st_uid != geteuid() ? link.st_uid : target.st_uid) +
                                       "), so it is not used."};
    }
    return {};
}

Status copyFile(const Path& from, const Path& to, const std::function<bool(std::int64_t)>& progress) {
    struct stat info {};
    Result<UniqueFd> source = openRegular(from, info);
    if (!source.ok()) {
        return source.error();
    }
    TempFile temp(to, (info.st_mode & 0100) != 0 ? 0700 : 0600);
    TRAINYARD_TRY(temp.opened());
    std::vector<char> buffer;
    std::int64_t done = 0;
    for (bool inKernel = true;;) {
        std::int64_t copied = 0;
        if (inKernel) {
            const ssize_t got = copy_file_range(source->get(), nullptr, temp.fd(), nullptr, kChunk, 0);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            // Across file systems, on old kernels and for files that tell no size it is done by hand.
            if (got < 0 && errno == ENOSPC) {
                return errnoError(errno, "write", to);
            }
            if (got < 0 || (got == 0 && done == 0)) {
                inKernel = false;
                continue;
            }
            copied = got;
        } else {
            const Result<std::int64_t> got = copyChunk(source->get(), temp.fd(), buffer, from, to);
            if (!got.ok()) {
                return got.error();
            }
            copied = *got;
        }
        if (copied == 0) {
            return temp.finish();
        }
        done += copied;
        if (progress && !progress(done)) {
            return Error{"canceled", "Copying " + from.string() + " was canceled."};
        }
    }
}

Status removeTree(const Path& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error && error.value() != ENOENT) {
        return errnoError(error.value(), "remove", path);
    }
    return {};
}

Result<DiskSpace> diskSpace(const Path& path) {
    struct statvfs info {};
    if (statvfs(path.c_str(), &info) != 0) {
        return errnoError(errno, "look at the disk of", path);
    }
    const auto block = static_cast<std::int64_t>(info.f_frsize);
    return DiskSpace{static_cast<std::int64_t>(info.f_bavail) * block,
                     static_cast<std::int64_t>(info.f_blocks) * block};
}

bool isNetworkFileSystem(const Path& path) {
    struct statfs info {};
    Path at = std::filesystem::absolute(path);
    while (statfs(at.c_str(), &info) != 0) {
        if (!at.has_relative_path()) {
            return false;
        }
        at = at.parent_path();
    }
    constexpr unsigned kCifs = 0xFF534D42;
    constexpr unsigned kSmb2 = 0xFE534D42;
    constexpr unsigned kFuse = 0x65735546;
    constexpr unsigned kLustre = 0x0BD00BD0;
    constexpr unsigned kCeph = 0x00C36400;
    constexpr unsigned kGpfs = 0x47504653;
    constexpr unsigned kBeegfs = 0x19830326;
    const auto type = static_cast<unsigned>(info.f_type);
    for (const unsigned network :
         {static_cast<unsigned>(NFS_SUPER_MAGIC), static_cast<unsigned>(SMB_SUPER_MAGIC),
          static_cast<unsigned>(CODA_SUPER_MAGIC), static_cast<unsigned>(AFS_SUPER_MAGIC),
          static_cast<unsigned>(V9FS_MAGIC), kCifs, kSmb2, kFuse, kLustre, kCeph, kGpfs, kBeegfs}) {
        if (type == network) {
            return true;
        }
    }
    return false;
}

Result<FileLock> FileLock::tryExclusive(const Path& path, std::string_view note) {
    Result<UniqueFd> fd = openLocked(path, O_RDWR, LOCK_EX);
    if (!fd.ok()) {
        return fd.error();
    }
    if (ftruncate(fd->get(), 0) != 0) {
        return errnoError(errno, "write", path);
    }
    TRAINYARD_TRY(writeAll(fd->get(), note, path));
    FileLock lock;
    lock.m_fd = std::move(*fd);
    return lock;
}

Result<FileLock> FileLock::tryShared(const Path& path) {
    Result<UniqueFd> fd = openLocked(path, O_RDONLY, LOCK_SH);
    if (!fd.ok()) {
        return fd.error();
    }
    FileLock lock;
    lock.m_fd = std::move(*fd);
    return lock;
}

Path homeFolder() {
    if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
        return home;
    }
    // Without a name service, because the agent is static.
    if (const Result<std::string> passwd = readFile("/etc/passwd"); passwd.ok()) {
        for (const std::string& line : split(*passwd, '\n')) {
            const std::vector<std::string> fields = split(line, ':');
            if (fields.size() >= 6 && fields[2] == std::to_string(geteuid()) && fields[5].starts_with('/')) {
                return fields[5];
            }
        }
    }
    return "/var/tmp/trainyard-" + std::to_string(geteuid());
}

Path xdgDataHome() { return xdgFolder("XDG_DATA_HOME", ".local/share"); }
Path xdgConfigHome() { return xdgFolder("XDG_CONFIG_HOME", ".config"); }
Path xdgCacheHome() { return xdgFolder("XDG_CACHE_HOME", ".cache"); }

Path executableFolder() {
    std::error_code error;
    const Path executable = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? Path() : executable.parent_path();
}

}  // namespace trainyard::base
