#pragma once
// From a definition to what an agent builds and how ranks are started in it.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Result.h"
#include "core/environments/TargetFacts.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/wire/Plan.h"

namespace trainyard::environments {

/// What a run adds to its environment; matters for containers, which see nothing by themselves.
struct RunNeeds {
    std::vector<std::string> variables;  ///< Names that the run and its target set.
    std::vector<std::string> paths;      ///< Of the target, outside the work folder, that ranks read: declared inputs.
    bool mpi = false;
    bool script =
        false;  ///< A script that names no interpreter: with the engine's environment it is the target's Python.
};

/// `version` 0: not one that is kept (it is being edited). Where the target's doctor was never asked, the first program
/// of the usual ones is taken. Errors: "environment.apptainer" and others that only facts bring up; a definition is
/// expected valid.
[[nodiscard]] base::Result<wire::PlanEnvironment> planEnvironment(const spec::EnvironmentSpec& spec, int version,
                                                                  const TargetFacts& facts, const RunNeeds& needs = {});

/// Program that the spec's "auto" stands for on this target: "podman", "micromamba"…
[[nodiscard]] std::string containerEngineOf(const spec::EnvironmentSpec& spec, const TargetFacts& facts);
[[nodiscard]] std::string condaToolOf(const spec::EnvironmentSpec& spec, const TargetFacts& facts);
/// Apptainer, or Singularity as it was called before.
[[nodiscard]] bool isApptainer(const std::string& engine);
/// What runs scripts or makes the virtual environment on the target; a path beginning with "$HOME/" or a name.
[[nodiscard]] std::string pythonOf(const spec::EnvironmentSpec& spec, const TargetFacts& facts);
/// "~/x" as a program without a shell needs it: "$HOME/x".
[[nodiscard]] std::string expandedHome(const std::string& path);
/// Estimated bytes that a build takes on the target, or what the definition says.
[[nodiscard]] std::int64_t neededBytes(const spec::EnvironmentSpec& spec);

}  // namespace trainyard::environments
