#pragma once
// A compute target: where runs are carried out. This machine, one or several hosts over SSH, a Slurm cluster.
// Everything a run needs of one: bring there what it lacks, start it, read its streams, tell it something, look whether
// it lives, fetch its outputs, clean up; and what a page shows of it: whether it can be reached, its load, its doctor's
// findings, its cache.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/targets/Operation.h"
#include "core/wire/Plan.h"

namespace trainyard::targets {

using base::RunId;

/// One file of a source snapshot. Its bytes lie in `local` here and become <work>/objects/<sha256> there.
struct SnapshotFile {
    std::string path;  ///< Relative to the source folder, '/' between names, no "..".
    std::string sha256;
    std::int64_t size = 0;
    bool executable = false;
    base::Path local;
};

/// Data that the run reads: $TRAINYARD_INPUT_<NAME>.
struct InputData {
    enum class Origin { Here, OnTarget, Address };
    struct File {
        std::string path;  ///< Relative, inside the input's folder; the file's own name when the input is one file.
        std::string sha256;
        std::int64_t size = 0;
        base::Path local;
    };
    std::string name;  ///< [A-Za-z0-9_]+; upper-cased in the variable's name.
    Origin origin = Origin::Here;
    /// Key in <work>/data. Here: hash of the sorted list of (path, size, sha256), see runs::contentHash. OnTarget: the
    /// hash that the declared path must have, or empty. Address: the SHA-256 of the file that is fetched.
    std::string sha256;
    std::vector<File> files;  ///< Here.
    bool isFolder = true;     ///< The variable names the folder; false: its only file.
    std::string location;     ///< OnTarget: absolute path there. Address: http(s) address.

