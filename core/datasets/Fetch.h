#pragma once
// A file from an http or https address, by the curl program: what it can reach with the user's proxies and certificates
// can be fetched. The address is one argument behind --url, never a word of a shell or an option.
#include <QObject>
#include <QProcess>
#include <QTimer>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::datasets {

struct Address {
    std::string url;     ///< Without its fragment.
    std::string sha256;  ///< Lower case.
};
/// Whether a source is an http or https address and no path.
[[nodiscard]] bool isAddress(const std::string& source);
/// "https://host/birds.zip#sha256=…", or with the hash given apart. Errors: "spec.input" with the field "source" or
/// "sha256".
[[nodiscard]] base::Result<Address> readAddress(const std::string& source, const std::string& sha256);
/// 64 hexadecimal digits.
[[nodiscard]] bool isSha256(const std::string& text);

/// One download into a file; what lies there already is gone on with. Five tries with growing pauses; a server that
/// cannot give parts is asked for the whole. Lives in one thread with an event loop. done() is emitted exactly once
/// after start(), always from the event loop. The hash is not checked here. Destroying it ends curl; what came stays.
/// Errors: "dataset.fetch" with curl's last words and the field "source", "canceled".
class Fetch : public QObject {
    Q_OBJECT
public:
    Fetch(Address address, base::Path to, QObject* parent = nullptr);
    ~Fetch() override;

    /// Legal once.
    void start();
    void cancel();

Q_SIGNALS:
    /// Bytes that are here, and bytes in all (0 while that is not known).
    void progressed(std::int64_t done, std::int64_t total);
    void done(const trainyard::base::Status& status);

private:
    void tryOnce();
    void ended(int code, QProcess::ExitStatus how);
    void tell();
    void finish(base::Status status);
    [[nodiscard]] std::int64_t bytesHere() const;
    [[nodiscard]] std::int64_t bytesTold() const;

    Address m_address;
    base::Path m_to;
    base::Path m_headers;
    QProcess m_curl;
    QTimer m_look;
    QTimer m_pause;
    QByteArray m_said;
    std::int64_t m_before = 0;  ///< Bytes that were here when this try began.
    int m_tries = 0;
    bool m_stopped = false;
    bool m_finished = false;
};

/// The same in a thread that may block, in an event loop of its own. `report`: bytes here and in all; false: stop.
[[nodiscard]] base::Status fetchNow(const Address& address, const base::Path& to,
                                    const std::function<bool(std::int64_t done, std::int64_t total)>& report);

}  // namespace trainyard::datasets
