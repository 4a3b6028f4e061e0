#include "core/targets/LocalFiles.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/targets/Deploy.h"
#include "core/wire/Plan.h"

namespace trainyard::targets {
namespace {

using base::Error;

// Words of a command that the target knows the meaning of.
constexpr std::string_view kEngineWord = "$TRAINYARD_ENGINE";

constexpr const char* kManifestName = "snapshot.json";

/// 128 bits that nobody guesses, as text.
Result<std::string> makeToken() {
    unsigned char bytes[16];
    if (::getentropy(bytes, sizeof bytes) != 0) {
        return base::errnoError(errno, "random numbers", "getentropy");
    }
    std::string text;
    for (const unsigned char byte : bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

/// Where the data lies here, as a rank gets it: the folder, or the only file.
std::string pathOfInput(const InputData& input) {
    if (input.origin == InputData::Origin::OnTarget || !input.location.empty()) {
        return input.location;
    }
    if (input.files.empty()) {
        return {};
    }
    const InputData::File& first = input.files.front();
    const std::string local = first.local.string();
    if (!input.isFolder) {
        return local;
    }
    const std::string tail = "/" + first.path;
    return local.ends_with(tail) ? local.substr(0, local.size() - tail.size()) : std::string();
}

/// Data of which the files lie in several folders: gathered in <work>/data, so that one variable names them all.
Result<std::string> gatherInput(const wire::WorkLayout& work, const InputData& input,
                                const std::function<bool(std::int64_t)>& report) {
    const base::Path files = work.dataEntry(input.sha256) / "files";
    for (const InputData::File& file : input.files) {
        const base::Path to = files / file.path;
        struct stat there {};
        if (::stat(to.c_str(), &there) == 0 && there.st_size == file.size) {
            continue;
        }
        TRAINYARD_TRY(base::makeDirs(to.parent_path()));
        TRAINYARD_TRY(linkOrCopy(file.local, to, report));
    }
    return files.string();
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

AttemptFolders newestAttempt(const wire::WorkLayout& work, const RunId& run) {
    AttemptFolders newest;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(work.run(run), error)) {
        const std::string name = entry.path().filename().string();
        int attempt = 0;
        const auto parsed =
            std::from_chars(name.data() + std::min<std::size_t>(1, name.size()), name.data() + name.size(), attempt);
        if (name.starts_with("a") && parsed.ec == std::errc{} && parsed.ptr == name.data() + name.size()) {
            newest.attempt = std::max(newest.attempt, attempt);
        }
    }
    while (newest.attempt > 0 &&
           std::filesystem::is_directory(work.attemptNode(run, newest.attempt, newest.nodes), error)) {
        ++newest.nodes;
    }
    return newest;
}

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

Status placeLaunch(const wire::WorkLayout& work, const base::Path& slots, const std::string& engine,
                   const LaunchPlan& launch, const std::function<bool(std::int64_t)>& report) {
    const wire::Plan& common = launch.plan;
    if (base::Path present = wire::NodeLayout{work.attemptNode(common.run, common.attempt, common.nodes - 1)}.plan();
        std::filesystem::exists(present)) {
        return {};
    }
    std::int64_t done = 0;
    for (const SnapshotFile& file : launch.source) {
        if (!report(done)) {
            return Error{"canceled", "Copying the source was canceled."};
        }
        const base::Path object = work.object(file.sha256);
        std::error_code missing;
        if (!std::filesystem::exists(object, missing)) {
            TRAINYARD_TRY(base::makeDirs(work.objects()));
            TRAINYARD_TRY(linkOrCopy(file.local, object, {}));
        }
        done += file.size;
    }
    std::vector<wire::PlanInput> inputs;
    for (const InputData& input : launch.inputs) {
        wire::PlanInput known;
        known.name = input.name;
        known.sha256 = input.sha256;
        if (input.origin == InputData::Origin::Address) {
            known.address = input.location;
            known.unpack = input.fetch && input.fetch->unpack;
            known.sha256 = input.fetch ? input.fetch->sha256 : input.sha256;
        } else {
            known.path = pathOfInput(input);
            known.verify = input.origin == InputData::Origin::OnTarget && !input.sha256.empty();
            if (known.path.empty()) {
                auto gathered = gatherInput(work, input, [&](std::int64_t bytes) { return report(done + bytes); });
                if (!gathered.ok()) {
                    return gathered.error();
                }
                known.path = std::move(*gathered);
            }
        }
        inputs.push_back(std::move(known));
    }
    std::string token;
    if (common.nodes > 1) {
        Result<std::string> made = makeToken();
        if (!made.ok()) {
            return made.error();
        }
        token = std::move(*made);
    }
    // In order, each plan after its other files: the last node's plan says that all of it is there.
    for (int node = 0; node < common.nodes; ++node) {
        const wire::NodeLayout folder{work.attemptNode(common.run, common.attempt, node)};
        TRAINYARD_TRY(base::makeDirs(folder.root));
        wire::Plan plan = common;
        plan.node = node;
        plan.token = token;
        plan.outputsFolder = work.outputs(common.run).string();
        plan.slotsFolder = slots.string();
        plan.workFolder = work.root.string();
        plan.sharedFolder = common.nodes > 1;
        plan.inputs = inputs;
        plan.resumeCheckpoint = launch.resumeCheckpoint.string();
        if (!plan.command.empty() && plan.command.front() == kEngineWord) {
            plan.command.front() = engine;
        }
        for (const auto& [name, bytes] : launch.files) {
            TRAINYARD_TRY(base::writeFileAtomically(folder.root / name, bytes));
        }
        if (launch.hasSource) {
            plan.sourceManifest = kManifestName;
            TRAINYARD_TRY(base::writeFileAtomically(folder.root / kManifestName, snapshotManifest(launch.source)));
        }
        TRAINYARD_TRY(base::writeFileAtomically(folder.plan(), base::dumpJsonPretty(wire::toJson(plan))));
    }
    return {};
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
        // What has no hash yet may still be written to: that is copied, never linked.
        const Status linked = file.sha256.empty() ? base::copyFile(from / file.path, target, within)
                                                  : linkOrCopy(from / file.path, target, within);
        if (!linked.ok()) {
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
        if (!file.sha256.empty() && *hash != file.sha256) {
            // Removed, so that nobody takes it for what the run made.
            TRAINYARD_TRY(base::removeTree(target));
            fetched.lost.push_back({"target.hash", "The output " + file.path +
                                                       " was changed after the run ended: its SHA-256 is another."});
            continue;
        }
        done += file.size;
        fetched.brought.push_back({file.path, file.size, *hash});
    }
    return fetched;
}

Result<std::vector<OutputFile>> listFiles(const base::Path& folder, const std::function<bool(std::int64_t)>& report) {
    std::vector<OutputFile> files;
    std::error_code error;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (auto entry = std::filesystem::recursive_directory_iterator(folder, options, error);
         !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
        if (!report(0)) {
            return Error{"canceled", "Listing the outputs was canceled."};
        }
        struct stat info {};
        if (::lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
            files.push_back({entry->path().lexically_relative(folder).string(), info.st_size, {}});
        }
    }
    std::sort(files.begin(), files.end(), [](const OutputFile& a, const OutputFile& b) { return a.path < b.path; });
    return files;
}

}  // namespace trainyard::targets
