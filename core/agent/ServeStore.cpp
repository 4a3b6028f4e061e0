#include "core/agent/ServeStore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "core/agent/RankFiles.h"
#include "core/agent/ServeVerbs.h"
#include "core/agent/Tar.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Ids.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kMostListBytes = std::int64_t{256} << 20;

bool isThere(const Path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

bool isFileOf(const Path& path, std::int64_t size) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == size;
}

Result<std::vector<base::ContentFile>> filesFromJson(const Json& list) {
    std::vector<base::ContentFile> files;
    if (!list.is_array()) return Error{"serve.files", "\"files\" is no list.", "files"};
    for (const Json& item : list) {
        ServeArguments arguments(item);
        base::ContentFile file;
        file.path = arguments.relativePath("path");
        file.sha256 = arguments.sha256("sha256");
        file.size = arguments.reader().integer("size", -1);
        if (file.size < 0) arguments.reader().fail("serve.range", "size", "A size must not be negative.");
        if (const auto status = arguments.status(); !status.ok()) return status.error();
        files.push_back(std::move(file));
    }
    return files;
}

/// What the entry's parts file says was verified on its way in.
std::map<std::string, base::ContentFile> verifiedParts(const wire::WorkLayout& work, const std::string& entry) {
    std::map<std::string, base::ContentFile> parts;
    const auto text = base::readFile(partsFile(work, entry), kMostListBytes);
    if (!text.ok()) return parts;
    for (const std::string& line : base::split(*text, '\n')) {
        const auto json = base::parseJson(line);
        if (!json.ok()) continue;  // A torn last line of a full disk: its file is sent again.
        base::ObjectReader reader(*json, "");
        base::ContentFile file{reader.string("path"), reader.string("sha256"), reader.integer("size")};
        parts[file.path] = file;
    }
    return parts;
}

Result<Json> finishData(const wire::WorkLayout& work, const std::string& entry, const std::string& name,
                        const std::vector<base::ContentFile>& files) {
    Json answer = Json::object();
    answer["path"] = dataFiles(work, entry).string();
    if (isThere(dataInfo(work, entry))) return answer;
    const bool single =
        files.size() == 1 && files.front().sha256 == entry && files.front().path.find('/') == std::string::npos;
    if (!single && base::contentHash(files) != entry) {
        return Error{"upload.hash", "The list of files does not have the content hash " + entry + ".", "entry"};
    }
    const auto parts = verifiedParts(work, entry);
    std::set<std::string> named;
    std::int64_t bytes = 0;
    for (const base::ContentFile& file : files) {
        const auto part = parts.find(file.path);
        if (part == parts.end() || part->second != file || !isFileOf(dataFiles(work, entry) / file.path, file.size)) {
            return Error{"upload.missing", file.path + " has not been sent.", "files"};
        }
        named.insert(file.path);
        bytes += file.size;
    }
    if (files.empty()) TRAINYARD_TRY(base::makeDirs(dataFiles(work, entry)));
    const auto there = base::listContent(dataFiles(work, entry));
    if (!there.ok()) return there.error();
    for (const base::ContentFile& file : *there) {
        if (!named.contains(file.path) && ::unlink((dataFiles(work, entry) / file.path).c_str()) != 0) {
            return base::errnoError(errno, "remove", dataFiles(work, entry) / file.path);
        }
    }
    TRAINYARD_TRY(sealData(work, entry, name, files.size(), bytes, {}));
    return answer;
}

