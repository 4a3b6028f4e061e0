#include "core/spec/RunState.h"

#include <array>
#include <utility>

namespace trainyard::spec {

namespace {

constexpr std::array<std::pair<RunState, std::string_view>, 9> kNames = {{
    {RunState::Draft, "Draft"},
    {RunState::Preparing, "Preparing"},
    {RunState::Queued, "Queued"},
    {RunState::Running, "Running"},
    {RunState::Finalizing, "Finalizing"},
    {RunState::Completed, "Completed"},
    {RunState::Failed, "Failed"},
    {RunState::Canceled, "Canceled"},
    {RunState::Lost, "Lost"},
}};

/// Place on the way from Draft to the end; Lost stands beside it.
int stage(RunState state) { return static_cast<int>(state); }

}  // namespace

std::string_view toString(RunState state) { return kNames[static_cast<std::size_t>(state)].second; }

std::optional<RunState> runStateFromString(std::string_view text) {
    for (const auto& [state, name] : kNames) {
        if (name == text) {
            return state;
        }
    }
    return std::nullopt;
}

bool isFinal(RunState state) {
    return state == RunState::Completed || state == RunState::Failed || state == RunState::Canceled;
}

bool mayFollow(RunState from, RunState to) {
    if (isFinal(from) || from == to || to == RunState::Draft) {
        return false;
    }
    if (from == RunState::Lost) {
        return true;  // Found again, at whatever stage it is by now.
    }
    if (to == RunState::Lost) {
        return from != RunState::Draft;
    }
    return isFinal(to) || stage(to) > stage(from);
}

}  // namespace trainyard::spec
