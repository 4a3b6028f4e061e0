#include "core/engine/export/onnx/Exporter.h"

#include <torch/script.h>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/engine/export/Failure.h"
#include "core/engine/export/onnx/Lowering.h"
#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/ScriptFile.h"

namespace trainyard::engine {

namespace {

void checkRequest(const ExportRequest& request) {
    const int highest = highestOpset();
    if (request.opset < kMinOpset || request.opset > highest) {
        throw ExportFailure("export.opset",
                            "The opset must be from " + std::to_string(kMinOpset) + " to " + std::to_string(highest) +
                                "; " + std::to_string(request.opset) + " was asked for.",
                            "opset");
    }
    if (request.inputShape.empty() || request.inputShape.size() > 7) {
        throw ExportFailure("export.input_shape",
                            "The input shape has 1 to 7 sizes (of one sample, without the batch).", "input_shape");
    }
    for (const std::int64_t size : request.inputShape) {
        if (size < 1 || size > 1 << 20) {
            throw ExportFailure("export.input_shape", "Each size of the input shape is from 1 to 1,048,576.",
                                "input_shape");
        }
    }
    if (!request.dynamicBatch && (request.batch < 1 || request.batch > 65536)) {
        throw ExportFailure("export.batch", "A fixed batch is from 1 to 65,536.", "batch");
    }
}

/// The element type of the model's floating-point parameters; float when it has none.
at::ScalarType inputTypeOf(const torch::jit::Module& module) {
    for (const at::Tensor& parameter : module.parameters()) {
        if (parameter.is_floating_point()) {
            return parameter.scalar_type();
        }
    }
    return at::kFloat;
}

}  // namespace

ExportReport exportModel(const ExportRequest& request, const std::function<void(const char*)>& progress) {
    const std::int64_t start = base::monotonicNanos();
    checkRequest(request);
    progress("load");
    ExportReport report;
    report.modelSha256 = orThrow(base::sha256File(request.model));
    torch::jit::Module module = loadScript(request.model);

    progress("convert");
    OnnxBuilder builder(request.opset);
    LoweringOptions options;
    options.inputShape = request.inputShape;
    options.inputType = inputTypeOf(module);
    options.dynamicBatch = request.dynamicBatch;
    options.batch = request.batch;
    options.inputName = request.inputName;
    options.outputNames = request.outputNames;
    Lowering(builder, module, options).run();
    builder.setDescription(request.description);
    builder.setMetadata("trainyard.model_sha256", report.modelSha256);
    for (const auto& [key, value] : request.metadata) {
        builder.setMetadata(key, value);
    }
    report.nodes = builder.nodes();
    report.initializers = builder.initializers();

    progress("check");
    const std::string bytes = builder.finish();
    progress("write");
    orThrow(base::writeFileAtomically(request.output, bytes));
    report.opset = request.opset;
    report.bytes = static_cast<std::int64_t>(bytes.size());
    report.sha256 = base::sha256Hex(bytes);
    report.seconds = static_cast<double>(base::monotonicNanos() - start) / 1e9;
    return report;
}

}  // namespace trainyard::engine
