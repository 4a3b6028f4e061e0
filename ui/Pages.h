#pragma once
#include <vector>

#include "ui/shell/Page.h"

namespace trainyard::ui {

/// Every page of the window, in the rail's order.
[[nodiscard]] std::vector<PageEntry> allPages();

}  // namespace trainyard::ui