/// The list of files comes in the header, or is larger and comes as payload, `bytes` of it.
class FinishDataRequest final : public ServeCollector {
public:
    FinishDataRequest(ServeContext& context, std::int64_t id, std::string entry, std::string name, std::int64_t bytes,
                      std::string payload)
        : ServeCollector(context, id), m_entry(std::move(entry)), m_name(std::move(name)), m_bytes(bytes) {
        add(std::move(payload));
    }
    void frame(const Json& header, std::string payload) override {
        if (!header.contains("data") || isAtWork()) return;
        add(std::move(payload));
        event({{"ack", static_cast<std::int64_t>(m_text.size())}});
    }

private:
    void add(std::string payload) {
        m_text += payload;
        if (static_cast<std::int64_t>(m_text.size()) < m_bytes) return;
        const auto json = base::parseJson(m_text);
        const auto files = json.ok() ? filesFromJson(*json) : Result<std::vector<base::ContentFile>>(json.error());
        m_text.clear();
        if (!files.ok()) {
            fail(files.error());
            return;
        }
        setToWork([this, list = *files](const ServeWorker::Say&) { return finishData(work(), m_entry, m_name, list); });
    }

    std::string m_entry;
    std::string m_name;
    std::int64_t m_bytes;
    std::string m_text;
};

Result<Json> finishEngine(const wire::WorkLayout& work, const std::string& key, const std::string& archive,
                          const ServeWorker::Say& say) {
    Json answer = Json::object();
    answer["path"] = work.engine(key).string();
    if (isThere(work.engine(key))) return answer;
    const Path object = work.object(archive);
    if (!isThere(object)) return Error{"upload.missing", "The engine's archive has not been sent.", "archive"};
    const Path temp = work.engines() / (".unpack-" + base::newUuid7());
    TRAINYARD_TRY(base::makeDirs(temp));
    auto unpacked = unpackTar(object, temp, [&say](std::int64_t files) {
        return say({{"event", "progress"}, {"files", files}});
    });
    if (unpacked.ok() && !isThere(temp / "bin" / "trainyard-engine")) {
        unpacked = Error{"engine.archive", "The archive holds no bin/trainyard-engine."};
    }
    if (unpacked.ok()) {
        const base::UniqueFd folder(::open(temp.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.valid()) ::syncfs(folder.get());
        if (::rename(temp.c_str(), work.engine(key).c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
            unpacked = base::errnoError(errno, "put in place", work.engine(key));
        }
    }
    if (const auto gone = base::removeTree(temp); !gone.ok() && unpacked.ok()) return gone.error();
    if (!unpacked.ok()) return unpacked.error();
    ::unlink(object.c_str());
    return answer;
}

}  // namespace

Status setWritable(const Path& root, bool writable) {
    std::vector<Path> folders{root};
    std::error_code error;
    if (writable && ::chmod(root.c_str(), 0700) != 0) return base::errnoError(errno, "change", root);
    for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) != 0) return base::errnoError(errno, "look at", it->path());
        if (S_ISDIR(info.st_mode)) {
            folders.push_back(it->path());
            if (writable && ::chmod(it->path().c_str(), 0700) != 0)
                return base::errnoError(errno, "change", it->path());
        } else if (!writable && S_ISREG(info.st_mode) && ::chmod(it->path().c_str(), 0400) != 0) {
            return base::errnoError(errno, "change", it->path());
        }
    }
    if (error) return base::errnoError(error.value(), "read", root);
    if (writable) return {};
    for (const Path& folder : folders) {
        if (::chmod(folder.c_str(), 0500) != 0) return base::errnoError(errno, "change", folder);
    }
    return {};
}

Status openWork(const wire::WorkLayout& work) {
    if (const auto made = base::makeDirs(work.root); !made.ok()) return targetError(made.error());
    return base::checkOwnedByUs(work.root);
}

Path partsFile(const wire::WorkLayout& work, const std::string& entry) { return work.dataEntry(entry) / "parts.jsonl"; }
Path dataFiles(const wire::WorkLayout& work, const std::string& entry) { return work.dataEntry(entry) / "files"; }
Path dataInfo(const wire::WorkLayout& work, const std::string& entry) { return work.dataEntry(entry) / "info.json"; }

bool isDataComplete(const wire::WorkLayout& work, const std::string& entry) { return isThere(dataInfo(work, entry)); }

