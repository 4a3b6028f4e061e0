#pragma once
// How the workbench's side and trainyard-engine talk outside a run: `trainyard-engine VERB --request FILE`, the answer
// as JSON Lines on stdout: any number of {"kind":"progress",…}, then exactly one {"kind":"result",…} or
// {"kind":"error","code","message","field"}. Exit status 0 with a result, 1 with an error, 2 for a bad command line.
#include <string>
#include <variant>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::wire {

/// Verbs: "train" (inside a run: --spec FILE), "check" (pre-flight: memory, time), "inspect" (version, backends,
/// devices; or a model file), "predict", "serve" (predictions for requests on standard input), "evaluate", "weights",
/// "dataset", "export" (TorchScript to ONNX), "verify", "selftest".
struct EngineMessage {
    enum class Kind { Progress, Result, Failure } kind = Kind::Progress;
    base::Json body;    ///< Progress and Result.
    base::Error error;  ///< Failure.
};
/// "engine.line" for anything else.
[[nodiscard]] base::Result<EngineMessage> decodeEngineLine(std::string_view line);
/// One line with its '\n'. The member name "kind" is the protocol's own and cannot be part of a body.
[[nodiscard]] std::string encodeEngineProgress(const base::Json& body);
[[nodiscard]] std::string encodeEngineResult(const base::Json& body);
[[nodiscard]] std::string encodeEngineError(const base::Error& error);

}  // namespace trainyard::wire
