// upload: one file into the store, resumable by its hash; put: a node's small files.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/agent/Child.h"
#include "core/agent/ServeStore.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kUploadRehashBytes = 4 << 20;  ///< A turn.
/// Large writes get large pages, which a virtual machine may first have to ask its host for.
constexpr std::size_t kWriteBytes = 32 << 10;
constexpr std::int64_t kHeldPauseMillis = 100;
constexpr std::int64_t kMostPutBytes = 64 << 20;
constexpr std::size_t kMostPutFiles = 1000;
/// Left free on the disk, so that runs can still write their streams.
constexpr std::int64_t kSpareBytes = 16 << 20;

struct UploadPlace {
    std::string sha256;
    std::int64_t size = 0;
    bool executable = false;
    Path final;
    std::string entry;  ///< Data: the entry and the path in it.
    std::string path;
};

class UploadRequest final : public ServeRequest {
public:
    UploadRequest(ServeContext& context, std::int64_t id, UploadPlace place)
        : ServeRequest(context, id), m_place(std::move(place)),
          m_part(work().incoming() / (m_place.sha256 + (m_place.entry.empty() ? "" : "-" + m_place.entry) + ".part")) {
        turn();
    }

    void frame(const Json& header, std::string payload) override {
        if (!header.contains("data") || finished()) return;
        if (!m_going) {
            fail({"upload.order", "Data came before the agent asked for it."});
            return;
        }
        if (m_done + static_cast<std::int64_t>(payload.size()) > m_place.size) {
            giveUp(
                {"upload.size", "More came than the " + std::to_string(m_place.size) + " bytes that were announced."});
            return;
        }
        for (std::size_t at = 0; at < payload.size(); at += kWriteBytes) {
            const std::string_view piece = std::string_view(payload).substr(at, kWriteBytes);
            if (const auto written = base::writeAll(m_file.get(), piece, m_place.final); !written.ok()) {
                giveUp(written.error());
                return;
            }
            m_hash.add(piece);
        }
        m_done += static_cast<std::int64_t>(payload.size());
        m_received += static_cast<std::int64_t>(payload.size());
        if (header.contains("end")) {
            conclude();
        } else {
            event({{"ack", m_received}});
        }
    }

    void turn() override {
        if (finished() || m_going) return;
        if (!m_file.valid() && !openPart()) return;
        if (!rehash()) return;
        m_going = true;
        event({{"event", "go"}, {"offset", m_done}});
    }

