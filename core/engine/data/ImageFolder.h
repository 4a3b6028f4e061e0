#pragma once
// A data set of JPEG and PNG files, a folder for each class, as torchvision's ImageFolder has it.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/engine/Guard.h"
#include "core/engine/data/Picture.h"
#include "core/spec/RunSpec.h"

namespace trainyard::engine {

struct ImageFile {
    std::string path;  ///< Relative to ImageFolder::root.
    std::int64_t label = 0;
    PictureInfo info;
};

struct BadFile {
    std::string path;
    std::string why;
};

/// Read-only after scanning, so any thread may read it.
struct ImageFolder {
    base::Path root;
    std::vector<std::string> classes;  ///< In the order of their labels: by name.
    std::vector<ImageFile> training;   ///< By class, then by path.
    std::vector<ImageFile> validation;
    std::vector<BadFile> bad;  ///< Left out: their headers cannot be read.
    std::int64_t ignored = 0;  ///< Files with other endings.

    /// Of all pictures together, decoded.
    [[nodiscard]] std::int64_t pixelBytes() const;
};

/// Finds train/ and val/ (also valid/, validation/, test/), or classes that are split by DatasetSpec::splitSeed: of
/// each class the given share, at least one where it has two. Reads every file's header on `threads` threads. Limits
/// take the first N after a shuffle by the split's seed, so that classes stay mixed. Errors, all with the field
/// "task.dataset.folder": "data.folder" (not there, no folder), "data.classes" (fewer than two), "data.empty" (a class
/// without pictures; a class of val/ that train/ does not have), "data.bad" (more unreadable files than allowed; names
/// the first), "picture.kind" (no codecs in this engine).
[[nodiscard]] Result<ImageFolder> scanImageFolder(const spec::DatasetSpec& spec, int threads);

}  // namespace trainyard::engine
