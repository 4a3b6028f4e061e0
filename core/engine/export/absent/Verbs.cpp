// Compiled instead of export/onnx when libonnx is not there.
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

namespace {
base::Error unavailable() {
    return {"export.unavailable",
            "This trainyard-engine was built without libonnx, so it neither writes nor checks ONNX files. Install "
            "libonnx-dev where it is built and build it again."};
}
}  // namespace

base::Result<base::Json> runExportVerb(const base::Json&, const VerbProgress&) { return unavailable(); }

base::Result<base::Json> runVerifyVerb(const base::Json&, const VerbProgress&) { return unavailable(); }

base::Json describeExport() { return base::Json{{"available", false}, {"reason", unavailable().message}}; }

}  // namespace trainyard::engine
