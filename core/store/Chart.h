#pragma once
// Room-internal: curves out of the pyramid.
#include <functional>

#include "core/store/ChartTypes.h"
#include "core/store/Connection.h"

namespace trainyard::store {

/// Throws. `stop` is asked between reads; "canceled" when it says true.
[[nodiscard]] Result<ChartData> readChart(Connection& connection, const ChartRequest& request,
                                          const std::function<bool()>& stop);

}  // namespace trainyard::store
