#pragma once
// Reads a Python pickle's instructions without carrying out one of them: which names it would import, and whether it
// speaks of tensors and modules. Source: pickletools.py of CPython, protocols 0 to 5.
#include <cstdint>
#include <set>
#include <string>

#include "core/base/Result.h"
#include "core/registry/FileBytes.h"

namespace trainyard::registry {

struct PickleFacts {
    std::uint64_t end = 0;          ///< Offset after its STOP.
    std::set<std::string> globals;  ///< "torch._utils._rebuild_tensor_v2": what opening it would import. At most 256.
    std::string first;              ///< The first of them: a pickled object's own class.
    bool beginsWithDict = false;    ///< The object is a dictionary, plain or ordered.
    bool hasModuleMembers = false;  ///< Names every torch.nn.Module has occur: _parameters, _buffers, _modules.
    bool hides = false;             ///< A name is put together in a way that no pickler does, or there are too many.
};

/// From `offset` to STOP. "model.pickle" when it is none, ends early, or has more than 20 million instructions.
[[nodiscard]] base::Result<PickleFacts> walkPickle(FileBytes& file, std::uint64_t offset = 0);

}  // namespace trainyard::registry
