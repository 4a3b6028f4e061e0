#pragma once
// Talks to the real `trainyard-agent serve` over two pipes, as a workbench on this machine does.
#include <QtTest>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Hash.h"
#include "core/base/Json.h"
#include "core/wire/Layout.h"
#include "core/wire/Serve.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

namespace trainyard::test {

using base::Json;
using base::Path;
using wire::ServeFrame;

struct ServeStart {
    std::vector<std::string> options{};
    std::vector<std::pair<std::string, std::string>> environment{};
    std::vector<std::string> before{};  ///< A program that starts the agent: {"unshare", "-m", …}.
    std::optional<uid_t> user{};
    Path program{};  ///< Empty: this build's.
};

/// The end of one request.
struct ServeAnswer {
    Json header = Json::object();  ///< Null object when nothing came in time.
    std::vector<ServeFrame> events;

    [[nodiscard]] bool ok() const { return header.contains("done"); }
    [[nodiscard]] std::string code() const {
        return header.contains("error") ? header["error"]["code"].get<std::string>() : std::string();
    }
    [[nodiscard]] std::string message() const {
        return header.contains("error") ? header["error"]["message"].get<std::string>() : std::string();
    }
    [[nodiscard]] std::string text() const { return base::dumpJson(header); }
};

class ServeClient {
public:
    explicit ServeClient(const Path& work, const ServeStart& start = {}) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) qFatal("pipe");
        std::vector<std::string> arguments = start.before;
        const Path program = start.program.empty() ? builtProgram("trainyard-agent") : start.program;
        arguments.insert(arguments.end(), {program.string(), "serve", "--work", work.string()});
        arguments.insert(arguments.end(), start.options.begin(), start.options.end());
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        m_pid = ::fork();
        if (m_pid == 0) {
            ::dup2(in[0], 0);
            ::dup2(out[1], 1);
            for (const auto& [name, value] : start.environment) ::setenv(name.c_str(), value.c_str(), 1);
            if (start.user && (::setgid(*start.user) != 0 || ::setuid(*start.user) != 0)) ::_exit(126);
            ::execvp(pointers[0], pointers.data());
            ::_exit(127);
        }
        ::close(in[0]);
        ::close(out[1]);
        m_in = in[1];
        m_out = out[0];
    }
    ServeClient(const ServeClient&) = delete;
    ServeClient& operator=(const ServeClient&) = delete;
    ~ServeClient() {
        closeInput();
        ::close(m_out);
        if (m_pid > 0 && wait(3000) == -1) {
            ::kill(m_pid, SIGKILL);
            ::waitpid(m_pid, nullptr, 0);
        }
    }

    [[nodiscard]] pid_t pid() const { return m_pid; }

    void closeInput() {
        if (m_in >= 0) ::close(m_in);
        m_in = -1;
    }

    /// Exit status; -1 when it still runs after the limit; 1000 + signal.
    int wait(int millis) {
        const auto deadline = base::Deadline::inMillis(millis);
        while (m_pid > 0) {
            int status = 0;
            if (::waitpid(m_pid, &status, WNOHANG) == m_pid) {
                m_pid = -1;
                m_status = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
            } else if (deadline.passed()) {
                return -1;
            } else {
                ::usleep(1000);
            }
        }
        return m_status;
    }

    bool sendBytes(std::string_view bytes) { return base::writeAll(m_in, bytes, "agent").ok(); }
    bool send(const Json& header, std::string_view payload = {}) {
        return sendBytes(wire::encodeServeFrame(header, payload).value());
    }

    /// The next frame of whatever request; nothing at the end of the channel or after the limit.
    std::optional<ServeFrame> next(int millis = 30'000) {
        const auto deadline = base::Deadline::inMillis(millis);
        while (true) {
            auto frame = m_decoder.next();
            if (!frame.ok()) {
                QTest::qFail(("the agent's words cannot be read: " + frame.error().message).c_str(), __FILE__,
                             __LINE__);
                return {};
            }
            if (*frame) return std::move(**frame);
            pollfd ready{m_out, POLLIN, 0};
            if (deadline.passed() || ::poll(&ready, 1, static_cast<int>(deadline.millisLeft())) <= 0) return {};
            std::string bytes(1 << 20, '\0');
            const ssize_t got = ::read(m_out, bytes.data(), bytes.size());
            if (got <= 0) {
                m_closed = true;
                return {};
            }
            m_decoder.feed(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
        }
    }
    [[nodiscard]] bool closed() const { return m_closed; }

    /// Sends a request and goes on without waiting for its answer. Its id.
    std::int64_t begin(const char* verb, Json members = Json::object(), std::string_view payload = {}) {
        const std::int64_t id = ++m_id;
        Json header = Json::object();
        header["id"] = id;
        header["verb"] = verb;
        for (auto& [key, value] : members.items()) header[key] = value;
        send(header, payload);
        return id;
    }

    /// Frames of one request up to its end; those of others are kept for them.
    ServeAnswer finish(std::int64_t id, int millis = 30'000) {
        ServeAnswer answer;
        const auto deadline = base::Deadline::inMillis(millis);
        while (auto frame = nextOf(id, static_cast<int>(deadline.millisLeft()))) {
            if (frame->header.contains("done") || frame->header.contains("error")) {
                answer.header = std::move(frame->header);
                return answer;
            }
            answer.events.push_back(std::move(*frame));
        }
        return answer;
    }

    std::optional<ServeFrame> nextOf(std::int64_t id, int millis = 30'000) {
        auto& kept = m_kept[id];
        if (!kept.empty()) {
            ServeFrame frame = std::move(kept.front());
            kept.erase(kept.begin());
            return frame;
        }
        const auto deadline = base::Deadline::inMillis(millis);
        while (auto frame = next(static_cast<int>(deadline.millisLeft()))) {
            const std::int64_t of = frame->header.contains("id") ? frame->header["id"].get<std::int64_t>() : -1;
            if (of == id) return frame;
            m_kept[of].push_back(std::move(*frame));
        }
        return {};
    }

    ServeAnswer call(const char* verb, Json members = Json::object(), std::string_view payload = {},
                     int millis = 30'000) {
        return finish(begin(verb, std::move(members), payload), millis);
    }

    /// Sends a file into the store in pieces; the answer at the end.
    ServeAnswer upload(std::string_view bytes, Json members = Json::object(), std::size_t piece = 300'000) {
        if (!members.contains("sha256")) members["sha256"] = base::sha256Hex(bytes);
        if (!members.contains("size")) members["size"] = bytes.size();
        const std::int64_t id = begin("upload", std::move(members));
        auto go = nextOf(id);
        if (!go) return {};
        if (!go->header.contains("event")) return {go->header, {}};
        std::size_t at = go->header["offset"].get<std::size_t>();
        m_lastOffset = at;
        do {
            const std::string_view part = bytes.substr(at, piece);
            at += part.size();
            Json header = Json::object();
            header["id"] = id;
            header["data"] = true;
            if (at >= bytes.size()) header["end"] = true;
            send(header, part);
        } while (at < bytes.size());
        return finish(id);
    }
    [[nodiscard]] std::size_t lastOffset() const { return m_lastOffset; }

private:
    pid_t m_pid = -1;
    int m_status = 0;
    int m_in = -1;
    int m_out = -1;
    std::int64_t m_id = 0;
    std::size_t m_lastOffset = 0;
    bool m_closed = false;
    wire::ServeDecoder m_decoder{true};
    std::map<std::int64_t, std::vector<ServeFrame>> m_kept;
};

/// A folder of fake programs, to stand first in PATH, or alone in it.
class FakePath {
public:
    explicit FakePath(const Scratch& scratch, const char* name = "fakes") : m_folder(scratch / name) {
        std::filesystem::create_directories(m_folder);
    }
    /// A shell script under this name.
    void add(const std::string& name, const std::string& script) const {
        const auto written = base::writeFileAtomically(m_folder / name, "#!/bin/sh\n" + script + "\n", 0755);
        if (!written.ok()) qFatal("%s", written.error().message.c_str());
    }
    /// The few programs that such scripts need themselves, so that the folder can be all of PATH.
    void addTools() const {
        for (const char* tool : {"sh", "cat", "sleep", "dirname"}) {
            std::filesystem::create_symlink(std::string("/bin/") + tool, m_folder / tool);
        }
    }
    [[nodiscard]] std::string first() const {
        const char* path = ::getenv("PATH");
        return m_folder.string() + ":" + (path == nullptr ? "" : path);
    }
    [[nodiscard]] std::string alone() const { return m_folder.string(); }

private:
    Path m_folder;
};

}  // namespace trainyard::test
