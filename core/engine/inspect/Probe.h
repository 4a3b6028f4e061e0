#pragma once
// One rank of a trial of a run: the run's own steps, validation, checkpoint and outputs, in a process of its own, with
// times and memory.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/inspect/Preflight.h"

namespace trainyard::engine {

/// What all ranks of a trial are told.
struct ProbeRequest {
    base::Json spec;                ///< A RunSpec document, as `train` reads it.
    std::int64_t share = 1;         ///< Samples that each rank takes for a step.
    bool timed = true;              ///< False: only enough steps to know the memory.
    std::int64_t startedNanos = 0;  ///< Of the monotonic clock, before the rank was started.
};
[[nodiscard]] base::Json toJson(const ProbeRequest& request);
[[nodiscard]] Result<ProbeRequest> probeRequestFromJson(const base::Json& json);

/// What a rank found. Seconds; bytes of this process.
struct ProbeResult {
    std::string device;
    std::int64_t threads = 0;
    std::int64_t parameters = 0;
    std::int64_t activations = 0;  ///< Elements of all outputs for one sample.
    std::int64_t inputElements = 0;
    std::int64_t trainingSamples = 0;
    std::int64_t validationSamples = 0;
    double readySeconds = 0;  ///< From the rank's start to its first step.
    double firstStep = 0;
    double firstWait = 0;  ///< Of an epoch's first step for its data.
    Pace first;            ///< Steps of the first epoch.
    Pace later;            ///< Of one whose pictures are kept and whose buffers are there.
    Pace unfrozen;         ///< Of an epoch that trains the whole model after one that trained the head; done 0 without.
    Pace firstValidation;  ///< Samples of this rank.
    Pace laterValidation;
    double checkpointSeconds = 0;
    double savingSeconds = 0;
    MemoryAt resident;
    MemoryAt address;
    MemoryAt deviceMemory;
    std::int64_t deviceFree = 0;  ///< Before the model was there; 0: not known.
    std::int64_t kept = 0;        ///< Bytes of pictures that are kept decoded now,
    std::int64_t mostKept = 0;    ///< and in the end.
    std::int64_t checkpointBytes = 0;
    std::int64_t outputBytes = 0;
};
[[nodiscard]] base::Json toJson(const ProbeResult& result);
[[nodiscard]] Result<ProbeResult> probeResultFromJson(const base::Json& json);

inline constexpr const char* kProbeRequestFile = "request.json";
inline constexpr const char* kProbeResultFile = "result.json";

/// `trainyard-engine check --rank FOLDER RANK WORLD`: reads the request in FOLDER, writes the result, or {"error"},
/// into FOLDER/RANK/. Exit status.
[[nodiscard]] int runProbeRank(const std::vector<std::string>& words);

}  // namespace trainyard::engine