    /// Where the target can fetch it by itself.
    struct Fetch {
        std::string address;
        std::string sha256;             ///< What the file's SHA-256 begins with: 8 to 64 digits.
        bool unpack = false;            ///< It is an archive.
        std::vector<std::string> only;  ///< Paths inside that belong to the data; empty: all.
    };
    std::optional<Fetch> fetch;
    /// Brings it here, so that it can be sent, where the target cannot fetch it; for a pool thread. Told bytes done;
    /// false: stop. Empty where `files` are here already.
    std::function<base::Result<InputData>(const std::function<bool(std::int64_t)>&)> bringHere;
};

/// All that a target needs to carry out one attempt of a run. `plan` has what does not depend on node and place (run,
/// attempt, nodes, processes, distribution, command with "$TRAINYARD_ENGINE" as first word for a train task, variables,
/// limits); the target fills in the rest: node, folders, addresses, token.
struct LaunchPlan {
    wire::Plan plan;
    std::vector<std::pair<std::string, std::string>>
        files;  ///< (name without '/', bytes) for every node's folder: spec.json…
    bool hasSource = false;
    std::vector<SnapshotFile> source;  ///< Becomes the folder `code`, the ranks' working folder.
    std::vector<InputData> inputs;
    bool needsEngine = false;
    bool needsCuda = false;       ///< The engine must be one that was built with CUDA. Never falls back.
    base::Path resumeCheckpoint;  ///< Empty, or a file here that becomes resume.ckpt in every node's folder.
    /// Hosts by node where a launch that was cut off had placed the run: it is repeated there and nowhere else. Empty:
    /// anywhere.
    std::vector<std::string> hosts;
    /// Told where the run is placed, before anything of the run itself is put there; what is shared by hash may lie
    /// there already. An error ends the launch with it. Empty: nobody remembers.
    std::function<base::Status(const std::vector<std::string>& hosts)> onPlaced;
    /// Told the content hash of what was fetched there, by input, where it was not known before. Empty: nobody wants to
    /// know.
    std::function<void(const std::string& input, const std::string& sha256)> onFetched;
    [[nodiscard]] base::Status placeOn(const std::vector<std::string>& on) const {
        return onPlaced ? onPlaced(on) : base::Status();
    }
};

/// What happens before a run starts, for its journal and its page.
struct LaunchProgress {
    std::string step;  ///< "connect", "deploy", "engine", "fetch", "instead", "upload", "submit", "start": the last
                       ///< word of an "upload" record.
    std::string text;  ///< For people: "Sending 3 files of the data set".
    std::int64_t bytesDone = 0;
    std::int64_t bytesTotal = 0;
};

enum class AgentStatus {
    NotStarted,  ///< The node's folder is there, but no agent has ever run on it.
    Alive,
    Gone,           ///< It ran, and its process is no more.
    OtherBoot,      ///< The machine was started anew since.
    FolderMissing,  ///< The node's folder is not there (removed, or the work folder is not mounted).
    Unknown,        ///< Its host does not answer now.
};

/// One of several hosts that a call could not reach.
struct SilentHost {
    std::string host;
    base::Error error;
};

struct NodeLook {
    int attempt = 1;
    int node = 0;
    AgentStatus status = AgentStatus::NotStarted;
    std::string host;
};

/// What a scheduler says of the run's job. Times are microseconds UTC, 0 when not known.
struct SchedulerLook {
    enum class State {
        Pending,
        Running,
        Ending,
        Completed,
        Failed,
        Canceled,
        TimeLimit,
        NodeFailed,
        Preempted,
        OutOfMemory,
        Unknown
    };
    std::string job;
    State state = State::Unknown;
    std::string reason;  ///< The queue's own words: "Resources", "Priority", "QOSMaxJobsPerUserLimit".
    std::int64_t estimatedStart = 0;
    int restarts = 0;  ///< How often it was requeued: the attempt is restarts + 1.
};

struct RunLook {
    std::vector<NodeLook> nodes;  ///< Of the newest attempt, by node.
    std::optional<SchedulerLook> scheduler;
    std::vector<SilentHost> silent;  ///< Whose nodes are Unknown.
};

/// Where in one stream reading is to go on.
struct StreamPosition {
    int attempt = 1;
    int node = 0;
    int segment = 1;
    std::int64_t offset = 0;
};

/// Bytes [offset, offset + bytes.size()) of a stream segment, in order and without gaps within one (attempt, node).
struct StreamChunk {
    int attempt = 1;
    int node = 0;
    int segment = 1;
    std::int64_t offset = 0;
    std::string bytes;
    bool closed =
        false;  ///< The segment ends here; the next chunk of this stream is of the following one. `bytes` may be empty.
    bool caughtUp = false;  ///< Everything that was there, in every stream of the run, has been delivered.
};

/// One file of a run's outputs.
struct OutputFile {
    std::string path;  ///< Relative to the outputs folder, no "..".
    std::int64_t size = 0;
    std::string sha256;  ///< Empty in a list made while the run goes on.
};

struct OutputList {
    std::vector<OutputFile> files;
    std::vector<SilentHost> silent;  ///< What lies there is not in the list.
};

struct FetchReport {
    std::vector<OutputFile> brought;
    /// One for each file that is gone ("target.missing"), was changed after the run ended ("target.hash") or has a name
    /// that leads elsewhere ("target.path").
    std::vector<base::Error> lost;
    std::vector<OutputFile> left;  ///< Of hosts that do not answer now.
    std::vector<SilentHost> silent;
};

/// Whether the target answers. `since` is microseconds UTC.
struct Reach {
    enum class State { Unknown, Connecting, Connected, Unreachable, NeedsAnswer };
    State state = State::Unknown;
    std::int64_t since = 0;
    std::string reason;          ///< One sentence with the remedy, when not connected.
    std::int64_t nextTryAt = 0;  ///< Microseconds UTC; 0 when none is planned.
    int hosts = 1;               ///< Machines that the state is about: it is that of the worst of them.
    int connected = 0;           ///< How many of several are connected.
};

/// Something that only a person can answer. Answered with text; an unanswered question times out and the connection
/// fails.
struct Question {
    enum class Kind { HostKey, Password, Passphrase, Other };
    Kind kind = Kind::Other;
    std::string target;
    std::string host;
    std::string text;         ///< As ssh asks it.
    std::string fingerprint;  ///< HostKey: "SHA256:…"; the key's type stands in `keyType`.
    std::string keyType;
};
/// An empty answer means no.
using AnswerQuestion = std::function<void(std::optional<std::string>)>;
using AskPerson = std::function<void(const Question&, AnswerQuestion)>;

/// Whether an error says that somebody does not answer now but may later.
[[nodiscard]] bool mayAnswerLater(const base::Error& error);
/// Who does not answer and why, for people; empty when all do.
[[nodiscard]] std::string textOf(const std::vector<SilentHost>& silent);

enum class Finding { Ok, Warning, Failure, Unknown };

/// One line of the doctor. Unknown where a probe could not run: never Ok then.
struct DoctorLine {
    std::string id;  ///< "reach", "latency", "os", "libc", "processor", "disk", "memory", "cores", "gpus", "cuda",
                     ///< "nccl", "mpi", "containers", "python", "torch", "slurm", "clock", "write", "pair"…
    std::string title;
    std::string host;  ///< Empty when it is about the target as a whole.
    Finding finding = Finding::Unknown;
    std::string text;    ///< What was found, for people.
    std::string remedy;  ///< What to do; empty when Ok.
    base::Json values;   ///< What was found, for forms: {"gpus": 2, "cores": 16, "memory_bytes": …}.
};

/// What is cached on the target: agents, engines, data, source objects, environments.
struct CacheEntry {
    std::string host;
    std::string kind;  ///< "agent", "engine", "data", "objects", "environment"
    std::string key;   ///< The hash; "" for all objects together.
    std::string name;  ///< For people, where it is known.
    std::int64_t bytes = 0;
    std::int64_t lastUse = 0;  ///< Microseconds UTC.
    bool inUse = false;
};

/// Lives in one thread with an event loop; all calls and callbacks are in it. Nothing blocks for longer than a small
/// local file takes. Error codes common to all: "target.unreachable" (may get better), "target.deadline",
/// "target.refused" (wrong user or key, changed host key: will not get better by itself), "target.program" (a program
/// is missing or does not start), "target.protocol" (the other end answers garbage), "target.disk_full", and the file.*
/// codes.
class Target {
public:
    virtual ~Target() = default;

