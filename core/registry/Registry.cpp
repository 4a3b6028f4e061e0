#include "core/registry/Registry.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <thread>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/registry/FileKind.h"
#include "core/registry/VersionKind.h"

namespace trainyard::registry {

namespace {

constexpr std::size_t kMostName = 64;
constexpr std::size_t kMostAlias = 64;
constexpr int kLockMillis = 10'000;
constexpr const char* kDeletedFile = "deleted.json";
constexpr const char* kDeletedFormat = "trainyard.model-deleted";

bool isNameCharacter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

bool isPlainName(const std::string& text, std::size_t most) {
    return !text.empty() && text.size() <= most && std::all_of(text.begin(), text.end(), isNameCharacter) &&
           text[0] != '.' && text[0] != '_' && text[0] != '-' && text.back() != '.';
}

bool isNumber(const std::string& text) {
    return !text.empty() && text.size() <= 9 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string lowered(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

/// A relative path of plain names without "..", so that nothing is written outside the chosen folder.
bool isInside(const std::string& path) {
    if (path.empty() || path[0] == '/') {
        return false;
    }
    for (const std::string& part : base::split(path, '/')) {
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
    }
    return path.find('\0') == std::string::npos;
}

bool isInFolder(const std::string& path, const std::string& folder) {
    return path.size() > folder.size() + 1 && path.compare(0, folder.size(), folder) == 0 && path[folder.size()] == '/';
}

/// A plain file, and from `root` on no link on the way to it.
Status checkNoLink(const Path& root, const Path& from) {
    std::error_code error;
    const auto kind = std::filesystem::symlink_status(from, error);
    if (!std::filesystem::exists(kind)) {
        return base::errnoError(error ? error.value() : ENOENT, "reading", from);
    }
    bool plain = std::filesystem::is_regular_file(kind);
    for (Path folder = from.parent_path(); plain && !root.empty() && folder != root; folder = folder.parent_path()) {
        plain =
            folder.has_relative_path() && std::filesystem::is_directory(std::filesystem::symlink_status(folder, error));
    }
    if (!plain) {
        return Error{"model.link",
                     from.string() +
                         " is a link, lies behind one, or is no plain file; only plain files are registered.",
                     "files"};
    }
    return {};
}

/// One hash for all files: SHA-256 of what sha256sum prints for them in the order of their paths; of one file its own.
std::string hashOf(const std::vector<Json>& files) {
    if (files.size() == 1) {
        return files.front()["sha256"].get<std::string>();
    }
    std::vector<std::pair<std::string, std::string>> lines;
    for (const Json& file : files) {
        lines.emplace_back(file["path"].get<std::string>(), file["sha256"].get<std::string>());
    }
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const auto& [path, hash] : lines) {
        text += hash + "  " + path + "\n";
    }
    return base::sha256Hex(text);
}

Error unknown(const ModelVersionId& id) {
    return {"model.unknown", "There is no model " + id.name + ":" + std::to_string(id.number) + "."};
}

Path exportsFolder(const wire::WorkspaceLayout& layout, const ModelVersionId& id) {
    return layout.modelVersion(id.name, id.number) / "exports";
}

Status syncFolder(const Path& folder) {
    const base::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || ::fsync(fd.get()) != 0) {
        return base::errnoError(errno, "syncing", folder);
    }
    return {};
}

/// {path, size, sha256} of the files that a card names; entries of another shape are left out.
std::vector<Json> filesOf(const Json& card) {
    std::vector<Json> files;
    if (const auto list = card.find("files"); list != card.end() && list->is_array()) {
        for (const Json& file : *list) {
            if (file.is_object() && isInside(base::jsonText(file, "path")) &&
                isSha256(base::jsonText(file, "sha256")) && file.contains("size") && file["size"].is_number_integer()) {
                files.push_back(file);
            }
        }
    }
    return files;
}

Result<Json> readDocument(const Path& path, const char* format, int version) {
    auto bytes = base::readFile(path);
    if (!bytes.ok()) {
        return bytes.error();
    }
    auto json = base::parseJson(*bytes);
    if (!json.ok()) {
        return Error{"model.card", "The file " + path.string() + " cannot be read: " + json.error().message};
    }
    TRAINYARD_TRY(base::checkFormat(*json, format, version));
    return json;
}

Json exportSummary(const Json& record) {
    const auto value = [&](const char* key) {
        const auto found = record.find(key);
        return found == record.end() ? Json() : *found;
    };
    Json summary;
    for (const char* key : {"id", "created_at", "opset", "input_shape", "dynamic_batch", "batch"}) {
        summary[key] = value(key);
    }
    if (const auto file = record.find("file"); file != record.end() && file->is_object()) {
        summary["size"] = file->value("size", std::int64_t{0});
        summary["sha256"] = base::jsonText(*file, "sha256");
    }
    if (const auto proof = record.find("proof"); proof != record.end() && proof->is_object()) {
        summary["passed"] = proof->value("passed", false);
        summary["max_abs_diff"] = proof->contains("max_abs_diff") ? (*proof)["max_abs_diff"] : Json();
        summary["runtime"] = proof->contains("runtime") ? (*proof)["runtime"] : Json();
    }
    return summary;
}

}  // namespace

Status checkModelName(const std::string& name) {
    if (isPlainName(name, kMostName)) {
        return {};
    }
    return Error{
        "model.name",
        "A model's name has 1 to 64 letters, digits, dots, dashes and underscores, begins with a letter or digit and "
        "does not end with a dot.",
        "name"};
}

std::string modelNameFrom(const std::string& text) {
    std::string name;
    for (const char c : lowered(text)) {
        if (isNameCharacter(c)) {
            name += c;
        } else if (!name.empty() && name.back() != '-') {
            name += '-';
        }
    }
    while (!name.empty() && (name[0] == '.' || name[0] == '_' || name[0] == '-')) {
        name.erase(0, 1);
    }
    name = name.substr(0, kMostName);
    while (!name.empty() && (name.back() == '.' || name.back() == '-')) {
        name.pop_back();
    }
    return name.empty() ? "model" : name;
}

Result<ModelReference> parseModelReference(const std::string& text) {
    const std::size_t colon = text.find(':');
    ModelReference reference{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
    if (!isPlainName(reference.name, kMostName) ||
        (colon != std::string::npos && !isPlainName(reference.which, kMostAlias))) {
        return Error{"model.unknown", "\"" + text + "\" names no model. Write NAME, NAME:NUMBER or NAME:ALIAS.",
                     "model"};
    }
    return reference;
}

Registry::Registry(wire::WorkspaceLayout layout) : m_layout(std::move(layout)), m_objects(m_layout) {}

/// Adding holds it shared, whatever looks at all cards holds it alone.
Result<base::FileLock> Registry::lock(bool exclusive) const {
    TRAINYARD_TRY(base::makeDirs(m_layout.models()));
    const Path path = m_layout.models() / ".lock";
    const auto deadline = base::Deadline::inMillis(kLockMillis);
    for (;;) {
        auto held = exclusive ? base::FileLock::tryExclusive(path) : base::FileLock::tryShared(path);
        if (held.ok() || held.error().code != "lock.held") {
            return held;
        }
        if (deadline.passed()) {
            return Error{"model.busy",
                         "Another window or program has been working on the models for a long time. Try again."};
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

std::vector<std::string> Registry::names() const {
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_layout.models(), error)) {
        const std::string name = entry.path().filename().string();
        if (isPlainName(name, kMostName) && !versions(name).empty()) {
            out.push_back(name);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<int> Registry::versions(const std::string& name) const {
    std::vector<int> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_layout.models() / name, error)) {
        const std::string text = entry.path().filename().string();
        if (isNumber(text) && std::to_string(std::stoi(text)) == text &&
            std::filesystem::exists(m_layout.modelCard(name, std::stoi(text)), error)) {
            out.push_back(std::stoi(text));
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

/// Deleted versions leave their folder with a mark behind, so their numbers count too.
Result<int> Registry::highestNumber(const std::string& name) const {
    int highest = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_layout.models() / name, error)) {
        const std::string text = entry.path().filename().string();
        highest = isNumber(text) ? std::max(highest, std::stoi(text)) : highest;
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return base::errnoError(error.value(), "reading", m_layout.models() / name);
    }
    return highest;
}

Status Registry::publish(ModelVersionId& id, Json card) const {
    // Made aside and renamed: rename(2) onto a folder that holds anything fails, so two processes never get one number,
    // and a process that dies on the way leaves no gap. What it leaves in trash/ is swept when the workspace is opened.
    const Path temp = m_layout.trash() / ("new-" + base::newUuid7());
    TRAINYARD_TRY(base::makeDirs(temp));
    TRAINYARD_TRY(base::makeDirs(m_layout.models() / id.name));
    const auto undo = [&](const Error& error) -> Status {
        const Status removed = base::removeTree(temp);
        return removed.ok() ? error : removed.error();
    };
    for (;;) {
        const auto highest = highestNumber(id.name);
        if (!highest.ok()) {
            return undo(highest.error());
        }
        id.number = *highest + 1;
        card["number"] = id.number;
        if (const Status written = base::writeFileAtomically(temp / "card.json", base::dumpJsonPretty(card));
            !written.ok()) {
            return undo(written.error());
        }
        const Path folder = m_layout.modelVersion(id.name, id.number);
        if (::rename(temp.c_str(), folder.c_str()) == 0) {
            return syncFolder(folder.parent_path());
        }
        if (errno != EEXIST && errno != ENOTEMPTY) {
            return undo(base::errnoError(errno, "making", folder));
        }
    }
}

Result<ModelVersionId> Registry::add(const NewVersion& version, const Progress& progress) const {
    TRAINYARD_TRY(checkModelName(version.name));
    if (version.files.empty()) {
        return Error{"model.files", "There are no files to register.", "files"};
    }
    for (const std::string& other : names()) {
        if (other != version.name && lowered(other) == lowered(version.name)) {
            return Error{"model.name",
                         "There is a model \"" + other + "\" already; names may not differ by case alone.", "name"};
        }
    }
    std::int64_t total = 0;
    for (const NewVersion::File& file : version.files) {
        TRAINYARD_TRY(checkNoLink(version.root, file.from));
        std::error_code error;
        const auto size = std::filesystem::file_size(file.from, error);
        if (error) {
            return base::errnoError(error.value(), "reading", file.from);
        }
        if (!isInside(file.path)) {
            return Error{"model.files", "\"" + file.path + "\" cannot be a file's name in a model.", "files"};
        }
        total += static_cast<std::int64_t>(size);
    }
    // Until the card stands, nothing refers to the objects; the lock keeps remove() from taking them for left over.
    auto held = lock(false);
    if (!held.ok()) {
        return held.error();
    }
    std::vector<Json> files;
    std::int64_t done = 0;
    Json own;
    for (const NewVersion::File& file : version.files) {
        const auto object = m_objects.store(
            file.from, [&](std::int64_t bytes) { return !progress || progress(done + bytes, 2 * total); });
        if (!object.ok()) {
            return object.error();
        }
        if (!file.sha256.empty() && object->sha256 != file.sha256) {
            return Error{"model.output_damaged",
                         "The run's output " + file.path +
                             " is not what the run had made: its SHA-256 is "
                             "another. It was not registered.",
                         "run"};
        }
        done += 2 * object->size;
        const auto facts = examineFile(m_layout.object(object->sha256));
        if (!facts.ok()) {
            return facts.error();
        }
        files.push_back(Json{{"path", file.path},
                             {"size", object->size},
                             {"sha256", object->sha256},
                             {"kind", toString(facts->kind)},
                             {"told", facts->told},
                             {"details", facts->details}});
        if (file.path == "model.json") {
            const auto text = base::readFile(m_layout.object(object->sha256));
            const auto json = text.ok() ? base::parseJson(*text) : Result<Json>(text.error());
            own = json.ok() ? *json : Json();
        }
    }
    const bool hasEngineCard = own.is_object() && base::jsonText(own, "format") == "trainyard.model-card";
    const VersionKind whole = kindOfVersion(files, hasEngineCard);
    const std::string hash = hashOf(files);
    ModelVersionId id{version.name, 0};
    Json tags = Json::object();
    for (const auto& [key, value] : version.tags) {
        tags[key] = value;
    }
    Json card{{"format", kCardFormat},
              {"version", kCardVersion},
              {"name", version.name},
              {"number", 0},
              {"created_at", base::wallMicros()},
              {"description", version.description},
              {"tags", std::move(tags)},
              {"aliases", Json::array()},
              {"archived", false},
              {"kind", whole.kind},
              {"main", whole.main},
              {"size", total},
              {"sha256", hash},
              {"run", version.run},
              {"run_number", version.runNumber},
              {"run_name", version.runName},
              {"experiment", version.experiment},
              {"metrics", version.metrics},
              {"configuration", version.configuration},
              {"model", std::move(own)},
              {"files", std::move(files)},
              {"exports", Json::array()}};
    if (!version.asked.empty()) {
        card["asked"] = version.asked;
    }
    TRAINYARD_TRY(publish(id, std::move(card)));
    return id;
}

Result<ModelVersionId> Registry::find(const ModelReference& reference) const {
    const std::vector<int> all = versions(reference.name);
    if (all.empty()) {
        return Error{"model.unknown", "There is no model \"" + reference.name + "\".", "model"};
    }
    if (reference.which.empty() || reference.which == "latest") {
        return ModelVersionId{reference.name, all.back()};
    }
    for (const int number : all) {
        if (std::to_string(number) == reference.which) {
            return ModelVersionId{reference.name, number};
        }
    }
    for (const int number : all) {
        const auto one = card({reference.name, number});
        if (!one.ok() || !one->contains("aliases") || !(*one)["aliases"].is_array()) {
            continue;
        }
        for (const Json& alias : (*one)["aliases"]) {
            if (alias.is_string() && alias.get<std::string>() == reference.which) {
                return ModelVersionId{reference.name, number};
            }
        }
    }
    return Error{"model.unknown",
                 "The model \"" + reference.name + "\" has no version or alias \"" + reference.which + "\".", "model"};
}

Result<Json> Registry::card(const ModelVersionId& id) const {
    if (!isPlainName(id.name, kMostName)) {
        return unknown(id);
    }
    auto json = readDocument(m_layout.modelCard(id.name, id.number), kCardFormat, kCardVersion);
    if (!json.ok() && json.error().code == "file.missing") {
        return unknown(id);
    }
    return json;
}

Status Registry::writeCard(const ModelVersionId& id, const Json& card) const {
    return base::writeFileAtomically(m_layout.modelCard(id.name, id.number), base::dumpJsonPretty(card));
}

Result<std::vector<ModelVersionId>> Registry::edit(const ModelVersionId& id, const CardChange& change) const {
    if (change.aliases) {
        for (const std::string& alias : *change.aliases) {
            if (!isPlainName(alias, kMostAlias) || isNumber(alias) || alias == "latest") {
                return Error{"model.alias",
                             "\"" + alias +
                                 "\" cannot be an alias: it is written like a name, is no number and not "
                                 "\"latest\".",
                             "aliases"};
            }
        }
    }
    for (const auto& [key, value] : change.setTags) {
        if (key.empty() || key.size() > 256 || value.size() > 4096) {
            return Error{"model.tag", "A tag has a name of 1 to 256 bytes and a value of at most 4096.", "set"};
        }
    }
    auto held = lock(true);
    if (!held.ok()) {
        return held.error();
    }
    auto own = card(id);
    if (!own.ok()) {
        return own.error();
    }
    std::vector<ModelVersionId> changed{id};
    if (change.description) {
        (*own)["description"] = *change.description;
    }
    Json& tags = (*own)["tags"];
    tags = tags.is_object() ? tags : Json::object();
    for (const auto& [key, value] : change.setTags) {
        tags[key] = value;
    }
    for (const std::string& key : change.removeTags) {
        tags.erase(key);
    }
    if (change.archived) {
        (*own)["archived"] = *change.archived;
    }
    if (change.aliases) {
        // Taken from the others first: an alias that nobody has for a moment is better than one that two have.
        for (const int number : versions(id.name)) {
            const ModelVersionId other{id.name, number};
            auto theirs = number == id.number ? Result<Json>(Error{}) : card(other);
            if (!theirs.ok() || !theirs->contains("aliases") || !(*theirs)["aliases"].is_array()) {
                continue;
            }
            Json kept = Json::array();
            for (const Json& alias : (*theirs)["aliases"]) {
                if (!alias.is_string() || std::find(change.aliases->begin(), change.aliases->end(),
                                                    alias.get<std::string>()) == change.aliases->end()) {
                    kept.push_back(alias);
                }
            }
            if (kept.size() != (*theirs)["aliases"].size()) {
                (*theirs)["aliases"] = std::move(kept);
                TRAINYARD_TRY(writeCard(other, *theirs));
                changed.push_back(other);
            }
        }
        (*own)["aliases"] = *change.aliases;
    }
    TRAINYARD_TRY(writeCard(id, *own));
    return changed;
}

Result<Registry::Download> Registry::download(const ModelVersionId& id, const Path& folder,
                                              const std::vector<std::string>& paths, bool overwrite,
                                              const Progress& progress) const {
    const auto own = card(id);
    if (!own.ok()) {
        return own.error();
    }
    std::vector<Json> wanted;
    const std::vector<Json> all = filesOf(*own);
    const auto isNamed = [](const Json& file, const std::string& path) {
        return base::jsonText(file, "path") == path || isInFolder(base::jsonText(file, "path"), path);
    };
    for (const Json& file : all) {
        if (paths.empty() ||
            std::any_of(paths.begin(), paths.end(), [&](const std::string& path) { return isNamed(file, path); })) {
            wanted.push_back(file);
        }
    }
    for (const std::string& path : paths) {
        if (std::none_of(all.begin(), all.end(), [&](const Json& file) { return isNamed(file, path); })) {
            return Error{"model.file_unknown",
                         id.name + ":" + std::to_string(id.number) + " has no file \"" + path + "\".", "paths"};
        }
    }
    Download out;
    std::vector<Json> toWrite;
    for (const Json& file : wanted) {
        const Path target = folder / base::jsonText(file, "path");
        out.files.push_back(base::jsonText(file, "path"));
        out.bytes += file["size"].get<std::int64_t>();
        std::error_code error;
        if (std::filesystem::exists(std::filesystem::symlink_status(target, error))) {
            const auto present = base::sha256File(target);
            if (present.ok() && *present == base::jsonText(file, "sha256")) {
                continue;
            }
            if (!overwrite) {
                return Error{"model.exists",
                             target.string() + " is there already with other content. Choose another folder, or "
                                               "allow overwriting.",
                             "to"};
            }
        }
        toWrite.push_back(file);
    }
    std::int64_t done = 0;
    TRAINYARD_TRY(base::makeDirs(folder));
    for (const Json& file : toWrite) {
        const Path target = folder / base::jsonText(file, "path");
        TRAINYARD_TRY(base::makeDirs(target.parent_path()));
        TRAINYARD_TRY(m_objects.copyOut(base::jsonText(file, "sha256"), target, [&](std::int64_t bytes) {
            return !progress || progress(done + bytes, out.bytes);
        }));
        done += file["size"].get<std::int64_t>();
    }
    return out;
}

Result<Registry::Download> Registry::downloadExport(const ModelVersionId& id, const std::string& exportId,
                                                    const Path& file, bool overwrite, const Progress& progress) const {
    const auto records = exports(id);
    if (!records.ok()) {
        return records.error();
    }
    for (auto record = records->rbegin(); record != records->rend(); ++record) {
        if (!exportId.empty() && base::jsonText(*record, "id") != exportId) {
            continue;
        }
        const Json& stored = (*record)["file"];
        const std::string hash = stored.is_object() ? base::jsonText(stored, "sha256") : "";
        const std::int64_t size = stored.is_object() ? stored.value("size", std::int64_t{0}) : 0;
        std::error_code error;
        if (std::filesystem::exists(std::filesystem::symlink_status(file, error))) {
            const auto present = base::sha256File(file);
            if (present.ok() && *present == hash) {
                return Download{{file.filename().string()}, size};
            }
            if (!overwrite) {
                return Error{"model.exists",
                             file.string() + " is there already with other content. Choose another name, or allow "
                                             "overwriting.",
                             "out"};
            }
        }
        TRAINYARD_TRY(base::makeDirs(file.parent_path()));
        TRAINYARD_TRY(
            m_objects.copyOut(hash, file, [&](std::int64_t bytes) { return !progress || progress(bytes, size); }));
        return Download{{file.filename().string()}, size};
    }
    return Error{"model.export_unknown",
                 id.name + ":" + std::to_string(id.number) +
                     (exportId.empty() ? " was not exported yet." : " has no such export."),
                 "export"};
}

Result<Path> Registry::verifiedFile(const ModelVersionId& id, const std::string& path, const Progress& progress) const {
    const auto own = card(id);
    if (!own.ok()) {
        return own.error();
    }
    for (const Json& file : filesOf(*own)) {
        if (base::jsonText(file, "path") == path) {
            const auto size = file["size"].get<std::int64_t>();
            return m_objects.verified(base::jsonText(file, "sha256"),
                                      [&](std::int64_t bytes) { return !progress || progress(bytes, size); });
        }
    }
    return Error{"model.file_unknown", id.name + ":" + std::to_string(id.number) + " has no file \"" + path + "\"."};
}

Result<Json> Registry::addExport(const ModelVersionId& id, const Path& onnx, const Json& settings, const Json& proof,
                                 const Progress& progress) const {
    const auto notProved = [](const std::string& why) {
        return Error{"model.proof", "The export was not kept, because its proof does not stand: " + why};
    };
    if (!proof.is_object() || base::jsonText(proof, "format") != "trainyard.export-proof" ||
        !proof.value("passed", false)) {
        return notProved("it did not pass.");
    }
    auto held = lock(true);
    if (!held.ok()) {
        return held.error();
    }
    auto own = card(id);
    if (!own.ok()) {
        return own.error();
    }
    const auto object = m_objects.store(onnx, [&](std::int64_t bytes) { return !progress || progress(bytes, 0); });
    if (!object.ok()) {
        return object.error();
    }
    const auto hashIn = [&](const char* key) {
        const auto found = proof.find(key);
        return found != proof.end() && found->is_object() ? base::jsonText(*found, "sha256") : std::string();
    };
    if (hashIn("onnx") != object->sha256) {
        return notProved("it speaks of another ONNX file.");
    }
    const std::vector<Json> files = filesOf(*own);
    if (std::none_of(files.begin(), files.end(),
                     [&](const Json& file) { return base::jsonText(file, "sha256") == hashIn("model"); })) {
        return notProved("it speaks of another model.");
    }
    Json record{{"format", kExportFormat},
                {"version", kExportVersion},
                {"id", base::newUuid7()},
                {"created_at", base::wallMicros()},
                {"model", id.name + ":" + std::to_string(id.number)}};
    for (const auto& [key, value] : settings.items()) {
        record[key] = value;
    }
    record["file"] = {{"path", "model.onnx"}, {"size", object->size}, {"sha256", object->sha256}};
    record["proof"] = proof;
    TRAINYARD_TRY(base::makeDirs(exportsFolder(m_layout, id)));
    TRAINYARD_TRY(base::writeFileAtomically(exportsFolder(m_layout, id) / (base::jsonText(record, "id") + ".json"),
                                            base::dumpJsonPretty(record)));
    Json summaries = Json::array();
    const auto all = exports(id);
    if (!all.ok()) {
        return all.error();
    }
    for (const Json& one : *all) {
        summaries.push_back(exportSummary(one));
    }
    (*own)["exports"] = std::move(summaries);
    TRAINYARD_TRY(writeCard(id, *own));
    return record;
}

Result<std::vector<Json>> Registry::exports(const ModelVersionId& id) const {
    std::vector<Json> records;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(exportsFolder(m_layout, id), error)) {
        const std::string name = entry.path().stem().string();
        if (entry.path().extension() != ".json" || !base::isUuid7(name)) {
            continue;
        }
        auto record = readDocument(entry.path(), kExportFormat, kExportVersion);
        if (record.ok() && base::jsonText(*record, "id") == name && record->contains("file")) {
            records.push_back(std::move(*record));
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return base::errnoError(error.value(), "reading", exportsFolder(m_layout, id));
    }
    std::sort(records.begin(), records.end(),
              [](const Json& a, const Json& b) { return base::jsonText(a, "id") < base::jsonText(b, "id"); });
    return records;
}

bool Registry::isUsed(const std::string& sha256) const {
    for (const std::string& name : names()) {
        for (const int number : versions(name)) {
            const ModelVersionId id{name, number};
            const auto text = base::readFile(m_layout.modelCard(name, number));
            if (!text.ok() || text->find(sha256) != std::string::npos) {
                return true;
            }
            const auto records = exports(id);
            if (!records.ok() || std::any_of(records->begin(), records->end(), [&](const Json& record) {
                    return base::dumpJson(record).find(sha256) != std::string::npos;
                })) {
                return true;
            }
        }
    }
    // Snapshots of runs' sources share the folder.
    std::error_code error;
    for (const auto& run : std::filesystem::directory_iterator(m_layout.runs(), error)) {
        const auto text = base::readFile(run.path() / "snapshot.json", std::int64_t{256} << 20);
        if ((text.ok() && text->find(sha256) != std::string::npos) ||
            (!text.ok() && text.error().code != "file.missing")) {
            return true;
        }
    }
    return false;
}

Result<std::int64_t> Registry::remove(const ModelVersionId& id) const {
    auto held = lock(true);
    if (!held.ok()) {
        return held.error();
    }
    const auto own = card(id);
    if (!own.ok() && own.error().code == "model.unknown") {
        return own.error();
    }
    std::vector<std::string> hashes;
    if (own.ok()) {
        for (const Json& file : filesOf(*own)) {
            hashes.push_back(base::jsonText(file, "sha256"));
        }
    }
    if (const auto records = exports(id); records.ok()) {
        for (const Json& record : *records) {
            const std::string hash = record["file"].is_object() ? base::jsonText(record["file"], "sha256") : "";
            if (isSha256(hash)) {
                hashes.push_back(hash);
            }
        }
    }
    const Path folder = m_layout.modelVersion(id.name, id.number);
    const Json mark{{"format", kDeletedFormat}, {"version", 1}, {"deleted_at", base::wallMicros()}};
    TRAINYARD_TRY(base::writeFileAtomically(folder / kDeletedFile, base::dumpJsonPretty(mark)));
    TRAINYARD_TRY(base::removeTree(m_layout.modelCard(id.name, id.number)));
    TRAINYARD_TRY(base::removeTree(exportsFolder(m_layout, id)));
    TRAINYARD_TRY(base::removeTree(folder / "evaluations"));
    std::int64_t freed = 0;
    for (const std::string& hash : hashes) {
        if (!isUsed(hash)) {
            const auto bytes = m_objects.remove(hash);
            if (!bytes.ok()) {
                return bytes.error();
            }
            freed += *bytes;
        }
    }
    return freed;
}

}  // namespace trainyard::registry
