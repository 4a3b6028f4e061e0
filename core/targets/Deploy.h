#pragma once
// Brings to a host what a run needs and it lacks: snapshot, data, engine, checkpoint. Each by hash, each once.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/targets/EngineChoice.h"
#include "core/targets/Host.h"
#include "core/targets/Target.h"
#include "core/wire/Plan.h"

namespace trainyard::targets {

/// Where things lie on the host once they are there; absolute paths.
struct Deployed {
    std::string engine;                   ///< bin/trainyard-engine of the engine; empty when none was asked for.
    std::string engineKey;                ///< Key in <work>/engines; empty for an absolute path of the definition's.
    std::vector<wire::PlanInput> inputs;  ///< In the order of the plan's.
    std::string resumeCheckpoint;         ///< <work>/objects/<sha256>, or empty.
};

/// What has an address is fetched by the host itself (InputData::fetch); where it cannot, `onProgress` says so and it
/// is sent. Connects, looks what is missing, checks the free space ("target.disk_full" with both numbers), sends it and
/// finishes data and engine. Resumable: what has arrived is not sent again. `onProgress` in the event loop, about ten
/// times a second.
[[nodiscard]] OperationPtr deploy(Host& host, const LaunchPlan& plan, EngineChoice engine,
                                  std::function<void(LaunchProgress)> onProgress, Done<Deployed> done);

/// What deploy() would send: {"files","bytes","bytes_per_second","fetches","fetch_bytes","disk"}: the rate as measured
/// lately, 0 when not known; the inputs that the host is to fetch itself from their addresses, unless they are there
/// already, and their bytes as far as they are known; {"host","folder","free_bytes","needed_bytes"} of the work
/// folder's disk, needed with what a run itself takes, 0 when nothing is to come there; null when the host does not
/// tell.
[[nodiscard]] OperationPtr measureDeploy(Host& host, const LaunchPlan& plan, EngineChoice engine, Deadline deadline,
                                         Done<base::Json> done);

/// The bytes of snapshot.json (wire::kSnapshotFormat).
[[nodiscard]] std::string snapshotManifest(const std::vector<SnapshotFile>& files);

/// As Target::fetchOutputs, from one host.
[[nodiscard]] OperationPtr fetchOutputs(Host& host, const RunId& run, std::vector<OutputFile> files,
                                        const base::Path& into, std::function<void(std::int64_t)> onProgress,
                                        Done<FetchReport> done);

}  // namespace trainyard::targets
