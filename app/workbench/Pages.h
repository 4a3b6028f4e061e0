#pragma once
#include <vector>

#include "ui/shell/Page.h"

namespace trainyard::workbench {

/// Every page of the window, in the order of the rail.
[[nodiscard]] std::vector<ui::PageEntry> allPages();

}  // namespace trainyard::workbench
