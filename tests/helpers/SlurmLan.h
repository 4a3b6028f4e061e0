#pragma once
// Slurm over the hosts of a Lab: node1 is the login node and runs the controller, the others compute. Every host has
// its own network, /tmp and processes; all see the same home folder. Everything goes through ssh to node1, as an
// ordinary user.
#include "core/base/Files.h"
#include "core/base/Result.h"
#include "tests/helpers/Lab.h"

namespace trainyard::test {

class SlurmLan {
public:
    [[nodiscard]] static std::string missing();

    explicit SlurmLan(int computeNodes = 2);
    /// Returns when all compute nodes are idle.
    [[nodiscard]] base::Status up();
    Lab& lab() { return m_lab; }
    /// The home folder that all hosts see, as it lies here.
    [[nodiscard]] base::Path home() const { return m_lab.home(1); }

    /// After Lab::crash(): the host and its daemons again.
    [[nodiscard]] base::Status boot(int host);
    /// A Slurm command on the login node, as root.
    [[nodiscard]] std::string slurm(const std::vector<std::string>& argv);

private:
    [[nodiscard]] base::Status startDaemons(int host);

    int m_nodes;
    Lab m_lab;
};

}  // namespace trainyard::test
