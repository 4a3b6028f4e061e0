#pragma once
// Rows of the index as JSON, as results of actions and as the CLI's --json shows them. Text:
// resources/docs/protocol/cli.md.
#include <vector>

#include "core/base/Json.h"
#include "core/store/Types.h"
#include "core/targets/Target.h"

namespace trainyard::commands {

[[nodiscard]] base::Json toJson(const store::RunRow& row);
/// Which run an answer is about: its id and number.
[[nodiscard]] base::Json runReference(const store::RunRow& row);
[[nodiscard]] base::Json toJson(const store::Progress& progress);
[[nodiscard]] base::Json toJson(const store::MetricSummary& metric);
[[nodiscard]] base::Json toJson(const store::StageRow& stage);
[[nodiscard]] base::Json toJson(const store::AttemptRow& attempt);
[[nodiscard]] base::Json toJson(const store::RankRow& rank);
[[nodiscard]] base::Json toJson(const store::OutputRow& output);
[[nodiscard]] base::Json toJson(const store::WarningRow& warning);
[[nodiscard]] base::Json toJson(const store::LogLine& line);
/// Adds "silent": [{host, message}] where hosts did not answer that have a part of what was asked for.
void addSilent(base::Json& answer, const std::vector<targets::SilentHost>& silent);
/// Null for 0, else ISO 8601 in UTC.
[[nodiscard]] base::Json timeToJson(std::int64_t micros);

}  // namespace trainyard::commands
