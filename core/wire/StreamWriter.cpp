#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/Clock.h"
#include "core/wire/RunStream.h"

namespace trainyard::wire {

namespace {

constexpr std::int64_t kLockMillis = 10'000;

/// Highest segment there is; 0 when there is none.
Result<int> lastSegment(const Path& folder) {
    int last = 0;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator(folder, error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        const int number = std::atoi(name.c_str());
        if (number > 0 && name == segmentName(number)) {
            last = std::max(last, number);
        }
    }
    if (error) {
        return base::errnoError(error.value(), "list", folder);
    }
    return last;
}

struct End {
    std::int64_t wholeBytes = 0;      ///< Up to and with the last newline.
    std::optional<std::int64_t> seq;  ///< Of the last record; nothing when there is none in the range.
    std::int64_t damagedAfter = 0;    ///< Whole lines behind it that are no records.
};

/// Looks from the end of the file backwards, no further than `from`, for the last record.
Result<End> findEnd(const Path& file, std::int64_t from, std::int64_t size) {
    End end;
    end.wholeBytes = from;
    for (std::int64_t window = 256 << 10;; window *= 4) {
        const std::int64_t start = std::max(from, size - window);
        const Result<std::string> bytes = base::readFileRange(file, start, size - start);
        if (!bytes.ok()) {
            return bytes.error();
        }
        end.damagedAfter = 0;
        std::size_t lineEnd = bytes->rfind('\n');
        if (lineEnd != std::string::npos) {
            end.wholeBytes = start + static_cast<std::int64_t>(lineEnd) + 1;
        }
        while (lineEnd != std::string::npos) {
            const std::size_t before = lineEnd == 0 ? std::string::npos : bytes->rfind('\n', lineEnd - 1);
            if (before == std::string::npos && start > from) {
                break;  // The line begins before the window.
            }
            const std::size_t lineStart = before == std::string::npos ? 0 : before + 1;
            const Result<Record> record = decode(std::string_view(*bytes).substr(lineStart, lineEnd - lineStart));
            if (record.ok()) {
                end.seq = record->seq;
                return end;
            }
            if (record.error().code == "stream.major") {
                return record.error();
            }
            ++end.damagedAfter;
            lineEnd = before;
        }
        if (start == from) {
            return end;
        }
    }
}

/// Holds a flock for one append.
class AppendLock {
public:
    static Result<AppendLock> take(int fd, const Path& file) {
        const auto deadline = base::Deadline::inMillis(kLockMillis);
        for (;;) {
            if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
                return AppendLock(fd);
            }
            if (errno != EWOULDBLOCK && errno != EINTR) {
                return base::errnoError(errno, "lock", file);
            }
            if (deadline.passed()) {
                return Error{"lock.held", file.string() + " is being written by another process that does not end."};
            }
            usleep(1000);
        }
    }
    AppendLock(AppendLock&& other) noexcept : m_fd(std::exchange(other.m_fd, -1)) {}
    AppendLock& operator=(AppendLock&&) = delete;
    ~AppendLock() {
        if (m_fd >= 0) {
            flock(m_fd, LOCK_UN);
        }
    }

private:
    explicit AppendLock(int fd) : m_fd(fd) {}
    int m_fd;
};

}  // namespace

Result<StreamWriter> StreamWriter::open(const Path& folder, std::int64_t segmentBytes) {
    TRAINYARD_TRY(base::makeDirs(folder));
    TRAINYARD_TRY(base::checkOwnedByUs(folder));
    const Result<int> last = lastSegment(folder);
    if (!last.ok()) {
        return last.error();
    }
    StreamWriter writer;
    writer.m_folder = folder;
    writer.m_segmentBytes = segmentBytes;
    writer.m_segment = std::max(1, *last);
    TRAINYARD_TRY(writer.openSegment(true));
    // A segment that holds no record yet (the writer died having just opened it): the ones before it know the seq.
    for (int segment = writer.m_segment - 1; segment >= 1 && !writer.m_sawRecord; --segment) {
        const Path file = folder / segmentName(segment);
        std::error_code error;
        const auto size = std::filesystem::file_size(file, error);
        if (error) {
            return base::errnoError(error.value(), "look at", file);
        }
        const Result<End> end = findEnd(file, 0, static_cast<std::int64_t>(size));
        if (!end.ok()) {
            return end.error();
        }
        writer.m_lastSeq += end->seq.value_or(0) + end->damagedAfter;
        writer.m_sawRecord = end->seq.has_value();
    }
    return writer;
}

