#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace trainyard::spec {

/// The run's states. Lost: the target cannot be reached; it is looked for again.
enum class RunState { Draft, Preparing, Queued, Running, Finalizing, Completed, Failed, Canceled, Lost };

[[nodiscard]] std::string_view toString(RunState state);  ///< "Running"
[[nodiscard]] std::optional<RunState> runStateFromString(std::string_view text);
/// Completed, Failed, Canceled.
[[nodiscard]] bool isFinal(RunState state);
/// Whether `to` may follow `from`: forward through the stages, to an end from anywhere, Lost and back, nothing after an
/// end.
[[nodiscard]] bool mayFollow(RunState from, RunState to);

}  // namespace trainyard::spec
