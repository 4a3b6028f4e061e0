#include "core/agent/Prepare.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "core/agent/Fetch.h"
#include "core/base/Content.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kMaxManifestBytes = 256 << 20;

bool isHash(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// A file is kept in <work>/data by its content alone: where it came under another name before, it still has that one.
std::string onlyFileBeside(const Path& path, const std::string& sha256) {
    const Path folder = path.parent_path();
    if (sha256.empty() || folder.parent_path().filename() != sha256) return {};
    std::string only;
    std::error_code error;
    for (auto at = std::filesystem::directory_iterator(folder, error);
         !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
        if (!only.empty() || !at->is_regular_file(error)) return {};
        only = at->path().string();
    }
    return error ? std::string() : only;
}

base::Error canceled() { return {"canceled", "The run was canceled while it was being prepared."}; }

Status makePrivate(const Path& file, bool executable) {
    if (::chmod(file.c_str(), executable ? 0700 : 0600) != 0)
        return base::errnoError(errno, "change the mode of", file);
    return {};
}

}  // namespace

Status placeSource(const NodeLayout& layout, const wire::Plan& plan, const PrepareProgress& progress) {
    std::error_code error;
    if (plan.sourceManifest.empty() || std::filesystem::is_directory(layout.code(), error)) return {};
    const auto text = base::readFile(layout.root / plan.sourceManifest, kMaxManifestBytes);
    if (!text.ok())
        return base::Error{"source.manifest", "The list of the source's files cannot be read: " + text.error().message};
    const auto json = base::parseJson(*text);
    if (!json.ok()) return base::Error{"source.manifest", "The list of the source's files: " + json.error().message};
    TRAINYARD_TRY(base::checkFormat(*json, wire::kSnapshotFormat, wire::kSnapshotVersion));
    const wire::WorkLayout work{plan.workFolder};
    Path temp = layout.code();
    temp += ".part";
    TRAINYARD_TRY(base::removeTree(temp));
    TRAINYARD_TRY(base::makeDirs(temp));
    base::ObjectReader reader(*json, "");
    const Json files = reader.array("files");
    std::set<std::string> seen;
    std::int64_t done = 0;
    for (const Json& item : files) {
        base::ObjectReader file(item, "files");
        const std::string path = file.string("path");
        const std::string hash = file.string("sha256");
        const std::int64_t size = file.integer("size");
        const bool executable = file.boolean("executable");
        if (!file.status(false).ok() || !isHash(hash))
            return base::Error{"source.manifest",
                               "The list of the source's files is damaged at file " + std::to_string(done + 1) + "."};
        if (!base::isPlainRelativePath(path) || !seen.insert(path).second) {
            return base::Error{"source.path", "\"" + base::stripControl(base::toValidUtf8(path)) +
                                                  "\" in the source is no path of its own inside it."};
        }
        const Path from = work.object(hash);
        const auto there = std::filesystem::file_size(from, error);
        if (error || static_cast<std::int64_t>(there) != size) {
            return base::Error{"source.missing",
                               "The source's file " + path + " was not brought here whole (object " + hash + ")."};
        }
        const Path to = temp / path;
        TRAINYARD_TRY(base::makeDirs(to.parent_path()));
        TRAINYARD_TRY(base::copyFile(from, to));
        TRAINYARD_TRY(makePrivate(to, executable));
        ++done;
        if (!progress("Unpacking the source", done, static_cast<std::int64_t>(files.size()), "files"))
            return canceled();
    }
    TRAINYARD_TRY(reader.status(false));
    // Scripts made for Azure ML write into ./outputs. Where the source has that name itself, it is the source's.
    const Path outputs = temp / "outputs";
    if (!seen.contains("outputs") && !std::filesystem::exists(outputs, error)) {
        std::filesystem::create_directory_symlink(plan.outputsFolder, outputs, error);
        if (error) return base::errnoError(error.value(), "link", outputs);
    }
    if (::rename(temp.c_str(), layout.code().c_str()) != 0) return base::errnoError(errno, "rename", temp);
    return {};
}

Result<std::map<std::string, std::string>> findInputs(const wire::Plan& plan, const PrepareProgress& progress) {
    std::map<std::string, std::string> found;
    for (const wire::PlanInput& input : plan.inputs) {
        std::string path = input.path;
        std::error_code error;
        if (!input.address.empty() && (path.empty() || !std::filesystem::exists(path, error))) {
            if (plan.workFolder.empty())
                return base::Error{"input.fetch", "The plan names no work folder to fetch into."};
            FetchOrder order;
            order.name = input.name;
            order.address = input.address;
            order.sha256 = input.sha256;
            order.unpack = input.unpack;
            const auto fetched = fetchData(wire::WorkLayout{plan.workFolder}, order, progress);
            if (!fetched.ok()) return fetched.error();
            path = fetched->path;
        }
        if (const bool gone = !std::filesystem::exists(path, error); gone && input.address.empty()) {
            if (std::string other = onlyFileBeside(path, input.sha256); !other.empty()) path = std::move(other);
        }
        if (path.empty() || !std::filesystem::exists(path, error)) {
            return base::Error{"input.missing",
                               "The input " + input.name +
                                   (path.empty() ? " has neither a path nor an address." : " is not at " + path + ".")};
        }
        if (input.verify && !input.sha256.empty()) {
            const auto content = base::readContent(path, [&](std::int64_t done, std::int64_t total) {
                return progress("Checking " + input.name, done, total, "bytes");
            });
            if (!content.ok()) return content.error();
            if (content->sha256 != input.sha256) {
                return base::Error{"input.hash", "The input " + input.name + " at " + path + " has the content hash " +
                                                     content->sha256 + ", not " + input.sha256 +
                                                     ": it was changed, or is another."};
            }
        }
        found[input.name] = path;
    }
    return found;
}

}  // namespace trainyard::agent