Result<StreamWriter> StreamWriter::openFile(const Path& file) {
    const Path folder = file.parent_path();
    if (!folder.empty()) {
        TRAINYARD_TRY(base::makeDirs(folder));
    }
    StreamWriter writer;
    writer.m_file = file;
    writer.m_singleFile = true;
    TRAINYARD_TRY(writer.openSegment(false));
    Result<AppendLock> lock = AppendLock::take(writer.m_fd.get(), file);
    if (!lock.ok()) {
        return lock.error();
    }
    TRAINYARD_TRY(writer.takeUpEnd());
    return writer;
}

Status StreamWriter::openSegment(bool takeUp) {
    if (!m_singleFile) {
        m_file = m_folder / segmentName(m_segment);
    }
    TRAINYARD_TRY(base::checkOwnedByUs(m_file));
    m_fd.reset(::open(m_file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!m_fd.valid()) {
        return base::errnoError(errno, "open", m_file);
    }
    m_size = 0;
    m_lineOpen = false;
    return takeUp ? takeUpEnd() : Status();
}

/// Goes on from m_size to the file's end, which another process may have moved.
Status StreamWriter::takeUpEnd() {
    struct stat info {};
    if (fstat(m_fd.get(), &info) != 0) {
        return base::errnoError(errno, "look at", m_file);
    }
    if (!S_ISREG(info.st_mode)) {
        return Error{"file.kind", m_file.string() + " is not a regular file."};
    }
    if (info.st_size == m_size && !m_lineOpen) {
        return {};
    }
    if (info.st_size < m_size || m_lineOpen) {
        m_size = 0;
        m_lastSeq = 0;
    }
    const Result<End> end = findEnd(m_file, m_size, info.st_size);
    if (!end.ok()) {
        return end.error();
    }
    if (end->wholeBytes < info.st_size) {
        if (ftruncate(m_fd.get(), end->wholeBytes) != 0) {
            return base::errnoError(errno, "cut the torn end of", m_file);
        }
        m_cutTornTail = true;
    }
    m_lineOpen = false;
    m_size = end->wholeBytes;
    // A damaged line had a number too; to give it away again would make a reader skip the record that gets it.
    m_lastSeq = end->seq.value_or(m_lastSeq) + end->damagedAfter;
    m_sawRecord = m_sawRecord || end->seq.has_value();
    return {};
}

Status StreamWriter::rotateIfFull() {
    if (m_singleFile || m_size < m_segmentBytes) {
        return {};
    }
    TRAINYARD_TRY(sync());
    ++m_segment;
    return openSegment(false);
}

Result<std::int64_t> StreamWriter::append(std::int64_t t, int rank, std::string_view kind, const Json& body) {
    std::vector<Record> records(1);
    records[0].t = t;
    records[0].rank = rank;
    records[0].kind = kind;
    records[0].body = body;
    TRAINYARD_TRY(appendAll(records));
    return m_lastSeq;
}

Status StreamWriter::appendAll(std::vector<Record>& records) {
    if (records.empty()) {
        return {};
    }
    if (!m_singleFile) {
        TRAINYARD_TRY(rotateIfFull());
        return write(records);
    }
    Result<AppendLock> lock = AppendLock::take(m_fd.get(), m_file);
    if (!lock.ok()) {
        return lock.error();
    }
    TRAINYARD_TRY(takeUpEnd());
    return write(records);
}

Status StreamWriter::write(std::vector<Record>& records) {
    std::string bytes;
    if (m_lineOpen) {
        bytes += '\n';  // Ends the torn line: what was written stays as it was, because it may have been copied.
    }
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i].seq = m_lastSeq + static_cast<std::int64_t>(i) + 1;
        bytes += encode(records[i]);
        ends.push_back(bytes.size());
    }
    std::size_t done = 0;
    int error = 0;
    while (done < bytes.size() && error == 0) {
        const ssize_t put = ::write(m_fd.get(), bytes.data() + done, bytes.size() - done);
        if (put > 0) {
            done += static_cast<std::size_t>(put);
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    m_size += static_cast<std::int64_t>(done);
    m_lastSeq += std::upper_bound(ends.begin(), ends.end(), done) - ends.begin();
    m_lineOpen = done > 0 ? bytes[done - 1] != '\n' : m_lineOpen;
    if (error != 0) {
        return base::errnoError(error, "write", m_file);
    }
    return {};
}

Status StreamWriter::sync() {
    if (fdatasync(m_fd.get()) != 0) {
        return base::errnoError(errno, "sync", m_file);
    }
    return {};
}

}  // namespace trainyard::wire
