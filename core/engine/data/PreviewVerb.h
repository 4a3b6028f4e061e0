#pragma once
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/export/Verbs.h"

namespace trainyard::engine {

class KeptData;

/// "preview": some training samples as a run with the request's specification gets them in an epoch, each beside its
/// original. They are made by the run's own ImageLoader or BatchCutter with the run's own options, so they are its
/// pixels, brought back from normalised values to bytes. The request and the result stand in
/// resources/docs/protocol/engine.md. Errors: those of runSpecFromJson, of scanImageFolder and of loadTrainingSet;
/// "preview.task" (the specification trains nothing), "picture.kind" (an engine without libpng).
[[nodiscard]] Result<base::Json> runPreviewVerb(const base::Json& request, const VerbProgress& progress);

/// The same with data that earlier draws have read: of an unchanged folder only the pictures that are shown are read.
[[nodiscard]] Result<base::Json> drawPreview(const base::Json& request, KeptData& data, const VerbProgress& progress);

}  // namespace trainyard::engine
