#pragma once
// Which engine on a host carries a run out, and its CPU bundle as it lies here.
#include <cstdint>
#include <string>

#include "core/base/Files.h"
#include "core/targets/Host.h"

namespace trainyard::targets {

/// The engine's CPU bundle as it lies beside our programs.
struct EngineBundle {
    base::Path archive;  ///< trainyard-engine-cpu.tar.zst
    std::string key;     ///< Its SHA-256: the folder's name in <work>/engines.
    std::int64_t size = 0;
};
/// $TRAINYARD_ENGINE_BUNDLE, else beside our programs or in ../lib/trainyard from there. The hash is read from the file
/// beside it, or computed. Errors: "target.program".
[[nodiscard]] Result<EngineBundle> findEngineBundle();

struct EngineChoice {
    std::string setting = "auto";  ///< TargetSpec::engine.
    bool needsCuda = false;        ///< Only one that was built there with CUDA. Never falls back.
};

/// The engine that a run gets.
struct ChosenEngine {
    std::string program;  ///< Absolute, there.
    std::string key;      ///< In <work>/engines; empty for a path of the definition's.
    bool fromBundle = false;
};

/// Connected hosts only. Errors: "target.engine" (none with CUDA was built there), "target.program" (no bundle here).
[[nodiscard]] OperationPtr chooseEngine(Host& host, EngineChoice choice, Deadline deadline, Done<ChosenEngine> done);

}  // namespace trainyard::targets
