#pragma once
// The families that are too long for LayerTable.cpp, and what all of them make their options with. For this folder
// alone.
#include <cstdint>
#include <string>
#include <vector>

#include "core/spec/models/LayerTable.h"

namespace trainyard::spec {

[[nodiscard]] Field integerOption(std::string path, std::string label, std::int64_t value, double minimum,
                                  double maximum, std::string unit, std::string help);
[[nodiscard]] Field booleanOption(std::string path, std::string label, bool value, std::string help);
/// A Number "dropout" from 0 to 0.9.
[[nodiscard]] Field dropoutOption(double value);

/// ResNet-18, -34, -50 and -101 (He et al. 2016), with the names and the first weights of torchvision's.
[[nodiscard]] std::vector<ModelFamily> resNetFamilies();
/// `options` complete and checked.
[[nodiscard]] base::Result<LayerTable> buildResNet(const std::string& family, const Json& options,
                                                   const std::vector<std::int64_t>& inputShape, std::int64_t classes);

/// MobileNetV3 small and large (Howard et al. 2019), with the names and the first weights of torchvision's.
[[nodiscard]] std::vector<ModelFamily> mobileNetFamilies();
[[nodiscard]] base::Result<LayerTable> buildMobileNetV3(const std::string& family, const Json& options,
                                                        const std::vector<std::int64_t>& inputShape,
                                                        std::int64_t classes);

}  // namespace trainyard::spec
