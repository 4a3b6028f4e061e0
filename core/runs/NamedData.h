#pragma once
// Data sets of the workspace that a run names ("dataset:birds"): pinned to a version when it is submitted, put into
// place when it is launched.
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/datasets/DatasetBook.h"
#include "core/runs/Inputs.h"
#include "core/spec/RunSpec.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// The document with "dataset:birds:2" for each "dataset:birds". Errors: "dataset.unknown", "dataset.damaged",
/// "dataset.missing", "dataset.kind" (images where IDX files are wanted, or the other way round), "spec.name", each
/// with its field.
[[nodiscard]] base::Result<base::Json> pinDatasets(const wire::WorkspaceLayout& layout, const base::Json& document);
/// The document with paths of this machine in their place. The same errors.
[[nodiscard]] base::Result<base::Json> placeDatasets(const wire::WorkspaceLayout& layout, const base::Json& document);
[[nodiscard]] base::Result<spec::RunSpec> placeDatasets(const wire::WorkspaceLayout& layout, const spec::RunSpec& spec);
/// The versions that a document names, each once; none where one of them cannot be read.
[[nodiscard]] std::vector<datasets::Dataset> namedDatasets(const wire::WorkspaceLayout& layout,
                                                           const base::Json& document);
/// Reads what the document names, as far as it is not known to be untouched. "dataset.changed" where a version is no
/// longer what it was when it was added; "canceled".
[[nodiscard]] base::Status checkDatasets(const wire::WorkspaceLayout& layout, const base::Json& document,
                                         const InputReport& report);

}  // namespace trainyard::runs
