// follow: all streams of a run as they grow; download: one file of its outputs.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/wire/RunStream.h"
#include "core/wire/Serve.h"

namespace trainyard::agent {

namespace {

/// Between two looks where inotify says nothing: another machine's writes over NFS, and by the clock where it cannot be
/// had.
constexpr std::int64_t kLookMillis = 1000;
constexpr std::int64_t kByClockMillis = 25;
constexpr std::int64_t kNetworkMillis = 200;
constexpr std::size_t kRehashBytes = 4 << 20;

class FollowRequest final : public ServeRequest {
public:
    using Key = std::pair<int, int>;  ///< Attempt, node.

    struct Stream {
        Path folder;
        int segment = 1;
        std::int64_t offset = 0;
        bool nextWasThere = false;
        base::UniqueFd file;  ///< Of the segment.
        int watch = -1;
    };

    FollowRequest(ServeContext& context, std::int64_t id, const RunId& run,
                  std::map<Key, std::pair<int, std::int64_t>> from)
        : ServeRequest(context, id), m_run(work().run(run)), m_from(std::move(from)) {
        m_notify.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        m_byClock = !m_notify.valid();
    }

    void frame(const Json& header, std::string) override {
        m_credit.acknowledged(header);
        m_news = true;
    }

    void watch(std::vector<pollfd>& polls) const override {
        if (m_notify.valid()) polls.push_back({m_notify.get(), POLLIN, 0});
    }

    [[nodiscard]] std::int64_t pause() const override {
        // With more to say and no room, an acknowledgement or the emptied output brings the next turn.
        if (m_more) return m_credit.open() && out().roomy() ? 0 : kLookMillis;
        if (m_byClock) return kByClockMillis;
        return m_network ? kNetworkMillis : kLookMillis;
    }

    void turn() override {
        const bool told = drainNotes();
        const bool appeared = std::exchange(m_appeared, false);
        const std::int64_t now = base::monotonicNanos();
        if (!told && !m_news && !m_more && now - m_lastLook < pause() * 1'000'000) return;
        if (appeared || m_lastLook == 0 || now - m_lastLook >= kLookMillis * 1'000'000 / 2) findStreams();
        m_lastLook = now;
        m_news = false;
        m_more = false;
        bool caughtUp = true;
        for (auto& [key, stream] : m_streams) {
            caughtUp = deliver(key, stream) && caughtUp;
            if (finished()) return;
        }
        if (caughtUp && !m_toldCaughtUp) {
            m_toldCaughtUp = true;
            const Key key = m_streams.empty() ? Key{1, 0} : m_streams.rbegin()->first;
            const auto it = m_streams.find(key);
            const int segment = it == m_streams.end() ? 1 : it->second.segment;
            chunk(key, segment, it == m_streams.end() ? 0 : it->second.offset, {}, false, true);
        }
    }

private:
    bool drainNotes() {
        if (!m_notify.valid()) return false;
        alignas(inotify_event) std::array<char, 16 << 10> buffer;
        bool told = false;
        ssize_t got = 0;
        while ((got = ::read(m_notify.get(), buffer.data(), buffer.size())) > 0) {
            told = true;
            for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
                inotify_event event{};
                std::memcpy(&event, buffer.data() + at, sizeof event);
                at += sizeof event + event.len;
                m_appeared = m_appeared || (event.mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW)) != 0;
            }
        }
        return told;
    }

    void addWatch(const Path& folder) {
        if (!m_notify.valid() || m_watched.contains(folder)) return;
        constexpr std::uint32_t kMask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
        if (::inotify_add_watch(m_notify.get(), folder.c_str(), kMask) >= 0) {
            m_watched.insert(folder);
        } else if (errno == ENOSPC || errno == ENOMEM) {
            m_byClock = true;
        }
    }

