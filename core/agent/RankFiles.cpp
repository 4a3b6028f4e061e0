#include "core/agent/RankFiles.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "core/base/Clock.h"

namespace trainyard::agent {

namespace {

constexpr const char* kLaunchFormat = "trainyard.launch";
constexpr const char* kShimFormat = "trainyard.shim";
constexpr const char* kExitFormat = "trainyard.rank-exit";
constexpr int kVersion = 1;
constexpr std::int64_t kMaxNoteBytes = 64 << 10;
constexpr std::int64_t kLockMillis = 500;

Json head(const char* format) {
    Json json = Json::object();
    json["format"] = format;
    json["version"] = kVersion;
    return json;
}

std::string hint(int signal) {
    switch (signal) {
    case SIGKILL: return "; out of memory is a common cause";
    case SIGSEGV: return "; a memory error in native code is a common cause";
    case SIGBUS: return "; running out of shared memory or disk is a common cause";
    case SIGABRT: return "; the program aborted itself, its standard error says why";
    default: return {};
    }
}

}  // namespace

Path launchFile(const NodeLayout& layout) { return layout.root / "launch.json"; }
Path rankLockFile(const NodeLayout& layout, int rank) {
    return layout.ranks() / ("r" + std::to_string(rank) + ".lock");
}
Path ballastFile(const NodeLayout& layout) { return layout.root / "ballast"; }

Json toJson(const Launch& launch) {
    Json json = head(kLaunchFormat);
    json["master_address"] = launch.masterAddress;
    json["master_port"] = launch.masterPort;
    json["init_method"] = launch.initMethod;
    json["interface"] = launch.interface;
    Json inputs = Json::object();
    for (const auto& [name, path] : launch.inputs) inputs[name] = path;
    json["inputs"] = std::move(inputs);
    json["logs"] = launch.logs;
    json["clients"] = launch.clients;
    json["tracking_port"] = launch.trackingPort;
    json["tracking_token"] = launch.trackingToken;
    json["cores"] = launch.cores;
    json["gpus"] = launch.gpus;
    json["boot_id"] = launch.bootId;
    json["t"] = launch.t;
    return json;
}

Result<Launch> launchFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kLaunchFormat, kVersion));
    base::ObjectReader reader(json, "");
    Launch launch;
    launch.masterAddress = reader.string("master_address", launch.masterAddress);
    launch.masterPort = static_cast<int>(reader.integer("master_port"));
    launch.initMethod = reader.string("init_method");
    launch.interface = reader.string("interface");
    for (auto& [name, path] : reader.stringMap("inputs")) launch.inputs[name] = path;
    const Json logs = reader.object("logs");
    for (const auto& [inode, size] : logs.items()) {
        if (size.is_number_integer()) launch.logs[inode] = size.get<std::int64_t>();
    }
    launch.clients = reader.string("clients");
    launch.trackingPort = static_cast<int>(reader.integer("tracking_port"));
    launch.trackingToken = reader.string("tracking_token");
    launch.cores = static_cast<int>(reader.integer("cores", 1));
    for (const Json& index : reader.array("gpus")) {
        if (index.is_number_integer()) launch.gpus.push_back(index.get<int>());
    }
    launch.bootId = reader.string("boot_id");
    launch.t = reader.integer("t");
    TRAINYARD_TRY(reader.status(false));
    return launch;
}

Json toJson(const ShimNote& note) {
    Json json = head(kShimFormat);
    json["shim"] = base::toJson(note.shim);
    json["process"] = base::toJson(note.process);
    return json;
}

Result<ShimNote> shimNoteFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kShimFormat, kVersion));
    base::ObjectReader reader(json, "");
    auto shim = base::processIdentityFromJson(reader.object("shim"));
    if (!shim.ok()) return shim.error();
    auto process = base::processIdentityFromJson(reader.object("process"));
    if (!process.ok()) return process.error();
    return ShimNote{std::move(shim).value(), std::move(process).value()};
}

Json toJson(const RankExit& exit) {
    Json json = head(kExitFormat);
    switch (exit.kind) {
    case RankExit::Kind::Exited: json["exit"] = exit.code; break;
    case RankExit::Kind::Signaled:
        json["signal"] = exit.code;
        json["core"] = exit.coreDumped;
        break;
    case RankExit::Kind::NotStarted: json["spawn"] = exit.message; break;
    case RankExit::Kind::Vanished: json["vanished"] = exit.message; break;
    }
    json["t"] = exit.t;
    if (exit.stopped) json["stopped"] = true;
    if (exit.forced) json["forced"] = true;
    if (exit.portTaken) json["port_taken"] = true;
    return json;
}

Result<RankExit> rankExitFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kExitFormat, kVersion));
    base::ObjectReader reader(json, "");
    RankExit exit;
    if (reader.has("signal")) {
        exit.kind = RankExit::Kind::Signaled;
        exit.code = static_cast<int>(reader.integer("signal"));
        exit.coreDumped = reader.boolean("core");
    } else if (reader.has("spawn")) {
        exit.kind = RankExit::Kind::NotStarted;
        exit.message = reader.string("spawn");
    } else {
        reader.require("exit");
        exit.code = static_cast<int>(reader.integer("exit"));
    }
    exit.t = reader.integer("t");
    exit.stopped = reader.boolean("stopped");
    exit.forced = reader.boolean("forced");
    exit.portTaken = reader.boolean("port_taken");
    TRAINYARD_TRY(reader.status(false));
    return exit;
}

Result<Json> readJsonFile(const Path& path) {
    auto text = base::readFile(path, kMaxNoteBytes);
    if (!text.ok()) return text.error();
    return base::parseJson(*text);
}

Result<base::FileLock> takeLock(const Path& path, std::string_view note) {
    const auto deadline = base::Deadline::inMillis(kLockMillis);
    while (true) {
        auto lock = base::FileLock::tryExclusive(path, note);
        if (lock.ok() || lock.error().code != "lock.held" || deadline.passed()) return lock;
        const timespec pause{0, 10'000'000};
        ::nanosleep(&pause, nullptr);
    }
}

Status replaceFile(const Path& path, std::string_view bytes) {
    Path temp = path;
    temp += ".tmp" + std::to_string(::getpid());
    base::UniqueFd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return base::errnoError(errno, "create", temp);
    if (auto written = base::writeAll(fd.get(), bytes, temp); !written.ok()) {
        ::unlink(temp.c_str());
        return written;
    }
    if (::rename(temp.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temp.c_str());
        return base::errnoError(error, "rename", path);
    }
    return {};
}

std::string signalName(int signal) {
    const char* abbreviation = ::sigabbrev_np(signal);
    return abbreviation ? "SIG" + std::string(abbreviation) : "signal " + std::to_string(signal);
}

std::string describe(int rank, const RankExit& exit, std::int64_t graceSeconds) {
    const std::string who = "rank " + std::to_string(rank);
    switch (exit.kind) {
    case RankExit::Kind::Exited: return who + " ended with exit status " + std::to_string(exit.code);
    case RankExit::Kind::NotStarted: return who + " could not be started: " + exit.message;
    case RankExit::Kind::Vanished: return who + " is lost: " + exit.message;
    case RankExit::Kind::Signaled: break;
    }
    if (exit.forced) {
        return who + " was killed (SIGKILL) because it was still running " + std::to_string(graceSeconds) +
               " s after it had been asked to end";
    }
    return who + " was killed by signal " + std::to_string(exit.code) + " (" + signalName(exit.code) + ")" +
           (exit.stopped ? std::string{} : hint(exit.code));
}

}  // namespace trainyard::agent
