#include "core/runs/Snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <system_error>

#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/runs/HashCache.h"
#include "core/runs/Ignore.h"
#include "core/wire/Plan.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostNamed = 5;  // Of one kind of warning; the rest is counted.
constexpr int kMostFolders = 100;      // Depth.
constexpr int kTries = 3;

bool looksSecret(const std::string& name) {
    static constexpr std::array kNames = {".env",   "id_rsa",  "id_ed25519",       "id_ecdsa", "id_dsa",
                                          ".netrc", ".pgpass", "credentials.json", ".npmrc",   ".pypirc"};
    return std::ranges::find(kNames, name) != kNames.end() || name.ends_with(".pem") || name.ends_with(".p12") ||
           name.ends_with(".pfx") || name.ends_with(".keystore") || name.ends_with(".kdbx");
}

/// Names a few and counts the rest.
void warnOf(std::vector<std::string>& warnings, const std::vector<std::string>& paths, const std::string& what) {
    if (paths.empty()) {
        return;
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(paths.size(), kMostNamed); ++i) {
        text += (i == 0 ? "" : ", ") + paths[i];
    }
    if (paths.size() > kMostNamed) {
        text += " and " + std::to_string(paths.size() - kMostNamed) + " more";
    }
    warnings.push_back(text + ": " + what);
}

class Walk {
public:
    Walk(Path root, IgnoreStack ignore, const SnapshotReport& report)
        : m_root(std::move(root)), m_ignore(std::move(ignore)), m_report(report) {}

    Status folder(const Path& at, const std::string& relative, int depth) {
        if (depth > kMostFolders) {
            return Error{"snapshot.folder",
                         at.string() + " lies too deep in the source folder; ignore it, or move the source up.",
                         "task.source_folder"};
        }
        if (m_report && !m_report(list.bytes)) {
            return Error{"canceled", "Reading the source folder was canceled."};
        }
        std::error_code error;
        std::vector<std::string> names;
        for (std::filesystem::directory_iterator entry(at, error), end; !error && entry != end;
             entry.increment(error)) {
            names.push_back(entry->path().filename().string());
        }
        if (error) {
            return Error{"snapshot.unreadable",
                         at.string() + " cannot be read: " + error.message() + ". Ignore it, or make it readable.",
                         "task.source_folder"};
        }
        std::ranges::sort(names);
        for (const std::string& name : names) {
            TRAINYARD_TRY(entry(at / name, relative.empty() ? name : relative + "/" + name, name, depth));
        }
        return {};
    }

    void finish() {
        warnOf(list.warnings, m_links,
               "left out, since links that lead out of the source folder, nowhere or to a folder are not followed.");
        warnOf(list.warnings, m_special, "left out, since only regular files travel.");
        warnOf(list.warnings, m_workspaces, "left out, since it is a workspace.");
        warnOf(list.warnings, m_secrets,
               "this looks like a secret and travels to the target; name it in an ignore file if it should not.");
        if (list.bytes > kLargeSnapshotBytes) {
            list.warnings.push_back(
                "The source folder has " + std::to_string(list.bytes / 1'000'000) +
                " MB; data belongs into an input, and what the script does not need into an ignore file.");
        }
        if (static_cast<std::int64_t>(list.files.size()) > kLargeSnapshotFiles) {
            list.warnings.push_back("The source folder has " + std::to_string(list.files.size()) +
                                    " files; name what the script does not need in an ignore file.");
        }
        std::ranges::sort(list.files, {}, &SourceList::File::path);
    }

