#include "tests/helpers/SlurmLan.h"

#include "core/base/Ids.h"
#include "core/base/Text.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/SlurmLab.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {
namespace {

constexpr int kIdleMillis = 40'000;

LabOptions options(int computeNodes) {
    LabOptions options;
    options.hosts = computeNodes + 1;
    options.shared = true;
    return options;
}

}  // namespace

std::string SlurmLan::missing() {
    const std::string lab = Lab::missing();
    if (!lab.empty()) {
        return lab;
    }
    if (!std::filesystem::is_directory("/etc/slurm")) {
        return "the folder /etc/slurm is not there";
    }
    return SlurmLab::missing();
}

SlurmLan::SlurmLan(int computeNodes) : m_nodes(computeNodes), m_lab(options(computeNodes)) {}

base::Status SlurmLan::up() {
    if (!m_lab.up()) {
        return base::Error{"lab.up", m_lab.error()};
    }
    const std::string last = std::to_string(m_nodes + 1);
    const std::string conf =
        "ClusterName=lan\nSlurmctldHost=node1\nSlurmUser=root\nAuthType=auth/"
        "munge\nAuthInfo=cred_expire=5\nCredType=cred/munge\n"
        "StateSaveLocation=/home/lab/.slurm/state\nSlurmdSpoolDir=/run/slurmd\nSlurmctldPidFile=/run/slurmctld.pid\n"
        "SlurmdPidFile=/run/slurmd.pid\nSlurmctldLogFile=/home/lab/.slurm/slurmctld.log\nSlurmdLogFile=/home/lab/"
        ".slurm/slurmd.%n.log\n"
        "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSchedulerType=sched/backfill\nSelectType=select/"
        "cons_tres\n"
        "SelectTypeParameters=CR_Core\nMpiDefault=none\nReturnToService=2\n"
        "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1\n"
        "AccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\nJobAcctGatherType=jobacct_gather/"
        "none\n"
        "PreemptType=preempt/"
        "partition_prio\nPreemptMode=REQUEUE\nJobRequeue=1\nKillWait=5\nMinJobAge=300\nSlurmdTimeout=5\n"
        "MessageTimeout=5\nTCPTimeout=2\nSlurmdParameters=config_overrides\nGresTypes=gpu\n"
        "NodeName=node[2-" +
        last +
        "] CPUs=4 RealMemory=4000 Gres=gpu:fake:2 State=UNKNOWN\n"
        "PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
        "PartitionName=hi Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10\n";
    const base::Path folder = home() / ".slurm";
    std::error_code error;
    std::filesystem::create_directories(folder / "state", error);
    std::filesystem::permissions(folder, std::filesystem::perms(0755), error);
    TRAINYARD_TRY(base::writeFileAtomically(folder / "slurm.conf", conf, 0644));
    TRAINYARD_TRY(base::writeFileAtomically(folder / "gres.conf", "Name=gpu Type=fake File=/run/gpu[0-1]\n", 0644));
    TRAINYARD_TRY(
        base::writeFileAtomically(folder / "munge.key", base::newUuid7() + base::newUuid7() + base::newUuid7(), 0400));
    TRAINYARD_TRY(base::writeFileAtomically(
        folder / "daemons.sh",
        base::readFile(sourceFolder() / "tests/helpers/lab/slurm-daemons.sh").valueOr(std::string()), 0755));
    for (int host = 1; host <= m_nodes + 1; ++host) {
        TRAINYARD_TRY(startDaemons(host));
    }
    const bool idle = waitFor(
        [&] {
            int count = 0;
            for (const std::string& line : base::split(slurm({"sinfo", "-h", "-N", "-p", "p", "-o", "%T"}), '\n')) {
                count += line == "idle" ? 1 : 0;
            }
            return count == m_nodes;
        },
        kIdleMillis);
    return idle ? base::Status{}
                : base::Error{"lab.nodes", "The nodes did not become idle: " + slurm({"sinfo", "-N", "-l"})};
}

base::Status SlurmLan::boot(int host) {
    if (!m_lab.boot(host)) {
        return base::Error{"lab.boot", m_lab.error()};
    }
    return startDaemons(host);
}

base::Status SlurmLan::startDaemons(int host) {
    const ProgramResult started =
        m_lab.run(host, {"/bin/bash", "/home/lab/.slurm/daemons.sh", host == 1 ? "controller" : "compute"});
    return started.exitCode == 0 ? base::Status{}
                                 : base::Error{"lab.daemons", started.out + started.err + m_lab.error()};
}

std::string SlurmLan::slurm(const std::vector<std::string>& argv) {
    const ProgramResult said = m_lab.run(1, argv);
    return said.out + said.err;
}

}  // namespace trainyard::test
