#pragma once
// Starting a run on the hosts of an SSH target. Inside this room only.
#include <memory>

#include "core/targets/SshTarget.h"

namespace trainyard::targets {

/// Connects, chooses hosts (those that have the run already, else the first that have what it asks for, idle ones
/// before busy ones), brings what they lack, writes plans, starts node 0's agent and then the others with its address.
/// Nodes whose agent has run already are left alone.
[[nodiscard]] OperationPtr launchOverSsh(std::shared_ptr<SshTarget::Shared> shared, EngineChoice engine,
                                         LaunchPlan plan, std::function<void(LaunchProgress)> onProgress,
                                         DoneStatus done);

}  // namespace trainyard::targets
