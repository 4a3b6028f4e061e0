#include "core/engine/train/Mistakes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace trainyard::engine {

namespace {

void surestFirst(std::vector<Mistakes::One>& list) {
    std::ranges::sort(list, {}, [](const Mistakes::One& one) { return std::pair(-one.probability, one.sample); });
}

}  // namespace

void Mistakes::add(const at::Tensor& logits, const at::Tensor& labels, std::int64_t first) {
    const at::Tensor values = logits.detach().to(at::kCPU, at::kFloat);
    const at::Tensor truths = labels.to(at::kCPU).contiguous();
    const at::Tensor best = values.argmax(1).contiguous();
    const at::Tensor sure = values.softmax(1).amax(1).contiguous();
    for (std::int64_t i = 0; i < values.size(0); ++i) {
        const std::int64_t label = truths.data_ptr<std::int64_t>()[i];
        const std::int64_t predicted = best.data_ptr<std::int64_t>()[i];
        const double probability = sure.data_ptr<float>()[i];
        if (predicted != label && probability >= 0) {  // Not of a NaN.
            m_kept.push_back({first + i, label, predicted, probability});
        }
    }
    if (m_kept.size() > 8 * kMost) {
        cut();
    }
}

void Mistakes::cut() {
    surestFirst(m_kept);
    m_kept.resize(std::min(m_kept.size(), kMost));
}

at::Tensor Mistakes::packed() const {
    Mistakes sorted = *this;
    sorted.cut();
    at::Tensor table = at::full({static_cast<std::int64_t>(kMost), 4}, -1.0, at::kDouble);
    double* to = table.data_ptr<double>();
    for (const One& one : sorted.m_kept) {
        *to++ = static_cast<double>(one.sample);
        *to++ = static_cast<double>(one.label);
        *to++ = static_cast<double>(one.predicted);
        *to++ = one.probability;
    }
    return table;
}

std::vector<Mistakes::One> Mistakes::merged(const std::vector<at::Tensor>& packed) {
    std::vector<One> all;
    for (const at::Tensor& table : packed) {
        const double* row = table.data_ptr<double>();
        for (std::size_t i = 0; i < kMost && row[0] >= 0; ++i, row += 4) {
            all.push_back({static_cast<std::int64_t>(row[0]), static_cast<std::int64_t>(row[1]),
                           static_cast<std::int64_t>(row[2]), row[3]});
        }
    }
    surestFirst(all);
    return all;
}

}  // namespace trainyard::engine
