#include "core/engine/train/StepMeter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace trainyard::engine {

void Scores::add(const Scores& other) {
    lossSum += other.lossSum;
    correct += other.correct;
    count += other.count;
}

std::int64_t countCorrect(const at::Tensor& logits, const at::Tensor& labels) {
    if (!logits.is_cpu() || logits.scalar_type() != at::kFloat || !logits.is_contiguous()) {
        return logits.detach().argmax(1).eq(labels).sum().item<std::int64_t>();
    }
    // A plain loop: the three operations cost more than the whole count on a small batch.
    const std::int64_t rows = logits.size(0);
    const std::int64_t classes = logits.size(1);
    const float* row = logits.data_ptr<float>();
    const std::int64_t* label = labels.data_ptr<std::int64_t>();
    std::int64_t correct = 0;
    for (std::int64_t i = 0; i < rows; ++i, row += classes) {
        correct += std::max_element(row, row + classes) - row == label[i] ? 1 : 0;
    }
    return correct;
}

bool StepMeter::add(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels) {
    const auto count = static_cast<double>(labels.size(0));
    m_scores.count += count;
    if (loss.is_cpu()) {
        const double value = *loss.data_ptr<float>();
        m_scores.lossSum += value * count;
        m_scores.correct += static_cast<double>(countCorrect(logits, labels));
        return std::isfinite(value);
    }
    const at::NoGradGuard noGrad;
    if (!m_deviceSums.defined()) {
        m_deviceSums = at::zeros({2}, loss.options().dtype(at::kDouble).requires_grad(false));
    }
    m_deviceSums[0].add_(loss.detach(), count);
    m_deviceSums[1].add_(logits.detach().argmax(1).eq(labels).sum());
    return true;
}

Scores StepMeter::take() {
    if (m_deviceSums.defined()) {
        const at::Tensor host = m_deviceSums.to(at::kCPU);
        m_scores.lossSum += host.data_ptr<double>()[0];
        m_scores.correct += host.data_ptr<double>()[1];
        m_deviceSums.zero_();
    }
    const Scores taken = m_scores;
    m_scores = {};
    return taken;
}

}  // namespace trainyard::engine
