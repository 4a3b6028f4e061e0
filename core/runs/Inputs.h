#pragma once
// Data that a run reads, by name: from the specification to what a target brings, finds or fetches.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/RunSpec.h"
#include "core/targets/Target.h"

namespace trainyard::runs {

/// Called with bytes read; false: stop ("canceled").
using InputReport = std::function<bool(std::int64_t)>;

/// A file or folder here, with the hashes of its files. Errors: content.*, file.*, "canceled".
[[nodiscard]] base::Result<targets::InputData> dataHere(const std::string& name, const base::Path& path,
                                                        const InputReport& report);

// Names of inputs that a launch adds by itself.
inline constexpr const char* kDatasetInput = "dataset";
inline constexpr const char* kResumeInput = "resume";
inline constexpr const char* kWeightsInput = "weights";

inline constexpr const char* kOnTargetPrefix = "target:";  ///< Before a path that lies on the target.

/// Whether its pictures are a folder on the target, or an archive at an address.
[[nodiscard]] bool isDataElsewhere(const spec::DatasetSpec& dataset);

/// The files of a train task's dataset as one input, or the folder on the target or the address that it names; in the
/// document, when given, their paths become paths inside it.
[[nodiscard]] base::Result<targets::InputData> datasetHere(const spec::DatasetSpec& dataset, const InputReport& report,
                                                           base::Json* document = nullptr);

/// The content of all that a run was given, as the journal's "inputs" record has it: of what `inputs` (a launch's) do
/// not say, the files here are read. A list of {name, sha256, bytes}; null where it is not known.
[[nodiscard]] base::Result<base::Json> inputFacts(const spec::RunSpec& spec, std::vector<targets::InputData> inputs,
                                                  const InputReport& report);

/// RunSpec::inputs. `thisMachine`: what lies here is used where it lies; nothing is hashed.
/// Errors: those of dataHere with the input's field, "input.missing".
[[nodiscard]] base::Result<std::vector<targets::InputData>> resolveInputs(const spec::RunSpec& spec, bool thisMachine,
                                                                          const InputReport& report);

}  // namespace trainyard::runs