    /// Attempts and nodes appear while one follows, and so does the run's folder.
    void findStreams() {
        addWatch(m_run);
        if (!m_watched.contains(m_run)) {
            // Nothing to be seen but its appearance; made in any case before the first run.
            (void) base::makeDirs(m_run.parent_path()).ok();
            addWatch(m_run.parent_path());
            addWatch(m_run);
        }
        for (const int attempt : numberedFolders(m_run, 'a')) {
            const Path folder = m_run / ("a" + std::to_string(attempt));
            addWatch(folder);
            for (const int node : numberedFolders(folder, 'n')) {
                const Key key{attempt, node};
                const Path nodeFolder = folder / ("n" + std::to_string(node));
                if (!m_streams.contains(key)) {
                    Stream stream;
                    stream.folder = wire::NodeLayout{nodeFolder}.stream();
                    if (const auto it = m_from.find(key); it != m_from.end()) {
                        stream.segment = it->second.first;
                        stream.offset = it->second.second;
                    }
                    m_streams.emplace(key, std::move(stream));
                    m_network = m_network || base::isNetworkFileSystem(m_run);
                    addWatch(nodeFolder);
                }
                addWatch(m_streams.at(key).folder);
            }
        }
    }

    void chunk(const Key& key, int segment, std::int64_t offset, std::string_view bytes, bool closed, bool caughtUp) {
        Json header = Json::object();
        header["event"] = "chunk";
        header["attempt"] = key.first;
        header["node"] = key.second;
        header["segment"] = segment;
        header["offset"] = offset;
        if (closed) header["closed"] = true;
        if (caughtUp) header["caught_up"] = true;
        m_credit.sent(bytes.size());
        event(std::move(header), bytes);
    }

    /// True when all that the stream has was sent.
    bool deliver(const Key& key, Stream& stream) {
        std::string bytes;
        while (true) {
            if (!m_credit.open() || !out().roomy()) {
                m_more = true;
                return false;
            }
            if (!stream.file.valid()) {
                const Path path = stream.folder / wire::segmentName(stream.segment);
                stream.file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
                if (!stream.file.valid() && errno != ENOENT) {
                    fail(base::errnoError(errno, "open", path));
                    return false;
                }
            }
            bytes.resize(ServeCredit::kChunkBytes);
            const ssize_t got =
                stream.file.valid() ? ::pread(stream.file.get(), bytes.data(), bytes.size(), stream.offset) : 0;
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) {
                fail(base::errnoError(errno, "read", stream.folder));
                return false;
            }
            if (got > 0) {
                chunk(key, stream.segment, stream.offset,
                      std::string_view(bytes).substr(0, static_cast<std::size_t>(got)), false, false);
                stream.offset += got;
                stream.nextWasThere = false;
                m_toldCaughtUp = false;
                continue;
            }
            if (!checkLength(stream)) return false;
            // A segment is closed once the next one exists; what was written before that is read by one more look.
            struct stat info {};
            const bool next = ::stat((stream.folder / wire::segmentName(stream.segment + 1)).c_str(), &info) == 0;
            if (!next) return true;
            if (!stream.nextWasThere) {
                stream.nextWasThere = true;
                continue;
            }
            chunk(key, stream.segment, stream.offset, {}, true, false);
            ++stream.segment;
            stream.offset = 0;
            stream.nextWasThere = false;
            stream.file.reset();
        }
    }

    bool checkLength(const Stream& stream) {
        struct stat info {};
        if (!stream.file.valid() || ::fstat(stream.file.get(), &info) != 0 || info.st_size >= stream.offset)
            return true;
        fail({"target.stream", "The stream segment " + (stream.folder / wire::segmentName(stream.segment)).string() +
                                   " is shorter than what was read of it."});
        return false;
    }

    Path m_run;
    std::map<Key, std::pair<int, std::int64_t>> m_from;
    std::map<Key, Stream> m_streams;
    base::UniqueFd m_notify;
    std::set<Path> m_watched;
    ServeCredit m_credit;
    std::int64_t m_lastLook = 0;  ///< Monotonic ns.
    bool m_appeared = false;
    bool m_byClock = false;
    bool m_network = false;
    bool m_news = true;
    bool m_more = false;
    bool m_toldCaughtUp = false;
};

