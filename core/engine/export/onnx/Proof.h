#pragma once
// The proof that an ONNX file computes what its TorchScript original computes: libonnx's checker, the declared input,
// every parameter bit by bit, and the outputs of an independent runtime on real and random inputs in several batch
// sizes.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::engine {

struct ProofRequest {
    base::Path model;  ///< TorchScript.
    base::Path onnx;
    base::Path samples;                     ///< safetensors with real inputs ("images"), or empty.
    bool dynamicBatch = true;               ///< What the export claims.
    std::vector<std::int64_t> inputShape;   ///< Claimed shape of one sample; empty: as the file declares it.
    std::optional<int> opset;               ///< Claimed.
    std::string runtime = "auto";           ///< "auto", "onnxruntime-node", "onnxruntime", "opencv"
    std::int64_t deadlineMillis = 300'000;  ///< For the runtime's helper program.
    std::int64_t seed = 1;                  ///< Of the random inputs.
};

/// Largest difference that counts as equal, as a share of the largest output.
/// float32 1e-4, float64 1e-9, float16 1e-2, bfloat16 5e-2, everything else 0.
[[nodiscard]] double toleranceOf(int onnxElementType);

/// The proof as a document (format "trainyard.export-proof"); "passed" says how it went. Throws ExportFailure when no
/// proof can be made: "verify.no_runtime", "verify.runtime", an unreadable TorchScript or sample file.
[[nodiscard]] base::Json
proveExport(const ProofRequest& request,
            const std::function<void(const char* stage, std::int64_t done, std::int64_t total)>& progress);

}  // namespace trainyard::engine
