#pragma once
// What the walk knows about one value of the TorchScript graph.
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace trainyard::engine {

/// Every operator is also carried out on two small example inputs that differ in the batch size alone. What comes out
/// equal both times, and does not depend on the input's numbers, is a constant of the model; a dimension that differs
/// follows the batch. With a fixed batch both examples are the same one.
struct Slot {
    c10::IValue a;  ///< Value in the first example.
    c10::IValue b;  ///< Value in the second example.
    /// Depends on the input's numbers (not just its shape): must become a value of the ONNX graph.
    bool tainted = false;
    /// A view of something that was later changed in place; using it cannot be expressed.
    bool stale = false;
    std::string onnx;         ///< Name in the ONNX graph; empty for a constant that is not written yet.
    std::string origin;       ///< Dotted attribute path of a parameter, buffer or submodule ("layer1.0.conv1.weight").
    bool transposed = false;  ///< A constant that is the transpose of the parameter `origin`.
    std::vector<Slot> elements;  ///< Of lists and tuples, where they are known one by one.
};

}  // namespace trainyard::engine
