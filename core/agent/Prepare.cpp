#include "core/agent/Prepare.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/agent/Child.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kMaxManifestBytes = 256 << 20;
constexpr int kFetchTries = 5;
constexpr int kLookMillis = 100;
constexpr std::size_t kMaxSaid = 4096;

bool isHash(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

base::Error canceled() { return {"canceled", "The run was canceled while it was being prepared."}; }

Status makePrivate(const Path& file, bool executable) {
    if (::chmod(file.c_str(), executable ? 0700 : 0600) != 0) return base::errnoError(errno, "change the mode of", file);
    return {};
}

/// The last part of an address as a file's name.
std::string fileNameOf(const std::string& address) {
    std::string path = address.substr(0, address.find_first_of("?#"));
    path = path.substr(path.find("://") + 3);
    const std::size_t slash = path.rfind('/');
    std::string name = slash == std::string::npos ? std::string() : path.substr(slash + 1);
    std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x21 || static_cast<unsigned char>(c) >= 0x7f; });
    if (name.empty() || name == "." || name == ".." || name.size() > 200) return "data";
    return name;
}

/// One try: 0 when all came. `said` gets the end of what the program had to say.
Result<int> fetchOnce(const std::string& address, const Path& part, std::string& said, const std::function<bool()>& goOn) {
    // The address is one argument behind an option or behind "--": never a word of a shell, never an option.
    const std::vector<std::vector<std::string>> programs = {
        {"curl", "--fail", "--location", "--max-redirs", "10", "--proto", "=http,https", "--proto-redir", "=http,https", "--globoff",
         "--silent", "--show-error", "--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60", "--continue-at", "-",
         "--output", part.string(), "--url", address},
        {"wget", "--quiet", "--continue", "--tries=1", "--timeout=30", "--max-redirect=10", "--output-document=" + part.string(), "--",
         address}};
    for (const std::vector<std::string>& argv : programs) {
        ChildSpec spec;
        spec.argv = argv;
        spec.mergeErr = true;
        spec.pipeErr = false;
        auto child = Child::start(spec);
        if (!child.ok()) {
            if (child.error().code == "exec.missing") continue;
            return child.error();
        }
        while (true) {
            pollfd ready{child->out.get(), POLLIN, 0};
            ::poll(&ready, 1, kLookMillis);
            std::array<char, 1024> buffer{};
            ssize_t got = 0;
            while ((got = ::read(child->out.get(), buffer.data(), buffer.size())) > 0) {
                said.append(buffer.data(), static_cast<std::size_t>(got));
                if (said.size() > kMaxSaid) said.erase(0, said.size() - kMaxSaid);
            }
            if (const auto end = child->end()) return end->signal != 0 ? 128 + end->signal : end->exit;
            if (!goOn()) {
                child->stop();
                return canceled();
            }
        }
    }
    return base::Error{"input.fetch", "Neither curl nor wget is on this machine; one of them is needed to fetch " + address + "."};
}

Status hashMatches(const Path& file, const std::string& wanted, const std::string& what, const std::function<bool(std::int64_t)>& goOn) {
    const auto found = base::sha256File(file, goOn);
    if (!found.ok()) return found.error();
    if (*found != wanted) return base::Error{"input.hash", what + " has the SHA-256 " + *found + ", not " + wanted + "."};
    return {};
}

