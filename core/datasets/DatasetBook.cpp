#include "core/datasets/DatasetBook.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/base/VersionFiles.h"

namespace trainyard::datasets {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr std::int64_t kMostListBytes = std::int64_t{4} << 30;

Path folderOf(const wire::WorkspaceLayout& layout, const std::string& name) { return layout.datasets() / name; }
Path listFile(const wire::WorkspaceLayout& layout, const std::string& name, const std::string& sha256) {
    return folderOf(layout, name) / (sha256 + ".files");
}

std::vector<int> versionsOf(const wire::WorkspaceLayout& layout, const std::string& name) {
    return base::versionsIn(folderOf(layout, name));
}

std::vector<std::string> namesIn(const wire::WorkspaceLayout& layout) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(layout.datasets(), error)) {
        const std::string name = entry.path().filename().string();
        if (name.find(':') == std::string::npos && spec::parseDatasetName(name).ok()) {
            names.push_back(name);
        }
    }
    std::ranges::sort(names);
    return names;
}

Error unknown(const std::string& name) {
    return {"dataset.unknown", "There is no data set \"" + name + "\" in this workspace.", "dataset"};
}

Result<Dataset> readVersion(const wire::WorkspaceLayout& layout, const std::string& name, int version,
                            std::vector<int> versions) {
    auto dataset =
        base::readVersion(base::versionFile(folderOf(layout, name), version), "dataset", name, datasetFromJson);
    if (!dataset.ok()) {
        return dataset;
    }
    dataset->version = version;
    dataset->versions = std::move(versions);
    if (dataset->managed) {
        dataset->path = dataFolder(layout, dataset->sha256);  // A workspace may be moved.
    }
    return dataset;
}

std::string listText(std::vector<base::ContentFile> files) {
    std::ranges::sort(files, {}, &base::ContentFile::path);
    std::string text;
    for (const base::ContentFile& file : files) {
        text += file.sha256 + " " + std::to_string(file.size) + " " + file.path + "\n";
    }
    return text;
}

Json problemJson(const Problem& problem) {
    return Json{{"kind", problem.kind}, {"severity", problem.severity}, {"count", problem.count},
                {"text", problem.text}, {"files", problem.files},       {"reasons", problem.reasons}};
}

}  // namespace

std::int64_t Dataset::training() const {
    std::int64_t count = 0;
    for (const ClassCount& one : classes) count += one.training;
    return count;
}

std::int64_t Dataset::validation() const {
    std::int64_t count = 0;
    for (const ClassCount& one : classes) count += one.validation;
    return count;
}

Json toJson(const Dataset& dataset) {
    Json classes = Json::array();
    for (const ClassCount& one : dataset.classes) {
        classes.push_back(
            {{"name", one.name}, {"train", one.training}, {"val", one.validation}, {"unreadable", one.unreadable}});
    }
    Json problems = Json::array();
    for (const Problem& problem : dataset.problems) {
        problems.push_back(problemJson(problem));
    }
    Json files = Json::object();
    for (const auto& [key, path] : dataset.files) {
        files[key] = path;
    }
    return Json{{"format", kDatasetFormat},
                {"version", kDatasetVersion},
                {"name", dataset.name},
                {"kind", dataset.kind},
                {"path", dataset.managed ? std::string() : dataset.path.string()},
                {"managed", dataset.managed},
                {"source", dataset.source},
                {"source_sha256", dataset.sourceSha256},
                {"sha256", dataset.sha256},
                {"split", dataset.split},
                {"split_seed", dataset.splitSeed},
                {"train_folder", dataset.layout.train},
                {"val_folder", dataset.layout.validation},
                {"classes", std::move(classes)},
                {"ignored", dataset.ignored},
                {"bytes", dataset.bytes},
                {"channels", dataset.channels},
                {"sizes", dataset.sizes},
                {"statistics", dataset.statistics},
                {"problems", std::move(problems)},
                {"unreadable", dataset.unreadable},
                {"files", std::move(files)},
                {"created", base::isoTime(dataset.createdAt)},
                {"created_us", dataset.createdAt}};
}

