#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"

namespace trainyard::test {

/// How a program ended and what it said.
struct ProgramResult {
    bool started = false;
    bool timedOut = false;  ///< It was killed after the time limit.
    int exitCode = -1;      ///< -1 when a signal ended it.
    int signal = 0;
    std::string out;
    std::string err;
};

struct ProgramOptions {
    std::string input{};
    std::vector<std::pair<std::string, std::string>> variables{};  ///< Beside this process's own.
    base::Path folder{};                                           ///< Working folder; empty: this one's.
    int timeoutMillis = 30000;
};

/// Runs a program to its end, with both outputs taken at once. Never hangs longer than the limit.
[[nodiscard]] ProgramResult runProgram(const base::Path& program, const std::vector<std::string>& arguments,
                                       const ProgramOptions& options = {});

/// A program of this build (TRAINYARD_BIN, else bin/ beside the tests): builtProgram("trainyard-agent").
[[nodiscard]] base::Path builtProgram(std::string_view name);

}  // namespace trainyard::test
