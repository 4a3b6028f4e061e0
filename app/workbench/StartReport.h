#pragma once
#include "ui/shell/MainWindow.h"

namespace trainyard::workbench {

/// For `trainyard --measure-start`: prints one JSON line when the first page of the workspace stands painted and a
/// click on the rail was answered by a painted page, then ends the program. Times are milliseconds since the process
/// began.
void reportStart(ui::MainWindow& window, commands::Session& session);

}  // namespace trainyard::workbench
