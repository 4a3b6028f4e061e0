#pragma once
// The sample: an experiment on Fashion-MNIST that one button starts.
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

inline constexpr const char* kDraftFormat = "trainyard.draft";
inline constexpr const char* kDatasetFormat = "trainyard.dataset";
inline constexpr int kDraftVersion = 1;
inline constexpr int kDatasetVersion = 1;

enum class SampleFiles {
    All,      ///< Existing ones are replaced.
    Missing,  ///< Existing ones stay as they are; when both are there, no images are needed.
};

/// Writes views/drafts/fashion-mnist.json (format, version, id, title, description, spec: a whole run-spec document)
/// and datasets/fashion-mnist.json (format, version, name, dataset: as in a spec's task). The images come from
/// $TRAINYARD_FASHION_MNIST or /usr/share/datasets/fashion-mnist; "sample.missing" when they are in neither. Result:
/// {"draft": file, "dataset": file}.
[[nodiscard]] base::Result<base::Json> makeSample(const wire::WorkspaceLayout& layout,
                                                  SampleFiles which = SampleFiles::All);

/// {"drafts": [{"id","title","description","file","spec"}]}, by title; files that cannot be read are left out and named
/// in "problems".
[[nodiscard]] base::Result<base::Json> listDrafts(const wire::WorkspaceLayout& layout);

}  // namespace trainyard::commands