Result<Dataset> datasetFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kDatasetFormat, kDatasetVersion));
    base::ObjectReader reader(json, "");
    Dataset dataset;
    for (const char* key : {"name", "kind", "path", "sha256"}) {
        reader.require(key);
    }
    dataset.name = reader.string("name");
    dataset.kind = reader.string("kind");
    dataset.path = reader.string("path");
    dataset.managed = reader.boolean("managed");
    dataset.source = reader.string("source");
    dataset.sourceSha256 = reader.string("source_sha256");
    dataset.sha256 = reader.string("sha256");
    dataset.split = reader.number("split", 0.2);
    dataset.splitSeed = reader.integer("split_seed", 1);
    dataset.layout.train = reader.string("train_folder");
    dataset.layout.validation = reader.string("val_folder");
    for (const Json& item : reader.array("classes")) {
        base::ObjectReader one(item, "classes");
        dataset.classes.push_back(
            {one.string("name"), one.integer("train"), one.integer("val"), one.integer("unreadable")});
        TRAINYARD_TRY(one.status(/*rejectUnknown=*/false));
    }
    dataset.ignored = reader.integer("ignored");
    dataset.bytes = reader.integer("bytes");
    dataset.channels = reader.integer("channels", 3);
    dataset.sizes = reader.raw("sizes");
    dataset.statistics = reader.raw("statistics");
    for (const Json& item : reader.array("problems")) {
        base::ObjectReader one(item, "problems");
        dataset.problems.push_back({one.string("kind"), one.string("severity"), one.integer("count"),
                                    one.string("text"), one.strings("files"), one.strings("reasons")});
        TRAINYARD_TRY(one.status(/*rejectUnknown=*/false));
    }
    dataset.unreadable = reader.strings("unreadable");
    dataset.files = reader.stringMap("files");
    dataset.createdAt = reader.integer("created_us");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    if (dataset.kind != "images" && dataset.kind != "idx") {
        return Error{"json.value", "\"" + dataset.kind + "\" is no kind of data that this version knows.", "kind"};
    }
    return dataset;
}

std::vector<Dataset> readDatasets(const wire::WorkspaceLayout& layout, std::vector<Error>* problems) {
    std::vector<Dataset> all;
    for (const std::string& name : namesIn(layout)) {
        if (const std::vector<int> versions = versionsOf(layout, name); !versions.empty()) {
            base::keepRead(readVersion(layout, name, versions.back(), versions), all, problems);
        }
    }
    return all;
}

Result<Dataset> readDataset(const wire::WorkspaceLayout& layout, const spec::DatasetName& name) {
    std::vector<int> versions = versionsOf(layout, name.name);
    const int version = base::pickVersion(versions, name.version);
    if (version == 0) {
        return unknown(name.text());
    }
    return readVersion(layout, name.name, version, std::move(versions));
}

Result<int> writeDataset(const wire::WorkspaceLayout& layout, const Dataset& dataset,
                         const std::vector<base::ContentFile>& files) {
    TRAINYARD_TRY(base::makeDirs(folderOf(layout, dataset.name)));
    TRAINYARD_TRY(base::writeFileAtomically(listFile(layout, dataset.name, dataset.sha256), listText(files)));
    return base::addVersion(folderOf(layout, dataset.name), toJson(dataset));
}

Result<std::vector<base::ContentFile>> readFiles(const wire::WorkspaceLayout& layout, const Dataset& dataset) {
    const Path file = listFile(layout, dataset.name, dataset.sha256);
    const auto text = base::readFile(file, kMostListBytes);
    const auto damaged = [&](const std::string& why) {
        return Error{"dataset.damaged",
                     "The list of files of " + dataset.pinned() + ", " + file.string() + ", cannot be used: " + why,
                     "dataset"};
    };
    if (!text.ok()) {
        return damaged(text.error().message);
    }
    if (base::sha256Hex(*text) != dataset.sha256) {
        return damaged("it was changed or cut off.");
    }
    std::vector<base::ContentFile> files;
    std::size_t begin = 0;
    for (std::size_t end = text->find('\n'); end != std::string::npos; end = text->find('\n', begin)) {
        const std::string_view line(text->data() + begin, end - begin);
        begin = end + 1;
        const std::size_t first = line.find(' ');
        const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
        if (second == std::string_view::npos) {
            return damaged("a line of it makes no sense.");
        }
        base::ContentFile one;
        one.sha256 = line.substr(0, first);
        const auto parsed = std::from_chars(line.data() + first + 1, line.data() + second, one.size);
        one.path = line.substr(second + 1);
        if (parsed.ec != std::errc{} || !base::isPlainRelativePath(one.path)) {
            return damaged("a line of it makes no sense.");
        }
        files.push_back(std::move(one));
    }
    return files;
}

