#pragma once
// What came of each class in a validation: counts, and the records and figures made of them.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::engine {

/// Sums over samples, so they add up over batches and over ranks. One thread.
class ClassScores {
public:
    /// With more classes than this no matrix is counted, only each class's own sums.
    static constexpr std::int64_t kMostMatrix = 512;

    explicit ClassScores(std::int64_t classes = 0);

    /// Logits {N, classes} and labels {N}. A row with a NaN counts as the class that libtorch's argmax names.
    void add(const at::Tensor& logits, const at::Tensor& labels);
    /// All counts in one list: to be summed over ranks.
    [[nodiscard]] const std::vector<double>& sums() const { return m_sums; }
    void setSums(std::vector<double> sums) { m_sums = std::move(sums); }

    [[nodiscard]] std::int64_t classes() const { return m_classes; }
    [[nodiscard]] bool hasMatrix() const { return m_classes <= kMostMatrix; }
    [[nodiscard]] double samples() const;
    /// Share of samples whose class is among the five with the largest logits; of equals the first counts as larger.
    [[nodiscard]] double top5() const;
    /// Mean over the classes that have samples or were predicted; a class without a hit counts as 0 (as in
    /// scikit-learn's f1_score with average="macro").
    [[nodiscard]] double macroF1() const;

    /// Body of a `table` record: a row a class with samples, precision, recall and F1; null where there is nothing to
    /// divide by.
    [[nodiscard]] base::Json table(const std::vector<std::string>& names) const;
    /// Body of a `table` record of the type "confusion_matrix". Precondition: hasMatrix().
    [[nodiscard]] base::Json matrix(const std::vector<std::string>& names) const;

private:
    enum Part { Actual, Predicted, Correct, Parts };
    [[nodiscard]] std::size_t place(Part part, std::int64_t label) const;
    [[nodiscard]] double count(Part part, std::int64_t label) const { return m_sums[place(part, label)]; }

    std::int64_t m_classes;
    std::vector<double>
        m_sums;  ///< Hits among five; then, a number a class: samples, predictions, hits; then the matrix.
};

}  // namespace trainyard::engine
