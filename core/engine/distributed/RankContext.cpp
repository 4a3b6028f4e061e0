#include "core/engine/distributed/RankContext.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/wire/Plan.h"

namespace trainyard::engine {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

base::Status readNumber(const char* name, std::int64_t minimum, std::int64_t maximum, std::int64_t& into) {
    const std::string text = variable(name);
    if (text.empty()) {
        return {};
    }
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || value < minimum || value > maximum) {
        return base::Error{"env.rank",
                           std::string("The environment variable ") + name + " is \"" + text +
                               "\"; a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum) +
                               " is needed.",
                           name};
    }
    into = value;
    return {};
}

}  // namespace

base::Result<RankContext> RankContext::fromEnvironment() {
    constexpr std::int64_t kMaxRanks = 1 << 16;
    RankContext context;
    std::int64_t rank = 0;
    std::int64_t world = 1;
    TRAINYARD_TRY(readNumber("RANK", 0, kMaxRanks, rank));
    TRAINYARD_TRY(readNumber("WORLD_SIZE", 1, kMaxRanks, world));
    std::int64_t localRank = rank;
    std::int64_t localWorld = world;
    std::int64_t timeoutSeconds = context.timeoutMillis / 1000;
    TRAINYARD_TRY(readNumber("LOCAL_RANK", 0, kMaxRanks, localRank));
    TRAINYARD_TRY(readNumber("LOCAL_WORLD_SIZE", 1, kMaxRanks, localWorld));
    TRAINYARD_TRY(readNumber("MASTER_PORT", 0, 65535, context.masterPort));
    TRAINYARD_TRY(readNumber("TRAINYARD_PEER_TIMEOUT", 1, 86'400, timeoutSeconds));
    TRAINYARD_TRY(readNumber(wire::variable::kAttempt, 1, 1'000'000, context.attempt));
    if (rank >= world) {
        return base::Error{"env.rank",
                           "RANK is " + std::to_string(rank) + ", but WORLD_SIZE is " + std::to_string(world) + ".",
                           "RANK"};
    }
    context.rank = static_cast<int>(rank);
    context.world = static_cast<int>(world);
    context.localRank = static_cast<int>(localRank);
    context.localWorld = static_cast<int>(localWorld);
    context.timeoutMillis = timeoutSeconds * 1000;
    if (const std::string host = variable("MASTER_ADDR"); !host.empty()) {
        context.masterHost = host;
    }
    context.interface = variable("GLOO_SOCKET_IFNAME");
    context.rendezvous = variable(wire::variable::kRendezvous);
    if (!context.rendezvous.empty()) {
        context.masterPort = 0;  // The file wins: a port chosen beforehand may be taken by now.
    }
    context.outputs = variable(wire::variable::kOutputs);
    context.control = variable(wire::variable::kControl);
    context.runId = variable(wire::variable::kRunId);
    if (world > 1 && context.masterPort == 0 && context.rendezvous.empty()) {
        return base::Error{"env.rank",
                           "WORLD_SIZE is " + std::to_string(world) +
                               ", but neither TRAINYARD_RENDEZVOUS nor MASTER_PORT says where to meet.",
                           wire::variable::kRendezvous};
    }
    return context;
}

}  // namespace trainyard::engine
