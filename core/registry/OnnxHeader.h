#pragma once
// What an ONNX file says of itself, read from the outermost fields of its protocol buffer; weights are stepped over.
#include <optional>

#include "core/base/Json.h"
#include "core/registry/FileBytes.h"

namespace trainyard::registry {

/// {ir_version, opset, producer, inputs, outputs, nodes, initializers, external_data}, or nullopt when the file is not
/// a whole ModelProto with a graph. Source of the field numbers: onnx.proto of ONNX 1.12.
[[nodiscard]] std::optional<base::Json> readOnnxHeader(FileBytes& file);

}  // namespace trainyard::registry
