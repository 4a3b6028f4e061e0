#pragma once
// A look into a dataset's files before anything runs: counts, shape, classes, one sample of each. The engine's own
// reader is behind a wall; this one only looks.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/datasets/DatasetBook.h"

namespace trainyard::commands {

struct DatasetPreview {
    std::int64_t training = 0;  ///< Samples.
    std::int64_t validation = 0;
    std::int64_t channels = 1;
    std::int64_t height = 0;
    std::int64_t width = 0;
    int classes = 0;
    std::vector<std::int64_t> perClass;  ///< Training samples of each label.
    /// One training sample of each label, bytes as {channels, height, width}; empty where none was found early on.
    std::vector<std::string> samples;
    // Of an image folder, instead of `samples`:
    std::vector<std::string> classNames;
    std::vector<std::string> samplePaths;  ///< One picture of each class.
};

/// `dataset` is a spec's task.dataset. Of IDX files it reads all to their ends, of an image folder it counts the files
/// without opening them; both belong into a worker thread. `problems` gets every error ("data.preview"), each naming
/// its field ("task.dataset.train_images"); the first is returned. Data on a target or at an address are
/// "data.elsewhere", which is no problem. A path that begins with "dataset:" is looked up in the workspace with this
/// root, where one is given.
[[nodiscard]] base::Result<DatasetPreview> previewDataset(const base::Json& dataset, std::vector<base::Error>& problems,
                                                          const base::Path& workspace = {});

struct SampleQuery {
    std::string className;  ///< Empty: all classes.
    std::string split;      ///< "train", "val", or empty for both.
    std::int64_t offset = 0;
    std::int64_t limit = 100;
};
/// dataset.samples of IDX files: their pixels as base64, in the files' order, training first. Reads the files up to the
/// last sample that is asked for. Errors: "data.preview".
[[nodiscard]] base::Result<base::Json> idxSamples(const datasets::Dataset& dataset, const SampleQuery& query);

}  // namespace trainyard::commands
