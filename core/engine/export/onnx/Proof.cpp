#include "core/engine/export/onnx/Proof.h"

#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>
#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/engine/export/Failure.h"
#include "core/engine/export/OnnxRuntime.h"
#include "core/engine/export/onnx/OnnxBuilder.h"
#include "core/engine/export/onnx/OutputComparison.h"
#include "core/engine/export/onnx/ScriptFile.h"
#include "core/engine/model/SafeTensors.h"

namespace trainyard::engine {

namespace {

using base::Json;

/// What the ONNX file says about itself.
struct Declaration {
    int opset = 0;
    std::string inputName;
    at::ScalarType inputType = at::kFloat;
    std::vector<std::optional<std::int64_t>> inputDims;
    std::vector<std::string> outputNames;
};

/// Reasons why the proof fails; one of each code is enough for a person.
class Reasons {
public:
    void add(const std::string& code, const std::string& message) {
        for (Json& entry : m_list) {
            if (entry["code"] == code) {
                entry["count"] = entry["count"].get<std::int64_t>() + 1;
                return;
            }
        }
        m_list.push_back({{"code", code}, {"message", message}, {"count", 1}});
    }
    [[nodiscard]] bool none() const { return m_list.empty(); }
    [[nodiscard]] Json take() { return std::move(m_list); }

private:
    Json m_list = Json::array();
};

Json describeFile(const base::Path& path) {
    std::error_code error;
    return {{"name", path.filename().string()},
            {"size", static_cast<std::int64_t>(std::filesystem::file_size(path, error))},
            {"sha256", orThrow(base::sha256File(path))}};
}

::onnx::ModelProto readOnnx(const base::Path& path, Reasons& reasons, Json& checker) {
    const std::string bytes = orThrow(base::readFile(path, std::int64_t{2} << 30));
    ::onnx::ModelProto model;
    checker = {{"name", "libonnx"}, {"version", onnxVersion()}, {"ok", false}};
    if (!model.ParseFromString(bytes)) {
        reasons.add("verify.checker", path.filename().string() + " is not an ONNX file, or it is damaged.");
        return model;
    }
    try {
        ::onnx::ModelProto copy = model;
        ::onnx::shape_inference::InferShapes(copy, ::onnx::OpSchemaRegistry::Instance(),
                                             ::onnx::ShapeInferenceOptions(true, 1, true));
        ::onnx::checker::check_model(model);
        checker["ok"] = true;
    } catch (const std::exception& e) {
        reasons.add("verify.checker", std::string("libonnx's checker refuses the file: ") + e.what());
    }
    return model;
}

Declaration declarationOf(const ::onnx::ModelProto& model, Reasons& reasons) {
    Declaration out;
    for (const auto& import : model.opset_import()) {
        if (import.domain().empty()) {
            out.opset = static_cast<int>(import.version());
        }
    }
    std::vector<const ::onnx::ValueInfoProto*> inputs;
    for (const auto& input : model.graph().input()) {
        const bool stored = std::any_of(model.graph().initializer().begin(), model.graph().initializer().end(),
                                        [&](const auto& tensor) { return tensor.name() == input.name(); });
        if (!stored) {
            inputs.push_back(&input);
        }
    }
    if (inputs.size() != 1) {
        reasons.add("verify.input",
                    "The ONNX file takes " + std::to_string(inputs.size()) + " inputs; the model takes one.");
        return out;
    }
    const auto& type = inputs[0]->type().tensor_type();
    const auto element = torchType(type.elem_type());
    if (!element || type.shape().dim_size() < 2) {
        reasons.add("verify.input", "The ONNX file's input is not a tensor with a batch dimension.");
        return out;
    }
    out.inputName = inputs[0]->name();
    out.inputType = *element;
    for (const auto& dim : type.shape().dim()) {
        out.inputDims.push_back(dim.has_dim_value() ? std::optional<std::int64_t>(dim.dim_value()) : std::nullopt);
    }
    for (const auto& output : model.graph().output()) {
        out.outputNames.push_back(output.name());
    }
    return out;
}

void compareClaims(const ProofRequest& request, const Declaration& declared, Reasons& reasons) {
    if (request.opset && *request.opset != declared.opset) {
        reasons.add("verify.opset", "The ONNX file uses opset " + std::to_string(declared.opset) + ", not " +
                                        std::to_string(*request.opset) + " as claimed.");
    }
    if (request.dynamicBatch && declared.inputDims[0]) {
        reasons.add("verify.batch_fixed",
                    "The export claims any batch size, but the ONNX file's input has the fixed batch " +
                        std::to_string(*declared.inputDims[0]) + ".");
    }
    if (!request.dynamicBatch && !declared.inputDims[0]) {
        reasons.add("verify.batch_free", "The export claims a fixed batch size, but the ONNX file takes any.");
    }
    if (!request.inputShape.empty()) {
        std::vector<std::optional<std::int64_t>> claimed(request.inputShape.begin(), request.inputShape.end());
        if (claimed != std::vector(declared.inputDims.begin() + 1, declared.inputDims.end())) {
            reasons.add("verify.input", "The ONNX file's input does not have the claimed shape.");
        }
    }
}

at::Tensor tensorOf(const ::onnx::TensorProto& proto) {
    const auto type = torchType(proto.data_type());
    std::vector<std::int64_t> sizes(proto.dims().begin(), proto.dims().end());
    if (!type || !proto.has_raw_data()) {
        return {};
    }
    at::Tensor tensor = at::empty(sizes, *type);
    if (tensor.nbytes() != proto.raw_data().size()) {
        return {};
    }
    std::copy(proto.raw_data().begin(), proto.raw_data().end(), static_cast<char*>(tensor.data_ptr()));
    return tensor;
}

/// Parameters and buffers that stand in the file under their own names must be the same bits.
Json compareParameters(const torch::jit::Module& module, const ::onnx::ModelProto& model, Reasons& reasons) {
    std::int64_t compared = 0;
    std::int64_t equal = 0;
    std::int64_t elements = 0;
    const auto check = [&](const std::string& name, const at::Tensor& original) {
        for (const auto& proto : model.graph().initializer()) {
            const bool transposed = proto.name() == name + ".t";
            if (proto.name() != name && !transposed) {
                continue;
            }
            const at::Tensor stored = tensorOf(proto);
            const at::Tensor wanted = (transposed ? original.t() : original).detach().contiguous();
            ++compared;
            if (stored.defined() && stored.sizes() == wanted.sizes() && stored.scalar_type() == wanted.scalar_type()) {
                elements += wanted.numel();
                if (std::equal(static_cast<const char*>(stored.data_ptr()),
                               static_cast<const char*>(stored.data_ptr()) + stored.nbytes(),
                               static_cast<const char*>(wanted.data_ptr()))) {
                    ++equal;
                    continue;
                }
                const at::Tensor difference = (stored.to(at::kDouble) - wanted.to(at::kDouble)).abs();
                const auto changed = difference.ne(0).logical_or(difference.isnan()).sum().item<std::int64_t>();
                reasons.add("verify.weights_differ",
                            "The parameter " + name + " in the ONNX file is not the trained one: " +
                                std::to_string(changed) + " of " + std::to_string(wanted.numel()) +
                                " values differ, by up to " + std::to_string(difference.max().item<double>()) + ".");
            } else {
                reasons.add("verify.weights_differ",
                            "The parameter " + name + " in the ONNX file has another shape or type.");
            }
        }
    };
    for (const auto& parameter : module.named_parameters()) {
        check(parameter.name, parameter.value);
    }
    for (const auto& buffer : module.named_buffers()) {
        check(buffer.name, buffer.value);
    }
    return {{"compared", compared},
            {"equal", equal},
            {"values", elements},
            {"stored", static_cast<std::int64_t>(model.graph().initializer_size())}};
}

at::Tensor randomInput(const std::vector<std::int64_t>& sizes, at::ScalarType type, std::int64_t seed, double scale) {
    at::Generator generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(seed));
    if (at::isFloatingType(type)) {
        return (at::randn(sizes, generator, at::TensorOptions().dtype(at::kFloat)) * scale).to(type).contiguous();
    }
    return at::randint(0, 2, sizes, generator, at::TensorOptions().dtype(type)).contiguous();
}

/// Real inputs of the wanted shape, or an undefined tensor.
at::Tensor realInputs(const base::Path& file, const std::vector<std::int64_t>& sample, at::ScalarType type) {
    if (file.empty()) {
        return {};
    }
    const SafeTensors content = orThrow(readSafeTensors(file));
    const auto fits = [&](const at::Tensor& tensor) {
        return tensor.dim() == static_cast<std::int64_t>(sample.size()) + 1 && tensor.size(0) > 0 &&
               tensor.sizes().slice(1) == at::IntArrayRef(sample);
    };
    if (const at::Tensor* images = content.find("images"); images != nullptr && fits(*images)) {
        return images->to(type).contiguous();
    }
    for (const auto& [name, tensor] : content.tensors) {
        if (fits(tensor) && tensor.is_floating_point()) {
            return tensor.to(type).contiguous();
        }
    }
    return {};
}

struct ProofCase {
    std::string input;  ///< What the numbers are, for people.
    at::Tensor tensor;
};

std::vector<ProofCase> makeCases(const Declaration& declared, const std::vector<std::int64_t>& sample,
                                 const at::Tensor& real, bool freeBatch, std::int64_t seed) {
    std::vector<ProofCase> cases;
    const auto sized = [&](std::int64_t batch) {
        std::vector<std::int64_t> sizes{batch};
        sizes.insert(sizes.end(), sample.begin(), sample.end());
        return sizes;
    };
    const auto addReal = [&](std::int64_t batch) {
        if (real.defined() && real.size(0) >= batch) {
            cases.push_back({"validation samples", real.slice(0, 0, batch).contiguous()});
        }
    };
    if (!freeBatch) {
        const std::int64_t batch = declared.inputDims[0].value_or(1);
        addReal(batch);
        for (std::int64_t i = 0; i < 3; ++i) {
            cases.push_back({"normal", randomInput(sized(batch), declared.inputType, seed + i, 1.0)});
        }
        cases.push_back({"normal x 4", randomInput(sized(batch), declared.inputType, seed + 3, 4.0)});
        cases.push_back({"zeros", at::zeros(sized(batch), declared.inputType)});
        return cases;
    }
    if (real.defined()) {
        addReal(1);
        addReal(std::min<std::int64_t>(real.size(0), 32));
    }
    for (const std::int64_t batch : {1, 3, 7, 32}) {
        cases.push_back({"normal", randomInput(sized(batch), declared.inputType, seed + batch, 1.0)});
    }
    cases.push_back({"normal x 4", randomInput(sized(3), declared.inputType, seed + 100, 4.0)});
    cases.push_back({"zeros", at::zeros(sized(1), declared.inputType)});
    return cases;
}

std::vector<at::Tensor> outputsOf(torch::jit::Module& module, const at::Tensor& input) {
    const c10::IValue result = module.forward({input.clone()});
    std::vector<at::Tensor> outputs;
    if (result.isTensor()) {
        outputs.push_back(result.toTensor());
    } else if (result.isTensorList()) {
        outputs = result.toTensorVector();
    } else if (result.isTuple()) {
        for (const c10::IValue& element : result.toTupleRef().elements()) {
            outputs.push_back(element.toTensor());
        }
    }
    for (at::Tensor& output : outputs) {
        output = output.contiguous();
    }
    return outputs;
}

RuntimeAnswer runWithBest(const ProofRequest& request, const Declaration& declared,
                          const std::vector<ProofCase>& cases) {
    const std::vector<RuntimeChoice> runtimes = findRuntimes(request.runtime);
    if (runtimes.empty()) {
        throw ExportFailure("verify.no_runtime",
                            request.runtime == "auto"
                                ? "No independent ONNX runtime is installed, so the export cannot be proved. Run "
                                  "installer/onnxruntime (it needs Node.js), or build with libopencv-dev."
                                : "The ONNX runtime \"" + request.runtime + "\" is not installed.",
                            "runtime");
    }
    std::vector<RuntimeCase> inputs;
    for (const ProofCase& one : cases) {
        inputs.push_back({one.input, one.tensor});
    }
    const auto deadline = base::Deadline::inMillis(request.deadlineMillis);
    base::Error last;
    for (const RuntimeChoice& runtime : runtimes) {
        auto answer = runOnnx(runtime, request.onnx, declared.inputName, declared.outputNames, inputs, deadline);
        if (answer.ok()) {
            return *answer;
        }
        last = answer.error();
    }
    throw ExportFailure(last);
}

}  // namespace

