#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"
#include "core/spec/RunSpec.h"

namespace trainyard::engine {

/// SGD with momentum, Adam and AdamW with the arithmetic of torch.optim, bit for bit. On float32 CPU tensors the update
/// is one fused loop where a probe at construction finds that it gives the very bits of libtorch's operations on this
/// processor; otherwise libtorch's operations are used. Not thread-safe.
class Optimizer {
public:
    /// How one parameter differs from the rest.
    struct Rule {
        double rate = 1;    ///< Share of the learning rate.
        bool decay = true;  ///< Whether the weight decay holds for it.
    };
    /// `rules`: one a parameter, or none.
    Optimizer(const spec::OptimizerSpec& spec, std::vector<at::Tensor> parameters, std::vector<std::string> names,
              std::vector<Rule> rules = {});

    /// One update from the parameters' gradients; all must be defined. Throws what libtorch throws.
    void step(double learningRate);
    /// Scales all gradients so that their norm together is at most `most`, as torch.nn.utils.clip_grad_norm_ does.
    void clipGradients(double most);
    /// Drops the gradients, so that backward() hands over fresh tensors instead of adding.
    void clearGradients();

    [[nodiscard]] std::int64_t steps() const { return m_steps; }
    /// Tensors that a checkpoint keeps, named "<kind>.<parameter>".
    [[nodiscard]] NamedTensors state() const;
    /// Takes a checkpoint's tensors; "resume.optimizer" when they belong to another optimizer or model.
    [[nodiscard]] Status load(const NamedTensors& state, std::int64_t steps);

    [[nodiscard]] bool isFused() const { return m_fused; }
    /// For tests: with false, libtorch's operations are used whatever the probe says.
    void setFused(bool on) { m_fused = on && m_probed; }

private:
    Optimizer() = default;
    void stepSgd(double learningRate);
    void stepAdam(double learningRate);
    [[nodiscard]] bool probe() const;

    spec::OptimizerSpec m_spec;
    std::vector<at::Tensor> m_parameters;
    std::vector<std::string> m_names;
    std::vector<Rule> m_rules;         ///< One a parameter.
    std::vector<at::Tensor> m_first;   ///< Momentum, or the average of gradients.
    std::vector<at::Tensor> m_second;  ///< Average of squared gradients (Adam, AdamW).
    std::int64_t m_steps = 0;
    bool m_probed = false;
    bool m_fused = false;
};

}  // namespace trainyard::engine
