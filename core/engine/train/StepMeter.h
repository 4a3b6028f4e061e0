#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace trainyard::engine {

/// Sums over samples; adds up over steps and over ranks.
struct Scores {
    double lossSum = 0;
    double correct = 0;
    double count = 0;

    [[nodiscard]] double loss() const { return count > 0 ? lossSum / count : 0; }
    [[nodiscard]] double accuracy() const { return count > 0 ? correct / count : 0; }
    void add(const Scores& other);
    bool operator==(const Scores&) const = default;
};

/// Rows of `logits` {N, K} whose largest value (the first of equals) is at `labels` {N}. Waits for the device.
[[nodiscard]] std::int64_t countCorrect(const at::Tensor& logits, const at::Tensor& labels);

/// Adds up what training steps report. On the CPU each step is read at once; on a GPU sums stay there until taken, so
/// that the host never waits between.
class StepMeter {
public:
    /// `loss` is the batch's mean, a scalar. Returns false when it is read now and is not finite.
    [[nodiscard]] bool add(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels);
    /// The sums since the last take, or since the start.
    [[nodiscard]] Scores take();

private:
    Scores m_scores;
    at::Tensor m_deviceSums;  ///< float64 {2}: loss sum, correct. Undefined on the CPU.
};

}  // namespace trainyard::engine
