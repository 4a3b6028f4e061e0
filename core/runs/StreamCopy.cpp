#include "core/runs/StreamCopy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
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

base::Result<StreamCopy*> RunCopies::copy(int attempt, int node) {
    auto found = m_copies.find({attempt, node});
    if (found == m_copies.end()) {
        auto opened = StreamCopy::open(m_layout.stream(m_run, attempt, node));
        if (!opened.ok()) {
            return opened.error();
        }
        found = m_copies.emplace(std::pair(attempt, node), std::move(*opened)).first;
    }
    return &found->second;
}

base::Result<std::vector<targets::StreamPosition>> RunCopies::positions() {
    m_copies.clear();
    std::vector<targets::StreamPosition> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_layout.run(m_run) / "stream", error)) {
        int attempt = 0;
        int node = 0;
        char behind = 0;
        const std::string name = entry.path().filename().string();
        if (std::sscanf(name.c_str(), "a%d-n%d%c", &attempt, &node, &behind) != 2 || attempt < 1 || node < 0 ||
            entry.path() != m_layout.stream(m_run, attempt, node)) {
            continue;
        }
        const auto here = copy(attempt, node);
        if (!here.ok()) {
            return here.error();
        }
        found.push_back({attempt, node, (*here)->segment(), (*here)->size()});
    }
    return found;
}

Status RunCopies::append(const targets::StreamChunk& chunk) {
    constexpr int kMost = 1'000'000;  // Attempts or nodes; what names more is no stream of ours.
    if (chunk.attempt < 1 || chunk.attempt > kMost || chunk.node < 0 || chunk.node > kMost) {
        return Error{"copy.position", "Bytes arrived of a stream that no run has."};
    }
    const auto here = copy(chunk.attempt, chunk.node);
    if (!here.ok()) {
        return here.error();
    }
    if (!chunk.bytes.empty()) {
        TRAINYARD_TRY((*here)->append(chunk.segment, chunk.offset, chunk.bytes));
    }
    return chunk.closed ? (*here)->closeSegment() : Status{};
}

Status RunCopies::sync() {
    for (auto& [stream, copy] : m_copies) {
        TRAINYARD_TRY(copy.sync());
    }
    return {};
}

Status StreamCopy::sync() {
    if (::fdatasync(m_fd.get()) != 0) {
        return base::errnoError(errno, "sync", m_folder / wire::segmentName(m_segment));
    }
    return {};
}

}  // namespace trainyard::runs
