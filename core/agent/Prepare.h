#pragma once
// What a node brings into place before its ranks start: the source snapshot, the inputs. May be repeated after a kill.
#include <functional>
#include <map>
#include <string>

#include "core/agent/RankFiles.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

/// What is being done, and how much of it. Called every few milliseconds; false cancels ("canceled").
using PrepareProgress =
    std::function<bool(const std::string& stage, std::int64_t done, std::int64_t total, const char* unit)>;

/// Copies the files that the manifest beside the plan lists from <work>/objects into NodeLayout::code(), which appears
/// whole. Scripts may write there: the files are copies, never links. Errors: "source.manifest", "source.missing",
/// "source.path", file.*.
[[nodiscard]] Status placeSource(const NodeLayout& layout, const wire::Plan& plan, const PrepareProgress& progress);

/// The path of each input by its name: looked for (a single file in <work>/data under any name), hashed where the plan
/// wants it, fetched from its address with curl or wget (as a program of its own, gone on with after a break) into
/// <work>/data. Errors: "input.missing", "input.hash", "input.fetch", "input.address", "canceled", file.*.
[[nodiscard]] Result<std::map<std::string, std::string>> findInputs(const wire::Plan& plan,
                                                                    const PrepareProgress& progress);

}  // namespace trainyard::agent
