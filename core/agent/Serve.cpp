#include "core/agent/Serve.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>

#include "core/agent/AgentMain.h"
#include "core/agent/Detach.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

/// More than this unsent: requests hold back what they have.
constexpr std::size_t kRoomyBytes = 1 << 20;
/// More than this unsent: the client does not read; it is given up.
constexpr std::size_t kCompactBytes = 8 << 20;
constexpr std::size_t kMostUnsent = 64 << 20;
constexpr std::size_t kFrameReadBytes = 256 << 10;
constexpr int kPipeBytes = 256 << 10;
constexpr std::size_t kMostRequests = 1024;

std::optional<std::int64_t> headerInteger(const Json& header, const char* key) {
    const auto it = header.find(key);
    if (it == header.end() || !it->is_number_integer()) return {};
    return it->get<std::int64_t>();
}

}  // namespace

Serve::Serve(ServeOptions options) : m_options(std::move(options)) {
    m_context.work.root = m_options.work;
    m_context.slots = m_options.slots;
    m_context.out = this;
}

Serve::~Serve() = default;

void Serve::send(Json header, std::string_view payload) {
    const auto put = wire::appendServeFrame(m_output, header, payload);
    if (put.ok()) return;
    Json error = Json::object();
    error["id"] = header.value("id", std::int64_t{0});
    error["error"] = errorJson(put.error());
    // An error's text is cut where it was made: it fits.
    (void) wire::appendServeFrame(m_output, error).ok();
}

bool Serve::roomy() const { return m_output.size() - m_sent < kRoomyBytes; }

int Serve::run() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    m_signals.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    ::fcntl(STDOUT_FILENO, F_SETFL, ::fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    // Fewer turns where much is sent. Refused where it is no pipe, or a user's limit says so: it works without.
    ::fcntl(STDOUT_FILENO, F_SETPIPE_SZ, kPipeBytes);
    m_output = wire::kServeGreeting;
    m_lastHeard = base::monotonicNanos();
    while (turn()) {
    }
    m_requests.clear();
    return exitStatus::kDone;
}

