// Files to and from a host, over a channel that may break at any moment.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QTimer>
#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/Hash.h"
#include "core/targets/HostTask.h"
#include "core/targets/Operations.h"

namespace trainyard::targets {
namespace {

constexpr int kPatienceMillis = 120'000;
constexpr std::int64_t kBlock = 256 << 10;
/// What may wait in front of the child: enough to keep it busy, little enough to leave commands their turn.
constexpr std::int64_t kAhead = 1 << 20;
/// Written and hashed in pieces that stay in the processor's cache. Large writes get large pages, too, which a virtual
/// machine may first have to ask its host for: up to six times the time, measured.
constexpr std::size_t kWriteBytes = 32 << 10;
/// Acknowledged together; well below the window.
constexpr std::int64_t kAckBytes = 1 << 20;
static_assert(kAckBytes * 2 <= wire::kServeWindow);

base::Error outOfPatience(const Host* host) {
    const std::string why = host != nullptr ? host->reach().reason : std::string();
    return {"target.unreachable", why.empty() ? "Nothing arrived for two minutes." : why};
}

class UploadTask final : public Host::Task {
public:
    UploadTask(Host& host, HostUpload file, std::function<void(std::int64_t)> onProgress, DoneStatus done)
        : Task(host, true), m_file(std::move(file)), m_onProgress(std::move(onProgress)), m_done(std::move(done)) {
        m_patience.setSingleShot(true);
        QObject::connect(&m_patience, &QTimer::timeout, &m_patience, [this] { end(outOfPatience(this->host())); });
        m_patience.start(kPatienceMillis);
        join();
    }

    void open() override {
        m_going = false;
        base::Json header{
            {"verb", "upload"}, {"sha256", m_file.sha256}, {"size", m_file.size}, {"executable", m_file.executable}};
        switch (m_file.to) {
        case HostUpload::To::Object: header["to"] = "object"; break;
        case HostUpload::To::Data:
            header["to"] = "data";
            header["entry"] = m_file.entry;
            header["path"] = m_file.path;
            break;
        case HostUpload::To::Engine:
            header["to"] = "engine";
            header["key"] = m_file.entry;
            break;
        }
        send(std::move(header));
    }

    void frame(const wire::ServeFrameView& frame) override {
        m_patience.start(kPatienceMillis);
        const base::Json& header = frame.header;
        if (const auto error = answeredError(header)) {
            // What an earlier, broken try left there may have been wrong; it is gone now.
            if (error->code == "upload.hash" && m_offset > 0 && !m_again) {
                m_again = true;
                QMetaObject::invokeMethod(
                    &m_patience, [this] { join(); }, Qt::QueuedConnection);
                return;
            }
            end(*error);
        } else if (header.contains("done")) {
            progress(m_file.size);
            end({});
        } else if (header.contains("ack") && header.at("ack").is_number_integer()) {
            m_acked = m_offset + header.at("ack").get<std::int64_t>();
            progress(m_acked);
            pump();
        } else if (header.contains("event") && header.at("event") == "go") {
            base::ObjectReader reader(header, "");
            m_offset = std::clamp<std::int64_t>(reader.integer("offset", 0), 0, m_file.size);
            begin();
        }
    }
    void written() override {
        if (m_going) {
            pump();
        }
    }
    [[nodiscard]] bool survives() override {
        m_going = false;
        return true;
    }
    void fail(const base::Error& error) override { end(error); }

private:
    void begin() {
        if (!m_fd.valid()) {
            m_fd.reset(::open(m_file.local.c_str(), O_RDONLY | O_CLOEXEC));
            struct stat info {};
            if (!m_fd.valid() || ::fstat(m_fd.get(), &info) != 0) {
                end(base::errnoError(errno, "A file to be sent cannot be read", m_file.local));
                return;
            }
            if (info.st_size != m_file.size) {
                end(changed());
                return;
            }
        }
        m_sent = m_offset;
        m_acked = m_offset;
        m_going = true;
        m_saidEnd = false;
        progress(m_offset);
        pump();
    }

