#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace trainyard::engine {

/// The surest of a model's wrong answers. One thread.
class Mistakes {
public:
    /// That one rank keeps.
    static constexpr std::size_t kMost = 48;

    struct One {
        std::int64_t sample = 0;
        std::int64_t label = 0;
        std::int64_t predicted = 0;
        double probability = 0;  ///< Of what was predicted.
    };
    /// Logits {N, K}, labels {N} of samples first, first + 1, …
    void add(const at::Tensor& logits, const at::Tensor& labels, std::int64_t first);
    /// Those kept as float64 {kMost, 4}, rows without one negative: to be gathered from the ranks.
    [[nodiscard]] at::Tensor packed() const;
    /// Of all ranks' packed ones, the surest first.
    [[nodiscard]] static std::vector<One> merged(const std::vector<at::Tensor>& packed);

private:
    void cut();
    std::vector<One> m_kept;
};

}  // namespace trainyard::engine
