#include "core/agent/FolderTail.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;
using base::Path;

namespace {

constexpr std::int64_t kScanNanos = 1'000'000'000;
constexpr std::int64_t kReadNanos = 200'000'000;
constexpr std::int64_t kFolderDrainBytes = 256 << 10;
constexpr std::int64_t kLookBytes = 4096;
constexpr int kMostEntries = 20'000;

/// TensorBoard's events, pickles, images: a byte of zero among the first ones.
bool isBinary(const Path& path) {
    return path.filename().string().find("tfevents") != std::string::npos ||
           base::readFileRange(path, 0, kLookBytes).valueOr({}).find('\0') != std::string::npos;
}

}  // namespace

std::vector<FolderTail::Found> FolderTail::list() const {
    std::vector<Found> found;
    std::vector<Path> roots;
    for (const Path& folder : m_folders) {
        std::error_code error;
        const Path real = fs::canonical(folder, error);
        if (error || !fs::is_directory(real, error) || std::find(roots.begin(), roots.end(), real) != roots.end())
            continue;
        roots.push_back(real);
        int entries = 0;
        fs::recursive_directory_iterator it(real, fs::directory_options::skip_permission_denied, error);
        for (const fs::recursive_directory_iterator end; !error && it != end && ++entries <= kMostEntries;
             it.increment(error)) {
            if (it.depth() >= kMostDepth) it.disable_recursion_pending();
            struct stat info {};
            if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
            const std::string name = "logs/" + it->path().lexically_relative(real).generic_string();
            if (!base::isPlainRelativePath(name)) continue;
            found.push_back({it->path(), name, std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino),
                             info.st_size, std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec});
        }
    }
    return found;
}

FolderOffsets FolderTail::measure() const {
    FolderOffsets offsets;
    for (const Found& one : list()) offsets[one.inode] = one.size;
    return offsets;
}

int FolderTail::rankIn(const std::string& name) const {
    // "logs/rank3/out.txt", "logs/train_rank-3.log", "logs/rank_03.log"
    for (std::size_t at = name.find("rank"); at != std::string::npos; at = name.find("rank", at + 4)) {
        std::size_t digits = at + 4;
        while (digits < name.size() && (name[digits] == '_' || name[digits] == '-' || name[digits] == '.')) ++digits;
        int rank = -1;
        const auto parsed = std::from_chars(name.data() + digits, name.data() + name.size(), rank);
        if (parsed.ec == std::errc{} && rank >= 0 && rank < m_ranks) return rank;
    }
    return wire::kNoRank;
}

void FolderTail::scan(StreamSink& sink) {
    std::vector<Found> all = list();
    std::stable_sort(all.begin(), all.end(), [this](const Found& a, const Found& b) {
        return std::pair(!m_offsets.contains(a.inode), a.modified) <
               std::pair(!m_offsets.contains(b.inode), b.modified);
    });
    for (const Found& one : all) {
        if (m_files.contains(one.inode) || one.size == 0) continue;
        if (m_files.size() >= kMostFiles) {
            if (!std::exchange(m_tooMany, true)) {
                sink.putWarning(wire::kNoRank, "logs.files",
                                "More than " + std::to_string(kMostFiles) +
                                    " files lie in logs; the others are not shown as they grow.");
            }
            return;
        }
        const auto called = m_names.find(one.inode);
        const std::string name = called != m_names.end() ? called->second
                                 : m_masker              ? m_masker->mask(one.name)
                                                         : one.name;
        LogTail tail(one.path, rankIn(name), name);
        tail.followsAFile(one.inode);
        tail.maskWith(m_masker);
        const auto known = m_offsets.find(one.inode);
        if (known != m_offsets.end() && known->second <= one.size) tail.resumeAt(known->second);
        if (!tail.open()) continue;  // Kept open: its inode is then nobody else's.
        m_order.push_back(one.inode);
        m_files.emplace(one.inode, File{std::move(tail), name, 0, isBinary(one.path)});
    }
}

bool FolderTail::read(File& file, StreamSink& sink, bool dropLogs, bool final) {
    if (file.full) return false;
    const std::int64_t got = file.tail.drain(sink, std::min(kFolderDrainBytes, kMostFileBytes - file.read), dropLogs);
    file.read += got;
    if (file.read >= kMostFileBytes) {
        file.full = true;
        file.tail.flushPartial(sink, true, dropLogs);
        sink.putWarning(wire::kNoRank, "logs.size",
                        file.name + " has grown beyond " + base::formatBytes(kMostFileBytes) +
                            "; the rest is not shown.");
        return false;
    }
    file.tail.flushPartial(sink, final && file.tail.atEnd(), dropLogs);
    return got >= kFolderDrainBytes || (final && !file.tail.atEnd());
}

bool FolderTail::readAll(StreamSink& sink, bool dropLogs, bool final) {
    bool more = false;
    for (const std::string& inode : m_order) {
        if (!sink.mayTakeMore()) return true;
        more = read(m_files.at(inode), sink, dropLogs, final) || more;
    }
    return more;
}

// Known files first: what was written to one before it was rotated comes before what is in its successor.
bool FolderTail::drain(StreamSink& sink, bool dropLogs) {
    const std::int64_t now = base::monotonicNanos();
    if (m_lastRead != 0 && now - m_lastRead < kReadNanos) return false;
    m_lastRead = now;
    const bool more = readAll(sink, dropLogs, false);
    if (more || (m_lastScan != 0 && now - m_lastScan < kScanNanos)) return more;
    m_lastScan = now;
    scan(sink);
    return readAll(sink, dropLogs, false);
}

bool FolderTail::finish(StreamSink& sink, bool dropLogs) {
    if (m_finished) return true;
    if (readAll(sink, dropLogs, true)) return false;
    scan(sink);
    m_finished = !readAll(sink, dropLogs, true);
    return m_finished;
}

}  // namespace trainyard::agent
