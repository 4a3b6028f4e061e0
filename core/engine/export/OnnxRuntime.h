#pragma once
// The independent runtimes that run an ONNX file, each in a helper program of its own: ONNX Runtime through Node.js
// (trainyard-onnx-node.cjs), ONNX Runtime through its C++ library (trainyard-onnx-runtime), OpenCV's dnn module
// (trainyard-onnx-opencv). They get tensors as files; this process never loads them.
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::engine {

struct RuntimeChoice {
    std::string id;                 ///< "onnxruntime-node", "onnxruntime", "opencv"
    std::string name;               ///< For people.
    std::vector<std::string> argv;  ///< Without the request file.
    base::Path folder;              ///< Where onnxruntime-node is installed; empty for the others.
};

/// What can be run here, best first. `only`: an id, or "auto" for all.
[[nodiscard]] std::vector<RuntimeChoice> findRuntimes(const std::string& only = "auto");

struct RuntimeCase {
    std::string name;
    at::Tensor input;  ///< On the CPU, contiguous.
};

struct RuntimeCaseAnswer {
    std::string error;  ///< Empty when it ran.
    std::vector<at::Tensor> outputs;
};

struct RuntimeAnswer {
    std::string name;  ///< "ONNX Runtime"
    std::string version;
    std::string through;  ///< "Node.js v20.1.0"
    std::string error;    ///< The model could not be loaded; `cases` is empty then.
    std::vector<RuntimeCaseAnswer> cases;
    double seconds = 0;
};

/// Runs all cases in one helper process. Error "verify.runtime" when the helper itself failed or did not end in time.
[[nodiscard]] base::Result<RuntimeAnswer> runOnnx(const RuntimeChoice& runtime, const base::Path& model,
                                                  const std::string& inputName,
                                                  const std::vector<std::string>& outputNames,
                                                  const std::vector<RuntimeCase>& cases, base::Deadline deadline);

}  // namespace trainyard::engine
