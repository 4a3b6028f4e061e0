#pragma once
// Inputs that have an address: what a target is told so that it fetches them itself, and how they come here where it
// cannot.
#include <map>
#include <string>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/runs/Inputs.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// An address with its SHA-256 as an input; with bringHere().
[[nodiscard]] targets::InputData addressInput(const std::string& name, targets::InputData::Fetch fetch);

/// The data sets that a document names and that came from an address, by content hash: where a target can fetch them
/// again. None where one of them cannot be read.
[[nodiscard]] std::map<std::string, targets::InputData::Fetch> fetchableDatasets(const wire::WorkspaceLayout& layout,
                                                                                 const base::Json& document);

/// The input with its files here: fetched, checked, unpacked into $XDG_CACHE_HOME/trainyard/fetched/<sha256>, once. For
/// a pool thread; several processes may want the same. Errors: "input.fetch", "input.hash", archive.*, "canceled",
/// file.*.
[[nodiscard]] base::Result<targets::InputData>
bringHere(const std::string& name, const targets::InputData::Fetch& fetch, const InputReport& report);

}  // namespace trainyard::runs
