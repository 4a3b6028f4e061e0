#pragma once
#include "core/commands/Command.h"

namespace trainyard::commands {

/// Adds "model.predict", "model.evaluate", "model.inspect".
void addModelUseCommands(CommandTable& table);

}  // namespace trainyard::commands
