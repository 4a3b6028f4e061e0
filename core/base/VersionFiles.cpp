#include "core/base/VersionFiles.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>

namespace trainyard::base {

namespace {

constexpr int kMostNumberTries = 100;

Path highestNumberFile(const Path& folder) { return folder / "last"; }

int highestNumber(const Path& folder) {
    const std::vector<int> versions = versionsIn(folder);
    int highest = versions.empty() ? 0 : versions.back();
    if (const auto text = readFile(highestNumberFile(folder)); text.ok()) {
        int noted = 0;
        std::from_chars(text->data(), text->data() + text->size(), noted);
        highest = std::max(highest, noted);
    }
    return highest;
}

}  // namespace

Path versionFile(const Path& folder, int version) { return folder / (std::to_string(version) + ".json"); }

std::vector<int> versionsIn(const Path& folder) {
    std::vector<int> versions;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string file = it->path().filename().string();
        int version = 0;
        const auto parsed = std::from_chars(file.data(), file.data() + file.size(), version);
        if (parsed.ec == std::errc{} && version > 0 && std::string(parsed.ptr, file.data() + file.size()) == ".json") {
            versions.push_back(version);
        }
    }
    std::ranges::sort(versions);
    return versions;
}

int pickVersion(const std::vector<int>& versions, int wanted) {
    const int version = wanted > 0 || versions.empty() ? wanted : versions.back();
    return std::ranges::find(versions, version) == versions.end() ? 0 : version;
}

Result<int> addVersion(const Path& folder, const Json& document) {
    TRAINYARD_TRY(makeDirs(folder));
    // Written aside and linked: a number that another process has taken meanwhile is not overwritten.
    static std::atomic<int> writers{0};
    const Path aside = folder / (".new-" + std::to_string(::getpid()) + "-" + std::to_string(++writers));
    TRAINYARD_TRY(writeFileAtomically(aside, dumpJsonPretty(document)));
    int version = highestNumber(folder) + 1;
    Status linked;
    for (int tries = 0; tries < kMostNumberTries; ++tries, ++version) {
        const Path file = versionFile(folder, version);
        if (::link(aside.c_str(), file.c_str()) == 0) {
            linked = {};
            break;
        }
        const int error = errno;
        linked = errnoError(error, "write", file);
        if (error != EEXIST) {
            break;
        }
    }
    ::unlink(aside.c_str());
    if (!linked.ok()) {
        return linked.error();
    }
    return version;
}

Status removeVersions(const Path& folder, const std::vector<int>& versions) {
    TRAINYARD_TRY(writeFileAtomically(highestNumberFile(folder), std::to_string(highestNumber(folder)) + "\n"));
    for (const int version : versions) {
        TRAINYARD_TRY(removeTree(versionFile(folder, version)));
    }
    return {};
}

}  // namespace trainyard::base
