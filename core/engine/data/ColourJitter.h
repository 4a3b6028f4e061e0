#pragma once
#include <cstdint>
#include <vector>

#include "core/engine/data/ImageLoader.h"

namespace trainyard::engine {

/// The colours of 8-bit RGB pixels as `change` says, one after another in its order, each rounded to bytes: what
/// torchvision's ColorJitter does with Pillow's ImageEnhance and HSV. Any thread.
void jitterColours(std::vector<std::uint8_t>& pixels, const ImageChange& change);

}  // namespace trainyard::engine
