#include "core/engine/export/Verbs.h"

#include <algorithm>

#include "core/engine/Guard.h"
#include "core/engine/export/Failure.h"
#include "core/engine/export/OnnxRuntime.h"
#include "core/engine/export/onnx/Exporter.h"
#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/OperatorTable.h"
#include "core/engine/export/onnx/Proof.h"

namespace trainyard::engine {

namespace {

using base::Json;

/// Runs `work` with exceptions turned into Errors.
template <class Work>
base::Result<Json> answered(const char* doing, Work&& work) {
    try {
        return work();
    } catch (const ExportFailure& failure) {
        return failure.error();
    } catch (...) {
        return errorInFlight(doing);
    }
}

void requireOk(const base::ObjectReader& reader) { orThrow(reader.status()); }

std::vector<std::int64_t> sizes(base::ObjectReader& reader, const char* key) {
    std::vector<std::int64_t> out;
    for (const Json& value : reader.array(key)) {
        if (!value.is_number_integer()) {
            reader.fail("json.type", key, "The sizes must be whole numbers.");
            return {};
        }
        out.push_back(value.get<std::int64_t>());
    }
    return out;
}

ExportRequest readExportRequest(const Json& json) {
    base::ObjectReader reader(json, "");
    ExportRequest request;
    reader.require("model");
    reader.require("output");
    reader.require("input_shape");
    request.model = reader.string("model");
    request.output = reader.string("output");
    const std::int64_t opset = reader.integer("opset", std::min(ExportRequest::kDefaultOpset, highestOpset()));
    request.opset = static_cast<int>(std::clamp<std::int64_t>(opset, -1, 1'000'000));
    request.inputShape = sizes(reader, "input_shape");
    request.dynamicBatch = reader.boolean("dynamic_batch", true);
    request.batch = reader.integer("batch", 1);
    request.inputName = reader.string("input_name", "input");
    request.outputNames = reader.strings("output_names");
    request.description = reader.string("description");
    request.metadata = reader.stringMap("metadata");
    requireOk(reader);
    if (request.inputName.empty()) {
        throw ExportFailure("export.name", "The input needs a name.", "input_name");
    }
    return request;
}

ProofRequest readProofRequest(const Json& json) {
    base::ObjectReader reader(json, "");
    ProofRequest request;
    reader.require("model");
    reader.require("onnx");
    request.model = reader.string("model");
    request.onnx = reader.string("onnx");
    request.samples = reader.string("samples");
    request.dynamicBatch = reader.boolean("dynamic_batch", true);
    request.inputShape = sizes(reader, "input_shape");
    if (reader.has("opset")) {
        request.opset = static_cast<int>(std::clamp<std::int64_t>(reader.integer("opset"), -1, 1'000'000));
    }
    request.runtime = reader.string("runtime", "auto");
    request.deadlineMillis = reader.integer("deadline_ms", request.deadlineMillis);
    request.seed = reader.integer("seed", 1);
    requireOk(reader);
    if (request.deadlineMillis < 1 || request.deadlineMillis > 86'400'000) {
        throw ExportFailure("verify.deadline", "The deadline is from 1 ms to one day.", "deadline_ms");
    }
    return request;
}

}  // namespace

base::Result<Json> runExportVerb(const Json& request, const VerbProgress& progress) {
    return answered("exporting the model", [&]() -> base::Result<Json> {
        const ExportRequest wanted = readExportRequest(request);
        const ExportReport report = exportModel(wanted, [&](const char* stage) { progress(Json{{"stage", stage}}); });
        return Json{{"output", wanted.output.string()},
                    {"opset", report.opset},
                    {"input_shape", wanted.inputShape},
                    {"dynamic_batch", wanted.dynamicBatch},
                    {"batch", wanted.dynamicBatch ? Json(nullptr) : Json(wanted.batch)},
                    {"nodes", report.nodes},
                    {"initializers", report.initializers},
                    {"size", report.bytes},
                    {"sha256", report.sha256},
                    {"model_sha256", report.modelSha256},
                    {"checker", {{"name", "libonnx"}, {"version", onnxVersion()}}},
                    {"seconds", report.seconds}};
    });
}

base::Result<Json> runVerifyVerb(const Json& request, const VerbProgress& progress) {
    return answered("checking the export", [&]() -> base::Result<Json> {
        return proveExport(readProofRequest(request), [&](const char* stage, std::int64_t done, std::int64_t total) {
            Json body{{"stage", stage}};
            if (total > 0) {
                body["done"] = done;
                body["total"] = total;
                body["unit"] = "inputs";
            }
            progress(body);
        });
    });
}

Json describeExport() {
    std::vector<std::string> operators;
    for (const auto& [name, function] : operatorTable()) {
        operators.push_back(name);
    }
    std::sort(operators.begin(), operators.end());
    Json runtimes = Json::array();
    for (const RuntimeChoice& runtime : findRuntimes()) {
        runtimes.push_back({{"id", runtime.id}, {"name", runtime.name}});
    }
    return Json{{"available", true},
                {"checker", {{"name", "libonnx"}, {"version", onnxVersion()}}},
                {"opsets", {kMinOpset, highestOpset()}},
                {"operators", operators},
                {"runtimes", runtimes}};
}

}  // namespace trainyard::engine