    [[nodiscard]] std::int64_t pause() const override {
        if (m_going) return kNever;
        return m_file.valid() ? 0 : kHeldPauseMillis;
    }

private:
    /// False while another client sends the same file, and when it is there.
    bool openPart() {
        struct stat info {};
        if (::lstat(m_place.final.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == m_place.size) {
            done({{"size", m_place.size}});
            return false;
        }
        for (const Path& folder : {work().incoming(), m_place.final.parent_path()}) {
            if (const auto made = base::makeDirs(folder); !made.ok()) return refuse(made.error());
        }
        base::UniqueFd file(::open(m_part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file.valid()) return refuse(base::errnoError(errno, "open", m_part));
        if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
        // Whoever held the lock before may have moved the file to its place meanwhile.
        struct stat named {};
        if (::fstat(file.get(), &info) != 0 || ::lstat(m_part.c_str(), &named) != 0 || info.st_ino != named.st_ino) {
            return false;
        }
        if (info.st_size > m_place.size && ::ftruncate(file.get(), 0) != 0) {
            return refuse(base::errnoError(errno, "shorten", m_part));
        }
        m_there = info.st_size > m_place.size ? 0 : info.st_size;
        const auto space = base::diskSpace(work().root);
        if (space.ok() && space->freeBytes < m_place.size - m_there + kSpareBytes) {
            if (m_there == 0) ::unlink(m_part.c_str());
            return refuse({"target.disk_full", base::formatBytes(m_place.size - m_there) +
                                                   " are to be sent, but the disk of " + work().root.string() +
                                                   " has " + base::formatBytes(space->freeBytes) +
                                                   " free. Make room there, or clear the target's cache (trainyard-cli "
                                                   "target clear-cache)."});
        }
        m_file = std::move(file);
        return true;
    }

    bool refuse(const Error& error) {
        fail(error);
        return false;
    }

    /// Hashes what an earlier channel brought, piece by piece. True once it is done.
    bool rehash() {
        if (m_done == m_there) return true;
        std::string bytes(static_cast<std::size_t>(std::min<std::int64_t>(m_there - m_done, kUploadRehashBytes)), '\0');
        const ssize_t got = ::read(m_file.get(), bytes.data(), bytes.size());
        if (got <= 0) {
            if (got < 0 && errno == EINTR) return false;
            return refuse(base::errnoError(got < 0 ? errno : EIO, "read", m_part));
        }
        m_hash.add(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
        m_done += got;
        return m_done == m_there;
    }

    /// What was sent goes too: a wrong piece would be gone on with for ever, and on a full disk it takes the runs'
    /// room.
    void giveUp(const Error& error) {
        ::unlink(m_part.c_str());
        m_file.reset();
        fail(error);
    }

    void conclude() {
        if (m_done != m_place.size) {
            giveUp({"upload.size",
                    "Only " + std::to_string(m_done) + " of " + std::to_string(m_place.size) + " bytes came."});
            return;
        }
        if (m_hash.hex() != m_place.sha256) {
            giveUp({"upload.hash", "What came does not have the hash " + m_place.sha256 +
                                       ". The file changed while it was "
                                       "sent, or what an earlier try left was damaged; send it again."});
            return;
        }
        if (::fchmod(m_file.get(), m_place.executable ? 0700 : 0600) != 0) {
            giveUp(base::errnoError(errno, "change", m_part));
            return;
        }
        if (!m_place.entry.empty()) {
            if (const auto noted = notePart(); !noted.ok()) {
                giveUp(noted.error());
                return;
            }
        }
        if (::rename(m_part.c_str(), m_place.final.c_str()) != 0) {
            giveUp(base::errnoError(errno, "put in place", m_place.final));
            return;
        }
        context().unsynced = true;
        done({{"size", m_place.size}});
    }

    /// finish_data believes only what stands here.
    [[nodiscard]] Status notePart() const {
        Json line = Json::object();
        line["path"] = m_place.path;
        line["sha256"] = m_place.sha256;
        line["size"] = m_place.size;
        const Path parts = partsFile(work(), m_place.entry);
        const base::UniqueFd file(::open(parts.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file.valid()) return base::errnoError(errno, "open", parts);
        return base::writeAll(file.get(), base::dumpJson(line) + "\n", parts);
    }

    UploadPlace m_place;
    Path m_part;
    base::UniqueFd m_file;
    base::Sha256 m_hash;
    std::int64_t m_there = 0;     ///< Bytes of earlier channels.
    std::int64_t m_done = 0;      ///< Bytes hashed.
    std::int64_t m_received = 0;  ///< Bytes of this request.
    bool m_going = false;
};

struct PutFile {
    std::string name;
    std::int64_t size = 0;
    std::string object;  ///< Its bytes lie in the store under this hash.
};

Result<Json> putFiles(const wire::WorkLayout& work, const Path& folder, const std::vector<PutFile>& files,
                      std::string_view bytes, bool sync) {
    TRAINYARD_TRY(base::makeDirs(folder));
    TRAINYARD_TRY(base::checkOwnedByUs(folder));
    if (sync) TRAINYARD_TRY(syncWork(work));
    for (const PutFile& file : files) {
        if (!file.object.empty()) {
            TRAINYARD_TRY(base::copyFile(work.object(file.object), folder / file.name));
            continue;
        }
        const auto size = static_cast<std::size_t>(file.size);
        TRAINYARD_TRY(base::writeFileAtomically(folder / file.name, bytes.substr(0, size)));
        bytes.remove_prefix(size);
    }
    return Json::object();
}

class PutRequest final : public ServeCollector {
public:
    PutRequest(ServeContext& context, std::int64_t id, Path folder, std::vector<PutFile> files, std::string payload)
        : ServeCollector(context, id), m_folder(std::move(folder)), m_files(std::move(files)),
          m_bytes(std::move(payload)) {
        for (const PutFile& file : m_files) m_wanted += file.size;
        look();
    }
    void frame(const Json& header, std::string payload) override {
        if (!header.contains("data") || isAtWork() || finished()) return;
        m_bytes += payload;
        event({{"ack", static_cast<std::int64_t>(m_bytes.size())}});
        look();
    }

private:
    void look() {
        const auto there = static_cast<std::int64_t>(m_bytes.size());
        if (there < m_wanted) return;
        if (there > m_wanted) {
            fail({"upload.size", "More came than the " + std::to_string(m_wanted) + " bytes that were announced."});
            return;
        }
        // A sync may take long where much was sent.
        const bool sync = std::exchange(context().unsynced, false);
        setToWork([this, sync](const ServeWorker::Say&) { return putFiles(work(), m_folder, m_files, m_bytes, sync); });
    }

    Path m_folder;
    std::vector<PutFile> m_files;
    std::string m_bytes;
    std::int64_t m_wanted = 0;
};

}  // namespace

MadeRequest serveUpload(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    UploadPlace place;
    place.sha256 = arguments.sha256("sha256");
    place.size = arguments.reader().integer("size", -1);
    place.executable = arguments.reader().boolean("executable");
    if (place.size < 0) arguments.reader().fail("serve.range", "size", "\"size\" is missing or negative.");
    const std::string to = arguments.reader().string("to", "object");
    if (to == "object" || to == "engine") {  // An engine's archive is an object until finish_engine unpacks it.
        place.final = context.work.object(place.sha256);
    } else if (to == "data") {
        place.entry = arguments.sha256("entry");
        place.path = arguments.relativePath("path");
        place.final = dataFiles(context.work, place.entry) / place.path;
    } else {
        arguments.reader().fail("serve.to", "to", "\"to\" must be object, data or engine.");
    }
    TRAINYARD_TRY(arguments.status());
    TRAINYARD_TRY(openWork(context.work));
    std::error_code ignored;
    if (!place.entry.empty() && std::filesystem::exists(dataInfo(context.work, place.entry), ignored)) {
        return answered(context, id, Json{{"size", place.size}});  // The entry is complete and not touched any more.
    }
    return ServeRequestPtr(std::make_unique<UploadRequest>(context, id, std::move(place)));
}

MadeRequest servePut(ServeContext& context, std::int64_t id, const Json& header, std::string payload) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    const int attempt = arguments.number("attempt", 0, 1'000'000, 0);
    const int node = arguments.number("node", 0, 1'000'000, 0);
    std::vector<PutFile> files;
    std::int64_t wanted = 0;
    for (const Json& item : arguments.reader().array("files")) {
        ServeArguments member(item);
        PutFile file;
        file.name = member.relativePath("name");
        if (file.name.find('/') != std::string::npos)
            member.reader().fail("target.path", "name", "A name must have no '/'.");
        if (member.reader().has("sha256")) {
            file.object = member.sha256("sha256");
        } else {
            file.size = member.reader().integer("size", -1);
        }
        if (file.size < 0 || file.size > kMostPutBytes)
            member.reader().fail("serve.range", "size", "A size is out of range.");
        wanted += std::max<std::int64_t>(0, file.size);
        arguments.reader().merge(member.reader());
        files.push_back(std::move(file));
        if (files.size() > kMostPutFiles || wanted > kMostPutBytes) {
            return Error{"serve.too_large", "Too many files or bytes for one put; send large ones as objects.",
                         "files"};
        }
    }
    TRAINYARD_TRY(arguments.status());
    TRAINYARD_TRY(openWork(context.work));
    const Path folder = attempt == 0 ? context.work.run(run) : context.work.attemptNode(run, attempt, node);
    return ServeRequestPtr(std::make_unique<PutRequest>(context, id, folder, std::move(files), std::move(payload)));
}

}  // namespace trainyard::agent
