#pragma once
// Which files of an image folder are pictures, of which class and of which split. The trainer, the data sets of a
// workspace and the form's preview all go by these rules; each of them reads the disk itself.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::spec {

/// .jpg, .jpeg or .png in any case.
[[nodiscard]] bool isPictureName(std::string_view path);

/// Where the classes' folders lie, relative to the data's folder.
struct ImageLayout {
    std::string train;  ///< "train", or empty: the classes' folders lie in the data's folder itself.
    std::string
        validation;  ///< "val", "valid", "validation" or "test" beside train; empty: validation samples are split off.
};
/// `isFolder` is asked about names in the data's folder.
[[nodiscard]] ImageLayout imageLayout(const std::function<bool(const std::string&)>& isFolder);

/// A picture's place by its path relative to the data's folder; nothing for files that belong to no class. Names with a
/// leading dot, folders included, are nobody's.
struct ImagePlace {
    std::string_view className;  ///< A view into the path.
    bool validation = false;     ///< It lies in the validation folder.
};
[[nodiscard]] std::optional<ImagePlace> placeOfImage(std::string_view path, const ImageLayout& layout);

/// A number that orders samples as if shuffled: depends on the seed and the path alone, so that adding a file moves no
/// other.
[[nodiscard]] std::uint64_t splitRank(std::string_view path, std::int64_t seed);

struct SplitSample {
    std::int64_t label = 0;
    std::string_view path;
};
/// Which of the samples are kept for validation where there is no folder for it: of each class the share `fraction`, at
/// least one where it has two, and never all. Precondition: samples of one label stand together.
[[nodiscard]] std::vector<bool> keptForValidation(const std::vector<SplitSample>& samples, double fraction,
                                                  std::int64_t seed);

}  // namespace trainyard::spec
