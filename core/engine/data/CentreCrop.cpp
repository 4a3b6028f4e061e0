#include "core/engine/data/CentreCrop.h"

#include <cmath>
#include <cstdint>

namespace trainyard::engine {

CentrePlan centreOf(const PictureInfo& info, int size, int resize) {
    CentrePlan plan;
    if (info.width <= info.height) {
        plan.width = resize;
        plan.height = static_cast<int>(static_cast<std::int64_t>(resize) * info.height / info.width);
    } else {
        plan.height = resize;
        plan.width = static_cast<int>(static_cast<std::int64_t>(resize) * info.width / info.height);
    }
    // As Python's round(): of two whole numbers equally near the even one.
    const auto middle = [size](int side) { return static_cast<int>(std::lrint((side - size) / 2.0)); };
    plan.cut = {middle(plan.width), middle(plan.height), size, size};
    return plan;
}

}  // namespace trainyard::engine
