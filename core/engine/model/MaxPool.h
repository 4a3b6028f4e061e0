#pragma once
#include <ATen/core/Tensor.h>

namespace trainyard::engine {

/// torch.nn.functional.max_pool2d(x, 2, 2), forwards and backwards with the same bits, for contiguous float32 {N, C, H,
/// W} on the CPU; anything else goes to libtorch's own operation.
[[nodiscard]] at::Tensor maxPool2x2(const at::Tensor& x);

}  // namespace trainyard::engine
