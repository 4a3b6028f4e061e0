#pragma once
// mpirun (in a Slurm job: srun) as the lead starts it: it brings up `trainyard-agent rank NODEFOLDER` once for each
// rank, on this machine and, by the system's ssh, on the others. What the ranks are to do stands in each node's plan,
// so nothing that a user wrote goes through mpirun's or ssh's command line. It outlives the agent.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/RankFiles.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

/// Where one node's ranks are started.
struct MpiNode {
    std::string address;  ///< Numeric.
    std::string program;  ///< The agent there.
    std::string folder;   ///< Its node folder.
};

/// The whole command line. `interfaceNetwork`: "10.1.0.0/16", or empty.
[[nodiscard]] std::vector<std::string> mpirunCommand(const wire::Plan& plan, const std::vector<MpiNode>& nodes,
                                                     const std::string& interfaceNetwork, bool asRoot);
/// The way in which this machine's srun can start MPI's ranks: "pmix", else "pmi2". Errors: "mpi.srun".
[[nodiscard]] Result<std::string> srunMpi();
/// In a Slurm job: as many ranks on each node, in the order of the nodes, over the same processors as the agents' own
/// step.
[[nodiscard]] std::vector<std::string> srunCommand(const wire::Plan& plan, const std::string& program,
                                                   const Path& runFolder);
/// "10.1.0.0/16" of the interface that has this address; empty for the loopback and where none has it.
[[nodiscard]] std::string networkOf(const std::string& address);
/// The index on its node of the rank that MPI's launcher started this process as. Errors: "mpi.variables".
[[nodiscard]] Result<int> mpiLocalRank(const wire::Plan& plan);

class MpiLauncher {
public:
    explicit MpiLauncher(const NodeLayout& layout) : m_layout(layout) {}
    /// Starts it, unless one was started on this folder before. Errors: "mpi.start".
    [[nodiscard]] Status start(const std::vector<std::string>& command);
    [[nodiscard]] bool alive() const;
    /// Waits a moment for its end, asks it to end, then ends it with its group. `pause` waits a little and does what
    /// must go on.
    void end(const std::function<void()>& pause);
    /// The last of what it said.
    [[nodiscard]] std::string lastWords() const;

private:
    [[nodiscard]] Path noteFile() const { return m_layout.root / "mpirun.json"; }
    [[nodiscard]] Path log() const { return m_layout.root / "mpirun.log"; }
    NodeLayout m_layout;
    std::optional<ProcessIdentity> m_process;
};

}  // namespace trainyard::agent
