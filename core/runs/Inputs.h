#pragma once
// Data that a run reads, by name: from the specification to what a target brings, finds or fetches.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/spec/RunSpec.h"
#include "core/targets/Target.h"

namespace trainyard::runs {

/// Called with bytes read; false: stop ("canceled").
using InputReport = std::function<bool(std::int64_t)>;

/// A file or folder here, with the hashes of its files. Errors: content.*, file.*, "canceled".
[[nodiscard]] base::Result<targets::InputData> dataHere(const std::string& name, const base::Path& path, const InputReport& report);

/// RunSpec::inputs. `thisMachine`: what lies here is used where it lies; nothing is hashed.
/// Errors: those of dataHere with the input's field, "input.missing".
[[nodiscard]] base::Result<std::vector<targets::InputData>> resolveInputs(const spec::RunSpec& spec, bool thisMachine,
                                                                          const InputReport& report);

}  // namespace trainyard::runs