    void pump() {
        std::string block;
        while (m_going && !m_saidEnd && m_sent - m_acked < wire::kServeWindow - kBlock && pending() < kAhead) {
            block.resize(static_cast<std::size_t>(std::min(kBlock, m_file.size - m_sent)));
            const ssize_t got = block.empty() ? 0 : ::pread(m_fd.get(), block.data(), block.size(), m_sent);
            if (got < 0 || (got == 0 && !block.empty())) {
                end(changed());
                return;
            }
            block.resize(static_cast<std::size_t>(got));
            m_sent += got;
            base::Json header{{"data", true}};
            if (m_sent == m_file.size) {
                header["end"] = true;
                m_saidEnd = true;
            }
            send(std::move(header), block);
        }
    }

    [[nodiscard]] base::Error changed() const {
        return {"file.changed", m_file.local.string() + " was changed while it was sent; submit again."};
    }
    void progress(std::int64_t bytes) {
        if (m_onProgress) {
            m_onProgress(bytes);
        }
    }
    void end(const Status& status) {
        if (!m_done) {
            return;
        }
        m_going = false;
        m_patience.stop();
        leave();
        const DoneStatus done = std::exchange(m_done, {});
        done(status);
    }

    HostUpload m_file;
    std::function<void(std::int64_t)> m_onProgress;
    DoneStatus m_done;
    QTimer m_patience;
    base::UniqueFd m_fd;
    std::int64_t m_offset = 0;
    std::int64_t m_sent = 0;
    std::int64_t m_acked = 0;
    bool m_going = false;
    bool m_saidEnd = false;
    bool m_again = false;
};

/// What lies here of a file that was begun: its bytes are hashed in a pool thread.
struct Begun {
    std::int64_t bytes = 0;
    std::shared_ptr<base::Sha256> hash;
};

Result<Begun> hashBegun(const base::Path& part, const KeepGoing& report) {
    Begun begun{0, std::make_shared<base::Sha256>()};
    base::UniqueFd fd(::open(part.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) {
        return begun;
    }
    std::string block(std::size_t{1} << 20, '\0');
    for (;;) {
        const ssize_t got = ::read(fd.get(), block.data(), block.size());
        if (got < 0) {
            return base::errnoError(errno, "A file that was begun cannot be read", part);
        }
        if (got == 0) {
            return begun;
        }
        begun.hash->add(std::string_view(block).substr(0, static_cast<std::size_t>(got)));
        begun.bytes += got;
        if (!report(begun.bytes)) {
            return base::Error{"canceled", "Canceled."};
        }
    }
}

class DownloadTask final : public Host::Task {
public:
    DownloadTask(Host& host, HostDownload file, std::function<void(std::int64_t)> onProgress, Done<OutputFile> done)
        : Task(host, true), m_file(std::move(file)), m_onProgress(std::move(onProgress)), m_done(std::move(done)),
          m_part(m_file.to.parent_path() / ("." + m_file.to.filename().string() + ".part")) {
        m_patience.setSingleShot(true);
        QObject::connect(&m_patience, &QTimer::timeout, &m_patience, [this] { end(outOfPatience(this->host())); });
        struct stat info {};
        if (::lstat(m_part.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
            m_hashing = std::make_unique<ThreadOperation<Begun>>(
                [part = m_part](const KeepGoing& report) { return hashBegun(part, report); },
                std::function<void(std::int64_t)>{},
                [this](const Result<Begun>& begun) {
                    if (begun.ok()) {
                        m_resumed = begun->bytes > 0;
                        begin(*begun);
                    } else {
                        end(begun.error());
                    }
                });
            return;
        }
        QMetaObject::invokeMethod(
            &m_patience,
            [this] {
                begin({0, std::make_shared<base::Sha256>()});
            },
            Qt::QueuedConnection);
    }

    void open() override {
        m_received = 0;
        m_acked = 0;
        // Where the hash is known, ours is compared with it and the other end need not reckon its own. A second try
        // asks, so that a file that was changed there is told from one that was damaged on the way.
        m_asked = m_again || m_file.sha256.empty();
        send({{"verb", "download"},
              {"run", m_file.run.str()},
              {"path", m_file.path},
              {"offset", m_have},
              {"hash", m_asked}});
    }

    void frame(const wire::ServeFrameView& frame) override {
        m_patience.start(kPatienceMillis);
        const base::Json& header = frame.header;
        if (const auto error = answeredError(header)) {
            if (error->code == "target.range" && m_have > 0 && !m_again) {
                startOver();
                return;
            }
            if (m_have == 0) {
                ::unlink(m_part.c_str());
            }
            end(*error);
            return;
        }
        if (header.contains("done")) {
            conclude(header);
            return;
        }
        if (frame.payload.empty()) {
            return;
        }
        const auto bytes = static_cast<std::int64_t>(frame.payload.size());
        for (std::size_t at = 0; at < frame.payload.size(); at += kWriteBytes) {
            const std::string_view piece = frame.payload.substr(at, kWriteBytes);
            if (const Status written = base::writeAll(m_fd.get(), piece, m_part); !written.ok()) {
                end(written.error());
                return;
            }
            m_hash->add(piece);
        }
        m_have += bytes;
        m_received += bytes;
        if (m_received - m_acked >= kAckBytes) {
            m_acked = m_received;
            send({{"ack", m_received}});
        }
        if (m_onProgress) {
            m_onProgress(m_have);
        }
    }
    void fail(const base::Error& error) override { end(error); }

private:
    void begin(const Begun& begun) {
        m_hash = begun.hash;
        m_have = begun.bytes;
        if (const Status made = base::makeDirs(m_part.parent_path()); !made.ok()) {
            end(made.error());
            return;
        }
        m_fd.reset(::open(m_part.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!m_fd.valid() || (m_have == 0 && ::ftruncate(m_fd.get(), 0) != 0)) {
            end(base::errnoError(errno, "A file that is brought here cannot be written", m_part));
            return;
        }
        m_patience.start(kPatienceMillis);
        join();
    }

    /// What lay here was of another file.
    void startOver() {
        m_again = true;
        m_resumed = false;
        QMetaObject::invokeMethod(
            &m_patience,
            [this] {
                begin({0, std::make_shared<base::Sha256>()});
            },
            Qt::QueuedConnection);
    }

    void conclude(const base::Json& header) {
        base::ObjectReader reader(header, "");
        const std::int64_t size = reader.integer("size", -1);
        const std::string theirs = reader.string("sha256");
        const std::string ours = m_hash->hex();
        const std::string& right = m_asked ? theirs : m_file.sha256;
        const bool changed = m_file.size >= 0 && size == m_have && size != m_file.size;
        if (!changed && (size != m_have || ours != right)) {
            if ((m_resumed || !m_asked) && !m_again) {
                startOver();
                return;
            }
            ::unlink(m_part.c_str());
            end(base::Error{"target.hash", m_file.path + " did not arrive as it is there."});
            return;
        }
        if (changed || (!m_file.sha256.empty() && ours != m_file.sha256)) {
            ::unlink(m_part.c_str());
            end(base::Error{"target.hash", m_file.path + " was changed after the run had ended."});
            return;
        }
        m_fd.reset();
        if (::rename(m_part.c_str(), m_file.to.c_str()) != 0) {
            end(base::errnoError(errno, "A file that was brought here cannot be put in its place", m_file.to));
            return;
        }
        end(OutputFile{m_file.path, size, ours});
    }

    void end(const Result<OutputFile>& result) {
        if (!m_done) {
            return;
        }
        m_patience.stop();
        leave();
        const Done<OutputFile> done = std::exchange(m_done, {});
        done(result);
    }

    HostDownload m_file;
    std::function<void(std::int64_t)> m_onProgress;
    Done<OutputFile> m_done;
    base::Path m_part;
    QTimer m_patience;
    OperationPtr m_hashing;
    base::UniqueFd m_fd;
    std::shared_ptr<base::Sha256> m_hash;
    std::int64_t m_have = 0;
    std::int64_t m_received = 0;
    std::int64_t m_acked = 0;
    bool m_asked = false;  ///< The agent hashes it too.
    bool m_resumed = false;
    bool m_again = false;
};

}  // namespace

OperationPtr Host::upload(HostUpload file, std::function<void(std::int64_t)> onProgress, DoneStatus done) {
    return std::make_unique<UploadTask>(*this, std::move(file), std::move(onProgress), std::move(done));
}

OperationPtr Host::download(HostDownload file, std::function<void(std::int64_t)> onProgress, Done<OutputFile> done) {
    return std::make_unique<DownloadTask>(*this, std::move(file), std::move(onProgress), std::move(done));
}

}  // namespace trainyard::targets
