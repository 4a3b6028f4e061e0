#pragma once
// What the output of a build's step says went wrong, in the words of pip, venv, conda, mamba, micromamba, podman,
// docker and apptainer; and what helps. Pure.
#include <string>
#include <string_view>
#include <vector>

namespace trainyard::agent {

/// The line that tells most of the error, with the few lines that list what it is about; else the last line; at most
/// 500 bytes. `lines`: the end of a log, UTF-8 without control characters.
[[nodiscard]] std::string whatWentWrong(const std::vector<std::string>& lines);

/// A sentence for people who read that error. Never empty.
[[nodiscard]] std::string remedyOf(std::string_view error);

/// Somewhere a disk is full, by the words of the C library.
[[nodiscard]] bool saysDiskIsFull(std::string_view text);

}  // namespace trainyard::agent
