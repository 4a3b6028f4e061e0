#include "core/targets/SlurmDoctor.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "core/base/Text.h"
#include "core/targets/HostCalls.h"
#include "core/targets/SlurmCalls.h"
#include "core/targets/SlurmLaunch.h"
#include "core/targets/SlurmQueue.h"
#include "core/targets/SlurmScript.h"

namespace trainyard::targets {
namespace {

using base::Error;
using State = SchedulerLook::State;

constexpr int kWaitForNodeSeconds = 30;
constexpr std::int64_t kComputeMillis = 75'000;
constexpr std::size_t kMostHosts = 512;
constexpr std::size_t kMostJobs = 200;
constexpr std::pair<int, int> kOldest{20, 11};  ///< srun --overlap

/// Lines about the login host itself that say nothing of where runs go.
constexpr std::array<std::string_view, 10> kOfNoInterest{"processor", "memory", "cores", "slots", "gpus",
                                                         "cuda",      "nccl",   "route", "slurm", "network"};

// Constant texts for /bin/sh; what differs is an argument.
constexpr const char* kWrite = "umask 077; printf %s \"$2\" > \"$1\"";
constexpr const char* kReadBack =
    "for i in 1 2 3 4 5 6; do [ -s \"$2\" ] && break; sleep 1; done; cat \"$2\"; rm -f \"$1\" \"$2\"";
constexpr const char* kOnNode =
    "echo host=$(hostname); echo kernel=$(uname -sr); echo libc=$(getconf GNU_LIBC_VERSION 2> /dev/null); "
    "i=0; while [ ! -s \"$1\" ] && [ $i -lt 6 ]; do sleep 1; i=$((i + 1)); done; "
    "echo \"read=$(cat \"$1\" 2>&1)\"; (printf %s \"$4\" > \"$2\") 2> /dev/null && echo wrote=yes; "
    "echo \"python=$(\"$3\" -c 'import platform; print(platform.python_version())' 2> /dev/null)\"; "
    "echo \"torch=$(\"$3\" -c 'import torch; print(torch.__version__)' 2> /dev/null)\"; "
    "echo \"gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2> /dev/null | head -n 1)\"";

std::string shown(std::string_view text) {
    return base::stripControl(base::toValidUtf8(base::trim(text))).substr(0, 300);
}

std::string countOf(std::int64_t count, const std::string& thing) {
    return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string limitText(std::int64_t seconds) {
    return seconds == 0 ? std::string("no time limit") : "at most " + base::formatDuration(seconds * 1'000'000'000);
}

bool isOf(const SlurmNode& node, const std::string& partitions) {
    if (partitions.empty()) {
        return true;
    }
    const std::vector<std::string> wanted = base::split(partitions, ',');
    return std::any_of(node.partitions.begin(), node.partitions.end(), [&](const std::string& name) {
        return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    });
}

/// Whole lines of an answer that may have been cut at its end.
std::string wholeLines(const ExecResult& result) {
    return result.truncated ? result.out.substr(0, result.out.rfind('\n') + 1) : result.out;
}

class Doctor final : public Operation {
public:
    Doctor(Host& host, const spec::TargetSpec& target, Deadline deadline, std::function<void(DoctorLine)> onLine,
           Done<std::vector<DoctorLine>> done)
        : m_host(host), m_target(target), m_deadline(deadline), m_onLine(std::move(onLine)), m_done(std::move(done)) {
        m_step = doctorHost(
            host, doctorNeeds(target), deadline,
            [this](DoctorLine line) {
                if (std::find(kOfNoInterest.begin(), kOfNoInterest.end(), line.id) == kOfNoInterest.end()) {
                    add(std::move(line));
                }
            },
            [this](const Result<std::vector<DoctorLine>>& lines) {
                if (!lines.ok()) {
                    end(lines.error());
                } else if (m_host.reach().state != Reach::State::Connected) {
                    end(std::move(m_lines));
                } else {
                    askVersion();
                }
            });
    }

private:
    void askVersion() {
        m_step =
            slurmCall(m_host, {{"sinfo", "--version"}, true, {}}, m_deadline, [this](const Result<ExecResult>& result) {
                DoctorLine line{"slurm", "Slurm", {}, Finding::Unknown, {}, {}, base::Json::object()};
                if (!result.ok()) {
                    line.finding = result.error().code == "target.program" ? Finding::Failure : Finding::Unknown;
                    line.text = result.error().message;
                    line.remedy =
                        "Log in to " + m_host.label() +
                        " and try sinfo there; name another login node in the target if it is not there either.";
                    add(std::move(line));
                    end(std::move(m_lines));
                    return;
                }
                const auto version = slurmVersion(result->out);
                line.text = shown(result->out);
                line.values = {{"version", line.text}};
                line.finding = !version ? Finding::Unknown : *version < kOldest ? Finding::Failure : Finding::Ok;
                if (line.finding == Finding::Failure) {
                    line.remedy = "Slurm 20.11 or later is needed.";
                } else if (line.finding == Finding::Unknown) {
                    line.remedy = "The version could not be read; 20.11 or later is needed.";
                }
                add(std::move(line));
                askPartitions();
            });
    }

    void askPartitions() {
        m_step =
            slurmCall(m_host, {{"scontrol", "--oneliner", "show", "partition"}, true, {}}, m_deadline,
                      [this](const Result<ExecResult>& result) {
                          DoctorLine line{"partition", "Partition", {}, Finding::Unknown, {}, {}, base::Json::object()};
                          if (!result.ok()) {
                              line.text = result.error().message;
                              line.remedy = "Try again once the controller answers.";
                              add(std::move(line));
                              end(std::move(m_lines));
                              return;
                          }
                          judgePartition(slurmPartitions(result->out), std::move(line));
                          askNodes();
                      });
    }

    void judgePartition(const std::vector<SlurmPartition>& partitions, DoctorLine line) {
        const std::string wanted = slurmPartition(m_target.slurm);
        std::string names;
        line.values["partitions"] = base::Json::array();
        for (const SlurmPartition& partition : partitions) {
            names += (names.empty() ? "" : ", ") + partition.name;
            line.values["partitions"].push_back({{"name", partition.name},
                                                 {"default", partition.isDefault},
                                                 {"up", partition.up},
                                                 {"max_seconds", partition.maxSeconds},
                                                 {"max_nodes", partition.maxNodes},
                                                 {"nodes", partition.nodes}});
            if (wanted.empty() ? partition.isDefault : partition.name == wanted) {
                line.text =
                    partition.name + ": " + countOf(partition.nodes, "node") + ", " + limitText(partition.maxSeconds) +
                    (partition.maxNodes > 0 ? ", " + countOf(partition.maxNodes, "node") + " a job" : std::string());
                m_partition = partition.name;
            }
        }
        const Status fits = fitsPartition(partitions, m_target.slurm, static_cast<int>(m_target.slurm.maxNodes),
                                          m_target.slurm.timeLimitMinutes);
        if (partitions.empty()) {
            line.text = "Slurm shows you no partition.";
            line.remedy = "Ask the cluster's administrator which partition you may use.";
        } else if (fits.ok()) {
            line.finding = Finding::Ok;
            line.text = line.text.empty() ? wanted : line.text;
        } else {
            // A run may still ask for less than the definition allows, but a partition that is not there fails every
            // run.
            line.finding = fits.error().code == "slurm.partition" ? Finding::Failure : Finding::Warning;
            line.remedy = fits.error().message;
            line.text = line.text.empty() ? "It has: " + names + "." : line.text;
        }
        add(std::move(line));
    }

    void askNodes() {
        m_step = slurmCall(m_host, {{"scontrol", "--details", "--oneliner", "show", "node"}, true, {}}, m_deadline,
                           [this](const Result<ExecResult>& result) {
                               DoctorLine line{"nodes", "Nodes", {}, Finding::Unknown, {}, {}, base::Json::object()};
                               if (result.ok()) {
                                   judgeNodes(slurmNodes(wholeLines(*result)), result->truncated, line);
                               } else {
                                   line.text = result.error().message;
                                   line.remedy = "Try again once the controller answers.";
                               }
                               add(std::move(line));
                               writeShared();
                           });
    }

    void judgeNodes(const std::vector<SlurmNode>& nodes, bool cut, DoctorLine& line) {
        int all = 0;
        int usable = 0;
        int cores = 0;
        int gpus = 0;
        std::int64_t memory = 0;
        std::map<std::string, int> types;
        const std::string partition = m_partition.empty() ? slurmPartition(m_target.slurm) : m_partition;
        for (const SlurmNode& node : nodes) {
            if (!isOf(node, partition)) {
                continue;
            }
            ++all;
            usable += node.usable() ? 1 : 0;
            cores = std::max(cores, node.cores);
            memory = std::max(memory, node.memoryBytes);
            gpus = std::max(gpus, node.gpus);
            for (const auto& [type, count] : node.gpusByType) {
                types[type] = std::max(types[type], count);
            }
        }
        const std::string& type = m_target.slurm.gpuType;
        line.values = {{"nodes", usable},
                       {"nodes_all", all},
                       {"cores", cores},
                       {"gpus", type.empty() ? gpus : types[type]},
                       {"memory_bytes", memory}};
        std::string kinds;
        for (const auto& [name, count] : types) {
            if (!name.empty() && count > 0) {
                kinds += (kinds.empty() ? "" : ", ") + name;
            }
        }
        line.text = std::to_string(usable) + " of " + countOf(all, "node") + (cut ? " that were looked at" : "") +
                    " can be used; up to " + countOf(cores, "core") + ", " + base::formatBytes(memory) +
                    " of memory and " + countOf(gpus, "GPU") + (kinds.empty() ? "" : " (" + kinds + ")") + " on one";
        line.finding = Finding::Ok;
        if (!type.empty() && types[type] == 0) {
            line.finding = Finding::Failure;
            line.remedy = "No node has GPUs of type " + type + "; " +
                          (kinds.empty() ? "the cluster names no types." : "there are: " + kinds + ".");
        } else if (usable == 0) {
            line.finding = Finding::Failure;
            line.remedy = "All nodes are down, drained or do not answer: runs will wait until one is back.";
        } else if (usable < m_target.slurm.maxNodes && !cut) {
            line.finding = Finding::Warning;
            line.remedy = "The target allows runs of " + countOf(m_target.slurm.maxNodes, "node") +
                          "; these would wait until more are back.";
        }
    }

    void writeShared() {
        m_word = base::newUuid7();
        m_fromLogin = m_host.workFolder() + "/.doctor-" + m_word + "-login";
        m_fromNode = m_host.workFolder() + "/.doctor-" + m_word + "-node";
        ExecRequest write;
        write.argv = {"/bin/sh", "-c", kWrite, "sh", m_fromLogin, m_word};
        write.repeat = true;
        m_step = m_host.exec(std::move(write), m_deadline, [this](const Result<ExecResult>& result) {
            if (!result.ok() || result->exit != 0) {
                add({"shared",
                     "Shared work folder",
                     {},
                     Finding::Failure,
                     "The login node cannot write into the work folder: " +
                         (result.ok() ? shown(result->err) : result.error().message),
                     "Choose a work folder in which you may write, on a file system that all nodes see.",
                     {}});
                end(std::move(m_lines));
                return;
            }
            askNode();
        });
    }

    void askNode() {
        std::vector<std::string> argv{"srun"};
        for (const std::string& option : slurmPlace(m_target.slurm)) {
            argv.push_back(option);
        }
        for (const char* option :
             {"--nodes=1", "--ntasks=1", "--time=1", "--job-name=trainyard-doctor", "--quiet", "--mpi=none"}) {
            argv.emplace_back(option);
        }
        argv.push_back("--immediate=" + std::to_string(kWaitForNodeSeconds));
        argv.push_back("--chdir=/");
        for (const std::string& word : {std::string("/bin/sh"), std::string("-c"), std::string(kOnNode),
                                        std::string("sh"), m_fromLogin, m_fromNode, m_target.python, m_word}) {
            argv.push_back(word);
        }
        const Deadline limit =
            m_deadline.millisLeft() < kComputeMillis ? m_deadline : Deadline::inMillis(kComputeMillis);
        m_step = slurmCall(m_host, {std::move(argv), false, {}}, limit, [this](const Result<ExecResult>& result) {
            m_node = result.ok() ? result->out : std::string();
            m_nodeError = result.ok() ? Error{} : result.error();
            readBack();
        });
    }

    void readBack() {
        ExecRequest read;
        const bool ran = m_nodeError.code.empty();
        read.argv = {"/bin/sh", "-c", ran ? kReadBack : "rm -f \"$1\" \"$2\"", "sh", m_fromLogin, m_fromNode};
        read.repeat = true;
        m_step = m_host.exec(std::move(read), m_deadline, [this](const Result<ExecResult>& result) {
            judgeShared(result.ok() ? std::string(base::trim(result->out)) : std::string(), result.ok());
            end(std::move(m_lines));
        });
    }

    void judgeShared(const std::string& back, bool readIt) {
        DoctorLine shared{"shared", "Shared work folder", {}, Finding::Unknown, {}, {}, base::Json::object()};
        DoctorLine compute{"compute", "A compute node", {}, Finding::Unknown, {}, {}, base::Json::object()};
        if (!m_nodeError.code.empty()) {
            const bool busy =
                m_nodeError.message.find("busy") != std::string::npos || m_nodeError.code == "target.deadline";
            const bool refused = m_nodeError.code.starts_with("slurm.") && m_nodeError.code != "slurm.refused";
            shared.text =
                busy ? "No node came free within " + std::to_string(kWaitForNodeSeconds) + " s, so this was not tried."
                     : "The short job did not run: " + m_nodeError.message;
            shared.remedy = busy ? "Run the doctor again when the queue is shorter."
                                 : "Correct what Slurm names, then run the doctor again.";
            shared.finding = refused && !busy ? Finding::Failure : Finding::Unknown;
            compute.text = shared.text;
            compute.remedy = shared.remedy;
            add(std::move(shared));
            add(std::move(compute));
            return;
        }
        std::map<std::string, std::string> said;
        for (const std::string& line : base::split(m_node, '\n')) {
            const std::size_t equals = line.find('=');
            if (equals != std::string::npos) {
                said[line.substr(0, equals)] = shown(line.substr(equals + 1));
            }
        }
        const std::string node = said["host"].empty() ? "the compute node" : said["host"];
        const bool there = said["read"] == m_word;
        const bool returned = back == m_word;
        shared.values = {{"read", there}, {"written", returned}};
        if (there && returned) {
            shared.finding = Finding::Ok;
            shared.text = "What the login node writes is read on " + node + ", and the other way round.";
        } else if (!readIt) {
            shared.text = "The login node could not look for what " + node + " wrote.";
            shared.remedy = "Run the doctor again.";
        } else {
            shared.finding = Finding::Failure;
            shared.text =
                !there
                    ? "What the login node writes into " + m_host.workFolder() + " is not there on " + node + "."
                    : "What " + node + " writes into " + m_host.workFolder() + " does not come back to the login node.";
            shared.remedy =
                "Choose a work folder on a file system that login and compute nodes see under the same path.";
        }
        compute.finding = said["host"].empty() ? Finding::Unknown : Finding::Ok;
        compute.host = said["host"];
        compute.values = {{"kernel", said["kernel"]},
                          {"libc", said["libc"]},
                          {"python", said["python"]},
                          {"torch", said["torch"]},
                          {"gpu", said["gpu"]}};
        compute.text = said["kernel"] + ", " + (said["libc"].empty() ? "no glibc" : said["libc"]) + ", " +
                       (said["python"].empty() ? "no " + m_target.python : "Python " + said["python"]) + ", " +
                       (said["torch"].empty() ? std::string("no torch in it") : "torch " + said["torch"]) +
                       (said["gpu"].empty() ? std::string() : ", GPU " + said["gpu"]);
        if (compute.finding == Finding::Ok && said["python"].empty()) {
            compute.finding = Finding::Warning;
            compute.remedy =
                "Runs of the engine need no Python; for scripts, name an interpreter that is on the compute nodes.";
        } else if (compute.finding == Finding::Unknown) {
            compute.remedy = "Run the doctor again.";
        }
        add(std::move(shared));
        add(std::move(compute));
    }

    void add(DoctorLine line) {
        m_lines.push_back(line);
        if (m_onLine) {
            m_onLine(std::move(line));
        }
    }
    void end(Result<std::vector<DoctorLine>> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    spec::TargetSpec m_target;
    Deadline m_deadline;
    std::function<void(DoctorLine)> m_onLine;
    Done<std::vector<DoctorLine>> m_done;
    std::vector<DoctorLine> m_lines;
    std::string m_partition;
    std::string m_word;
    std::string m_fromLogin;
    std::string m_fromNode;
    std::string m_node;
    Error m_nodeError;
    OperationPtr m_step;
};

const char* stateWord(State state) {
    switch (state) {
    case State::Pending: return "pending";
    case State::Running: return "running";
    case State::Ending: return "ending";
    default: return "other";
    }
}

class Load final : public Operation {
public:
    Load(Host& host, const spec::TargetSpec& target, Deadline deadline, Done<base::Json> done)
        : m_host(host), m_partition(slurmPartition(target.slurm)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = slurmCall(host, {{"scontrol", "--details", "--oneliner", "show", "node"}, true, {}}, deadline,
                           [this](const Result<ExecResult>& result) {
                               if (!result.ok()) {
                                   end(result.error());
                                   return;
                               }
                               addNodes(slurmNodes(wholeLines(*result)));
                               askQueue();
                           });
    }

private:
    void addNodes(const std::vector<SlurmNode>& nodes) {
        m_load["hosts"] = base::Json::array();
        for (const SlurmNode& node : nodes) {
            if (!isOf(node, m_partition)) {
                continue;
            }
            ++m_nodes;
            if (m_load["hosts"].size() == kMostHosts) {
                continue;
            }
            base::Json gpus = base::Json::array();
            for (int i = 0; i < node.gpus; ++i) {
                std::string kind;
                for (const auto& [type, count] : node.gpusByType) {
                    kind = kind.empty() ? type : kind;
                }
                // Slurm knows how many are given out, not which.
                gpus.push_back({{"index", i},
                                {"name", kind},
                                {"lease", i < node.gpusBusy ? base::Json("Slurm") : base::Json()},
                                {"stranger", base::Json()}});
            }
            m_load["hosts"].push_back({{"host", node.name},
                                       {"state", base::stripControl(node.state)},
                                       {"usable", node.usable()},
                                       {"cores", node.cores},
                                       {"cores_busy", node.coresBusy},
                                       {"memory_bytes", node.memoryBytes},
                                       {"memory_used_bytes", node.memoryBusyBytes},
                                       {"load", node.load},
                                       {"gpus", std::move(gpus)},
                                       {"leases", base::Json::array()},
                                       {"waiting", base::Json::array()}});
        }
        m_load["nodes"] = m_nodes;
    }
    void askQueue() {
        m_step = slurmCall(
            m_host, {squeueOfPartition(m_partition), true, {}}, m_deadline, [this](const Result<ExecResult>& result) {
                if (!result.ok()) {
                    end(result.error());
                    return;
                }
                base::Json jobs = base::Json::array();
                std::int64_t running = 0;
                std::int64_t pending = 0;
                for (const SlurmQueued& queued : slurmQueue(wholeLines(*result))) {
                    running += queued.state == State::Running ? 1 : 0;
                    pending += queued.state == State::Pending ? 1 : 0;
                    if (jobs.size() < kMostJobs) {
                        jobs.push_back({{"job", queued.job},
                                        {"user", queued.user},
                                        {"name", queued.name},
                                        {"state", stateWord(queued.state)},
                                        {"nodes", queued.nodes},
                                        {"reason", queued.reason},
                                        {"start", queued.start}});
                    }
                }
                m_load["queue"] = {{"running", running}, {"pending", pending}, {"jobs", std::move(jobs)}};
                end(std::move(m_load));
            });
    }
    void end(Result<base::Json> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    std::string m_partition;
    Deadline m_deadline;
    Done<base::Json> m_done;
    base::Json m_load = base::Json::object();
    std::int64_t m_nodes = 0;
    OperationPtr m_step;
};

}  // namespace

OperationPtr doctorOfSlurm(Host& host, const spec::TargetSpec& target, Deadline deadline,
                           std::function<void(DoctorLine)> onLine, Done<std::vector<DoctorLine>> done) {
    return std::make_unique<Doctor>(host, target, deadline, std::move(onLine), std::move(done));
}

OperationPtr loadOfSlurm(Host& host, const spec::TargetSpec& target, Deadline deadline, Done<base::Json> done) {
    return std::make_unique<Load>(host, target, deadline, std::move(done));
}

}  // namespace trainyard::targets
