#include "core/engine/train/Optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/engine/train/FusedUpdate.h"

namespace trainyard::engine {

namespace {

bool isSgd(const spec::OptimizerSpec& spec) { return spec.kind == "sgd"; }

bool canFuse(const std::vector<at::Tensor>& parameters) {
    return fusedUpdatesSupported() && std::ranges::all_of(parameters, [](const at::Tensor& p) {
               return p.is_cpu() && p.scalar_type() == at::kFloat && p.is_non_overlapping_and_dense();
           });
}

/// Whether a loop over memory meets the same element of all three; a tensor that is not there matches.
bool sameOrder(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& kept) {
    for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        if ((format == at::MemoryFormat::Contiguous || parameter.dim() == 4) && parameter.is_contiguous(format)) {
            return gradient.is_contiguous(format) && (!kept.defined() || kept.is_contiguous(format));
        }
    }
    return false;
}

struct AdamNumbers {
    double stepSize;
    double rootCorrection2;
};

AdamNumbers adamNumbers(const spec::OptimizerSpec& spec, double learningRate, std::int64_t step) {
    const auto t = static_cast<double>(step);
    const double correction1 = 1 - std::pow(spec.beta1, t);
    const double correction2 = 1 - std::pow(spec.beta2, t);
    return {learningRate / correction1, std::sqrt(correction2)};
}

}  // namespace

Optimizer::Optimizer(const spec::OptimizerSpec& spec, std::vector<at::Tensor> parameters,
                     std::vector<std::string> names, std::vector<Rule> rules)
    : m_spec(spec), m_parameters(std::move(parameters)), m_names(std::move(names)), m_rules(std::move(rules)) {
    const at::NoGradGuard noGrad;
    m_rules.resize(m_parameters.size());
    const bool needsFirst = !isSgd(m_spec) || m_spec.momentum != 0;
    for (const at::Tensor& parameter : m_parameters) {
        m_first.push_back(needsFirst ? at::zeros_like(parameter, at::MemoryFormat::Preserve) : at::Tensor());
        m_second.push_back(isSgd(m_spec) ? at::Tensor() : at::zeros_like(parameter, at::MemoryFormat::Preserve));
    }
    if (!m_parameters.empty() && canFuse(m_parameters)) {
        m_probed = probe();
        m_fused = m_probed;
    }
}

bool Optimizer::probe() const {
    // Longer than any vector register and not a multiple of one, so that both the vector part and the tail are
    // compared.
    constexpr std::int64_t kSize = 83;
    const at::Tensor ramp = at::arange(1, kSize + 1, at::kFloat);
    Optimizer fused;
    Optimizer plain;
    for (Optimizer* one : {&fused, &plain}) {
        one->m_spec = m_spec;
        one->m_names = {"probe"};
        one->m_parameters = {at::sin(ramp * 1.7)};
        one->m_rules.resize(1);
        one->m_first = {m_first.front().defined() ? at::zeros({kSize}) : at::Tensor()};
        one->m_second = {m_second.front().defined() ? at::zeros({kSize}) : at::Tensor()};
    }
    fused.m_fused = true;
    for (int i = 0; i < 4; ++i) {
        for (Optimizer* one : {&fused, &plain}) {
            one->m_parameters[0].mutable_grad() = at::cos(ramp * (0.3 + i)) * 0.01;
            one->step(0.1 / (i + 1));
        }
    }
    return at::equal(fused.m_parameters[0], plain.m_parameters[0]) &&
           (!m_first.front().defined() || at::equal(fused.m_first[0], plain.m_first[0])) &&
           (!m_second.front().defined() || at::equal(fused.m_second[0], plain.m_second[0]));
}

void Optimizer::step(double learningRate) {
    const at::NoGradGuard noGrad;
    ++m_steps;
    if (isSgd(m_spec)) {
        stepSgd(learningRate);
    } else {
        stepAdam(learningRate);
    }
}

void Optimizer::clipGradients(double most) {
    const at::NoGradGuard noGrad;
    std::vector<at::Tensor> norms;
    for (const at::Tensor& parameter : m_parameters) {
        norms.push_back(parameter.grad().norm(2));
    }
    const double total = at::stack(norms).norm(2).item<double>();
    const double factor = most / (total + 1e-6);
    if (factor < 1) {
        for (const at::Tensor& parameter : m_parameters) {
            at::Tensor gradient = parameter.grad();
            gradient.mul_(factor);
        }
    }
}

void Optimizer::clearGradients() {
    for (const at::Tensor& parameter : m_parameters) {
        parameter.mutable_grad().reset();
    }
}

