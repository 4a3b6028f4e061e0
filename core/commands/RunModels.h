#pragma once
// Model versions out of a run's outputs: asked for by a person (model.register) or by the run's own records.
#include <map>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/registry/Registry.h"
#include "core/runs/Collection.h"
#include "core/store/Types.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

/// Collected outputs by their path, with their SHA-256.
using OutputHashes = std::map<std::string, std::string>;

/// Adds the output of that name, or all that lie in the folder of that name, to `chosen`; "." is all there is. False:
/// there is none.
[[nodiscard]] bool chooseOutputs(const OutputHashes& there, const std::string& name, OutputHashes& chosen);

/// What a version keeps of the run that it comes from, and the chosen files out of its outputs.
void describeRun(registry::NewVersion& version, const wire::WorkspaceLayout& layout, const store::RunRow& run,
                 base::Json spec, const OutputHashes& chosen);

/// runs::RegisterModels over a workspace's registry: one version for each name and path that the records ask for, from
/// whichever ranks and attempts. "model.not_registered" where one cannot be.
[[nodiscard]] runs::RegisterModels registerModelsOf(const wire::WorkspaceLayout& layout,
                                                    const store::IndexLocation& index);

}  // namespace trainyard::commands
