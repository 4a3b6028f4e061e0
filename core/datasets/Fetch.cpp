#include "core/datasets/Fetch.h"

#include <QEventLoop>
#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/Text.h"
#include "core/spec/RunSpec.h"

namespace trainyard::datasets {

using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr int kTries = 5;
constexpr int kLookMillis = 200;
constexpr int kPauseMillis = 500;
constexpr int kEndMillis = 2000;
constexpr qsizetype kKeptWords = 4096;
constexpr std::string_view kHash = "#sha256=";
constexpr int kNoRange = 33;    // curl: the server cannot give a part of the file.
constexpr int kHttpError = 22;  // curl --fail: 400 and above; 416 when nothing is left to fetch.

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

}  // namespace

bool isSha256(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool isAddress(const std::string& source) { return source.starts_with("http://") || source.starts_with("https://"); }

Result<Address> readAddress(const std::string& source, const std::string& sha256) {
    Address address;
    const std::size_t sign = source.rfind(kHash);
    address.url = source.substr(0, sign);
    address.sha256 = lower(sha256.empty() && sign != std::string::npos ? source.substr(sign + kHash.size()) : sha256);
    if (!address.sha256.empty() && !isSha256(address.sha256)) {
        return Error{"spec.input", "A SHA-256 has 64 digits 0-9 a-f.", "sha256"};
    }
    if (address.sha256.empty()) {
        return Error{"spec.input",
                     "An address needs the SHA-256 of what lies there, so that what arrives can be checked.", "sha256"};
    }
    const auto location = spec::parseInputLocation(address.url + std::string(kHash) + address.sha256, "source");
    if (!location.ok()) {
        return location.error();
    }
    return address;
}

Fetch::Fetch(Address address, base::Path to, QObject* parent)
    : QObject(parent), m_address(std::move(address)), m_to(std::move(to)) {
    m_headers = m_to;
    m_headers += ".headers";
    m_look.setInterval(kLookMillis);
    m_pause.setSingleShot(true);
    m_curl.setProcessChannelMode(QProcess::MergedChannels);
    connect(&m_look, &QTimer::timeout, this, &Fetch::tell);
    connect(&m_pause, &QTimer::timeout, this, &Fetch::tryOnce);
    connect(&m_curl, &QProcess::readyRead, this, [this] { m_said = (m_said + m_curl.readAll()).right(kKeptWords); });
    connect(&m_curl, &QProcess::finished, this, &Fetch::ended);
    connect(&m_curl, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
        if (error == QProcess::FailedToStart) {
            finish(Error{"dataset.fetch",
                         "The program curl does not start here; it is needed to fetch an address. " +
                             m_curl.errorString().toStdString(),
                         "source"});
        }
    });
}

Fetch::~Fetch() {
    m_curl.disconnect(this);
    if (m_curl.state() != QProcess::NotRunning) {
        m_curl.kill();
        m_curl.waitForFinished(kEndMillis);
    }
    std::error_code ignored;
    std::filesystem::remove(m_headers, ignored);
}

void Fetch::start() {
    m_pause.start(0);
    m_look.start();
}

void Fetch::cancel() {
    if (m_finished || m_stopped) {
        return;
    }
    m_stopped = true;
    if (m_curl.state() != QProcess::NotRunning) {
        m_curl.kill();
    } else {
        m_pause.start(0);
    }
}

