#pragma once
// The verbs of `trainyard-agent serve` as calls with typed answers, for targets that are made of hosts.
#include "core/targets/Host.h"

namespace trainyard::targets {

/// Writes files into a node's folder (made with its parents); each appears whole. Names have no '/'.
[[nodiscard]] OperationPtr putFiles(Host& host, const RunId& run, int attempt, int node,
                                    const std::vector<std::pair<std::string, std::string>>& files, Deadline deadline,
                                    DoneStatus done);

struct StartedAgent {
    std::int64_t pid = 0;
    std::string leadAddress;  ///< With waitLeadMillis: where node 0's agent listens for the others.
    int leadPort = 0;
};
/// Starts the node's agent, detached. Harmless when it runs already.
[[nodiscard]] OperationPtr startAgent(Host& host, const RunId& run, int attempt, int node, int waitLeadMillis,
                                      Deadline deadline, Done<StartedAgent> done);

[[nodiscard]] OperationPtr commandRun(Host& host, const RunId& run, const std::string& command, Deadline deadline,
                                      Done<int> done);
[[nodiscard]] OperationPtr lookAtRun(Host& host, const RunId& run, Deadline deadline, Done<std::vector<NodeLook>> done);
[[nodiscard]] OperationPtr listOutputs(Host& host, const RunId& run, Deadline deadline,
                                       Done<std::vector<OutputFile>> done);
[[nodiscard]] OperationPtr listRuns(Host& host, Deadline deadline, Done<std::vector<RunId>> done);
[[nodiscard]] OperationPtr removeRun(Host& host, const RunId& run, Deadline deadline, DoneStatus done);
/// What a target's definition means to the doctor of its hosts.
struct DoctorNeeds {
    std::string python;             ///< Interpreter of its scripts.
    std::vector<std::string> need;  ///< Ids of lines where absence is a failure, for the definition counts on it.
};
[[nodiscard]] DoctorNeeds doctorNeeds(const spec::TargetSpec& spec);
/// Each line as it is found; the host's own lines (reach, latency, clock) come first.
[[nodiscard]] OperationPtr doctorHost(Host& host, DoctorNeeds needs, Deadline deadline,
                                      std::function<void(DoctorLine)> onLine, Done<std::vector<DoctorLine>> done);
/// One element of Target::load's "hosts".
[[nodiscard]] OperationPtr loadOfHost(Host& host, Deadline deadline, Done<base::Json> done);
[[nodiscard]] OperationPtr cacheOfHost(Host& host, Deadline deadline, Done<std::vector<CacheEntry>> done);
/// Entries of this host. Answers with the bytes freed.
[[nodiscard]] OperationPtr clearCacheOfHost(Host& host, std::vector<CacheEntry> entries, Deadline deadline,
                                            Done<std::int64_t> done);

}  // namespace trainyard::targets
