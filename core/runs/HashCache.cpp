#include "core/runs/HashCache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Json.h"

namespace trainyard::runs {

using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr std::int64_t kMostLines = 200'000;  // About 40 MB; above it the file is begun anew.
// A file that was changed just now may change again within the same tick of its clock: its hash is not kept.
constexpr std::int64_t kYoungNanos = 2'000'000'000;

std::string lineOf(const std::string& path, std::int64_t size, std::int64_t changed, std::uint64_t inode,
                   std::uint64_t device, const std::string& hash) {
    return base::dumpJson(Json{{"path", path},
                               {"size", size},
                               {"changed", changed},
                               {"inode", inode},
                               {"device", device},
                               {"sha256", hash}}) +
           "\n";
}

}  // namespace

HashCache::HashCache(base::Path file) : m_file(std::move(file)) {
    if (m_file.empty()) {
        m_file = base::xdgCacheHome() / "trainyard" / "hashes.jsonl";
    }
}

HashCache& HashCache::shared() {
    static HashCache cache;
    return cache;
}

void HashCache::load() {
    m_loaded = true;
    const Result<std::string> text = base::readFile(m_file);
    if (!text.ok()) {
        return;
    }
    std::size_t begin = 0;
    for (std::size_t end = text->find('\n'); end != std::string::npos; end = text->find('\n', begin)) {
        const auto line = base::parseJson(std::string_view(*text).substr(begin, end - begin));
        begin = end + 1;
        ++m_lines;
        if (!line.ok() || !line->is_object()) {
            continue;
        }
        base::ObjectReader reader(*line, "");
        Known known;
        const std::string path = reader.string("path");
        known.size = reader.integer("size");
        known.changedNanos = reader.integer("changed");
        known.inode = static_cast<std::uint64_t>(reader.integer("inode"));
        known.device = static_cast<std::uint64_t>(reader.integer("device"));
        known.sha256 = reader.string("sha256");
        if (!path.empty() && known.sha256.size() == 64) {
            m_known[path] = std::move(known);
        }
    }
    if (m_lines > kMostLines) {
        std::string all;
        for (const auto& [path, known] : m_known) {
            all += lineOf(path, known.size, known.changedNanos, known.inode, known.device, known.sha256);
        }
        if (base::writeFileAtomically(m_file, all).ok()) {
            m_lines = static_cast<std::int64_t>(m_known.size());
        }
    }
}

void HashCache::remember(const std::string& path, const Known& known) {
    m_known[path] = known;
    if (!base::makeDirs(m_file.parent_path()).ok()) {
        return;
    }
    // A line that cannot be kept costs reading the file once more, nothing else.
    const base::UniqueFd fd(::open(m_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.valid() &&
        base::writeAll(fd.get(), lineOf(path, known.size, known.changedNanos, known.inode, known.device, known.sha256),
                       m_file)
            .ok()) {
        ++m_lines;
    }
}

Result<std::string> HashCache::sha256(const base::Path& file, const std::function<bool(std::int64_t)>& report) {
    std::error_code error;
    const std::string path = std::filesystem::absolute(file, error).lexically_normal().string();
    const auto look = [&](struct stat& info) -> Status {
        return ::stat(file.c_str(), &info) == 0 ? Status{} : Status{base::errnoError(errno, "read", file)};
    };
    const auto changedOf = [](const struct stat& info) {
        // The later of both: a file that is renamed into place keeps its old mtime.
        const auto nanos = [](const timespec& t) { return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
        return std::max(nanos(info.st_mtim), nanos(info.st_ctim));
    };
    struct stat before {};
    TRAINYARD_TRY(look(before));
    {
        const std::lock_guard held(m_lock);
        if (!m_loaded) {
            load();
        }
        if (const auto known = m_known.find(path); known != m_known.end() && known->second.size == before.st_size &&
                                                   known->second.changedNanos == changedOf(before) &&
                                                   known->second.inode == before.st_ino &&
                                                   known->second.device == before.st_dev) {
            return known->second.sha256;
        }
    }
    Result<std::string> hash = base::sha256File(file, report);
    struct stat after {};
    if (!hash.ok() || !look(after).ok()) {
        return hash;
    }
    const bool still =
        after.st_size == before.st_size && changedOf(after) == changedOf(before) && after.st_ino == before.st_ino;
    if (still && base::wallMicros() * 1000 - changedOf(after) > kYoungNanos) {
        const std::lock_guard held(m_lock);
        remember(path, {after.st_size, changedOf(after), after.st_ino, after.st_dev, *hash});
    }
    return hash;
}

}  // namespace trainyard::runs