void Optimizer::stepSgd(double baseRate) {
    SgdStep step;
    step.momentum = static_cast<float>(m_spec.momentum);
    step.nesterov = m_spec.nesterov;
    step.firstStep = m_steps == 1;
    for (std::size_t i = 0; i < m_parameters.size(); ++i) {
        const double learningRate = baseRate * m_rules[i].rate;
        const double decay = m_rules[i].decay ? m_spec.weightDecay : 0;
        step.learningRate = static_cast<float>(learningRate);
        step.weightDecay = static_cast<float>(decay);
        at::Tensor& parameter = m_parameters[i];
        const at::Tensor& gradient = parameter.grad();
        at::Tensor& buffer = m_first[i];
        if (m_fused && sameOrder(parameter, gradient, buffer)) {
            fusedSgd(step, parameter.numel(), parameter.data_ptr<float>(), gradient.data_ptr<float>(),
                     buffer.defined() ? buffer.data_ptr<float>() : nullptr);
            continue;
        }
        at::Tensor update = decay != 0 ? gradient.add(parameter, decay) : gradient;
        if (m_spec.momentum != 0) {
            if (step.firstStep) {
                buffer.copy_(update);
            } else {
                buffer.mul_(m_spec.momentum).add_(update, 1.0);
            }
            update = m_spec.nesterov ? update.add(buffer, m_spec.momentum) : buffer;
        }
        parameter.add_(update, -learningRate);
    }
}

void Optimizer::stepAdam(double baseRate) {
    const bool decoupled = m_spec.kind == "adamw";
    AdamStep step;
    step.beta1 = static_cast<float>(m_spec.beta1);
    step.oneMinusBeta1 = static_cast<float>(1 - m_spec.beta1);
    step.beta2 = static_cast<float>(m_spec.beta2);
    step.oneMinusBeta2 = static_cast<float>(1 - m_spec.beta2);
    step.epsilon = static_cast<float>(m_spec.epsilon);
    for (std::size_t i = 0; i < m_parameters.size(); ++i) {
        const double learningRate = baseRate * m_rules[i].rate;
        const double decay = m_rules[i].decay ? m_spec.weightDecay : 0;
        const AdamNumbers numbers = adamNumbers(m_spec, learningRate, m_steps);
        const double shrink = decoupled ? 1 - learningRate * decay : 1;
        const double l2 = decoupled ? 0 : decay;
        step.stepSize = static_cast<float>(numbers.stepSize);
        step.rootBiasCorrection2 = static_cast<float>(numbers.rootCorrection2);
        step.l2 = static_cast<float>(l2);
        step.shrink = static_cast<float>(shrink);
        at::Tensor& parameter = m_parameters[i];
        at::Tensor gradient = parameter.grad();
        at::Tensor& average = m_first[i];
        at::Tensor& square = m_second[i];
        if (m_fused && sameOrder(parameter, gradient, average)) {
            fusedAdam(step, parameter.numel(), parameter.data_ptr<float>(), gradient.data_ptr<float>(),
                      average.data_ptr<float>(), square.data_ptr<float>());
            continue;
        }
        if (decoupled) {
            parameter.mul_(shrink);
        } else if (l2 != 0) {
            gradient = gradient.add(parameter, l2);
        }
        average.mul_(m_spec.beta1).add_(gradient, 1 - m_spec.beta1);
        square.mul_(m_spec.beta2).addcmul_(gradient, gradient, 1 - m_spec.beta2);
        const at::Tensor denominator = square.sqrt().div_(numbers.rootCorrection2).add_(m_spec.epsilon);
        parameter.addcdiv_(average, denominator, -numbers.stepSize);
    }
}

NamedTensors Optimizer::state() const {
    NamedTensors named;
    for (std::size_t i = 0; i < m_parameters.size(); ++i) {
        if (m_first[i].defined()) {
            named.emplace_back((isSgd(m_spec) ? "momentum." : "average.") + m_names[i], m_first[i]);
        }
        if (m_second[i].defined()) {
            named.emplace_back("square." + m_names[i], m_second[i]);
        }
    }
    return named;
}

Status Optimizer::load(const NamedTensors& incoming, std::int64_t steps) {
    const NamedTensors own = state();
    if (incoming.size() != own.size()) {
        return Error{"resume.optimizer", "The checkpoint's optimizer is of another kind than \"" + m_spec.kind + "\".",
                     "task.optimizer.kind"};
    }
    const at::NoGradGuard noGrad;
    for (const auto& [name, target] : own) {
        const auto found = std::ranges::find(incoming, name, &NamedTensors::value_type::first);
        if (found == incoming.end() || found->second.sizes() != target.sizes()) {
            return Error{"resume.optimizer",
                         "The checkpoint's optimizer state has no \"" + name + "\" of the model's shape.",
                         "task.optimizer.kind"};
        }
        at::Tensor(target).copy_(found->second);
    }
    m_steps = steps;
    return {};
}

}  // namespace trainyard::engine
