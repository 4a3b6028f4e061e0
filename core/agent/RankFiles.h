#pragma once
// What agent and shims tell each other through files of the node folder. All of them appear by temp and rename, without
// fsync: they are only believed within one boot of the machine, so a power cut makes them worthless anyway.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Process.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::agent {

using base::Json;
using base::Path;
using base::ProcessIdentity;
using base::Result;
using base::Status;
using wire::NodeLayout;

/// launch.json: what the agent decided for all ranks before it started the first. A second agent reuses it.
struct Launch {
    std::string masterAddress = "127.0.0.1";    ///< Node 0's, numeric.
    int masterPort = 0;                         ///< For torchrun's MASTER_PORT; 0 when the engine binds its own.
    std::string initMethod;                     ///< AZ_BATCHAI_PYTORCH_INIT_METHOD; empty: by address and port.
    std::string interface;                      ///< GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME; empty: not set.
    std::map<std::string, std::string> inputs;  ///< Path of each input on this node.
    std::map<std::string, std::int64_t> logs;   ///< What lay in the logs folders before, by inode, and how long it was.
    std::string clients;                        ///< Where the client modules were unpacked; empty: nowhere.
    int trackingPort = 0;                       ///< Of the MLflow server on the loopback address; 0: there is none.
    std::string trackingToken;                  ///< With "-<rank>" behind it, a rank's.
    int cores = 1;                              ///< Granted, after cutting to the machine.
    std::vector<int> gpus;                      ///< Granted indices.
    std::string bootId;
    std::int64_t t = 0;  ///< Microseconds UTC.
};

/// r<k>.shim.json: written by the shim before the rank's program begins.
struct ShimNote {
    ProcessIdentity shim;
    ProcessIdentity process;
};

/// How a rank ended.
struct RankExit {
    enum class Kind {
        Exited,      ///< `code` is the exit status.
        Signaled,    ///< `code` is the signal.
        NotStarted,  ///< The command never ran; `message` says why.
        Vanished,    ///< The shim is gone without a word; `message` says how. Never written to a file.
    };
    Kind kind = Kind::Exited;
    int code = 0;
    bool coreDumped = false;
    bool stopped = false;    ///< The shim had been asked to end the rank before it ended.
    bool forced = false;     ///< Ended by SIGKILL because it outlived the grace time.
    bool portTaken = false;  ///< NotStarted, because MASTER_PORT proved taken; no code of the rank has run.
    std::int64_t t = 0;      ///< Microseconds UTC.
    std::string message;

    [[nodiscard]] bool succeeded() const { return kind == Kind::Exited && code == 0; }
};

[[nodiscard]] Path launchFile(const NodeLayout& layout);
/// Held (flock) by a rank's shim for its whole life, so that a rank is never started twice.
[[nodiscard]] Path rankLockFile(const NodeLayout& layout, int rank);
/// Bytes kept back on the disk so that the last records find room when it is full.
[[nodiscard]] Path ballastFile(const NodeLayout& layout);

[[nodiscard]] Json toJson(const Launch& launch);
[[nodiscard]] Result<Launch> launchFromJson(const Json& json);
[[nodiscard]] Json toJson(const ShimNote& note);
[[nodiscard]] Result<ShimNote> shimNoteFromJson(const Json& json);
[[nodiscard]] Json toJson(const RankExit& exit);
[[nodiscard]] Result<RankExit> rankExitFromJson(const Json& json);

/// Reads a small JSON file of the node folder; "file.missing" when it is not there.
[[nodiscard]] Result<Json> readJsonFile(const Path& path);
/// Takes a lock whose holder may have been killed a moment ago: a child of it that has not come to exec yet holds the
/// lock for some milliseconds more, so "lock.held" is only believed when it lasts.
[[nodiscard]] Result<base::FileLock> takeLock(const Path& path, std::string_view note = {});
/// Temp beside `path`, then rename; no fsync.
[[nodiscard]] Status replaceFile(const Path& path, std::string_view bytes);

/// One sentence without a full stop: "rank 1 was killed by signal 9 (SIGKILL); out of memory is a common cause".
[[nodiscard]] std::string describe(int rank, const RankExit& exit, std::int64_t graceSeconds);
/// "SIGKILL"; "signal 77" for a number without a name.
[[nodiscard]] std::string signalName(int signal);

}  // namespace trainyard::agent