    /// "local", or the name of the target's definition.
    [[nodiscard]] virtual const std::string& name() const = 0;
    [[nodiscard]] virtual Reach reach() const = 0;
    /// Called on each change of reach(). One listener.
    virtual void onReachChanged(std::function<void(const Reach&)> listener) = 0;
    /// Who is asked about host keys and passwords. Without one, every question is answered no.
    virtual void setAsk(AskPerson ask) = 0;

    /// Brings what is missing, writes the plans and starts the run (an agent a node, or a job). When it has succeeded
    /// the run is the target's: it goes on with every workbench closed. May be repeated after an error, a cut or a
    /// restart of this program: what is there already is not sent again, and a run that was started is not started
    /// twice.
    [[nodiscard]] virtual OperationPtr launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress,
                                              DoneStatus done) = 0;
    /// Starts the agents of the newest attempt again that should run and do not; they adopt what they find. No-op where
    /// a scheduler does this.
    [[nodiscard]] virtual OperationPtr revive(const RunId& run, Deadline deadline, DoneStatus done) = 0;
    /// Asks every node's agent for something by a file in control/ (wire/Layout.h, namespace control). Written even
    /// when no agent runs: the next one finds it. "cancel" also takes the job off the scheduler's queue, where there is
    /// one.
    [[nodiscard]] virtual OperationPtr command(const RunId& run, const std::string& command, Deadline deadline,
                                               DoneStatus done) = 0;
    /// Looks at the machines and asks the scheduler; the streams play no part. An error when none of the run's hosts
    /// answers.
    [[nodiscard]] virtual OperationPtr look(const RunId& run, Deadline deadline, Done<RunLook> done) = 0;