Result<Removal> removeDataset(const wire::WorkspaceLayout& layout, const spec::DatasetName& name) {
    Removal removal;
    const std::vector<int> versions = versionsOf(layout, name.name);
    for (const int version : versions) {
        if (name.version == 0 || version == name.version) {
            removal.versions.push_back(version);
        }
    }
    if (removal.versions.empty()) {
        return unknown(name.text());
    }
    std::set<std::string> gone;  // Content hashes of what goes.
    for (const int version : removal.versions) {
        const auto one = readVersion(layout, name.name, version, {});
        if (one.ok()) {
            gone.insert(one->sha256);
        }
    }
    TRAINYARD_TRY(base::removeVersions(folderOf(layout, name.name), removal.versions));
    std::set<std::string> needed;      // By any version of any data set.
    std::set<std::string> neededHere;  // By one of this name, so that its list stays.
    for (const std::string& other : namesIn(layout)) {
        for (const int version : versionsOf(layout, other)) {
            const auto one = readVersion(layout, other, version, {});
            if (!one.ok()) {
                // Nobody knows what it names: nothing that was unpacked is removed while it is there.
                return removal;
            }
            needed.insert(one->sha256);
            if (other == name.name) {
                neededHere.insert(one->sha256);
            }
        }
    }
    for (const std::string& sha256 : gone) {
        if (!neededHere.contains(sha256)) {
            TRAINYARD_TRY(base::removeTree(listFile(layout, name.name, sha256)));
        }
        const Path data = dataFolder(layout, sha256);
        std::error_code error;
        if (needed.contains(sha256) || !std::filesystem::is_directory(data, error)) {
            continue;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(data, error)) {
            std::error_code vanished;
            if (entry.is_regular_file(vanished)) {
                removal.freedBytes += static_cast<std::int64_t>(entry.file_size(vanished));
            }
        }
        // Out of the way in one step: half a data set is never found under its hash.
        const Path away = incomingFolder(layout) / base::newUuid7();
        TRAINYARD_TRY(base::makeDirs(incomingFolder(layout)));
        if (::rename(data.c_str(), away.c_str()) != 0) {
            return base::errnoError(errno, "remove", data);
        }
        TRAINYARD_TRY(base::removeTree(away));
    }
    return removal;
}

Path dataFolder(const wire::WorkspaceLayout& layout, const std::string& sha256) {
    return layout.datasets() / ".data" / sha256;
}
Path incomingFolder(const wire::WorkspaceLayout& layout) { return layout.datasets() / ".incoming"; }

Result<Resolved> resolveDataset(const wire::WorkspaceLayout& layout, const std::string& location,
                                const std::string& field) {
    const auto named = spec::parseDatasetLocation(location, field);
    if (!named.ok()) {
        return named.error();
    }
    auto found = readDataset(layout, named->dataset);
    if (!found.ok()) {
        return Error{found.error().code, found.error().message, field};
    }
    Resolved resolved;
    resolved.path = named->path.empty() ? found->path : found->path / named->path;
    resolved.pinned =
        std::string(spec::kDatasetPrefix) + found->pinned() + (named->path.empty() ? "" : "/" + named->path);
    std::error_code error;
    if (!std::filesystem::exists(resolved.path, error)) {
        return Error{"dataset.missing",
                     "The data of " + found->pinned() + " are no longer at " + resolved.path.string() +
                         ". Put them back, or add them anew.",
                     field};
    }
    resolved.dataset = std::move(*found);
    return resolved;
}

}  // namespace trainyard::datasets
