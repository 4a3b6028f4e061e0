#pragma once
// A workspace's data sets: datasets/<name>/<n>.json, a version a file. A version is written once; the highest counts
// where none is named. Beside them lie the lists of their files, by content hash, and in .data/ what was unpacked here,
// by content hash too.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Content.h"
#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/DatasetLocation.h"
#include "core/spec/ImageListing.h"
#include "core/wire/Layout.h"

namespace trainyard::datasets {

inline constexpr const char* kDatasetFormat = "trainyard.dataset";
inline constexpr int kDatasetVersion = 1;

struct ClassCount {
    std::string name;
    std::int64_t training = 0;
    std::int64_t validation = 0;
    std::int64_t unreadable = 0;  ///< Not among the others.
};

struct Problem {
    std::string kind;      ///< "unreadable", "leak", …: core/commands/README.md has the list.
    std::string severity;  ///< "error": training refuses it; "warning"; "info".
    std::int64_t count = 0;
    std::string text;
    std::vector<std::string> files;    ///< Relative; the first few.
    std::vector<std::string> reasons;  ///< Of each of `files`; may be empty.
};

struct Dataset {
    std::string name;
    int version = 0;
    std::vector<int> versions;  ///< All that there are, rising. Not in the file.
    std::string kind;           ///< "images", "idx"
    base::Path path;            ///< Where it lies.
    bool managed = false;       ///< It was unpacked into dataFolder(), and goes with the last version that names it.
    std::string source;         ///< As the person named it.
    std::string sourceSha256;   ///< Of the archive; may be empty.
    std::string sha256;         ///< Content hash.
    double split = 0.2;         ///< Share of each class for validation, where it has no folder for it.
    std::int64_t splitSeed = 1;
    spec::ImageLayout layout;  ///< images
    std::vector<ClassCount> classes;
    std::int64_t ignored = 0;  ///< Files that are no pictures.
    std::int64_t bytes = 0;
    std::int64_t channels = 3;
    base::Json sizes;  ///< As the engine says it, or null.
    base::Json statistics;
    std::vector<Problem> problems;
    std::vector<std::string> unreadable;                     ///< Pictures that belong to no split, relative.
    std::vector<std::pair<std::string, std::string>> files;  ///< idx: member of task.dataset → path inside.
    std::int64_t createdAt = 0;                              ///< Microseconds UTC.

    [[nodiscard]] std::string pinned() const { return name + ":" + std::to_string(version); }
    [[nodiscard]] std::int64_t training() const;
    [[nodiscard]] std::int64_t validation() const;
};

[[nodiscard]] base::Json toJson(const Dataset& dataset);
/// "format.*", "json.*".
[[nodiscard]] base::Result<Dataset> datasetFromJson(const base::Json& json);

/// The newest version of each, by name. Those that cannot be read are named in `problems`.
[[nodiscard]] std::vector<Dataset> readDatasets(const wire::WorkspaceLayout& layout,
                                                std::vector<base::Error>* problems = nullptr);
/// Errors: "dataset.unknown", "dataset.damaged".
[[nodiscard]] base::Result<Dataset> readDataset(const wire::WorkspaceLayout& layout, const spec::DatasetName& name);
/// Writes the next version and answers with its number; `files` is its content. Two that write at once get two numbers;
/// that of a version that was removed is not given again.
[[nodiscard]] base::Result<int> writeDataset(const wire::WorkspaceLayout& layout, const Dataset& dataset,
                                             const std::vector<base::ContentFile>& files);
/// The files of a version, by path. "dataset.damaged" when the list is not the one that its hash names.
[[nodiscard]] base::Result<std::vector<base::ContentFile>> readFiles(const wire::WorkspaceLayout& layout,
                                                                     const Dataset& dataset);

struct Removal {
    std::vector<int> versions;
    std::int64_t freedBytes = 0;
};
/// One version, or all where the name has none; and what was unpacked for them, unless another version still names it.
[[nodiscard]] base::Result<Removal> removeDataset(const wire::WorkspaceLayout& layout, const spec::DatasetName& name);

/// Where data of this content hash lie once they are unpacked.
[[nodiscard]] base::Path dataFolder(const wire::WorkspaceLayout& layout, const std::string& sha256);
/// Where downloads under way lie.
[[nodiscard]] base::Path incomingFolder(const wire::WorkspaceLayout& layout);

/// A path inside a version as it lies here, for a location in a run's specification. "dataset.unknown",
/// "dataset.damaged", "dataset.missing" (gone from where it lay), all with `field`.
struct Resolved {
    Dataset dataset;
    base::Path path;
    std::string pinned;  ///< "dataset:birds:2/inside"
};
[[nodiscard]] base::Result<Resolved> resolveDataset(const wire::WorkspaceLayout& layout, const std::string& location,
                                                    const std::string& field);

}  // namespace trainyard::datasets