    SourceList list;

private:
    Status entry(const Path& path, const std::string& relative, const std::string& name, int depth) {
        struct stat info {};
        if (::lstat(path.c_str(), &info) != 0) {
            // Gone since the folder was listed: it is as if it had never been there.
            return errno == ENOENT ? Status{} : Status{base::errnoError(errno, "read", path)};
        }
        const bool isFolder = S_ISDIR(info.st_mode);
        if (name == ".git" || m_ignore.ignored(relative, isFolder)) {
            return {};
        }
        if (isFolder) {
            std::error_code error;
            if (std::filesystem::exists(path / "trainyard.json", error) &&
                std::filesystem::is_directory(path / "runs", error)) {
                m_workspaces.push_back(relative);
                return {};
            }
            TRAINYARD_TRY(m_ignore.enter(path, relative));
            const Status status = folder(path, relative, depth + 1);
            m_ignore.leave();
            return status;
        }
        if (!base::isPlainRelativePath(relative)) {
            return Error{
                "snapshot.name",
                "The name of " + path.string() +
                    " cannot travel: it is no UTF-8, too long, or has a control character. Rename or ignore it.",
                "task.source_folder"};
        }
        Path local = path;
        if (S_ISLNK(info.st_mode)) {
            std::error_code error;
            local = std::filesystem::canonical(path, error);
            const bool inside =
                !error && std::mismatch(m_root.begin(), m_root.end(), local.begin(), local.end()).first == m_root.end();
            if (!inside || ::lstat(local.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
                m_links.push_back(relative);
                return {};
            }
        }
        if (!S_ISREG(info.st_mode)) {
            m_special.push_back(relative);
            return {};
        }
        if (::access(local.c_str(), R_OK) != 0) {
            return Error{"snapshot.unreadable",
                         path.string() + " may not be read by you. Ignore it, or make it readable.",
                         "task.source_folder"};
        }
        if (looksSecret(name)) {
            m_secrets.push_back(relative);
        }
        list.files.push_back({relative, info.st_size, (info.st_mode & S_IXUSR) != 0, std::move(local)});
        list.bytes += info.st_size;
        return {};
    }

    Path m_root;
    IgnoreStack m_ignore;
    const SnapshotReport& m_report;
    std::vector<std::string> m_links;
    std::vector<std::string> m_special;
    std::vector<std::string> m_workspaces;
    std::vector<std::string> m_secrets;
};

/// Copies a file to a temporary one beside the objects, hashing what is written. Synced later, all at once.
Result<std::string> copyIn(const Path& from, const Path& temp, const std::function<bool(std::int64_t)>& report) {
    const base::UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!in.valid()) {
        return base::errnoError(errno, "read", from);
    }
    const base::UniqueFd out(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!out.valid()) {
        return base::errnoError(errno, "write", temp);
    }
    base::Sha256 hash;
    std::string buffer(1 << 18, '\0');
    for (std::int64_t done = 0;;) {
        const ssize_t got = ::read(in.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return base::errnoError(errno, "read", from);
        }
        if (got == 0) {
            return hash.hex();
        }
        const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
        hash.add(bytes);
        TRAINYARD_TRY(base::writeAll(out.get(), bytes, temp));
        done += got;
        if (report && !report(done)) {
            return Error{"canceled", "Copying the source was canceled."};
        }
    }
}

bool isObject(const Path& object, std::int64_t size) {
    struct stat info {};
    return ::lstat(object.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == size;
}

/// The file's bytes as an object; its hash. What is copied is what the name says, whatever happens to the file
/// meanwhile.
Result<std::string> keep(const wire::WorkspaceLayout& layout, const SourceList::File& file,
                         const SnapshotReport& report, std::int64_t before) {
    const auto told = [&](std::int64_t bytes) { return !report || report(before + bytes); };
    auto known = HashCache::shared().sha256(file.local, told);
    if (!known.ok()) {
        return known.error();
    }
    if (isObject(layout.object(*known), file.size)) {
        return known;
    }
    const Path temp = layout.objects() / (".incoming-" + std::to_string(::getpid()) + "-" + base::RunId::make().str());
    auto hash = copyIn(file.local, temp, told);
    if (hash.ok() && ::rename(temp.c_str(), layout.object(*hash).c_str()) != 0) {
        hash = base::errnoError(errno, "rename", layout.object(*hash));
    }
    if (!hash.ok()) {
        ::unlink(temp.c_str());
    }
    return hash;
}

Status syncObjects(const Path& folder) {
    const base::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || ::syncfs(fd.get()) != 0) {
        return base::errnoError(errno, "sync", folder);
    }
    return {};
}

}  // namespace

Result<SourceList> listSource(const Path& folder, const SnapshotReport& report) {
    std::error_code error;
    const Path root = std::filesystem::canonical(folder, error);
    if (error || !std::filesystem::is_directory(root, error)) {
        return Error{"snapshot.folder",
                     folder.string() + (error ? " is not there or may not be read." : " is not a folder."),
                     "task.source_folder"};
    }
    auto ignore = IgnoreStack::open(root);
    if (!ignore.ok()) {
        return ignore.error();
    }
    const std::string fileName = ignore->fileName();
    Walk walk(root, std::move(*ignore), report);
    TRAINYARD_TRY(walk.folder(root, "", 0));
    walk.finish();
    walk.list.ignoreFile = fileName;
    return std::move(walk.list);
}