void Fetch::tryOnce() {
    if (m_stopped) {
        finish(Error{"canceled", "The download was canceled."});
        return;
    }
    ++m_tries;
    m_said.clear();
    m_before = bytesHere();
    m_curl.start(QStringLiteral("curl"),
                 {QStringLiteral("--fail"),
                  QStringLiteral("--location"),
                  QStringLiteral("--max-redirs"),
                  QStringLiteral("10"),
                  QStringLiteral("--proto"),
                  QStringLiteral("=http,https"),
                  QStringLiteral("--proto-redir"),
                  QStringLiteral("=http,https"),
                  QStringLiteral("--globoff"),
                  QStringLiteral("--silent"),
                  QStringLiteral("--show-error"),
                  QStringLiteral("--connect-timeout"),
                  QStringLiteral("20"),
                  QStringLiteral("--speed-limit"),
                  QStringLiteral("1"),
                  QStringLiteral("--speed-time"),
                  QStringLiteral("60"),
                  QStringLiteral("--continue-at"),
                  QStringLiteral("-"),
                  QStringLiteral("--dump-header"),
                  QString::fromStdString(m_headers.string()),
                  QStringLiteral("--output"),
                  QString::fromStdString(m_to.string()),
                  QStringLiteral("--url"),
                  QString::fromStdString(m_address.url)},
                 QIODevice::ReadOnly);
}

void Fetch::ended(int code, QProcess::ExitStatus how) {
    m_said = (m_said + m_curl.readAll()).right(kKeptWords);
    tell();
    if (m_stopped) {
        finish(Error{"canceled", "The download was canceled."});
        return;
    }
    if (how == QProcess::NormalExit && code == 0) {
        finish({});
        return;
    }
    const std::string said = base::stripControl(base::toValidUtf8(base::trim(m_said.toStdString())));
    const bool nothingNew = m_before > 0 && bytesHere() == m_before;
    if (nothingNew && how == QProcess::NormalExit && code == kHttpError && said.find("416") != std::string::npos) {
        finish({});  // All of it is here; whether it is right, its hash says.
        return;
    }
    if (nothingNew && how == QProcess::NormalExit && code == kNoRange) {
        std::error_code ignored;
        std::filesystem::remove(m_to, ignored);
    }
    // What the server refuses for good is not asked for again: 400 to 499 but for "too many" and "timeout".
    const bool refused = code == kHttpError && said.find("error: 4") != std::string::npos &&
                         said.find("408") == std::string::npos && said.find("429") == std::string::npos;
    if (refused || m_tries >= kTries) {
        finish(Error{"dataset.fetch",
                     m_address.url + " could not be fetched: " +
                         (said.empty() ? "curl ended with status " + std::to_string(code) + "." : said),
                     "source"});
        return;
    }
    m_pause.start(kPauseMillis * m_tries);
}

void Fetch::tell() {
    if (!m_finished) {
        Q_EMIT progressed(bytesHere(), bytesTold());
    }
}

void Fetch::finish(Status status) {
    if (m_finished) {
        return;
    }
    m_finished = true;
    m_look.stop();
    m_pause.stop();
    Q_EMIT done(status);
}

std::int64_t Fetch::bytesHere() const {
    std::error_code error;
    const auto size = std::filesystem::file_size(m_to, error);
    return error ? 0 : static_cast<std::int64_t>(size);
}

/// From the headers of the last answer; those of redirections come before.
std::int64_t Fetch::bytesTold() const {
    const auto text = base::readFile(m_headers, 1 << 20);
    std::int64_t length = 0;
    if (text.ok()) {
        for (const std::string& line : base::split(lower(*text), '\n')) {
            if (line.starts_with("http/")) {
                length = 0;
            } else if (constexpr std::string_view kLength = "content-length:"; line.starts_with(kLength)) {
                const std::string_view value = base::trim(std::string_view(line).substr(kLength.size()));
                std::from_chars(value.data(), value.data() + value.size(), length);
            }
        }
    }
    return length > 0 ? m_before + length : 0;
}

Status fetchNow(const Address& address, const base::Path& to,
                const std::function<bool(std::int64_t, std::int64_t)>& report) {
    Fetch fetch(address, to);
    QEventLoop loop;
    Status ended;
    QObject::connect(&fetch, &Fetch::progressed, &loop, [&](std::int64_t done, std::int64_t total) {
        if (!report(done, total)) {
            fetch.cancel();
        }
    });
    QObject::connect(&fetch, &Fetch::done, &loop, [&](const Status& status) {
        ended = status;
        loop.quit();
    });
    fetch.start();
    loop.exec();
    return ended;
}

}  // namespace trainyard::datasets