class DownloadRequest final : public ServeRequest {
public:
    /// `hash`: false where the client knows it already; the bytes before `offset` are then not looked at.
    DownloadRequest(ServeContext& context, std::int64_t id, base::UniqueFd file, Path path, std::int64_t offset,
                    bool hash)
        : ServeRequest(context, id), m_file(std::move(file)), m_path(std::move(path)), m_from(offset), m_hashed(hash),
          m_at(hash ? 0 : offset) {}

    void frame(const Json& header, std::string) override { m_credit.acknowledged(header); }

    [[nodiscard]] std::int64_t pause() const override {
        return m_at < m_from || (m_credit.open() && out().roomy()) ? 0 : kNever;
    }

    void turn() override {
        std::string& bytes = m_block;
        // What the client has already is hashed, a piece a turn; the rest is sent while there is room.
        bool again = true;
        while (again && !finished()) {
            const bool skipping = m_at < m_from;
            if (!skipping && !(m_credit.open() && out().roomy())) return;
            const auto wanted =
                skipping ? std::min<std::int64_t>(m_from - m_at, kRehashBytes) : std::int64_t{ServeCredit::kChunkBytes};
            bytes.resize(static_cast<std::size_t>(wanted));
            const ssize_t got = ::pread(m_file.get(), bytes.data(), bytes.size(), m_at);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) {
                fail(base::errnoError(errno, "read", m_path));
                return;
            }
            const std::string_view piece(bytes.data(), static_cast<std::size_t>(got));
            if (m_hashed) m_hash.add(piece);
            m_at += got;
            if (got == 0) {
                conclude(skipping);
                return;
            }
            if (!skipping) {
                m_credit.sent(piece.size());
                event({{"event", "data"}}, piece);
            }
            again = !skipping;
        }
    }

private:
    void conclude(bool tooShort) {
        struct stat info {};
        if (!tooShort && !m_hashed) tooShort = ::fstat(m_file.get(), &info) == 0 && info.st_size < m_from;
        if (tooShort) {
            fail({"target.range", m_path.string() + " is shorter than the " + std::to_string(m_from) +
                                      " bytes that are there already."});
            return;
        }
        Json answer{{"size", m_at}};
        if (m_hashed) answer["sha256"] = m_hash.hex();
        done(std::move(answer));
    }

    base::UniqueFd m_file;
    Path m_path;
    std::int64_t m_from;
    bool m_hashed;
    std::int64_t m_at;
    std::string m_block;
    base::Sha256 m_hash;
    ServeCredit m_credit;
};

}  // namespace

MadeRequest serveFollow(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    std::map<FollowRequest::Key, std::pair<int, std::int64_t>> from;
    for (const Json& item : arguments.reader().array("from")) {
        ServeArguments position(item);
        const int attempt = position.number("attempt", 1, 1'000'000, 1);
        const int node = position.number("node", 0, 1'000'000, 0);
        const int segment = position.number("segment", 1, 999'999, 1);
        const std::int64_t offset = position.reader().integer("offset", 0);
        if (offset < 0) position.reader().fail("serve.range", "offset", "\"offset\" must not be negative.");
        arguments.reader().merge(position.reader());
        from[{attempt, node}] = {segment, offset};
    }
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(std::make_unique<FollowRequest>(context, id, run, std::move(from)));
}

MadeRequest serveDownload(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    const std::string path = arguments.relativePath("path");
    const std::int64_t offset = arguments.reader().integer("offset", 0);
    if (offset < 0) arguments.reader().fail("serve.range", "offset", "\"offset\" must not be negative.");
    const bool hash = arguments.reader().boolean("hash", true);
    TRAINYARD_TRY(arguments.status());
    const Path outputs = context.work.outputs(run);
    auto file = openInside(outputs, path);
    if (!file.ok()) {
        Error error = file.error();
        if (error.code == "file.missing") error.code = "target.missing";
        return error;
    }
    return ServeRequestPtr(
        std::make_unique<DownloadRequest>(context, id, std::move(file).value(), outputs / path, offset, hash));
}

}  // namespace trainyard::agent
