#pragma once
// A process as it can be recognised later: pids are reused, so pid alone decides nothing.
#include <cstdint>
#include <optional>
#include <string>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::base {

struct ProcessIdentity {
    std::int64_t pid = 0;
    std::int64_t startTicks = 0;  ///< Field 22 of /proc/PID/stat, clock ticks since boot.
    std::string bootId;           ///< /proc/sys/kernel/random/boot_id.

    bool operator==(const ProcessIdentity&) const = default;
};

/// This machine's boot id.
[[nodiscard]] std::string bootId();
/// Identity of a live process, or nullopt.
[[nodiscard]] std::optional<ProcessIdentity> identify(std::int64_t pid);
enum class Liveness { Alive, Gone, OtherBoot };
/// Alive only for the very same process (zombies count as Gone).
[[nodiscard]] Liveness liveness(const ProcessIdentity& identity);

[[nodiscard]] Json toJson(const ProcessIdentity& identity);
[[nodiscard]] Result<ProcessIdentity> processIdentityFromJson(const Json& json);

}  // namespace trainyard::base
