#include "core/registry/FileBytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace trainyard::registry {

base::Result<FileBytes> FileBytes::open(const base::Path& path) {
    // Not blocking, for what lies there may be a pipe that nobody writes to.
    auto fd = std::make_shared<base::UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat facts {};
    if (!fd->valid() || ::fstat(fd->get(), &facts) != 0) {
        return base::errnoError(errno, "reading", path);
    }
    if (!S_ISREG(facts.st_mode)) {
        return base::Error{"file.kind", path.string() + " is no regular file."};
    }
    FileBytes bytes;
    bytes.m_fd = std::move(fd);
    bytes.m_end = static_cast<std::uint64_t>(facts.st_size);
    return bytes;
}

FileBytes FileBytes::part(std::uint64_t offset, std::uint64_t length) const {
    FileBytes bytes;
    bytes.m_fd = m_fd;
    bytes.m_begin = m_begin + std::min(offset, size());
    bytes.m_end = bytes.m_begin + std::min(length, m_end - bytes.m_begin);
    return bytes;
}

bool FileBytes::read(std::uint64_t offset, void* to, std::size_t count) {
    if (offset > size() || count > size() - offset) {
        return false;
    }
    std::uint64_t at = m_begin + offset;
    auto* out = static_cast<unsigned char*>(to);
    while (count > 0) {
        if (at < m_bufferAt || at >= m_bufferAt + m_buffered) {
            const ssize_t got = ::pread(m_fd->get(), m_buffer.data(), m_buffer.size(), static_cast<off_t>(at));
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return false;
            }
            m_bufferAt = at;
            m_buffered = static_cast<std::size_t>(got);
        }
        const auto skip = static_cast<std::size_t>(at - m_bufferAt);
        const std::size_t now = std::min(count, m_buffered - skip);
        std::memcpy(out, m_buffer.data() + skip, now);
        at += now;
        out += now;
        count -= now;
    }
    return true;
}

std::string FileBytes::text(std::uint64_t offset, std::size_t count) {
    if (offset >= size()) {
        return {};
    }
    std::string out(static_cast<std::size_t>(std::min<std::uint64_t>(count, size() - offset)), '\0');
    return read(offset, out.data(), out.size()) ? out : std::string();
}

bool FileBytes::number(std::uint64_t offset, int bytes, std::uint64_t& value) {
    unsigned char raw[8];
    if (!read(offset, raw, static_cast<std::size_t>(bytes))) {
        return false;
    }
    value = 0;
    for (int i = bytes; i-- > 0;) {
        value = value << 8 | raw[i];
    }
    return true;
}

}  // namespace trainyard::registry
