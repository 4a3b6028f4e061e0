#pragma once
// How to reach a machine that runs are carried out on. Everything a run needs of one: bring the programs there, put a
// plan down, start its agent, read its stream, send it a command, look whether it is alive, fetch outputs, clean up.
// Implementations: LocalTarget; SSH and Slurm fit the same interface.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::targets {

using base::Deadline;
using base::Result;
using base::RunId;
using base::Status;

/// One node of one attempt of a run.
struct NodeRef {
    RunId run;
    int attempt = 1;
    int node = 0;
};

/// Something under way. Destroying it cancels it: its callback is then never called, and what it had begun is undone or
/// harmless to repeat. Its callback is called at most once, from the event loop, never inside the call that made it.
class Operation {
public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    virtual ~Operation() = default;
};
using OperationPtr = std::unique_ptr<Operation>;

template <class T>
using Done = std::function<void(Result<T>)>;
using DoneStatus = std::function<void(Status)>;

/// Where the programs are on the target once they are there, as paths of the target.
struct Programs {
    std::string agent;
    std::string engine;  ///< Empty when the target has none.
};

enum class AgentStatus {
    NotStarted,     ///< The node's folder is there, but no agent has ever run on it.
    Alive,
    Gone,           ///< It ran, and its process is no more.
    OtherBoot,      ///< The machine was started anew since.
    FolderMissing,  ///< The node's folder is not there (removed, or the work folder is not mounted).
};

/// Bytes [offset, offset + bytes.size()) of a stream segment, in order and without gaps.
struct StreamChunk {
    int segment = 1;
    std::int64_t offset = 0;
    std::string bytes;
    bool closed = false;    ///< The segment ends here; the next chunk is of the following one. `bytes` may be empty.
    bool caughtUp = false;  ///< Everything that was there has been delivered.
};

/// One file of a run's outputs, as the agent's `ended` record names it.
struct OutputFile {
    std::string path;  ///< Relative to the outputs folder, no "..".
    std::int64_t size = 0;
    std::string sha256;
};

struct FetchReport {
    std::vector<OutputFile> brought;
    /// One for each file that is gone ("target.missing"), was changed after the run ended ("target.hash") or has a name
    /// that leads elsewhere ("target.path").
    std::vector<base::Error> lost;
};

/// Lives in one thread with an event loop; all calls and callbacks are in it. Nothing blocks for longer than a small
/// local file takes. Error codes common to all: "target.unreachable" (may get better), "target.deadline",
/// "target.program" (a program is missing or does not start), and the file.* codes.
class ComputeTarget {
public:
    virtual ~ComputeTarget() = default;

    [[nodiscard]] virtual const std::string& id() const = 0;
    /// <work> on the target.
    [[nodiscard]] virtual const std::string& workFolder() const = 0;

    /// Makes sure that agent and engine are on the target.
    [[nodiscard]] virtual OperationPtr deploy(Deadline deadline, Done<Programs> done) = 0;
    /// Writes files into the node's folder (made with its parents); each appears whole. Names have no '/'.
    [[nodiscard]] virtual OperationPtr putFiles(const NodeRef& node,
                                                std::vector<std::pair<std::string, std::string>> files,
                                                Deadline deadline, DoneStatus done) = 0;
    /// Starts the node's agent, detached from us. Harmless when it runs already; a restarted one adopts its ranks.
    [[nodiscard]] virtual OperationPtr startAgent(const NodeRef& node, Deadline deadline, DoneStatus done) = 0;
    /// Asks the node's agent for something by a file in control/ ("cancel", "checkpoint"). Written even when no agent
    /// runs: the next one finds it.
    [[nodiscard]] virtual OperationPtr sendCommand(const NodeRef& node, const std::string& command, Deadline deadline,
                                                   DoneStatus done) = 0;
    /// Looks at the machine, not at the stream.
    [[nodiscard]] virtual OperationPtr look(const NodeRef& node, Deadline deadline, Done<AgentStatus> done) = 0;

    /// Delivers the stream's bytes from a position on, until it is destroyed: `onChunk` in order, at most 1 MiB at once,
    /// within about 30 ms of their being written. The first chunk comes at once, empty when there is nothing new. A stream
    /// that is not there yet is waited for. `onError` ends it.
    [[nodiscard]] virtual OperationPtr followStream(const NodeRef& node, int segment, std::int64_t offset,
                                                    std::function<void(StreamChunk)> onChunk,
                                                    std::function<void(base::Error)> onError) = 0;
    /// Brings the run's outputs into a local folder and checks size and hash of each. Files that are there already with
    /// the right hash are left. `onProgress` gets bytes done. What can never be brought is named in the report and left
    /// out; an error means that trying again may help.
    [[nodiscard]] virtual OperationPtr fetchOutputs(const RunId& run, std::vector<OutputFile> files,
                                                    const base::Path& into,
                                                    std::function<void(std::int64_t)> onProgress,
                                                    Done<FetchReport> done) = 0;
    /// Runs that have a folder on the target, of whatever workspace.
    [[nodiscard]] virtual OperationPtr listRuns(Deadline deadline, Done<std::vector<RunId>> done) = 0;
    /// Removes all that the run has on the target. Only after its records and outputs were brought here.
    [[nodiscard]] virtual OperationPtr removeRun(const RunId& run, Deadline deadline, DoneStatus done) = 0;
};

}  // namespace trainyard::targets
