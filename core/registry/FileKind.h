#pragma once
// What kind of model a file is, told by its content alone: magic bytes, a header, a list of members, the instructions
// of a pickle. Nothing is run, unpickled, unpacked or read whole, so a file from anywhere may be looked at.
#include <string>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::registry {

enum class FileKind {
    TorchScript,  ///< Code and weights, saved by torch.jit.save.
    Safetensors,  ///< Weights alone, in the safetensors format.
    StateDict,    ///< Weights alone: a pickled dictionary of tensors.
    Module,       ///< A pickled torch.nn.Module, or a dictionary that holds one.
    Onnx,
    Other,
};

/// "torchscript", "safetensors", "state_dict", "module", "onnx", "other": as cards spell it.
[[nodiscard]] std::string_view toString(FileKind kind);

struct FileFacts {
    FileKind kind = FileKind::Other;
    std::string told;    ///< By what it was told, one sentence for people.
    base::Json details;  ///< The kind's own: "tensors", "parameters", "globals", "opset", …; an object.
};

/// Errors only when the file cannot be read at all; what is damaged or hostile is Other, and `told` says why.
/// Blocks for as long as a disk needs for some megabytes.
[[nodiscard]] base::Result<FileFacts> examineFile(const base::Path& file);

}  // namespace trainyard::registry
