#pragma once
// The engine built on a host from its sources, against the libtorch that is there: how CUDA and NCCL arrive.
#include <functional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/targets/Host.h"

namespace trainyard::targets {

/// The archive of the engine's sources as it lies beside our programs.
struct EngineSources {
    base::Path archive;  ///< trainyard-engine-src.tar.gz
    std::string sha256;
    std::int64_t size = 0;
};
/// $TRAINYARD_ENGINE_SOURCES, else beside our programs, in ../bundles or ../lib/trainyard from there. Errors:
/// "target.program".
[[nodiscard]] Result<EngineSources> findEngineSources();

struct EngineBuildOptions {
    std::string torch;  ///< TargetSpec::torch: a libtorch's folder, or a Python; empty: looked for.
    std::string python = "python3";
    bool cuda = false;  ///< Only a libtorch with CUDA will do. Otherwise one with CUDA is taken before any other.
};

/// Sends the sources and builds them there, once for these sources and that libtorch: an engine that is there already
/// is the answer at once. `onLine` gets each line of the build. Destroying the operation ends the build and removes
/// what it left. The result: {"key","libtorch","cuda","nccl","torch","seconds","built"}; `built` is false for one that
/// was there. Errors: those of Host, "engine.torch" (no libtorch that fits), "engine.tools" (names what is missing and
/// its packages), "engine.configure", "engine.compile", "engine.start", "engine.selftest", "target.disk_full",
/// "target.denied".
[[nodiscard]] OperationPtr buildEngine(Host& host, EngineBuildOptions options,
                                       std::function<void(std::string line)> onLine, Done<base::Json> done);

}  // namespace trainyard::targets
