#pragma once
// The safetensors format (github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON header, raw
// values.
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

using base::Path;

struct SafeTensors {
    NamedTensors tensors;                                       ///< In file order.
    std::vector<std::pair<std::string, std::string>> metadata;  ///< "__metadata__": text to text.

    /// The tensor of that name, or nullptr.
    [[nodiscard]] const at::Tensor* find(const std::string& name) const;
    /// The metadata's value, or nullptr.
    [[nodiscard]] const std::string* meta(const std::string& key) const;
};

/// Writes float32, float64, float16, bfloat16, the integer types and bool. Tensors are copied to the CPU and made
/// contiguous. By temp, fsync and rename.
[[nodiscard]] Status writeSafeTensors(const SafeTensors& content, const Path& path);

/// Reads a file whole; every offset, shape and type is checked before memory is taken. "weights.format" says what is
/// wrong with the header; "file.*" for the rest.
[[nodiscard]] Result<SafeTensors> readSafeTensors(const Path& path);

}  // namespace trainyard::engine