Status sealData(const wire::WorkLayout& work, const std::string& entry, const std::string& name, std::size_t files,
                std::int64_t bytes, const std::string& archive) {
    TRAINYARD_TRY(setWritable(dataFiles(work, entry), false));
    const base::UniqueFd folder(::open(work.dataEntry(entry).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || ::syncfs(folder.get()) != 0) return base::errnoError(errno, "sync", work.dataEntry(entry));
    Json info = Json::object();
    info["format"] = "trainyard.data";
    info["version"] = 1;
    info["name"] = base::stripControl(base::toValidUtf8(name)).substr(0, 200);
    info["files"] = files;
    info["size"] = bytes;
    info["t"] = base::wallMicros();
    if (!archive.empty()) info["archive"] = archive;
    TRAINYARD_TRY(base::writeFileAtomically(dataInfo(work, entry), base::dumpJsonPretty(info)));
    ::unlink(partsFile(work, entry).c_str());
    return {};
}

Status syncWork(const wire::WorkLayout& work) {
    const base::UniqueFd folder(::open(work.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || ::syncfs(folder.get()) != 0) return base::errnoError(errno, "sync", work.root);
    return {};
}

Status removeReadOnlyTree(const Path& path) {
    if (std::error_code error; fs::symlink_status(path, error).type() == fs::file_type::directory) {
        TRAINYARD_TRY(setWritable(path, true));
    }
    return base::removeTree(path);
}

MadeRequest serveHave(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    Json answer = Json::object();
    const auto look = [&](const char* member, const auto& valid, const auto& place) {
        Json missing = Json::array();
        for (const std::string& key : arguments.reader().strings(member)) {
            if (!valid(key)) {
                arguments.reader().fail("serve.sha256", member,
                                        "\"" + base::stripControl(key.substr(0, 80)) + "\" is no key.");
            } else if (!isThere(place(key))) {
                missing.push_back(key);
            }
        }
        answer[member] = std::move(missing);
    };
    const wire::WorkLayout& work = context.work;
    look("objects", isSha256, [&](const std::string& key) { return work.object(key); });
    look("data", isSha256, [&](const std::string& key) { return dataInfo(work, key); });
    look("engines", isCacheKey, [&](const std::string& key) { return work.engine(key) / "bin" / "trainyard-engine"; });
    TRAINYARD_TRY(arguments.status());
    return answered(context, id, std::move(answer));
}

MadeRequest serveFinishData(ServeContext& context, std::int64_t id, const Json& header, std::string payload) {
    ServeArguments arguments(header);
    const std::string entry = arguments.sha256("entry");
    const std::string name = arguments.reader().string("name");
    std::int64_t bytes = arguments.reader().integer("bytes", 0);
    if (bytes < 0 || bytes > kMostListBytes)
        arguments.reader().fail("serve.range", "bytes", "\"bytes\" is out of range.");
    TRAINYARD_TRY(arguments.status());
    TRAINYARD_TRY(openWork(context.work));
    if (arguments.reader().has("files")) {
        payload = base::dumpJson(arguments.reader().raw("files"));
        bytes = static_cast<std::int64_t>(payload.size());
    }
    return ServeRequestPtr(std::make_unique<FinishDataRequest>(context, id, entry, name, bytes, std::move(payload)));
}

MadeRequest serveFinishEngine(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const std::string archive = arguments.sha256("archive");
    const std::string key = arguments.reader().string("key");
    if (!isCacheKey(key)) arguments.reader().fail("serve.key", "key", "\"key\" is no engine's key.");
    TRAINYARD_TRY(arguments.status());
    TRAINYARD_TRY(openWork(context.work));
    return ServeRequestPtr(std::make_unique<ServeWorker>(
        context, id, [&](const ServeWorker::Say& say) { return finishEngine(context.work, key, archive, say); }));
}

}  // namespace trainyard::agent
