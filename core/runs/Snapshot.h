#pragma once
// The source folder of a run as it was at submission: every file's bytes once in objects/<sha256>, the list of them in
// runs/<id>/snapshot.json.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/runs/Git.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

inline constexpr std::int64_t kLargeSnapshotBytes = 300'000'000;
inline constexpr std::int64_t kLargeSnapshotFiles = 2'000;

/// What travels from a source folder.
struct SourceList {
    struct File {
        std::string path;  ///< Relative to the source folder.
        std::int64_t size = 0;
        bool executable = false;
        base::Path local;  ///< Where its bytes are: the file itself, or what a link inside the folder leads to.
    };
    std::vector<File> files;  ///< By path.
    std::int64_t bytes = 0;
    std::string ignoreFile;  ///< ".gitignore"…; empty without one.
    /// Sentences for people: too large, too many, a file that looks like a secret, a link that was left out.
    std::vector<std::string> warnings;
};

/// Called with bytes done; false: stop ("canceled").
using SnapshotReport = std::function<bool(std::int64_t)>;

/// Walks the folder by the rules of its ignore files. .git and folders that are a workspace of ours never travel; links
/// that leave the folder, lead nowhere or to a folder are left out and named. Errors: "snapshot.folder" (missing, no
/// folder, may not be read), "snapshot.name" (no UTF-8 or a control character), "snapshot.unreadable", "canceled",
/// file.*.
[[nodiscard]] base::Result<SourceList> listSource(const base::Path& folder, const SnapshotReport& report = {});

struct Snapshot {
    base::Path folder;                         ///< Where it was taken.
    std::int64_t t = 0;                        ///< Microseconds UTC.
    std::vector<targets::SnapshotFile> files;  ///< By path; `local` is the object.
    std::int64_t bytes = 0;
    std::string ignoreFile;
    std::vector<std::string> warnings;
    base::Json git;      ///< As toJson(GitState), null outside a repository.
    std::string patch;   ///< Only right after it was taken; then in WorkspaceLayout::patch().
    std::string sha256;  ///< Content hash of all files: equal sources have equal ones.
};

/// Lists, hashes (files that did not change since are known) and keeps the folder's files. Errors: those of listSource,
/// "snapshot.changed" (a file keeps changing while it is read), file.*.
[[nodiscard]] base::Result<Snapshot> takeSnapshot(const wire::WorkspaceLayout& layout, const base::Path& folder,
                                                  const SnapshotReport& report = {});
/// Puts snapshot.json (and the patch) into the run's folder.
[[nodiscard]] base::Status writeSnapshot(const wire::WorkspaceLayout& layout, const base::RunId& run,
                                         const Snapshot& snapshot);
/// "snapshot.none" when the run has none, "snapshot.damaged".
[[nodiscard]] base::Result<Snapshot> readSnapshot(const wire::WorkspaceLayout& layout, const base::RunId& run);

struct SnapshotChange {
    enum class Kind { Added, Removed, Changed };
    Kind kind = Kind::Changed;
    std::string path;
    std::string left;  ///< SHA-256, empty when it is not there.
    std::string right;
};
/// What is different on the right, by path.
[[nodiscard]] std::vector<SnapshotChange> compareSnapshots(const Snapshot& left, const Snapshot& right);

}  // namespace trainyard::runs
