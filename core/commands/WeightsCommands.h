#pragma once
#include <string>

#include "core/commands/Command.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

/// Where the weights that a training starts from lie on this machine: a path as it is, of "run:<id>" and
/// "pretrained:<name>" the file that stands for them, whether it is there or not. Empty for "target:/path" and for
/// names that nothing knows.
[[nodiscard]] std::string weightsHere(const wire::WorkspaceLayout& layout, const std::string& source);

/// Adds "weights.list", "weights.fetch", "weights.match".
void addWeightsCommands(CommandTable& table);

}  // namespace trainyard::commands