Result<std::string> fetchInput(const wire::Plan& plan, const wire::PlanInput& input, const PrepareProgress& progress) {
    const bool web = input.address.starts_with("http://") || input.address.starts_with("https://");
    const bool clean = std::all_of(input.address.begin(), input.address.end(), [](unsigned char c) { return c > 0x20 && c != 0x7f; });
    if (!web || !clean) return base::Error{"input.address", "\"" + input.address + "\" is no http or https address."};
    if (!isHash(input.sha256)) return base::Error{"input.hash", "The input " + input.name + " has an address, but no SHA-256."};
    if (plan.workFolder.empty()) return base::Error{"input.fetch", "The plan names no work folder to fetch into."};
    const wire::WorkLayout work{plan.workFolder};
    const Path entry = work.dataEntry(input.sha256);
    const std::string name = fileNameOf(input.address);
    const auto complete = [&]() -> std::string {
        std::error_code error;
        if (!std::filesystem::exists(entry / "info.json", error)) return {};
        for (const auto& file : std::filesystem::directory_iterator(entry / "files", error)) return file.path().string();
        return {};
    };
    TRAINYARD_TRY(base::makeDirs(work.incoming()));
    TRAINYARD_TRY(base::makeDirs(work.data()));
    const std::string stage = "Fetching " + input.name;
    std::optional<base::FileLock> lock;
    while (!lock) {
        if (std::string there = complete(); !there.empty()) return there;
        auto taken = base::FileLock::tryExclusive(work.incoming() / (input.sha256 + ".fetch.lock"));
        if (taken.ok()) {
            lock = std::move(taken).value();
        } else if (taken.error().code != "lock.held") {
            return taken.error();
        } else if (!progress(stage, 0, 0, "bytes")) {
            return canceled();
        } else {
            ::poll(nullptr, 0, kLookMillis);
        }
    }
    if (std::string there = complete(); !there.empty()) return there;
    const Path part = work.incoming() / (input.sha256 + ".fetch");
    const auto bytes = [&] {
        std::error_code error;
        const auto size = std::filesystem::file_size(part, error);
        return error ? std::int64_t{0} : static_cast<std::int64_t>(size);
    };
    std::string said;
    bool all = false;
    for (int attempt = 0; attempt < kFetchTries && !all; ++attempt) {
        said.clear();
        const std::int64_t before = bytes();
        const auto end = fetchOnce(input.address, part, said, [&] { return progress(stage, bytes(), 0, "bytes"); });
        if (!end.ok()) return end.error();
        all = *end == 0;
        // A server that answers "nothing beyond" (416) to a complete file makes curl fail; the hash decides.
        if (!all && before > 0 && bytes() == before) {
            all = hashMatches(part, input.sha256, input.address, {}).ok();
            // Or it cannot give a part of a file at all; then it is fetched from the beginning.
            if (!all) ::unlink(part.c_str());
        }
        const auto pause = base::Deadline::inMillis(all ? 0 : 500 * (attempt + 1));
        while (!pause.passed()) {
            if (!progress(stage, bytes(), 0, "bytes")) return canceled();
            ::poll(nullptr, 0, kLookMillis);
        }
    }
    if (!all) {
        return base::Error{"input.fetch", input.address + " could not be fetched: " + base::stripControl(base::toValidUtf8(base::trim(said)))};
    }
    const std::int64_t size = bytes();
    if (const auto same = hashMatches(part, input.sha256, input.address, [&](std::int64_t done) { return progress("Checking " + input.name, done, size, "bytes"); });
        !same.ok()) {
        if (same.error().code == "input.hash") ::unlink(part.c_str());
        return same.error();
    }
    TRAINYARD_TRY(base::makeDirs(entry / "files"));
    if (::chmod(part.c_str(), 0400) != 0 || ::rename(part.c_str(), (entry / "files" / name).c_str()) != 0) {
        return base::errnoError(errno, "put into place", entry / "files" / name);
    }
    Json info{{"name", name}, {"size", size}, {"t", base::wallMicros()}};
    info["files"] = Json::array({Json{{"path", name}, {"sha256", input.sha256}, {"size", size}}});
    TRAINYARD_TRY(base::writeFileAtomically(entry / "info.json", base::dumpJsonPretty(info)));
    return (entry / "files" / name).string();
}

}  // namespace

