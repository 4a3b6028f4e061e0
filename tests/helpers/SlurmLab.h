#pragma once
// A real Slurm cluster on this machine: munged, slurmctld and one slurmd a node. Each node has its own processes (so
// that it can be crashed as a whole), host name and /tmp; all share one network namespace, that of the test, made by
// isolateNetwork().
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"
#include "tests/helpers/Program.h"

namespace trainyard::test {

struct SlurmLabOptions {
    int nodes = 2;
    int cores = 4;       ///< Of each node, as Slurm is told.
    int gpus = 2;        ///< Of each node; devices made by mknod that lead nowhere.
    int maxMinutes = 0;  ///< Of a job in the partition "short"; 0: no such partition.
};

/// Partitions: "p" (default), "hi" (its jobs put those of "p" back into the queue), "closed" (an account may use it
/// that nobody has) and, where asked for, "short".
class SlurmLab {
public:
    /// What is missing for it here, or empty.
    [[nodiscard]] static std::string missing();
    /// The calling process and its later children get a network of their own with nothing but loopback. Call before
    /// any thread is started.
    [[nodiscard]] static base::Status isolateNetwork();

    SlurmLab();
    /// Ends every process of the cluster and removes its folder.
    ~SlurmLab();
    SlurmLab(const SlurmLab&) = delete;
    SlurmLab& operator=(const SlurmLab&) = delete;

    /// Returns when all nodes are idle. Sets SLURM_CONF of this process.
    [[nodiscard]] base::Status start(const SlurmLabOptions& options = {});
    /// A folder that all nodes see; not under /tmp.
    [[nodiscard]] const base::Path& shared() const { return m_shared; }

    /// All processes of a node end at once, as when its power is cut. `node` from 1.
    void crash(int node);
    [[nodiscard]] base::Status boot(int node);
    /// A Slurm command of the test's own.
    [[nodiscard]] ProgramResult slurm(std::vector<std::string> argv, int timeoutMillis = 20'000) const;
    /// "PENDING" and the like of the newest job of that name, whatever became of it; empty when there is none.
    [[nodiscard]] std::string jobState(const std::string& name) const;
    /// The last words of the daemons, for a failing test.
    [[nodiscard]] std::string logs() const;

private:
    struct Daemon {
        std::string name;
        pid_t pid = 0;
    };
    [[nodiscard]] base::Status spawn(const std::string& name, const std::vector<std::string>& argv);
    void end(Daemon& daemon);
    [[nodiscard]] Daemon* find(const std::string& name);
    [[nodiscard]] std::string conf() const;

    SlurmLabOptions m_options;
    base::Path m_root;
    base::Path m_shared;
    std::vector<Daemon> m_daemons;
};

}  // namespace trainyard::test
