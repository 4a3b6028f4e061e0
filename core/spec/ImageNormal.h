#pragma once
#include <array>

namespace trainyard::spec {

/// What the values of a picture's channels (0–1) are normalised by in training: mean and deviation of ImageNet's
/// training images, which torchvision's weights expect.
inline constexpr std::array<double, 3> kImageMean{0.485, 0.456, 0.406};
inline constexpr std::array<double, 3> kImageDeviation{0.229, 0.224, 0.225};

}  // namespace trainyard::spec
