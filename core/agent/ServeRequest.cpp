#include "core/agent/ServeRequest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "core/base/Content.h"
#include "core/base/Text.h"

namespace trainyard::agent {

void ServeRequest::frame(const Json& header, std::string payload) {
    (void) header;
    (void) payload;
}

void ServeRequest::event(Json header, std::string_view payload) { relay(std::move(header), payload); }

void ServeRequest::relay(Json header, std::string_view payload) {
    if (m_finished) return;
    Json full = Json::object();
    full["id"] = m_id;
    for (auto& [key, value] : header.items()) full[key] = std::move(value);
    m_finished = full.contains("done") || full.contains("error");
    m_context.out->send(std::move(full), payload);
}

void ServeRequest::done(Json header) {
    header["done"] = true;
    relay(std::move(header), {});
}

void ServeRequest::fail(const Error& error) {
    Json header = Json::object();
    header["error"] = errorJson(targetError(error));
    relay(std::move(header), {});
}

Error targetError(Error error) {
    if (error.code == "file.full") {
        error.code = "target.disk_full";
        error.message += " Make room there, or clear the target's cache (trainyard-cli target clear-cache).";
    } else if (error.code == "file.denied") {
        error.message += " Choose a work folder that you may write to, in the target's definition.";
    }
    return error;
}

Json errorJson(const Error& error) {
    Json json = Json::object();
    json["code"] = error.code;
    json["message"] = base::toValidUtf8(error.message);
    json["field"] = error.field;
    return json;
}

RunId ServeArguments::run() {
    RunId run(m_reader.string("run"));
    if (!run.isValid()) m_reader.fail("serve.run", "run", "\"run\" is no run's id.");
    return run;
}

int ServeArguments::number(std::string_view key, int least, int most, int fallback) {
    const std::int64_t value = m_reader.integer(key, fallback);
    if (value < least || value > most) {
        m_reader.fail("serve.range", key,
                      "\"" + std::string(key) + "\" must be from " + std::to_string(least) + " to " +
                          std::to_string(most) + ".");
        return fallback;
    }
    return static_cast<int>(value);
}

std::string ServeArguments::sha256(std::string_view key) {
    std::string text = m_reader.string(key);
    if (!isSha256(text)) m_reader.fail("serve.sha256", key, "\"" + std::string(key) + "\" is no SHA-256.");
    return text;
}

std::string ServeArguments::relativePath(std::string_view key) {
    std::string text = m_reader.string(key);
    if (!base::isPlainRelativePath(text)) {
        m_reader.fail("target.path", key,
                      "\"" + base::stripControl(base::toValidUtf8(text.substr(0, 200))) +
                          "\" is no path inside the folder.");
    }
    return text;
}

bool isSha256(std::string_view text) {
    return text.size() == 64 && std::all_of(text.begin(), text.end(),
                                            [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool isCacheKey(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.front() != '.' &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                      c == '_' || c == '-';
           });
}

std::vector<int> numberedFolders(const Path& folder, char letter) {
    std::vector<int> numbers;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        int number = 0;
        if (name.size() < 2 || name.size() > 8 || name[0] != letter) continue;
        const auto parsed = std::from_chars(name.data() + 1, name.data() + name.size(), number);
        if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size() || number < 0) continue;
        if (std::filesystem::symlink_status(it->path(), error).type() == std::filesystem::file_type::directory) {
            numbers.push_back(number);
        }
        error.clear();
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

int newestAttempt(const Path& run) {
    const auto attempts = numberedFolders(run, 'a');
    return attempts.empty() ? 0 : attempts.back();
}

Result<base::UniqueFd> openInside(const Path& folder, const std::string& relative) {
    if (!base::isPlainRelativePath(relative)) {
        return Error{"target.path", "\"" + base::stripControl(relative) + "\" is no path inside the folder."};
    }
    base::UniqueFd at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!at.valid()) return base::errnoError(errno, "open", folder);
    const auto names = base::split(relative, '/');
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool last = i + 1 == names.size();
        const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY);
        base::UniqueFd next(::openat(at.get(), names[i].c_str(), flags));
        if (!next.valid() && (errno == ELOOP || (errno == ENOTDIR && !last))) {
            return Error{"target.path", relative + " leads through a link or a file; links are not followed."};
        }
        if (!next.valid()) return base::errnoError(errno, "open", folder / relative);
        at = std::move(next);
    }
    struct stat info {};
    if (::fstat(at.get(), &info) != 0) return base::errnoError(errno, "look at", folder / relative);
    if (!S_ISREG(info.st_mode)) return Error{"file.kind", (folder / relative).string() + " is not a regular file."};
    return at;
}

}  // namespace trainyard::agent
