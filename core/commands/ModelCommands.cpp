#include "core/commands/Command.h"

namespace trainyard::commands {

void addModelCommands(CommandTable&) {}

}  // namespace trainyard::commands