bool Serve::turn() {
    std::vector<pollfd> polls{{STDIN_FILENO, POLLIN, 0}, {m_signals.get(), POLLIN, 0}, {-1, POLLOUT, 0}};
    if (m_sent < m_output.size()) polls[2].fd = STDOUT_FILENO;
    const std::int64_t silent = (base::monotonicNanos() - m_lastHeard) / 1'000'000;
    if (silent >= m_options.silenceMillis) return false;
    std::int64_t limit = m_options.silenceMillis - silent;
    for (const auto& [id, request] : m_requests) {
        limit = std::min(limit, request->pause());
        request->watch(polls);
    }
    const int count = ::poll(polls.data(), polls.size(), static_cast<int>(std::clamp<std::int64_t>(limit, 0, 60'000)));
    if (count < 0 && errno != EINTR) return false;
    if (count > 0 && (polls[1].revents & POLLIN) != 0) {
        signalfd_siginfo info{};
        while (::read(m_signals.get(), &info, sizeof info) == sizeof info) {
            if (info.ssi_signo != SIGCHLD) return false;
        }
    }
    if (count > 0 && polls[0].revents != 0 && !readInput()) return false;
    for (const auto& [id, request] : m_requests) request->turn();
    std::erase_if(m_requests, [](const auto& entry) { return entry.second->finished(); });
    return flush() && m_output.size() - m_sent < kMostUnsent;
}

bool Serve::readInput() {
    m_input.resize(kFrameReadBytes);
    const ssize_t got = ::read(STDIN_FILENO, m_input.data(), m_input.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    m_lastHeard = base::monotonicNanos();
    m_decoder.feed(std::string_view(m_input).substr(0, static_cast<std::size_t>(got)));
    while (true) {
        auto frame = m_decoder.next();
        if (!frame.ok()) {
            // What follows cannot be told apart any more: say why, and end.
            refuse(0, frame.error());
            if (!flush()) return false;
            std::fprintf(stderr, "trainyard-agent: %s\n", frame.error().message.c_str());
            return false;
        }
        if (!*frame) return true;
        take(std::move(**frame));
    }
}

bool Serve::flush() {
    while (m_sent < m_output.size()) {
        const ssize_t put = ::write(STDOUT_FILENO, m_output.data() + m_sent, m_output.size() - m_sent);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno != EAGAIN) return false;
        if (put < 0) {
            // A pipe takes 64 KiB at a time: moving all that waits behind each would cost more than sending it.
            if (m_sent >= kCompactBytes) {
                m_output.erase(0, m_sent);
                m_sent = 0;
            }
            return true;
        }
        m_sent += static_cast<std::size_t>(put);
    }
    m_output.clear();
    m_sent = 0;
    return true;
}

void Serve::take(wire::ServeFrame frame) {
    const Json& header = frame.header;
    if (const auto number = headerInteger(header, "ping")) {
        send({{"pong", *number}, {"t", base::wallMicros()}}, {});
        return;
    }
    if (const auto canceled = headerInteger(header, "cancel")) {
        if (m_requests.erase(*canceled) > 0) refuse(*canceled, {"canceled", "The request was canceled."});
        return;
    }
    const auto id = headerInteger(header, "id");
    if (!id) {
        refuse(0, {"serve.id", "A frame has no id."});
    } else if (header.contains("verb")) {
        begin(*id, header, std::move(frame.payload));
    } else if (const auto it = m_requests.find(*id); it != m_requests.end()) {
        it->second->frame(header, std::move(frame.payload));
    }
    // A frame for a request that has ended was under way when it did.
}

void Serve::begin(std::int64_t id, const Json& header, std::string payload) {
    if (m_requests.contains(id)) {
        refuse(id, {"serve.id", "A request with this id is under way."});
        return;
    }
    if (m_requests.size() >= kMostRequests) {
        refuse(id, {"serve.busy", "Too many requests are under way on this channel."});
        return;
    }
    auto request = makeServeRequest(m_context, id, header, std::move(payload));
    if (!request.ok()) {
        refuse(id, targetError(request.error()));
        return;
    }
    if (*request && !(*request)->finished()) m_requests.emplace(id, std::move(*request));
}

void Serve::refuse(std::int64_t id, const Error& error) { send({{"id", id}, {"error", errorJson(error)}}, {}); }

int serveCommand(const std::vector<std::string>& arguments) {
    const auto wrong = [](const std::string& message) {
        std::fprintf(stderr, "trainyard-agent: %s\nTry: trainyard-agent --help\n", message.c_str());
        return exitStatus::kUsage;
    };
    ServeOptions options;
    options.work = base::xdgDataHome() / "trainyard" / "work";
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (i + 1 == arguments.size()) return wrong(arguments[i] + " is unknown or lacks its value");
        const std::string& value = arguments[i + 1];
        if (arguments[i] == "--work") {
            if (value.empty()) return wrong("--work needs a folder");
            const Path given = value == "~" ? Path(".") : Path(value.starts_with("~/") ? value.substr(2) : value);
            options.work = (base::homeFolder() / given).lexically_normal();
            if (!options.work.has_filename()) options.work = options.work.parent_path();
        } else if (arguments[i] == "--slots") {
            if (!value.starts_with('/')) return wrong("--slots needs the absolute path of a folder");
            options.slots = value;
        } else if (arguments[i] == "--silence-seconds") {
            std::int64_t seconds = 0;
            const auto parsed = std::from_chars(value.data(), value.data() + value.size(), seconds);
            if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size() || seconds < 1 ||
                seconds > 86'400) {
                return wrong("--silence-seconds needs a whole number of seconds");
            }
            options.silenceMillis = seconds * 1000;
        } else {
            return wrong("unknown option " + arguments[i]);
        }
        ++i;
    }
    ::umask(077);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    closeInherited();
    return Serve(std::move(options)).run();
}

}  // namespace trainyard::agent
