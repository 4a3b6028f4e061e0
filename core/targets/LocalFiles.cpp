#include "core/targets/LocalFiles.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {
namespace {

/// Hard link where both lie on one file system, else a copy. Rename over a temporary name, so that a file is never
/// seen half-way.
Status linkOrCopy(const base::Path& from, const base::Path& to, const std::function<bool(std::int64_t)>& report) {
    const base::Path temp = to.string() + ".part";
    ::unlink(temp.c_str());
    if (::link(from.c_str(), temp.c_str()) == 0) {
        if (::rename(temp.c_str(), to.c_str()) != 0) {
            const int error = errno;
            ::unlink(temp.c_str());
            return base::errnoError(error, "rename", to);
        }
        // rename(2) does nothing when both names are one file already.
        ::unlink(temp.c_str());
        return {};
    }
    return base::copyFile(from, to, report);
}

}  // namespace

Result<AgentStatus> lookAtAgent(const base::Path& nodeFolder) {
    std::error_code error;
    if (!std::filesystem::is_directory(nodeFolder, error)) {
        return AgentStatus::FolderMissing;
    }
    const wire::NodeLayout layout{nodeFolder};
    const Result<std::string> text = base::readFile(layout.agent());
    if (!text.ok()) {
        if (text.error().code == "file.missing") {
            return AgentStatus::NotStarted;
        }
        return text.error();
    }
    const Result<base::Json> json = base::parseJson(*text);
    if (!json.ok()) {
        return json.error();
    }
    base::ObjectReader reader(*json, "");
    const Result<base::ProcessIdentity> identity = base::processIdentityFromJson(reader.object("identity"));
    if (!identity.ok()) {
        return identity.error();
    }
    switch (base::liveness(*identity)) {
        case base::Liveness::Alive: return AgentStatus::Alive;
        case base::Liveness::Gone: return AgentStatus::Gone;
        case base::Liveness::OtherBoot: return AgentStatus::OtherBoot;
    }
    return AgentStatus::Gone;
}

bool isSafeRelativePath(const std::string& path) {
    if (path.empty() || path.front() == '/') {
        return false;
    }
    for (const char c : path) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return false;
        }
    }
    for (const base::Path& part : base::Path(path)) {
        if (part == ".." || part == "." || part.empty()) {
            return false;
        }
    }
    return true;
}

Result<FetchReport> bringOutputs(const base::Path& from, const std::vector<OutputFile>& files, const base::Path& into,
                                 const std::function<bool(std::int64_t)>& report) {
    TRAINYARD_TRY(base::makeDirs(into));
    FetchReport fetched;
    std::int64_t done = 0;
    for (const OutputFile& file : files) {
        if (!report(done)) {
            return base::Error{"canceled", "Fetching the outputs was canceled."};
        }
        if (!isSafeRelativePath(file.path)) {
            fetched.lost.push_back(
                {"target.path", "An output is named \"" + file.path + "\", which leads out of the outputs folder."});
            continue;
        }
        const auto within = [&](std::int64_t bytes) { return report(done + bytes); };
        const base::Path target = into / file.path;
        struct stat there {};
        const bool mayBeThere = ::stat(target.c_str(), &there) == 0 && there.st_size == file.size;
        if (mayBeThere) {
            const Result<std::string> hash = base::sha256File(target, within);
            if (hash.ok() && *hash == file.sha256) {
                done += file.size;
                fetched.brought.push_back(file);
                continue;
            }
        }
        TRAINYARD_TRY(base::makeDirs(target.parent_path()));
        if (const Status linked = linkOrCopy(from / file.path, target, within); !linked.ok()) {
            if (linked.error().code != "file.missing") {
                return linked.error();
            }
            fetched.lost.push_back({"target.missing", "The output " + file.path + " is not there any more."});
            continue;
        }
        const Result<std::string> hash = base::sha256File(target, within);
        if (!hash.ok()) {
            return hash.error();
        }
        if (*hash != file.sha256) {
            // Removed, so that nobody takes it for what the run made.
            TRAINYARD_TRY(base::removeTree(target));
            fetched.lost.push_back({"target.hash", "The output " + file.path +
                                                       " was changed after the run ended: its SHA-256 is another."});
            continue;
        }
        done += file.size;
        fetched.brought.push_back(file);
    }
    return fetched;
}

}  // namespace trainyard::targets
