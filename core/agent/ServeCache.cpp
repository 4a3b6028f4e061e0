// What lies in the work folder for later: cache, clear; and hash, of data that lies on the target already.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "core/agent/Environment.h"
#include "core/agent/RankFiles.h"
#include "core/agent/ServeStore.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Process.h"
#include "core/base/Text.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kScanReportNanos = 200'000'000;
/// An upload that nobody has gone on with for so long may be cleared.
constexpr std::int64_t kStaleUploadMicros = std::int64_t{3600} * 1'000'000;

struct Entry {
    std::string kind;
    std::string key;
    std::string name;
    std::int64_t bytes = 0;
    std::int64_t lastUse = 0;  ///< Microseconds UTC.
    bool inUse = false;
    Path path;
};

struct Size {
    std::int64_t bytes = 0;
    std::int64_t newest = 0;  ///< Microseconds UTC of the newest access.
};

Size sizeOf(const Path& path) {
    Size size;
    const auto add = [&size](const Path& one) {
        struct stat info {};
        if (::lstat(one.c_str(), &info) != 0) return;
        size.bytes += static_cast<std::int64_t>(info.st_blocks) * 512;
        const auto latest = std::max(info.st_atim.tv_sec, info.st_mtim.tv_sec);
        size.newest = std::max(size.newest, static_cast<std::int64_t>(latest) * 1'000'000);
    };
    add(path);
    std::error_code error;
    for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error))
        add(it->path());
    return size;
}

std::vector<Path> childrenOf(const Path& folder) {
    std::vector<Path> children;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        children.push_back(it->path());
    std::sort(children.begin(), children.end());
    return children;
}

/// The texts of the plans of all runs whose attempt has not ended for certain: their agent lives, or never ran.
std::string plansInUse(const wire::WorkLayout& work) {
    std::string texts;
    for (const Path& run : childrenOf(work.runs())) {
        const int attempt = newestAttempt(run);
        const Path folder = run / ("a" + std::to_string(attempt));
        bool open = attempt == 0;
        for (const int node : numberedFolders(folder, 'n')) {
            const wire::NodeLayout layout{folder / ("n" + std::to_string(node))};
            const auto agent = readJsonFile(layout.agent());
            const auto identity = agent.ok() ? base::processIdentityFromJson(agent->value("identity", base::Json()))
                                             : Result<base::ProcessIdentity>(agent.error());
            if (identity.ok() && base::liveness(*identity) != base::Liveness::Alive) continue;
            open = true;
            texts += base::readFile(layout.plan()).valueOr({});
        }
        if (open) texts += base::readFile(run / "plan.json").valueOr({});
    }
    return texts;
}

/// Processes that were started from a folder: agents and engines at work.
std::set<std::string> executables() {
    std::set<std::string> paths;
    for (const Path& process : childrenOf("/proc")) {
        std::error_code error;
        const Path path = fs::read_symlink(process / "exe", error);
        if (!error) paths.insert(path.string());
    }
    return paths;
}

bool anyInside(const std::set<std::string>& paths, const Path& folder) {
    const std::string prefix = folder.string() + "/";
    const auto it = paths.lower_bound(prefix);
    return it != paths.end() && it->starts_with(prefix);
}

