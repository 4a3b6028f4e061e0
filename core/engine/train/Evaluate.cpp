#include "core/engine/train/Evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/engine/model/Network.h"

namespace trainyard::engine {

Scores evaluate(const std::function<at::Tensor(const at::Tensor&)>& forward,
                const std::function<const Batch&(std::int64_t, std::int64_t)>& cut, const EvaluateOptions& options) {
    const at::NoGradGuard noGrad;
    StepMeter meter;
    for (std::int64_t at = options.begin; at < options.end; at += options.batchSize) {
        const std::int64_t end = std::min(at + options.batchSize, options.end);
        const Batch& batch = cut(at, end);
        const at::Tensor logits = forward(batch.images);
        // A loss that is not finite stays in the sum and shows there.
        (void) meter.add(crossEntropy(logits, batch.labels, 0.0), logits, batch.labels);
        if (options.confusion != nullptr) {
            const std::int64_t classes = logits.size(1);
            const at::Tensor cell = (batch.labels * classes + logits.argmax(1)).to(at::kCPU).contiguous();
            const std::int64_t* cells = cell.data_ptr<std::int64_t>();
            for (std::int64_t i = 0; i < cell.numel(); ++i) {
                ++(*options.confusion)[static_cast<std::size_t>(cells[i])];
            }
        }
        if (options.onLogits) {
            options.onLogits(logits, batch.labels, at);
        }
        if (options.onBatch && !options.onBatch(end - options.begin)) {
            break;
        }
    }
    return meter.take();
}

}  // namespace trainyard::engine
