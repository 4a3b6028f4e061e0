#pragma once
// Debian's libtorch 1.13 ships reducer.hpp without this header that it includes. Only these two names are used there;
// the folder is on the include path only where the real header is missing (core/engine/CMakeLists.txt).
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace torch::distributed::autograd {

class DistAutogradContext {
public:
    using GradCallback = std::function<bool(at::Tensor&)>;
};
using ContextPtr = std::shared_ptr<DistAutogradContext>;

}  // namespace torch::distributed::autograd
