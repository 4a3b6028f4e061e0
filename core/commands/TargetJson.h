#pragma once
// What the target.* actions answer with.
#include "core/base/Json.h"
#include "core/runs/TargetBook.h"
#include "core/targets/Target.h"

namespace trainyard::commands {

[[nodiscard]] base::Json reachJson(const targets::Reach& reach);
[[nodiscard]] base::Json doctorLineJson(const targets::DoctorLine& line);
[[nodiscard]] base::Json cacheEntryJson(const targets::CacheEntry& entry);
/// {"ok","warning","failure","unknown"}: how many lines of what the doctor found; null when it was never asked.
[[nodiscard]] base::Json doctorSummary(const base::Json& found);
/// {"target","kind","description","disabled","version","hosts","nodes","reach","doctor_at","findings","doctor","spec"}
[[nodiscard]] base::Json targetJson(const runs::TargetDefinition& target, const targets::Reach& reach);

}  // namespace trainyard::commands