Result<Snapshot> takeSnapshot(const wire::WorkspaceLayout& layout, const Path& folder, const SnapshotReport& report) {
    auto list = listSource(folder, report);
    if (!list.ok()) {
        return list.error();
    }
    TRAINYARD_TRY(base::makeDirs(layout.objects()));
    Snapshot snapshot;
    std::error_code error;
    snapshot.folder = std::filesystem::canonical(folder, error);
    snapshot.t = base::wallMicros();
    snapshot.ignoreFile = list->ignoreFile;
    snapshot.warnings = list->warnings;
    std::vector<base::ContentFile> content;
    for (const SourceList::File& file : list->files) {
        Result<std::string> hash =
            Error{"snapshot.changed", file.path + " keeps changing while it is read; try again when it rests.",
                  "task.source_folder"};
        struct stat info {};
        for (int i = 0; i < kTries; ++i) {
            auto kept = keep(layout, file, report, snapshot.bytes);
            if (!kept.ok()) {
                return kept.error();
            }
            if (::lstat(layout.object(*kept).c_str(), &info) == 0) {
                hash = std::move(kept);
                break;
            }
        }
        if (!hash.ok()) {
            return hash.error();
        }
        snapshot.bytes += info.st_size;
        content.push_back({file.path, *hash, info.st_size});
        snapshot.files.push_back({file.path, *hash, info.st_size, file.executable, layout.object(*hash)});
    }
    TRAINYARD_TRY(syncObjects(layout.objects()));
    snapshot.sha256 = base::contentHash(std::move(content));
    GitState git = readGit(snapshot.folder, base::Deadline::inMillis(20'000));
    if (git.repository) {
        snapshot.git = toJson(git);
        snapshot.patch = std::move(git.patch);
    }
    if (!git.warning.empty()) {
        snapshot.warnings.push_back(git.warning);
    }
    return snapshot;
}

Status writeSnapshot(const wire::WorkspaceLayout& layout, const base::RunId& run, const Snapshot& snapshot) {
    Json files = Json::array();
    for (const targets::SnapshotFile& file : snapshot.files) {
        files.push_back(
            {{"path", file.path}, {"sha256", file.sha256}, {"size", file.size}, {"executable", file.executable}});
    }
    if (!snapshot.patch.empty()) {
        TRAINYARD_TRY(base::writeFileAtomically(layout.patch(run), snapshot.patch));
    }
    const Json document{{"format", wire::kSnapshotFormat},
                        {"version", wire::kSnapshotVersion},
                        {"folder", snapshot.folder.string()},
                        {"t", snapshot.t},
                        {"sha256", snapshot.sha256},
                        {"bytes", snapshot.bytes},
                        {"ignore_file", snapshot.ignoreFile},
                        {"warnings", snapshot.warnings},
                        {"git", snapshot.git},
                        {"files", std::move(files)}};
    return base::writeFileAtomically(layout.snapshot(run), base::dumpJson(document));
}

Result<Snapshot> readSnapshot(const wire::WorkspaceLayout& layout, const base::RunId& run) {
    const Path file = layout.snapshot(run);
    auto text = base::readFile(file, std::int64_t{1} << 30);
    if (!text.ok()) {
        return text.error().code == "file.missing"
                   ? Error{"snapshot.none", "The run was started without a source folder.", "run"}
                   : text.error();
    }
    auto json = base::parseJson(*text);
    if (!json.ok()) {
        return Error{"snapshot.damaged", file.string() + " is damaged: " + json.error().message, "run"};
    }
    TRAINYARD_TRY(base::checkFormat(*json, wire::kSnapshotFormat, wire::kSnapshotVersion));
    base::ObjectReader reader(*json, "");
    Snapshot snapshot;
    snapshot.folder = reader.string("folder");
    snapshot.t = reader.integer("t");
    snapshot.sha256 = reader.string("sha256");
    snapshot.bytes = reader.integer("bytes");
    snapshot.ignoreFile = reader.string("ignore_file");
    snapshot.warnings = reader.strings("warnings");
    snapshot.git = reader.raw("git");
    for (const Json& item : reader.array("files")) {
        base::ObjectReader entry(item, "files");
        targets::SnapshotFile known;
        known.path = entry.string("path");
        known.sha256 = entry.string("sha256");
        known.size = entry.integer("size");
        known.executable = entry.boolean("executable");
        known.local = layout.object(known.sha256);
        if (!base::isPlainRelativePath(known.path) || known.sha256.size() != 64 ||
            known.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
            return Error{"snapshot.damaged", file.string() + " names a file that cannot be.", "run"};
        }
        snapshot.files.push_back(std::move(known));
    }
    if (const Status status = reader.status(false); !status.ok()) {
        return Error{"snapshot.damaged", file.string() + " is damaged: " + status.error().message, "run"};
    }
    return snapshot;
}

std::vector<SnapshotChange> compareSnapshots(const Snapshot& left, const Snapshot& right) {
    std::map<std::string, std::pair<std::string, std::string>> both;
    for (const targets::SnapshotFile& file : left.files) {
        both[file.path].first = file.sha256;
    }
    for (const targets::SnapshotFile& file : right.files) {
        both[file.path].second = file.sha256;
    }
    std::vector<SnapshotChange> changes;
    for (const auto& [path, hashes] : both) {
        if (hashes.first != hashes.second) {
            using Kind = SnapshotChange::Kind;
            const Kind kind = hashes.first.empty()    ? Kind::Added
                              : hashes.second.empty() ? Kind::Removed
                                                      : Kind::Changed;
            changes.push_back({kind, path, hashes.first, hashes.second});
        }
    }
    return changes;
}

}  // namespace trainyard::runs
