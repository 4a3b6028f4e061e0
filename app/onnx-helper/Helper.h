#pragma once
// What the programs that run an ONNX file for its proof have in common: the request, the raw files, the answer. They
// share no code with the exporter. Request and result: resources/docs/protocol/model.md. One thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::onnx {

using base::Json;
using base::Path;

struct Tensor {
    std::string name;
    std::string type;  ///< "float32", …
    std::vector<std::int64_t> dims;
    std::string bytes;  ///< Little-endian, row-major.
};

/// One way to run ONNX files. Its methods throw std::exception; what they say goes into the result.
class Runtime {
public:
    virtual ~Runtime() = default;
    /// name, version, through: how the result names the runtime.
    [[nodiscard]] virtual Json describe() const = 0;
    virtual void open(const std::string& model, const std::vector<std::string>& outputs) = 0;
    /// Outputs in the order that open() was given. `input.bytes` may be used as it lies until this returns.
    [[nodiscard]] virtual std::vector<Tensor> run(Tensor& input) = 0;
};

/// The program `name --request FILE`: exit status 0 whenever a result was written, 1 with a message, 2 for a wrong
/// command line.
[[nodiscard]] int runProgram(int argc, char** argv, std::string_view name, Runtime& runtime);

}  // namespace trainyard::onnx
