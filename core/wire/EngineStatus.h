#pragma once

/// Exit statuses of trainyard-engine. `train` tells its failures apart; every other verb ends with 0, 1 or 2.
namespace trainyard::wire::engine_status {
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kNotFinite = 3;  ///< The loss is no finite number any more ("train.nan").
inline constexpr int kPeer = 4;       ///< Another rank is gone or silent ("train.peer").
inline constexpr int kDisk = 5;       ///< Writing failed ("file.full", "engine.disk").
inline constexpr int kMemory = 6;     ///< Memory ran out ("engine.memory").
inline constexpr int kStopped = 143;  ///< Ended by SIGTERM after a checkpoint, as a shell reports that signal.
}  // namespace trainyard::wire::engine_status
