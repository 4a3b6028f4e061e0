#pragma once
#include "core/engine/data/Picture.h"

namespace trainyard::engine {

/// The part of a picture that validation and prediction see: torchvision's Resize(resize), then CenterCrop(size).
struct CentrePlan {
    int width = 0;  ///< Of the resized picture, pixels; the short side is `resize`.
    int height = 0;
    Box cut;  ///< In the resized picture.
};
/// Precondition: 0 < size ≤ resize.
[[nodiscard]] CentrePlan centreOf(const PictureInfo& info, int size, int resize);

}  // namespace trainyard::engine