double toleranceOf(int onnxElementType) {
    switch (onnxElementType) {
    case ::onnx::TensorProto::FLOAT: return 1e-4;
    case ::onnx::TensorProto::DOUBLE: return 1e-9;
    case ::onnx::TensorProto::FLOAT16: return 1e-2;
    case ::onnx::TensorProto::BFLOAT16: return 5e-2;
    default: return 0.0;
    }
}

Json proveExport(const ProofRequest& request,
                 const std::function<void(const char*, std::int64_t, std::int64_t)>& progress) {
    const std::int64_t start = base::monotonicNanos();
    at::NoGradGuard noGrad;
    Reasons reasons;
    progress("check", 0, 0);
    Json checker;
    torch::jit::Module module = loadScript(request.model);
    const ::onnx::ModelProto model = readOnnx(request.onnx, reasons, checker);
    Json proof{{"format", "trainyard.export-proof"},
               {"version", 1},
               {"passed", false},
               {"reasons", Json::array()},
               {"at", base::wallMicros()},
               {"model", describeFile(request.model)},
               {"onnx", describeFile(request.onnx)},
               {"checker", checker},
               {"reference", {{"name", "libtorch"}, {"version", TORCH_VERSION}}},
               {"engine_version", TRAINYARD_VERSION}};
    const auto ended = [&] {
        proof["passed"] = reasons.none();
        proof["reasons"] = reasons.take();
        proof["seconds"] = static_cast<double>(base::monotonicNanos() - start) / 1e9;
        return proof;
    };
    if (!reasons.none()) {
        return ended();
    }
    const Declaration declared = declarationOf(model, reasons);
    if (!reasons.none()) {
        return ended();
    }
    compareClaims(request, declared, reasons);
    std::vector<std::int64_t> sample;
    for (std::size_t i = 1; i < declared.inputDims.size(); ++i) {
        if (!declared.inputDims[i]) {
            reasons.add("verify.input", "The ONNX file's input leaves a size other than the batch open.");
            return ended();
        }
        sample.push_back(*declared.inputDims[i]);
    }
    proof["opset"] = declared.opset;
    proof["dynamic_batch"] = request.dynamicBatch;
    proof["input_shape"] = sample;
    proof["parameters"] = compareParameters(module, model, reasons);

    progress("reference", 0, 0);
    const at::Tensor real = realInputs(request.samples, sample, declared.inputType);
    proof["real_samples"] = real.defined() ? real.size(0) : 0;
    const std::vector<ProofCase> cases = makeCases(declared, sample, real, request.dynamicBatch, request.seed);
    std::vector<std::vector<at::Tensor>> expected;
    for (const ProofCase& one : cases) {
        expected.push_back(outputsOf(module, one.tensor));
        progress("reference", static_cast<std::int64_t>(expected.size()), static_cast<std::int64_t>(cases.size()));
    }
    progress("runtime", 0, 0);
    const RuntimeAnswer answer = runWithBest(request, declared, cases);
    proof["runtime"] = {
        {"name", answer.name}, {"version", answer.version}, {"through", answer.through}, {"seconds", answer.seconds}};
    if (!answer.error.empty()) {
        reasons.add("verify.runtime_failed", answer.name + " does not open the ONNX file: " + answer.error);
        return ended();
    }
    progress("compare", 0, 0);
    Json table = Json::array();
    const std::vector<double> scales = outputScales(expected);
    double largest = 0.0;
    double largestRelative = 0.0;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const std::int64_t batch = cases[i].tensor.size(0);
        const std::string label = cases[i].input + ", batch " + std::to_string(batch);
        Json row{{"input", cases[i].input}, {"batch", batch}};
        if (!answer.cases[i].error.empty()) {
            row["error"] = answer.cases[i].error;
            reasons.add("verify.batch_failed",
                        answer.name + " cannot run the ONNX file on " + label + ": " + answer.cases[i].error);
            table.push_back(std::move(row));
            continue;
        }
        const OutputComparison comparison =
            compareOutputs(expected[i], answer.cases[i].outputs, scales, declared.outputNames, label);
        for (const auto& [code, message] : comparison.problems) {
            reasons.add(code, message);
        }
        row["max_abs_diff"] = base::numberToJson(comparison.maxAbs);
        row["max_rel_diff"] = base::numberToJson(comparison.maxRelative);
        row["max_abs_output"] = base::numberToJson(comparison.maxOutput);
        row["allowed"] = base::numberToJson(comparison.allowed);
        row["argmax_equal"] = comparison.argmaxEqual ? Json(*comparison.argmaxEqual) : Json(nullptr);
        largest = std::isnan(comparison.maxAbs) ? comparison.maxAbs : std::max(largest, comparison.maxAbs);
        largestRelative = std::isnan(comparison.maxRelative) ? comparison.maxRelative
                                                             : std::max(largestRelative, comparison.maxRelative);
        table.push_back(std::move(row));
    }
    proof["cases"] = std::move(table);
    proof["max_abs_diff"] = base::numberToJson(largest);
    proof["max_rel_diff"] = base::numberToJson(largestRelative);
    return ended();
}

}  // namespace trainyard::engine
