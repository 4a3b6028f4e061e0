#include "core/runs/StreamCopy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Status;

base::Result<StreamCopy> StreamCopy::open(const base::Path& folder) {
    TRAINYARD_TRY(base::makeDirs(folder));
    StreamCopy copy;
    copy.m_folder = folder;
    std::error_code error;
    while (std::filesystem::exists(folder / wire::segmentName(copy.m_segment + 1), error)) {
        ++copy.m_segment;
    }
    TRAINYARD_TRY(copy.openSegment());
    return copy;
}

Status StreamCopy::openSegment() {
    const base::Path file = m_folder / wire::segmentName(m_segment);
    m_fd.reset(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat info {};
    if (!m_fd.valid() || ::fstat(m_fd.get(), &info) != 0) {
        return base::errnoError(errno, "open", file);
    }
    m_size = info.st_size;
    return {};
}

Status StreamCopy::append(int segment, std::int64_t offset, std::string_view bytes) {
    if (segment != m_segment || offset != m_size) {
        return Error{"copy.position", "Bytes of the run's stream arrived that do not follow what is here."};
    }
    const Status written = base::writeAll(m_fd.get(), bytes, m_folder / wire::segmentName(m_segment));
    if (written.ok()) {
        m_size += static_cast<std::int64_t>(bytes.size());
        return {};
    }
    struct stat info {};
    if (::fstat(m_fd.get(), &info) == 0) {
        m_size = info.st_size;
    }
    return written;
}

Status StreamCopy::closeSegment() {
    TRAINYARD_TRY(sync());
    ++m_segment;
    return openSegment();
}

Status StreamCopy::sync() {
    if (::fdatasync(m_fd.get()) != 0) {
        return base::errnoError(errno, "sync", m_folder / wire::segmentName(m_segment));
    }
    return {};
}

}  // namespace trainyard::runs
