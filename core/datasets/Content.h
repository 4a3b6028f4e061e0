#pragma once
// What belongs to a data set: which folder is meant, its kind, its files with their hashes.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Content.h"
#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/spec/ImageListing.h"

namespace trainyard::datasets {

/// Bytes done so far; false: stop ("canceled").
using Report = std::function<bool(std::int64_t)>;
/// The SHA-256 of a file, from a cache where it is known. Called by several threads at once.
using Hasher = std::function<base::Result<std::string>(const base::Path& file, const Report& report)>;

struct Place {
    std::string kind;  ///< "images", "idx"
    base::Path folder;
    spec::ImageLayout layout;                                ///< images
    std::vector<std::pair<std::string, std::string>> files;  ///< idx: member of task.dataset → name in the folder.
    std::vector<std::string> classFolders;  ///< images: names below the training folder, empty ones too.
};
/// The folder that holds the data: a single folder in which there is nothing else is looked through. "dataset.source"
/// when it is no folder, cannot be read, or holds no data that can be told apart by classes.
[[nodiscard]] base::Result<Place> findPlace(const base::Path& folder);

struct Files {
    std::vector<base::ContentFile> files;
    std::string sha256;  ///< base::contentHash
    std::int64_t bytes = 0;
};
/// Lists and hashes; `report` gets thousandths. Errors: content.*, file.*, "canceled".
[[nodiscard]] base::Result<Files> readPlace(const Place& place, const Hasher& hasher, const Report& report);

}  // namespace trainyard::datasets
