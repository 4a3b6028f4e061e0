#include "core/engine/model/TorchScript.h"

#include <torch/script.h>

#include <algorithm>
#include <locale>
#include <map>
#include <sstream>

#include "core/base/Text.h"

namespace trainyard::engine {

namespace {

std::string number(double value) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(17);
    out << value;
    std::string text = out.str();
    // TorchScript takes "1" for an int, and a probability must be a float.
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

bool hasState(spec::LayerOp op) {
    return op == spec::LayerOp::Conv2d || op == spec::LayerOp::Linear || op == spec::LayerOp::BatchNorm2d;
}

std::string leafBody(const spec::Layer& layer) {
    std::ostringstream out;
    out << "def forward(self, x: Tensor) -> Tensor:\n";
    const std::string bias = layer.bias ? "self.bias" : "None";
    switch (layer.op) {
    case spec::LayerOp::Conv2d:
        out << "    return torch.conv2d(x, self.weight, " << bias << ", [" << layer.stride << ", " << layer.stride
            << "], [" << layer.padding << ", " << layer.padding << "], [1, 1], " << layer.groups << ")\n";
        break;
    case spec::LayerOp::Linear: out << "    return torch.linear(x, self.weight, " << bias << ")\n"; break;
    case spec::LayerOp::BatchNorm2d:
        out << "    if self.training:\n        self.num_batches_tracked.add_(1)\n"
            << "    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, "
               "self.training, "
            << number(layer.momentum) << ", " << number(layer.epsilon) << ", True)\n";
        break;
    default: break;
    }
    return out.str();
}

/// `getattr(self, "0")` for names that are no identifiers, `self.name` for the rest, nested along the path.
std::string access(const std::string& path) {
    std::string expression = "self";
    for (const std::string& part : base::split(path, '.')) {
        expression = part[0] >= '0' && part[0] <= '9' ? "getattr(" + expression + ", \"" + part + "\")"
                                                      : expression + "." + part;
    }
    return expression;
}

std::string topBody(const spec::LayerTable& table) {
    std::ostringstream out;
    out << "def forward(self, x: Tensor) -> Tensor:\n";
    const auto value = [](int index) { return index == 0 ? std::string("x") : "y" + std::to_string(index); };
    for (std::size_t i = 1; i < table.layers.size(); ++i) {
        const spec::Layer& layer = table.layers[i];
        const std::string in = value(layer.inputs.front());
        out << "    " << value(static_cast<int>(i)) << " = ";
        const std::string pair = std::to_string(layer.kernel) + ", " + std::to_string(layer.kernel);
        switch (layer.op) {
        case spec::LayerOp::ReLU: out << "torch.relu(" << in << ")"; break;
        case spec::LayerOp::Hardswish: out << "torch.hardswish(" << in << ")"; break;
        case spec::LayerOp::Hardsigmoid: out << "torch.hardsigmoid(" << in << ")"; break;
        case spec::LayerOp::MaxPool2d:
            out << "torch.max_pool2d(" << in << ", [" << pair << "], [" << layer.stride << ", " << layer.stride
                << "], [" << layer.padding << ", " << layer.padding << "])";
            break;
        case spec::LayerOp::GlobalAvgPool2d: out << "torch.adaptive_avg_pool2d(" << in << ", [1, 1])"; break;
        case spec::LayerOp::Flatten: out << "torch.flatten(" << in << ", 1)"; break;
        case spec::LayerOp::Dropout:
            out << "torch.dropout(" << in << ", " << number(layer.probability) << ", self.training)";
            break;
        case spec::LayerOp::Add: out << in << " + " << value(layer.inputs[1]); break;
        case spec::LayerOp::Multiply: out << in << " * " << value(layer.inputs[1]); break;
        default: out << access(layer.name) << ".forward(" << in << ")"; break;
        }
        out << "\n";
    }
    out << "    return " << value(static_cast<int>(table.layers.size()) - 1) << "\n";
    return out.str();
}

/// A part of the module tree before its TorchScript module exists.
struct Part {
    std::vector<std::pair<std::string, Part>> children;  ///< In the order they are first named.
    const spec::Layer* layer = nullptr;

