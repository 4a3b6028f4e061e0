#pragma once
// The member "environment" of plan.json.
#include "core/base/Json.h"
#include "core/wire/Plan.h"

namespace trainyard::wire {

[[nodiscard]] base::Json toJson(const PlanEnvironment& environment);

/// Absent, null and {} are an environment that says nothing. Errors ("plan.environment", json.*) are told to `plan`.
[[nodiscard]] PlanEnvironment environmentFromJson(const base::Json& json, base::ObjectReader& plan);

}  // namespace trainyard::wire
