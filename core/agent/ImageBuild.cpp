#include "core/agent/ImageBuild.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/agent/Child.h"
#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kEngineMillis = 60'000;
constexpr std::int64_t kStateBytes = 4 << 20;
constexpr int kFilesDepth = 2;

ProgramResult askEngine(std::vector<std::string> argv) {
    ChildSpec spec;
    spec.argv = std::move(argv);
    ProgramResult result = runProgram(spec, kEngineMillis);
    if (!result.succeeded())
        std::fprintf(stderr, "trainyard-agent: %s\n", result.trouble(spec.argv.front() + " " + spec.argv[1]).c_str());
    return result;
}

/// Whether the state of a working container names the folder as its build's.
bool isOfBuild(const base::Path& state, const std::string& folder) {
    const auto text = base::readFile(state, kStateBytes);
    const auto json = text.ok() ? base::parseJson(*text) : base::Result<base::Json>(text.error());
    if (!json.ok() || !json->is_object()) return false;
    base::ObjectReader reader(*json, "");
    const base::Json arguments = reader.object("Args");
    const auto mark = arguments.find(kBuildMark);
    return mark != arguments.end() && *mark == folder;
}

/// Working containers that podman says it could not remove. With a full disk it keeps nothing of them but their entry,
/// which has the base image's name and no build's (podman 4.3): the log alone tells whose they were.
std::set<std::string> namedInLog(const base::Path& log) {
    constexpr std::string_view kWords = "deleting build container \"";
    constexpr std::size_t kIdLength = 64;
    constexpr std::int64_t kLastBytes = 64 << 10;
    std::set<std::string> ids;
    std::error_code error;
    const auto size = static_cast<std::int64_t>(fs::file_size(log, error));
    if (error) return ids;
    const std::string text =
        base::readFileRange(log, std::max<std::int64_t>(0, size - kLastBytes), kLastBytes).valueOr({});
    for (std::size_t at = text.find(kWords); at != std::string::npos; at = text.find(kWords, at)) {
        at += kWords.size();
        const std::string id = text.substr(at, kIdLength);
        if (id.size() == kIdLength && id.find_first_not_of("0123456789abcdef") == std::string::npos) ids.insert(id);
    }
    return ids;
}

/// Nothing is known of it any more, not even whose it was. No container that anybody can use is so.
bool isEmptied(const base::Path& container) {
    std::error_code error;
    const bool empty = fs::is_empty(container / "userdata", error);
    return error ? error == std::errc::no_such_file_or_directory : empty;
}

/// Ids of the working containers of this build. podman itself lists them without saying which build they belong to.
std::vector<std::string> workingContainers(const std::string& engine, const std::string& folder) {
    const ProgramResult info =
        askEngine({engine, "info", "--format", "{{.Store.GraphRoot}}\n{{.Store.GraphDriverName}}"});
    const std::vector<std::string> lines = base::split(base::trim(info.out), '\n');
    if (!info.succeeded() || lines.size() != 2) return {};
    std::vector<std::string> ids;
    std::error_code error;
    const base::Path containers = base::Path(lines[0]) / (lines[1] + "-containers");
    for (fs::directory_iterator it(containers, error), end; !error && it != end; it.increment(error)) {
        if (isOfBuild(it->path() / "userdata" / "buildah.json", folder)) ids.push_back(it->path().filename().string());
    }
    for (const std::string& id : namedInLog(base::Path(folder) / "build.log")) {
        if (isEmptied(containers / id)) ids.push_back(id);
    }
    return ids;
}

}  // namespace

std::set<FileIdentity> filesOfContainers(const base::Path& tmp) {
    std::set<FileIdentity> files;
    std::error_code error;
    for (fs::directory_iterator it(tmp, error), end; !error && it != end; it.increment(error)) {
        if (!it->path().filename().string().starts_with("buildah")) continue;
        // Without root's rights podman makes a folder there that its own user may not read.
        std::error_code inner;
        for (fs::recursive_directory_iterator file(it->path(), fs::directory_options::skip_permission_denied, inner),
             last;
             !inner && file != last; file.increment(inner)) {
            if (file.depth() >= kFilesDepth) file.disable_recursion_pending();
            struct stat info {};
            if (::lstat(file->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
                files.emplace(info.st_dev, info.st_ino);
        }
    }
    return files;
}

bool livesInContainer(pid_t pid, const std::set<FileIdentity>& files) {
    if (files.empty()) return false;
    const std::string root = "/proc/" + std::to_string(pid) + "/root";
    for (const char* mounted : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv"}) {
        struct stat info {};
        if (::lstat((root + mounted).c_str(), &info) == 0 && files.contains({info.st_dev, info.st_ino})) return true;
    }
    return false;
}

void removeHalfBuilt(const std::string& engine, const base::Path& folder) {
    if (std::vector<std::string> ids = workingContainers(engine, folder.string()); !ids.empty()) {
        ids.insert(ids.begin(), {engine, "rm", "--force"});
        (void) askEngine(std::move(ids));
    }
    // Stages that later ones stand on. The image itself has a name, and goes with it.
    const ProgramResult images =
        askEngine({engine, "images", "--all", "--quiet", "--no-trunc", "--filter", "dangling=true", "--filter",
                   std::string("label=") + kBuildLabel + "=" + folder.string()});
    std::vector<std::string> remove{engine, "image", "rm", "--force"};
    for (const std::string& id : base::split(images.out, '\n')) {
        if (images.succeeded() && !base::trim(id).empty()) remove.emplace_back(base::trim(id));
    }
    if (remove.size() > 4) (void) askEngine(std::move(remove));
}

}  // namespace trainyard::agent
