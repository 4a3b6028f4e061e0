#pragma once
// What a model got right and wrong, sample by sample. Pure sums; one thread.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::engine {

class Tally {
public:
    explicit Tally(std::int64_t classes);

    struct Mistake {
        std::int64_t sample = 0;
        std::int64_t label = 0;
        std::int64_t predicted = 0;
        double probability = 0;  ///< Of what was predicted.
        double trueProbability = 0;
    };

    /// Logits {N, classes} and labels {N}, float32 and int64 on the CPU; `samples`: the number of each.
    void add(const at::Tensor& logits, const at::Tensor& labels, const std::vector<std::int64_t>& samples);

    [[nodiscard]] std::int64_t samples() const { return m_samples; }
    /// Mean cross entropy.
    [[nodiscard]] double loss() const;
    [[nodiscard]] double accuracy() const;
    /// Share of samples whose class is among the five most probable; of more than five classes.
    [[nodiscard]] base::Json top5() const;
    /// Rows are labels, columns predictions.
    [[nodiscard]] base::Json confusion() const;
    /// One a class, without its name: label, samples, correct, predicted, precision, recall, f1.
    [[nodiscard]] base::Json classes() const;
    /// The `most` whose truth was least probable, that first.
    [[nodiscard]] std::vector<Mistake> worst(std::size_t most) const;

private:
    [[nodiscard]] std::int64_t at(std::int64_t label, std::int64_t predicted) const {
        return m_confusion[static_cast<std::size_t>(label * m_classes + predicted)];
    }

    std::int64_t m_classes;
    std::int64_t m_samples = 0;
    std::int64_t m_inFive = 0;
    double m_lossSum = 0;
    std::vector<std::int64_t> m_confusion;
    std::vector<Mistake> m_mistakes;
};

}  // namespace trainyard::engine
