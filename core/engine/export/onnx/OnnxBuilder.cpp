#include "core/engine/export/onnx/OnnxBuilder.h"

#include <ATen/ATen.h>
#include <onnx/checker.h>
#include <onnx/common/version.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>

#include "core/base/Text.h"
#include "core/engine/export/Failure.h"

namespace trainyard::engine {

namespace {

/// Lowest IR version that carries the opset, so that old readers open the file.
int irVersion(int opset) { return opset <= 11 ? 6 : opset <= 14 ? 7 : 8; }

void setDimensions(::onnx::TypeProto_Tensor& type, const std::vector<Dimension>& dimensions) {
    auto* shape = type.mutable_shape();
    for (const Dimension& dimension : dimensions) {
        auto* entry = shape->add_dim();
        if (const auto* size = std::get_if<std::int64_t>(&dimension)) {
            entry->set_dim_value(*size);
        } else if (const auto& name = std::get<std::string>(dimension); !name.empty()) {
            entry->set_dim_param(name);
        }
    }
}

}  // namespace

int highestOpset() {
    const auto& map = ::onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
    const auto found = map.find(::onnx::ONNX_DOMAIN);
    return found == map.end() ? kMaxOpset : std::min(kMaxOpset, found->second.second);
}

std::string onnxVersion() { return ::onnx::LAST_RELEASE_VERSION; }

int onnxType(at::ScalarType type) {
    switch (type) {
    case at::kFloat: return ::onnx::TensorProto::FLOAT;
    case at::kDouble: return ::onnx::TensorProto::DOUBLE;
    case at::kHalf: return ::onnx::TensorProto::FLOAT16;
    case at::kBFloat16: return ::onnx::TensorProto::BFLOAT16;
    case at::kLong: return ::onnx::TensorProto::INT64;
    case at::kInt: return ::onnx::TensorProto::INT32;
    case at::kShort: return ::onnx::TensorProto::INT16;
    case at::kChar: return ::onnx::TensorProto::INT8;
    case at::kByte: return ::onnx::TensorProto::UINT8;
    case at::kBool: return ::onnx::TensorProto::BOOL;
    default:
        throw ExportFailure("export.type", std::string("ONNX has no element type for torch's ") + toString(type) + ".");
    }
}

std::optional<at::ScalarType> torchType(int type) {
    switch (type) {
    case ::onnx::TensorProto::FLOAT: return at::kFloat;
    case ::onnx::TensorProto::DOUBLE: return at::kDouble;
    case ::onnx::TensorProto::FLOAT16: return at::kHalf;
    case ::onnx::TensorProto::BFLOAT16: return at::kBFloat16;
    case ::onnx::TensorProto::INT64: return at::kLong;
    case ::onnx::TensorProto::INT32: return at::kInt;
    case ::onnx::TensorProto::INT16: return at::kShort;
    case ::onnx::TensorProto::INT8: return at::kChar;
    case ::onnx::TensorProto::UINT8: return at::kByte;
    case ::onnx::TensorProto::BOOL: return at::kBool;
    default: return std::nullopt;
    }
}

OnnxBuilder::OnnxBuilder(int opset) : m_opset(opset), m_model(std::make_unique<::onnx::ModelProto>()) {
    m_model->set_ir_version(irVersion(opset));
    m_model->set_producer_name("trainyard");
    m_model->set_producer_version(TRAINYARD_VERSION);
    auto* import = m_model->add_opset_import();
    import->set_domain("");
    import->set_version(opset);
    m_model->mutable_graph()->set_name("model");
}

OnnxBuilder::~OnnxBuilder() = default;

std::string OnnxBuilder::unique(const std::string& wanted) {
    const std::string stem = wanted.empty() ? "value" : wanted;
    std::string name = stem;
    for (int i = 1; !m_names.insert(name).second; ++i) {
        name = stem + "_" + std::to_string(i);
    }
    return name;
}

std::vector<std::string> OnnxBuilder::addNode(const std::string& type, const std::vector<std::string>& inputs,
                                              const Attributes& attributes, const std::string& place, int outputs) {
    auto* node = m_model->mutable_graph()->add_node();
    node->set_op_type(type);
    node->set_name(unique(place.empty() ? type : place + "/" + type));
    // Inputs left out at the end must not stand there as empty names.
    std::size_t used = inputs.size();
    while (used > 0 && inputs[used - 1].empty()) {
        --used;
    }
    for (std::size_t i = 0; i < used; ++i) {
        node->add_input(inputs[i]);
    }
    for (const Attribute& attribute : attributes) {
        auto* entry = node->add_attribute();
        entry->set_name(attribute.name);
        if (const auto* integer = std::get_if<std::int64_t>(&attribute.value)) {
            entry->set_type(::onnx::AttributeProto::INT);
            entry->set_i(*integer);
        } else if (const auto* number = std::get_if<double>(&attribute.value)) {
            entry->set_type(::onnx::AttributeProto::FLOAT);
            entry->set_f(static_cast<float>(*number));
        } else if (const auto* text = std::get_if<std::string>(&attribute.value)) {
            entry->set_type(::onnx::AttributeProto::STRING);
            entry->set_s(*text);
        } else {
            entry->set_type(::onnx::AttributeProto::INTS);
            for (const std::int64_t value : std::get<std::vector<std::int64_t>>(attribute.value)) {
                entry->add_ints(value);
            }
        }
    }
    std::vector<std::string> names;
    for (int i = 0; i < outputs; ++i) {
        names.push_back(unique(node->name() + (outputs > 1 ? ":" + std::to_string(i) : ":out")));
        node->add_output(names.back());
    }
    return names;
}

std::string OnnxBuilder::addInitializer(const std::string& wanted, const at::Tensor& tensor) {
    const at::Tensor data = tensor.detach().to(at::kCPU).contiguous();
    const auto bytes = static_cast<std::int64_t>(data.nbytes());
    m_initializerBytes += bytes;
    if (m_initializerBytes > (std::int64_t{2} << 30) - (16 << 20)) {
        throw ExportFailure("export.too_large",
                            "The model's parameters exceed 2 GiB, which one ONNX file cannot hold.");
    }
    auto* entry = m_model->mutable_graph()->add_initializer();
    entry->set_name(unique(wanted));
    entry->set_data_type(onnxType(data.scalar_type()));
    for (const std::int64_t size : data.sizes()) {
        entry->add_dims(size);
    }
    entry->set_raw_data(data.data_ptr(), static_cast<std::size_t>(bytes));
    return entry->name();
}

std::string OnnxBuilder::int64Vector(const std::vector<std::int64_t>& values) {
    std::string key = "i64";
    for (const std::int64_t value : values) {
        key += "," + std::to_string(value);
    }
    std::string& name = m_constants[key];
    if (name.empty()) {
        name = addInitializer("const.shape", at::tensor(values, at::kLong));
    }
    return name;
}

std::string OnnxBuilder::scalar(double value, at::ScalarType type) {
    const at::Tensor tensor = at::scalar_tensor(value, at::TensorOptions().dtype(type));
    std::string key = std::string("scalar ") + toString(type) + " ";
    key.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
    std::string& name = m_constants[key];
    if (name.empty()) {
        name = addInitializer("const.scalar", tensor);
    }
    return name;
}

void OnnxBuilder::addInput(const std::string& name, at::ScalarType type, const std::vector<Dimension>& dimensions) {
    m_names.insert(name);
    auto* input = m_model->mutable_graph()->add_input();
    input->set_name(name);
    auto* tensor = input->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnxType(type));
    setDimensions(*tensor, dimensions);
}

