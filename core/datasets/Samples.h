#pragma once
// Each sample's class and split, by the trainer's own rule.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/datasets/DatasetBook.h"

namespace trainyard::datasets {

struct Sample {
    std::string path;         ///< Relative to the data set's folder.
    std::uint32_t label = 0;  ///< Index into SampleList::classes.
    bool validation = false;
    bool readable = true;  ///< Unreadable ones belong to no split.
    std::string sha256;
};

struct SampleList {
    std::vector<std::string> classes;
    std::vector<Sample> samples;  ///< By class, then by path.
};

/// The pictures of an image folder among its files. `classes`: by name, those without pictures too.
[[nodiscard]] SampleList arrangeSamples(const Dataset& dataset, const std::vector<std::string>& classes,
                                        const std::vector<base::ContentFile>& files);

/// Of a version of an image folder. Any thread. Errors: those of readFiles.
[[nodiscard]] base::Result<std::shared_ptr<const SampleList>> samplesOf(const wire::WorkspaceLayout& layout,
                                                                        const Dataset& dataset);

}  // namespace trainyard::datasets
