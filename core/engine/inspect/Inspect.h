#pragma once
#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"

namespace trainyard::engine {

/// Versions, backends, devices, BLAS, processor: what this engine can do on this machine.
[[nodiscard]] base::Json describeEngine();

/// A TorchScript model: type, parameters, tensors with shapes and types, its card when there is one beside it, and
/// whether train and eval differ in it.
[[nodiscard]] Result<base::Json> describeModel(const base::Path& model);

}  // namespace trainyard::engine
