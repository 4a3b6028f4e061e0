#pragma once
// From submit to the first line of log, for benchmarks of whatever stands between the two.
#include <string>
#include <utility>

#include "core/targets/Target.h"
#include "tests/bench/BenchSshd.h"

namespace trainyard::bench {

/// A run of one rank that says one line.
inline targets::LaunchPlan linePlan() {
    targets::LaunchPlan plan;
    plan.plan.run = base::RunId::make();
    plan.plan.command = {"sh", "-c", "echo the first line"};
    plan.plan.cores = 1;
    plan.plan.diskReserveBytes = 1 << 20;
    return plan;
}

/// Launches, follows, and waits for the line of linePlan(); the run ends by itself before this returns. In seconds.
inline double firstLine(targets::Target& target, targets::LaunchPlan plan, std::int64_t limitSeconds = 30) {
    bool seen = false;
    bool ended = false;
    std::string bytes;
    std::string failed;
    const base::RunId run = plan.plan.run;
    const std::int64_t begin = base::monotonicNanos();
    targets::OperationPtr following;
    const auto launching = target.launch(std::move(plan), {}, [&](const base::Status& status) {
        if (!status.ok()) {
            failed = status.error().message;
            return;
        }
        following = target.follow(
            run, {},
            [&](const targets::StreamChunk& chunk) {
                bytes += chunk.bytes;
                seen = seen || bytes.find("[\"the first line\"]") != std::string::npos;
                ended = bytes.find("\"kind\":\"ended\"") != std::string::npos;
            },
            [&](const base::Error& error) { failed = error.message; });
    });
    while (!seen && !ended && failed.empty() && base::monotonicNanos() - begin < limitSeconds * 1'000'000'000) {
        turn();
    }
    const std::int64_t took = base::monotonicNanos() - begin;
    if (!seen) {
        stop("no first line came: " + failed + bytes);
    }
    if (!test::waitFor([&] { return ended; }, 20'000)) {
        stop("the run did not end");
    }
    return seconds(took);
}

}  // namespace trainyard::bench
