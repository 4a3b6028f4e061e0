// Reports what a training program does to Trainyard: metrics, parameters, tags, text, images, tables, histograms,
// files, progress. One header, C++11, POSIX, no dependencies.
//
//     #include "trainyard.h"
//     trainyard::Client run;                      // from TRAINYARD_STREAM; without it every call does nothing
//     run.metric("loss", 0.25, 100);
//
// Every call is one line of JSON, written by one write(2) to a file opened with O_APPEND: threads, processes and forks
// may call at once. An error never ends the program: the line is dropped and counted. Texts are UTF-8. The format of
// the lines: resources/docs/protocol/client.md.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace trainyard {

class Client {
public:
    static constexpr std::size_t kMaxLine = std::size_t(8) << 20;
    static constexpr std::int64_t kNoStep = INT64_MIN;  ///< The next one of its name.

    Client() : Client(std::getenv("TRAINYARD_STREAM")) {}
    explicit Client(const char* path) {
        if (path && *path) m_fd = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
    ~Client() {
        if (m_fd >= 0) ::close(m_fd);
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    bool active() const { return m_fd >= 0; }
    /// Lines that could not be written.
    std::int64_t dropped() const { return m_dropped; }
    /// The folder whose files are kept with the run; empty outside Trainyard.
    static std::string outputs() {
        const char* folder = std::getenv("TRAINYARD_OUTPUTS");
        return folder ? folder : "";
    }

    void metric(const std::string& name, double value, std::int64_t step = kNoStep) {
        put("{\"kind\":\"metric\",\"name\":" + quoted(name) + ",\"value\":" + number(value) + stepped(step));
    }
    void metrics(const std::vector<std::pair<std::string, double>>& values, std::int64_t step = kNoStep) {
        std::string line = "{\"kind\":\"metrics\",\"values\":{";
        for (std::size_t i = 0; i < values.size(); ++i)
            line += (i ? "," : "") + quoted(values[i].first) + ":" + number(values[i].second);
        put(line + "}" + stepped(step));
    }
    void param(const std::string& name, const std::string& value) {
        put("{\"kind\":\"params\",\"values\":{" + quoted(name) + ":" + quoted(value) + "}");
    }
    void param(const std::string& name, double value) {
        put("{\"kind\":\"params\",\"values\":{" + quoted(name) + ":" + number(value) + "}");
    }
    void tag(const std::string& name, const std::string& value) {
        put("{\"kind\":\"tags\",\"values\":{" + quoted(name) + ":" + quoted(value) + "}");
    }
    void text(const std::string& name, const std::string& words, std::int64_t step = kNoStep) {
        put("{\"kind\":\"text\",\"name\":" + quoted(name) + ",\"text\":" + quoted(words) + stepped(step));
    }
    void progress(const std::string& stage, double done, double total, const std::string& unit = "") {
        put("{\"kind\":\"progress\",\"stage\":" + quoted(stage) + ",\"done\":" + number(done) +
            ",\"total\":" + number(total) + ",\"unit\":" + quoted(unit));
    }
    /// A file below outputs(), by its path in there.
    void artifact(const std::string& path) { put("{\"kind\":\"artifact\",\"path\":" + quoted(path)); }
    /// Asks for the registration of a file or folder below outputs() as a model.
    void model(const std::string& name, const std::string& path) {
        put("{\"kind\":\"model\",\"name\":" + quoted(name) + ",\"path\":" + quoted(path));
    }
    /// `bytes`: a PNG or JPEG file, 4 MiB at most.
    void image(const std::string& name, const std::string& bytes, std::int64_t step = kNoStep) {
        const bool png = bytes.compare(0, 4, "\x89PNG") == 0;
        put("{\"kind\":\"image\",\"name\":" + quoted(name) + ",\"mime\":\"image/" + (png ? "png" : "jpeg") +
            "\",\"size\":" + std::to_string(bytes.size()) + ",\"data\":\"" + base64(bytes) + "\"" + stepped(step));
    }
    void table(const std::string& name, const std::vector<std::string>& columns,
               const std::vector<std::vector<std::string>>& rows, std::int64_t step = kNoStep) {
        put("{\"kind\":\"table\",\"name\":" + quoted(name) + ",\"columns\":" + list(columns) +
            ",\"rows\":" + lists(rows) + stepped(step));
    }
    void table(const std::string& name, const std::vector<std::string>& columns,
               const std::vector<std::vector<double>>& rows, std::int64_t step = kNoStep) {
        put("{\"kind\":\"table\",\"name\":" + quoted(name) + ",\"columns\":" + list(columns) +
            ",\"rows\":" + lists(rows) + stepped(step));
    }
    /// A row for each true class, in the order of `labels`; columns are what was predicted.
    void confusionMatrix(const std::string& name, const std::vector<std::string>& labels,
                         const std::vector<std::vector<double>>& matrix, std::int64_t step = kNoStep) {
        put("{\"kind\":\"table\",\"name\":" + quoted(name) + ",\"type\":\"confusion_matrix\",\"columns\":" +
            list(labels) + ",\"rows\":" + lists(matrix) + stepped(step));
    }
    /// `edges` has one entry more than `counts`.
    void histogram(const std::string& name, const std::vector<double>& counts, const std::vector<double>& edges,
                   std::int64_t step = kNoStep) {
        put("{\"kind\":\"histogram\",\"name\":" + quoted(name) + ",\"counts\":" + list(counts) +
            ",\"edges\":" + list(edges) + stepped(step));
    }
    void warning(const std::string& code, const std::string& message) {
        put("{\"kind\":\"warning\",\"code\":" + quoted(code) + ",\"message\":" + quoted(message));
    }
    /// Last words before the program fails; they become the run's reason.
    void failure(const std::string& code, const std::string& message) {
        put("{\"kind\":\"warning\",\"code\":" + quoted(code) + ",\"message\":" + quoted(message) + ",\"fatal\":true");
    }
    /// Last words before it ends well.
    void conclusion(const std::string& message) { put("{\"kind\":\"conclusion\",\"message\":" + quoted(message)); }

private:
    static std::string quoted(const std::string& text) {
        std::string out = "\"";
        for (const char c : text) {
            const unsigned char byte = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') {
                out += '\\';
                out += c;
            } else if (byte < 0x20) {
                char escaped[8];
                std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(byte));
                out += escaped;
            } else {
                out += c;
            }
        }
        return out + '"';
    }
    static std::string quoted(double value) { return number(value); }
    static std::string number(double value) {
        if (std::isnan(value)) return "\"NaN\"";
        if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        char text[40];
        std::snprintf(text, sizeof text, "%.17g", value);
        for (char* c = text; *c; ++c) {
            if (*c == ',') *c = '.';  // A program may have set a locale.
        }
        return text;
    }
    static std::string stepped(std::int64_t step) {
        return step == kNoStep ? std::string() : ",\"step\":" + std::to_string(step);
    }
    template <class T>
    static std::string list(const std::vector<T>& values) {
        std::string out = "[";
        for (std::size_t i = 0; i < values.size(); ++i) out += (i ? "," : "") + quoted(values[i]);
        return out + "]";
    }
    template <class T>
    static std::string lists(const std::vector<std::vector<T>>& rows) {
        std::string out = "[";
        for (std::size_t i = 0; i < rows.size(); ++i) out += (i ? "," : "") + list(rows[i]);
        return out + "]";
    }
    static std::string base64(const std::string& bytes) {
        static const char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string out;
        out.reserve((bytes.size() + 2) / 3 * 4);
        for (std::size_t i = 0; i < bytes.size(); i += 3) {
            std::uint32_t word = 0;
            for (std::size_t k = 0; k < 3; ++k)
                word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
            for (std::size_t k = 0; k < 4; ++k)
                out += i + k <= bytes.size() ? kLetters[word >> (18 - 6 * k) & 63] : '=';
        }
        return out;
    }
    /// `line`: an object without its closing brace.
    void put(std::string line) {
        if (m_fd < 0) return;
        struct timespec now;
        ::clock_gettime(CLOCK_REALTIME, &now);
        line += ",\"t\":" + std::to_string(static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000) + "}\n";
        if (line.size() > kMaxLine) {
            ++m_dropped;
            return;
        }
        const bool open = m_lineOpen.exchange(false);
        if (open) line.insert(line.begin(), '\n');  // A line that a full disk tore is ended first.
        ssize_t written;
        do {
            written = ::write(m_fd, line.data(), line.size());
        } while (written < 0 && errno == EINTR);
        if (written != static_cast<ssize_t>(line.size())) {
            ++m_dropped;
            m_lineOpen = written > 0 || open;
        }
    }

    int m_fd = -1;
    std::atomic<std::int64_t> m_dropped{0};
    std::atomic<bool> m_lineOpen{false};
};

}  // namespace trainyard
