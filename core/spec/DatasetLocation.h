#pragma once
// How data sets of a workspace are named: "birds" (the newest version), "birds:2"; in a run's specification with
// "dataset:" before it and, where one file of it is meant, "/path/inside" behind it.
#include <string>
#include <string_view>

#include "core/base/Result.h"

namespace trainyard::spec {

inline constexpr std::string_view kDatasetPrefix = "dataset:";

struct DatasetName {
    std::string name;
    int version = 0;  ///< 0: the newest.

    [[nodiscard]] std::string text() const { return version == 0 ? name : name + ":" + std::to_string(version); }
};
/// "spec.name" with `field`.
[[nodiscard]] base::Result<DatasetName> parseDatasetName(const std::string& text, const std::string& field = "dataset");

[[nodiscard]] inline bool isDatasetLocation(std::string_view text) { return text.starts_with(kDatasetPrefix); }

struct DatasetLocation {
    DatasetName dataset;
    std::string path;  ///< Inside it; may be empty.
};
/// Precondition: isDatasetLocation(text). "spec.name", "spec.path" with `field`.
[[nodiscard]] base::Result<DatasetLocation> parseDatasetLocation(const std::string& text, const std::string& field);

}  // namespace trainyard::spec
