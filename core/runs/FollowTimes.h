#pragma once
// Room-internal: how long a follower waits for what; words that several files use.
#include <algorithm>
#include <cstdint>

#include "core/base/Clock.h"

namespace trainyard::runs {

inline constexpr std::int64_t kSilenceNanos =
    2'000'000'000;  ///< Without a byte for so long, this machine is looked at.
inline constexpr std::int64_t kRemoteSilenceNanos = 5'000'000'000;  ///< The same elsewhere.
inline constexpr std::int64_t kRemoteLookNanos = 8'000'000'000;     ///< And not more often than this.
inline constexpr std::int64_t kSchedulerLookNanos =
    30'000'000'000;  ///< How often the scheduler is asked while the run speaks for itself.
inline constexpr std::int64_t kLostLookNanos = 5'000'000'000;          ///< How often a lost run is looked for.
inline constexpr std::int64_t kUnreachableLookNanos = 15'000'000'000;  ///< The same while its target cannot be reached.
inline constexpr std::int64_t kLaunchPatienceNanos = 5'000'000'000;  ///< For an agent that we started to say who it is.
inline constexpr std::int64_t kRestartAgainNanos = 30'000'000'000;  ///< Between tries to start the agent of a lost run.
inline constexpr std::int64_t kNodesEndNanos = 10'000'000'000;  ///< For the last words of the nodes after the lead's.
inline constexpr std::int64_t kSchedulerEndNanos =
    6'000'000'000;  ///< For the agents' last words after the scheduler's.
inline constexpr std::int64_t kSchedulerGoneNanos =
    60'000'000'000;                             ///< A job that nobody knows and of which nothing runs.
inline constexpr int kLostCancelMillis = 5000;  ///< For the end of a lost run that was told to cancel.
inline constexpr int kMostRestarts = 3;
inline constexpr int kStepMillis = 20'000;

/// Warning of a run that was given up: something of it may still be on its target.
inline constexpr const char* kLeftThere = "run.left";

[[nodiscard]] inline base::Deadline stepDeadline() { return base::Deadline::inMillis(kStepMillis); }

/// Growing pauses: 1, 2, 4 … 60 seconds.
[[nodiscard]] inline int pauseMillis(int tries) { return std::min(1000 << std::min(tries, 6), 60'000); }

}  // namespace trainyard::runs
