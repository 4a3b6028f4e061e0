#pragma once
// What the environment.* actions answer with.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/environments/EnvironmentCheck.h"
#include "core/runs/EnvironmentBook.h"
#include "core/store/Reader.h"

namespace trainyard::commands {

/// How runs of the workspace used one environment, all its versions together.
struct EnvironmentUse {
    std::int64_t active = 0;  ///< Runs that have not ended.
    std::int64_t runs = 0;    ///< All, of the newest 10,000 of the workspace.
    base::Json last;          ///< The newest that started: {"at","target","run","number","version"}; null for none.
};

/// By the environment's name, without versions.
[[nodiscard]] base::Result<std::map<std::string, EnvironmentUse>> environmentUses(const store::Reader& index);
/// Where one was realised last, a row a target and version: what agents wrote down as it was made ready.
[[nodiscard]] base::Result<base::Json> realisedWhere(const store::Reader& index, const std::string& name);
/// {"environment","version","versions","kind","label","description","curated","written_at"}
[[nodiscard]] base::Json environmentJson(const runs::EnvironmentDefinition& definition);
[[nodiscard]] base::Json findingsJson(const std::vector<environments::EnvironmentFinding>& findings);
/// What a target would build:
/// {"hash","steps":[{"title","command"}],"wrap","interpreter","need_bytes","files":[{"name","text"}]}, or {"error"}.
[[nodiscard]] base::Json planJson(const spec::EnvironmentSpec& spec, int version,
                                  const environments::TargetFacts& facts);
/// For a run's estimate: {"environment","kind","hash","need_bytes","findings"}.
[[nodiscard]] base::Json environmentEstimate(const runs::EnvironmentDefinition& definition,
                                             const environments::TargetFacts& facts);

}  // namespace trainyard::commands
