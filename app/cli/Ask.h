#pragma once
#include <optional>
#include <string>

#include "core/targets/Target.h"

namespace trainyard::cli {

/// Whether there is a terminal to ask on.
[[nodiscard]] bool hasTerminal();
/// Asks on /dev/tty and waits for a line there, for five minutes at most; passwords are not shown. Nothing without a
/// terminal, at its end, or when a signal comes: that is then handled as if nobody had waited, with the terminal as it
/// was. Main thread.
[[nodiscard]] std::optional<std::string> askOnTerminal(const targets::Question& question);

}  // namespace trainyard::cli