    /// Delivers the bytes of all streams of a run, of every attempt and node, from the positions on (a stream without
    /// one: from its beginning), until it is destroyed: `onChunk` at most 1 MiB at once, within about 30 ms of their
    /// being written on this machine. The first chunk comes at once, empty when there is nothing new. Streams that are
    /// not there yet are waited for. `onError` ends it; what was delivered stays valid.
    [[nodiscard]] virtual OperationPtr follow(const RunId& run, std::vector<StreamPosition> from,
                                              std::function<void(StreamChunk)> onChunk,
                                              std::function<void(base::Error)> onError) = 0;
    /// What lies in the run's outputs folder now; without hashes. Of several hosts those that answer tell.
    [[nodiscard]] virtual OperationPtr listOutputs(const RunId& run, Deadline deadline, Done<OutputList> done) = 0;
    /// Brings files of the run's outputs into a local folder and checks size and hash of each (where it has one). What
    /// is there already with the right hash is left; half a file is gone on with. `onProgress` gets bytes done. What
    /// can never be brought is named in the report, and what lies on hosts that do not answer; an error means that
    /// trying again may help.
    [[nodiscard]] virtual OperationPtr fetchOutputs(const RunId& run, std::vector<OutputFile> files,
                                                    const base::Path& into,
                                                    std::function<void(std::int64_t)> onProgress,
                                                    Done<FetchReport> done) = 0;
    /// Runs that have a folder on the target, of whatever workspace.
    [[nodiscard]] virtual OperationPtr listRuns(Deadline deadline, Done<std::vector<RunId>> done) = 0;
    /// Removes all that the run has on the target. Only after its records and outputs were brought here. Of several
    /// hosts those that answer do it at once; the error "target.unreachable" names the others, and it is to be repeated
    /// then.
    [[nodiscard]] virtual OperationPtr removeRun(const RunId& run, Deadline deadline, DoneStatus done) = 0;

    /// Connects if need be. Errors say why not and what to do.
    [[nodiscard]] virtual OperationPtr connect(Deadline deadline, DoneStatus done) = 0;
    /// Each line as it is found; the result is all of them.
    [[nodiscard]] virtual OperationPtr doctor(Deadline deadline, std::function<void(DoctorLine)> onLine,
                                              Done<std::vector<DoctorLine>> done) = 0;
    /// {"hosts":[{"host","cores","cores_busy","memory_bytes","memory_used_bytes","load","gpus":[{"index","name","memory_bytes",
    /// "memory_used_bytes","utilization_percent","lease","stranger"}],"leases":[…],"waiting":[…],"disk_free_bytes"}]}
    [[nodiscard]] virtual OperationPtr load(Deadline deadline, Done<base::Json> done) = 0;
    [[nodiscard]] virtual OperationPtr listCache(Deadline deadline, Done<std::vector<CacheEntry>> done) = 0;
    /// Removes entries that nothing uses. Answers with the bytes freed.
    [[nodiscard]] virtual OperationPtr clearCache(std::vector<CacheEntry> entries, Deadline deadline,
                                                  Done<std::int64_t> done) = 0;
    /// What of a launch the target lacks: {"files","bytes","bytes_per_second"}; for the form, before launch.
    [[nodiscard]] virtual OperationPtr measureUpload(const LaunchPlan& plan, Deadline deadline,
                                                     Done<base::Json> done) = 0;
    /// Builds the engine from its sources against the libtorch found there; log lines as they come. The result names
    /// the cached engine: {"key","libtorch","cuda","seconds"}.
    [[nodiscard]] virtual OperationPtr buildEngine(std::function<void(std::string line)> onLine,
                                                   Done<base::Json> done) = 0;
};

}  // namespace trainyard::targets
