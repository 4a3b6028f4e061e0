#pragma once
// From a TorchScript file to an ONNX file.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::engine {

struct ExportRequest {
    base::Path model;   ///< TorchScript.
    base::Path output;  ///< Replaced when it exists.
    int opset = kDefaultOpset;
    std::vector<std::int64_t> inputShape;  ///< Of one sample, without the batch.
    bool dynamicBatch = true;
    std::int64_t batch = 1;  ///< When dynamicBatch is false.
    std::string inputName = "input";
    std::vector<std::string> outputNames;
    std::string description;
    std::vector<std::pair<std::string, std::string>> metadata;  ///< Copied into metadata_props.

    static constexpr int kDefaultOpset = 17;
};

struct ExportReport {
    int opset = 0;
    int nodes = 0;
    int initializers = 0;
    std::int64_t bytes = 0;
    std::string sha256;       ///< Of the ONNX file.
    std::string modelSha256;  ///< Of the TorchScript file.
    double seconds = 0;
};

/// Throws ExportFailure: "export.opset", "export.input_shape", "export.model" (no TorchScript), "export.operator" and
/// what else the walk finds, "file.…". `output` is untouched then.
[[nodiscard]] ExportReport exportModel(const ExportRequest& request,
                                       const std::function<void(const char* stage)>& progress);

}  // namespace trainyard::engine