bool uploadGoesOn(const Path& part) {
    const base::UniqueFd fd(::open(part.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return fd.valid() && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

std::vector<Entry> listCache(const wire::WorkLayout& work) {
    std::vector<Entry> entries;
    const std::string plans = plansInUse(work);
    const std::set<std::string> running = executables();
    const auto add = [&](const char* kind, const Path& path, const std::string& key, std::string name, bool inUse) {
        const Size size = sizeOf(path);
        entries.push_back({kind, key, std::move(name), size.bytes, size.newest, inUse, path});
    };
    for (const Path& path : childrenOf(work.root / "bin")) {
        add("agent", path, path.filename().string(), "trainyard-agent", anyInside(running, path));
    }
    for (const Path& path : childrenOf(work.engines())) {
        const std::string key = path.filename().string();
        add("engine", path, key, "trainyard-engine",
            anyInside(running, path) || plans.find(path.string()) != std::string::npos);
    }
    for (const Path& path : childrenOf(work.data())) {
        const std::string key = path.filename().string();
        const auto info = readJsonFile(dataInfo(work, key));
        add("data", path, key, info.ok() ? info->value("name", std::string()) : "not complete",
            plans.find(key) != std::string::npos);
    }
    for (const Path& path : childrenOf(work.environments())) {
        if (!fs::is_directory(fs::symlink_status(path))) continue;  // The locks beside them.
        const std::string key = path.filename().string();
        const auto ready = readJsonFile(environmentReady(path));
        const bool whole = isReadyEnvironment(path, key);
        // Whoever builds or uses it holds its lock, also when no agent is there any more.
        const auto lock = base::FileLock::tryExclusive(environmentLock(work, key));
        add("environment", path, key, whole ? ready->value("name", std::string()) : "not complete", !lock.ok());
        struct stat used {};
        if (::lstat((path / "used").c_str(), &used) == 0)
            entries.back().lastUse = std::int64_t{used.st_mtim.tv_sec} * 1'000'000;
    }
    Size objects = sizeOf(work.objects());
    Entry all{"objects",     "", "sources and other files of runs", objects.bytes, objects.newest, !plans.empty(),
              work.objects()};
    for (const Path& part : childrenOf(work.incoming())) {
        all.bytes += sizeOf(part).bytes;
        all.inUse = all.inUse || uploadGoesOn(part);
    }
    if (all.bytes > 0) entries.push_back(std::move(all));
    return entries;
}

Result<Json> cacheAnswer(const wire::WorkLayout& work) {
    Json answer = Json::object();
    answer["entries"] = Json::array();
    for (const Entry& entry : listCache(work)) {
        answer["entries"].push_back({{"kind", entry.kind},
                                     {"key", base::toValidUtf8(entry.key)},
                                     {"name", entry.name},
                                     {"bytes", entry.bytes},
                                     {"last_use", entry.lastUse},
                                     {"in_use", entry.inUse}});
    }
    return answer;
}

/// What nobody has gone on with for an hour.
void clearUploads(const wire::WorkLayout& work) {
    for (const Path& part : childrenOf(work.incoming())) {
        if (!uploadGoesOn(part) && base::wallMicros() - sizeOf(part).newest > kStaleUploadMicros)
            (void) removeReadOnlyTree(part);  // What cannot go now goes the next time.
    }
}

Result<Json> clearEntries(const wire::WorkLayout& work,
                          const std::vector<std::pair<std::string, std::string>>& wanted) {
    std::int64_t freed = 0;
    Json kept = Json::array();
    for (const Entry& entry : listCache(work)) {
        if (std::find(wanted.begin(), wanted.end(), std::pair(entry.kind, entry.key)) == wanted.end()) continue;
        if (entry.inUse) {
            kept.push_back({{"kind", entry.kind}, {"key", entry.key}});
            continue;
        }
        if (entry.kind == "objects") clearUploads(work);
        std::optional<base::FileLock> alone;
        if (entry.kind == "environment") {
            auto lock = base::FileLock::tryExclusive(environmentLock(work, entry.key), "the cache's clearing");
            if (!lock.ok()) {
                kept.push_back({{"kind", entry.kind}, {"key", entry.key}});
                continue;
            }
            alone = std::move(lock).value();
        }
        TRAINYARD_TRY(alone ? removeEnvironment(entry.path) : removeReadOnlyTree(entry.path));
        if (alone) ::unlink(environmentLock(work, entry.key).c_str());
        freed += std::max<std::int64_t>(0, entry.bytes - sizeOf(entry.path).bytes);
    }
    Json answer = Json::object();
    answer["freed_bytes"] = freed;
    answer["kept"] = std::move(kept);
    return answer;
}

Result<Json> hashPath(const Path& path, const ServeWorker::Say& say) {
    std::int64_t last = 0;
    const auto content = base::readContent(path, [&](std::int64_t bytes, std::int64_t total) {
        const std::int64_t now = base::monotonicNanos();
        if (now - last < kScanReportNanos) return true;
        last = now;
        return say({{"event", "progress"}, {"bytes", bytes}, {"total", total}});
    });
    if (!content.ok()) return content.error();
    Json answer = Json::object();
    answer["sha256"] = content->sha256;
    answer["size"] = content->size;
    answer["files"] = static_cast<std::int64_t>(content->files.size());
    answer["is_folder"] = content->isFolder;
    return answer;
}

}  // namespace

MadeRequest serveCache(ServeContext& context, std::int64_t id, const Json&, std::string) {
    return ServeRequestPtr(
        std::make_unique<ServeWorker>(context, id, [&](const ServeWorker::Say&) { return cacheAnswer(context.work); }));
}

MadeRequest serveClear(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    std::vector<std::pair<std::string, std::string>> wanted;
    for (const Json& item : arguments.reader().array("entries")) {
        base::ObjectReader entry(item, "entries");
        wanted.emplace_back(entry.string("kind"), entry.string("key"));
        arguments.reader().merge(entry);
    }
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(std::make_unique<ServeWorker>(
        context, id, [&](const ServeWorker::Say&) { return clearEntries(context.work, wanted); }));
}

MadeRequest serveHash(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const Path path = arguments.reader().string("path");
    if (!path.is_absolute() || path.string().find('\0') != std::string::npos) {
        arguments.reader().fail("serve.path", "path", "\"path\" must be absolute.");
    }
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(
        std::make_unique<ServeWorker>(context, id, [&](const ServeWorker::Say& say) { return hashPath(path, say); }));
}

}  // namespace trainyard::agent