Status placeSource(const NodeLayout& layout, const wire::Plan& plan, const PrepareProgress& progress) {
    std::error_code error;
    if (plan.sourceManifest.empty() || std::filesystem::is_directory(layout.code(), error)) return {};
    const auto text = base::readFile(layout.root / plan.sourceManifest, kMaxManifestBytes);
    if (!text.ok()) return base::Error{"source.manifest", "The list of the source's files cannot be read: " + text.error().message};
    const auto json = base::parseJson(*text);
    if (!json.ok()) return base::Error{"source.manifest", "The list of the source's files: " + json.error().message};
    TRAINYARD_TRY(base::checkFormat(*json, wire::kSnapshotFormat, wire::kSnapshotVersion));
    const wire::WorkLayout work{plan.workFolder};
    Path temp = layout.code();
    temp += ".part";
    TRAINYARD_TRY(base::removeTree(temp));
    TRAINYARD_TRY(base::makeDirs(temp));
    base::ObjectReader reader(*json, "");
    const Json files = reader.array("files");
    std::set<std::string> seen;
    std::int64_t done = 0;
    for (const Json& item : files) {
        base::ObjectReader file(item, "files");
        const std::string path = file.string("path");
        const std::string hash = file.string("sha256");
        const std::int64_t size = file.integer("size");
        const bool executable = file.boolean("executable");
        if (!file.status(false).ok() || !isHash(hash)) return base::Error{"source.manifest", "The list of the source's files is damaged at file " + std::to_string(done + 1) + "."};
        if (!base::isPlainRelativePath(path) || !seen.insert(path).second) {
            return base::Error{"source.path", "\"" + base::stripControl(base::toValidUtf8(path)) + "\" in the source is no path of its own inside it."};
        }
        const Path from = work.object(hash);
        const auto there = std::filesystem::file_size(from, error);
        if (error || static_cast<std::int64_t>(there) != size) {
            return base::Error{"source.missing", "The source's file " + path + " was not brought here whole (object " + hash + ")."};
        }
        const Path to = temp / path;
        TRAINYARD_TRY(base::makeDirs(to.parent_path()));
        TRAINYARD_TRY(base::copyFile(from, to));
        TRAINYARD_TRY(makePrivate(to, executable));
        ++done;
        if (!progress("Unpacking the source", done, static_cast<std::int64_t>(files.size()), "files")) return canceled();
    }
    TRAINYARD_TRY(reader.status(false));
    // Scripts made for Azure ML write into ./outputs. Where the source has that name itself, it is the source's.
    const Path outputs = temp / "outputs";
    if (!seen.contains("outputs") && !std::filesystem::exists(outputs, error)) {
        std::filesystem::create_directory_symlink(plan.outputsFolder, outputs, error);
        if (error) return base::errnoError(error.value(), "link", outputs);
    }
    if (::rename(temp.c_str(), layout.code().c_str()) != 0) return base::errnoError(errno, "rename", temp);
    return {};
}

Result<std::map<std::string, std::string>> findInputs(const wire::Plan& plan, const PrepareProgress& progress) {
    std::map<std::string, std::string> found;
    for (const wire::PlanInput& input : plan.inputs) {
        std::string path = input.path;
        std::error_code error;
        if (!input.address.empty() && (path.empty() || !std::filesystem::exists(path, error))) {
            auto fetched = fetchInput(plan, input, progress);
            if (!fetched.ok()) return fetched.error();
            path = std::move(fetched).value();
        }
        if (path.empty() || !std::filesystem::exists(path, error)) {
            return base::Error{"input.missing", "The input " + input.name + (path.empty() ? " has neither a path nor an address." : " is not at " + path + ".")};
        }
        if (input.verify && !input.sha256.empty()) {
            const auto content = base::readContent(path, [&](std::int64_t done, std::int64_t total) {
                return progress("Checking " + input.name, done, total, "bytes");
            });
            if (!content.ok()) return content.error();
            if (content->sha256 != input.sha256) {
                return base::Error{"input.hash", "The input " + input.name + " at " + path + " has the content hash " + content->sha256 +
                                                     ", not " + input.sha256 + ": it was changed, or is another."};
            }
        }
        found[input.name] = path;
    }
    return found;
}

}  // namespace trainyard::agent