void OnnxBuilder::addOutput(const std::string& value, const std::string& name, at::ScalarType type,
                            const std::vector<Dimension>& dimensions) {
    if (!m_names.insert(name).second) {
        throw ExportFailure("export.name", "The name \"" + name + "\" of an output is taken by another value.",
                            "output_names");
    }
    auto* node = m_model->mutable_graph()->add_node();
    node->set_op_type("Identity");
    node->set_name(unique(name + "/Identity"));
    node->add_input(value);
    node->add_output(name);
    auto* output = m_model->mutable_graph()->add_output();
    output->set_name(name);
    auto* tensor = output->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnxType(type));
    setDimensions(*tensor, dimensions);
}

void OnnxBuilder::setMetadata(const std::string& key, const std::string& value) {
    auto* entry = m_model->add_metadata_props();
    entry->set_key(key);
    entry->set_value(base::toValidUtf8(value));
}

void OnnxBuilder::setDescription(const std::string& text) { m_model->set_doc_string(base::toValidUtf8(text)); }

int OnnxBuilder::nodes() const { return m_model->graph().node_size(); }

int OnnxBuilder::initializers() const { return m_model->graph().initializer_size(); }

std::string OnnxBuilder::finish() {
    try {
        // Shapes before the checker: 1.12 asks for them in value_info.
        ::onnx::shape_inference::InferShapes(*m_model, ::onnx::OpSchemaRegistry::Instance(),
                                             ::onnx::ShapeInferenceOptions(true, 1, true));
        ::onnx::checker::check_model(*m_model);
    } catch (const std::exception& e) {
        throw ExportFailure("export.checker", std::string("The converted model is not valid ONNX: ") + e.what());
    }
    std::string bytes;
    if (!m_model->SerializeToString(&bytes)) {
        throw ExportFailure("export.too_large", "The model exceeds 2 GiB, which one ONNX file cannot hold.");
    }
    return bytes;
}

}  // namespace trainyard::engine