    Part& child(const std::string& name) {
        for (auto& [key, part] : children) {
            if (key == name) {
                return part;
            }
        }
        children.emplace_back(name, Part{});
        return children.back().second;
    }
};

Part partsOf(const spec::LayerTable& table) {
    Part root;
    for (const spec::Layer& layer : table.layers) {
        if (hasState(layer.op)) {
            Part* part = &root;
            for (const std::string& name : base::split(layer.name, '.')) {
                part = &part->child(name);
            }
            part->layer = &layer;
        }
    }
    return root;
}

std::string className(const spec::LayerTable& table, const Part& part, const std::string& path) {
    if (path.empty()) {
        return table.family == "cnn"                ? "SmallCnn"
               : table.family == "mlp"              ? "Mlp"
               : table.family.starts_with("resnet") ? "ResNet"
                                                    : "MobileNetV3";
    }
    if (part.layer == nullptr) {
        return "Group";
    }
    switch (part.layer->op) {
    case spec::LayerOp::Conv2d: return "Conv2d";
    case spec::LayerOp::Linear: return "Linear";
    default: return "BatchNorm2d";
    }
}

torch::jit::Module makeModule(const spec::LayerTable& table, const Part& part, const std::string& path,
                              const std::map<std::string, at::Tensor>& state,
                              const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
    torch::jit::Module module(c10::QualifiedName("__torch__.trainyard." + className(table, part, path)), unit,
                              /*shouldMangle=*/true);
    module.register_attribute("training", c10::BoolType::get(), true);
    for (const char* name : {"weight", "bias"}) {
        if (const auto found = state.find(path + "." + name); part.layer != nullptr && found != state.end()) {
            module.register_parameter(name, found->second, /*is_buffer=*/false);
        }
    }
    for (const char* name : {"running_mean", "running_var", "num_batches_tracked"}) {
        if (const auto found = state.find(path + "." + name); part.layer != nullptr && found != state.end()) {
            module.register_buffer(name, found->second);
        }
    }
    for (const auto& [name, child] : part.children) {
        module.register_module(name, makeModule(table, child, path.empty() ? name : path + "." + name, state, unit));
    }
    if (path.empty()) {
        module.define(topBody(table));
    } else if (part.layer != nullptr) {
        module.define(leafBody(*part.layer));
    }
    return module;
}

}  // namespace

std::vector<ModuleSource> torchScriptSource(const spec::LayerTable& table) {
    std::vector<ModuleSource> sources;
    for (const spec::Layer& layer : table.layers) {
        if (hasState(layer.op)) {
            sources.push_back({layer.name, leafBody(layer)});
        }
    }
    sources.push_back({"", topBody(table)});
    return sources;
}

Status saveTorchScript(const Network& network, const base::Path& path) {
    return guarded("writing the model \"" + path.string() + "\"", [&]() -> Status {
        const at::NoGradGuard noGrad;
        std::map<std::string, at::Tensor> state;
        for (const auto& [name, tensor] : network.state()) {
            // register_parameter wants a leaf that asks for gradients, so that fine-tuning works on the loaded model.
            at::Tensor copy = tensor.detach().to(at::kCPU).contiguous();
            const bool isParameter =
                std::ranges::find(network.parameterNames(), name) != network.parameterNames().end();
            state[name] = copy.set_requires_grad(isParameter);
        }
        auto unit = std::make_shared<torch::jit::CompilationUnit>();
        torch::jit::Module module = makeModule(network.table(), partsOf(network.table()), "", state, unit);
        module.eval();
        std::ostringstream bytes;
        module.save(bytes);
        return base::writeFileAtomically(path, std::move(bytes).str());
    });
}

struct ScriptedModel::Impl {
    torch::jit::Module module;
};

ScriptedModel::ScriptedModel(std::unique_ptr<Impl> impl) : m_impl(std::move(impl)) {}
ScriptedModel::ScriptedModel(ScriptedModel&&) noexcept = default;
ScriptedModel& ScriptedModel::operator=(ScriptedModel&&) noexcept = default;
ScriptedModel::~ScriptedModel() = default;

Result<ScriptedModel> ScriptedModel::load(const base::Path& path, at::Device device) {
    auto head = base::readFileRange(path, 0, 4);
    if (!head) {
        return head.error();
    }
    if (*head != std::string("PK\x03\x04", 4)) {
        return Error{"model.format", "\"" + path.string() + "\" is not a TorchScript model: it is no zip archive."};
    }
    return guarded("reading the model \"" + path.string() + "\"", [&]() -> Result<ScriptedModel> {
        auto impl = std::make_unique<Impl>();
        impl->module = torch::jit::load(path.string(), device);
        impl->module.eval();
        return ScriptedModel(std::move(impl));
    });
}

void ScriptedModel::train(bool on) { m_impl->module.train(on); }

at::Tensor ScriptedModel::forward(const at::Tensor& images) { return m_impl->module.forward({images}).toTensor(); }

NamedTensors ScriptedModel::state() const {
    NamedTensors named;
    for (const auto& item : m_impl->module.named_parameters()) {
        named.emplace_back(item.name, item.value.detach());
    }
    for (const auto& item : m_impl->module.named_buffers()) {
        named.emplace_back(item.name, item.value.detach());
    }
    return named;
}

std::int64_t ScriptedModel::parameters() const {
    std::int64_t total = 0;
    for (const at::Tensor& parameter : m_impl->module.parameters()) {
        total += parameter.numel();
    }
    return total;
}

std::string ScriptedModel::typeName() const { return m_impl->module.type()->name()->qualifiedName(); }

}  // namespace trainyard::engine
