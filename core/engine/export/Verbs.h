#pragma once
// The two verbs of trainyard-engine that turn a TorchScript model into an ONNX file and prove that it computes the
// same. Present in every build; without libonnx both end with "export.unavailable". Requests and results are described
// in resources/docs/protocol/model.md.
#include <functional>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::engine {

/// Gets the body of a progress line: stage, done, total, unit.
using VerbProgress = std::function<void(const base::Json&)>;

/// "export": model (TorchScript), output, opset, input_shape, dynamic_batch … Writes `output` by temp and rename, or
/// nothing. Blocks for as long as it takes; no exception leaves it. Sets the thread's gradient mode off meanwhile.
[[nodiscard]] base::Result<base::Json> runExportVerb(const base::Json& request, const VerbProgress& progress);

/// "verify": reads the two files and sample inputs, runs both, compares. A proof that fails is a result with
/// "passed": false and its reasons; an Error means that no proof could be made (no runtime, unreadable request).
[[nodiscard]] base::Result<base::Json> runVerifyVerb(const base::Json& request, const VerbProgress& progress);

/// What "inspect" says about ONNX: {"available", "checker", "opsets": [lowest, highest], "operators": […], "runtimes":
/// […]}.
[[nodiscard]] base::Json describeExport();

}  // namespace trainyard::engine
