#include "core/engine/data/FileReader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/Text.h"

namespace trainyard::engine {

base::Result<std::string_view> FileReader::read(const base::Path& path, std::int64_t most) {
    const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.valid()) {
        return base::errnoError(errno, "opening", path);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
        return base::errnoError(errno, "reading", path);
    }
    const auto refused = [&path](const char* code, const char* what) {
        return base::Error{code, "\"" + base::stripControl(base::toValidUtf8(path.string())) + "\" is " + what};
    };
    if (!S_ISREG(info.st_mode)) {
        return refused("file.kind", "no regular file.");
    }
    if (info.st_size == 0) {
        return refused("file.io", "empty.");
    }
    if (info.st_size > kMost && most >= kMost) {
        return refused("file.large", "larger than any picture may be (1 GiB).");
    }
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(info.st_size, most));
    if (wanted > m_capacity) {
        m_bytes = std::make_unique_for_overwrite<char[]>(wanted);
        m_capacity = wanted;
    }
    std::size_t done = 0;
    while (done < wanted) {
        const ssize_t got = ::pread(fd.get(), m_bytes.get() + done, wanted - done, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return base::errnoError(errno, "reading", path);
        }
        if (got == 0) {
            break;  // It was cut short meanwhile.
        }
        done += static_cast<std::size_t>(got);
    }
    if (done == 0) {
        return refused("file.io", "empty.");
    }
    return std::string_view(m_bytes.get(), done);
}

}  // namespace trainyard::engine
