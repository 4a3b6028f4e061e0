#pragma once
#include <cstdint>
#include <string>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::engine {

/// What a rank is told by whoever started it: torchrun's variables and Trainyard's.
struct RankContext {
    int rank = 0;
    int world = 1;
    int localRank = 0;
    int localWorld = 1;
    std::string masterHost = "127.0.0.1";
    std::int64_t masterPort = 0;  ///< 0: rank 0 binds a free port and publishes it in `rendezvous`.
    base::Path rendezvous;        ///< File with {"host", "port"}; empty when masterPort is given.
    std::string interface;        ///< GLOO_SOCKET_IFNAME; empty: the one that leads to masterHost.
    base::Path outputs;           ///< Where results go.
    base::Path control;           ///< May be empty.
    std::string runId;
    std::int64_t attempt = 1;              ///< From the second on, training goes on from the run's own last checkpoint.
    std::int64_t timeoutMillis = 120'000;  ///< Longest wait for a peer (TRAINYARD_PEER_TIMEOUT, seconds).

    [[nodiscard]] bool leads() const { return rank == 0; }
    /// "env.rank" when the variables contradict each other or are no numbers.
    [[nodiscard]] static base::Result<RankContext> fromEnvironment();
};

}  // namespace trainyard::engine
