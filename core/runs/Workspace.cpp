#include "core/runs/Workspace.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr const char* kRecentFormat = "trainyard.recent";
constexpr int kRecentVersion = 1;
constexpr std::size_t kRecentMost = 20;

Path wholePath(const Path& folder) {
    std::error_code error;
    Path whole = std::filesystem::absolute(folder, error);
    if (error) {
        whole = folder;
    }
    whole = whole.lexically_normal();
    // "w/" and "w" are one folder; the list of recent ones must not hold both.
    return whole.has_filename() || !whole.has_parent_path() ? whole : whole.parent_path();
}

Path recentFile() { return base::xdgConfigHome() / "trainyard" / "recent.json"; }

Status writeRecent(const std::vector<RecentWorkspace>& list) {
    Json rows = Json::array();
    for (const RecentWorkspace& one : list) {
        rows.push_back(Json{{"root", one.root.string()}, {"name", one.name}, {"opened_at", one.openedAt}});
    }
    TRAINYARD_TRY(base::makeDirs(recentFile().parent_path()));
    return base::writeFileAtomically(
        recentFile(),
        base::dumpJsonPretty(Json{{"format", kRecentFormat}, {"version", kRecentVersion}, {"workspaces", rows}}));
}

/// The first thing that keeps us from writing, as a sentence; empty when there is none.
std::string whyReadOnly(const wire::WorkspaceLayout& layout) {
    for (const Path& path : {layout.root, layout.runs(), layout.index()}) {
        std::error_code error;
        if (std::filesystem::exists(path, error) && ::access(path.c_str(), W_OK) != 0) {
            return path.string() + " cannot be written by you; runs can be looked at, but not started or changed.";
        }
    }
    return {};
}

}  // namespace

Result<Workspace> initWorkspace(const Path& folder, const std::string& name) {
    const wire::WorkspaceLayout layout{wholePath(folder)};
    std::error_code error;
    if (std::filesystem::exists(layout.marker(), error)) {
        return Error{"workspace.exists", layout.root.string() + " is a workspace already.", "folder"};
    }
    if (std::filesystem::exists(layout.root, error)) {
        if (!std::filesystem::is_directory(layout.root, error)) {
            return Error{"workspace.not_folder", layout.root.string() + " is a file; a workspace is a folder.",
                         "folder"};
        }
        if (!std::filesystem::is_empty(layout.root, error)) {
            return Error{"workspace.not_empty",
                         layout.root.string() + " holds other files. Choose an empty or a new folder.", "folder"};
        }
        TRAINYARD_TRY(base::checkOwnedByUs(layout.root));
    }
    for (const Path& part : {layout.root, layout.runs(), layout.models(), layout.objects(), layout.datasets(),
                             layout.drafts(), layout.trash()}) {
        if (Status made = base::makeDirs(part); !made.ok()) {
            return Error{made.error().code, made.error().message, "folder"};
        }
    }
    const Json marker{{"format", kWorkspaceFormat},
                      {"version", kWorkspaceVersion},
                      {"id", base::newUuid7()},
                      {"name", name.empty() ? layout.root.filename().string() : name},
                      {"created", base::isoTime(base::wallMicros())}};
    // The marker comes last: a folder without it is not a workspace yet.
    TRAINYARD_TRY(base::writeFileAtomically(layout.marker(), base::dumpJsonPretty(marker)));
    return openWorkspace(layout.root);
}

Result<Workspace> openWorkspace(const Path& folder) {
    Workspace workspace;
    workspace.layout.root = wholePath(folder);
    const wire::WorkspaceLayout& layout = workspace.layout;
    const Result<std::string> text = base::readFile(layout.marker());
    if (!text.ok()) {
        if (text.error().code == "file.missing") {
            return Error{"workspace.none",
                         layout.root.string() + " is not a workspace: it has no trainyard.json. Make one with "
                                                "\"trainyard-cli workspace init\" or choose another folder.",
                         "folder"};
        }
        return Error{"workspace.unreadable", text.error().message, "folder"};
    }
    const Result<Json> marker = base::parseJson(*text);
    if (!marker.ok()) {
        return Error{"workspace.damaged", layout.marker().string() + " cannot be read: " + marker.error().message,
                     "folder"};
    }
    if (const Status format = base::checkFormat(*marker, kWorkspaceFormat, kWorkspaceVersion); !format.ok()) {
        const bool newer = format.error().code == "format.newer";
        return Error{newer ? "workspace.newer" : "workspace.damaged", format.error().message, "folder"};
    }
    base::ObjectReader reader(*marker, "");
    workspace.id = reader.string("id");
    workspace.name = reader.string("name", layout.root.filename().string());
    if (!base::isUuid7(workspace.id)) {
        return Error{"workspace.damaged", layout.marker().string() + " has no valid id.", "folder"};
    }
    workspace.readOnlyReason = whyReadOnly(layout);
    workspace.readOnly = !workspace.readOnlyReason.empty();
    if (!workspace.readOnly) {
        if (const Status ours = base::checkOwnedByUs(layout.root); !ours.ok()) {
            return Error{"workspace.owner", ours.error().message, "folder"};
        }
    }
    workspace.index = store::IndexLocation::of(layout.root);
    return workspace;
}

std::vector<RecentWorkspace> readRecentWorkspaces() {
    std::vector<RecentWorkspace> list;
    const Result<std::string> text = base::readFile(recentFile());
    if (!text.ok()) {
        return list;
    }
    const Result<Json> json = base::parseJson(*text);
    if (!json.ok() || !base::checkFormat(*json, kRecentFormat, kRecentVersion).ok()) {
        return list;
    }
    base::ObjectReader reader(*json, "");
    for (const Json& row : reader.array("workspaces")) {
        base::ObjectReader one(row, "");
        RecentWorkspace entry{one.string("root"), one.string("name"), one.integer("opened_at")};
        if (one.status(false).ok() && entry.root.is_absolute()) {
            list.push_back(std::move(entry));
        }
    }
    return list;
}

Status noteRecentWorkspace(const Workspace& workspace) {
    constexpr std::int64_t kStaysFresh = 3'600'000'000;
    std::vector<RecentWorkspace> list = readRecentWorkspaces();
    // Not written each time that a script calls the CLI.
    if (!list.empty() && list.front().root == workspace.layout.root && list.front().name == workspace.name &&
        base::wallMicros() - list.front().openedAt < kStaysFresh) {
        return {};
    }
    std::erase_if(list, [&](const RecentWorkspace& one) { return one.root == workspace.layout.root; });
    list.insert(list.begin(), {workspace.layout.root, workspace.name, base::wallMicros()});
    list.resize(std::min(list.size(), kRecentMost));
    return writeRecent(list);
}

Status forgetRecentWorkspace(const Path& root) {
    std::vector<RecentWorkspace> list = readRecentWorkspaces();
    const Path whole = wholePath(root);
    if (std::erase_if(list, [&](const RecentWorkspace& one) { return one.root == whole; }) == 0) {
        return {};
    }
    return writeRecent(list);
}

}  // namespace trainyard::runs
