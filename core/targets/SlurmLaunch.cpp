#include "core/targets/SlurmLaunch.h"

#include <algorithm>
#include <utility>

#include "core/base/Text.h"
#include "core/targets/Bootstrap.h"
#include "core/targets/Deploy.h"
#include "core/targets/HostCalls.h"
#include "core/targets/SlurmCalls.h"
#include "core/targets/SlurmQueue.h"
#include "core/targets/SlurmScript.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {
namespace {

using base::Error;

constexpr std::int64_t kCallMillis = 60'000;  ///< A busy controller may take long to answer.
constexpr const char* kScriptName = "job.sh";
constexpr const char* kManifestName = "snapshot.json";
constexpr const char* kEngineWord = "$TRAINYARD_ENGINE";

/// A pipe's agent runs from where it is installed; compute nodes need it in the work folder. Constant text; $1 is the
/// program, $2 its folder there.
constexpr const char* kCopyAgent =
    "[ -x \"$2/trainyard-agent\" ] && exit 0; umask 077; mkdir -p \"$2\" && cp \"$1\" \"$2/.agent.$$\" && "
    "chmod 700 \"$2/.agent.$$\" && mv \"$2/.agent.$$\" \"$2/trainyard-agent\"";

std::int64_t minutesOf(std::int64_t seconds) { return (seconds + 59) / 60; }

std::string duration(std::int64_t seconds) { return base::formatDuration(seconds * 1'000'000'000); }

/// Without the folders, which are known once the host is connected.
SlurmJob jobOf(const spec::SlurmSpec& slurm, const wire::Plan& plan) {
    SlurmJob job;
    job.run = plan.run;
    job.nodes = plan.nodes;
    job.cores = plan.cores > 0 ? plan.cores : plan.processes;
    job.gpus = plan.gpus;
    job.minutes = minutesOf(plan.maxSeconds);
    if (slurm.requeueAtLimit && slurm.timeLimitMinutes > 0 && slurm.timeLimitMinutes < job.minutes) {
        job.minutes =
            slurm.timeLimitMinutes;  // several jobs, one after the other; the agents see to the run's own limit
    }
    return job;
}

class Launch final : public Operation {
public:
    Launch(Host& host, const spec::TargetSpec& target, LaunchPlan plan, std::function<void(LaunchProgress)> onProgress,
           DoneStatus done)
        : m_host(host), m_target(target), m_plan(std::move(plan)), m_onProgress(std::move(onProgress)),
          m_done(std::move(done)) {
        m_job = jobOf(target.slurm, m_plan.plan);
        const Deadline patience = Deadline::inMillis(std::max<std::int64_t>(kCallMillis, 3000 * target.connectSeconds));
        m_step = host.connect(patience, [this](const Status& status) { connected(status); });
    }

private:
    [[nodiscard]] static Deadline soon() { return Deadline::inMillis(kCallMillis); }
    [[nodiscard]] wire::WorkLayout work() const { return {m_host.workFolder()}; }

    void connected(const Status& status) {
        if (!status.ok()) {
            end(status.error());
            return;
        }
        m_job.runFolder = work().run(m_job.run).string();
        const base::Json& hello = m_host.hello();
        const std::string hash =
            hello.contains("sha256") && hello["sha256"].is_string() ? hello["sha256"].get<std::string>() : "";
        m_job.agent = work().agentProgram(hash).string();
        // What is wrong with the script is told before anything travels.
        wire::Plan& plan = m_plan.plan;
        if (plan.distribution == "mpi" && (plan.launcher.empty() || plan.launcher == "auto")) {
            plan.launcher = m_target.slurm.launcher;
        }
        if (plan.distribution == "mpi" && plan.launcher != "srun") {
            end(Error{"slurm.launcher",
                      "In a Slurm job MPI's ranks are started by srun; choose srun or Automatic as the MPI launcher, "
                      "here and in the target.",
                      "distribution.launcher"});
            return;
        }
        if (const auto script = slurmScript(m_target.slurm, m_job); !script.ok()) {
            end(script.error());
            return;
        }
        m_step = findSlurmJob(m_host, m_job.run, soon(), [this](const Result<std::optional<std::string>>& found) {
            if (!found.ok()) {
                end(found.error());
            } else if (*found) {
                m_number = **found;
                rememberJob();
            } else {
                lookAtPartition();
            }
        });
    }

    void lookAtPartition() {
        m_step = slurmCall(m_host, {{"scontrol", "--oneliner", "show", "partition"}, true, {}}, soon(),
                           [this](const Result<ExecResult>& result) {
                               if (!result.ok()) {
                                   end(result.error());
                                   return;
                               }
                               const std::int64_t minutes =
                                   m_job.minutes > 0 ? m_job.minutes : m_target.slurm.timeLimitMinutes;
                               const Status fits = result->truncated
                                                       ? Status()
                                                       : fitsPartition(slurmPartitions(result->out), m_target.slurm,
                                                                       m_job.nodes, minutes);
                               if (!fits.ok()) {
                                   end(fits.error());
                                   return;
                               }
                               bringAgent();
                           });
    }

    void bringAgent() {
        if (m_host.options().overSsh) {
            bringRest();
            return;
        }
        const auto agent = findAgentFile(m_host.options().agent);
        if (!agent.ok()) {
            end(agent.error());
            return;
        }
        ExecRequest copy;
        copy.argv = {
            "/bin/sh", "-c", kCopyAgent, "sh", agent->path.string(), base::Path(m_job.agent).parent_path().string()};
        copy.repeat = true;
        m_step = m_host.exec(std::move(copy), soon(), [this](const Result<ExecResult>& result) {
            if (!result.ok()) {
                end(result.error());
            } else if (result->exit != 0) {
                end(Error{"target.program", "The agent could not be copied into the work folder: " +
                                                base::stripControl(base::toValidUtf8(result->err))});
            } else {
                bringRest();
            }
        });
    }

    void bringRest() {
        m_step = deploy(m_host, m_plan, {m_target.engine, m_plan.needsCuda}, m_onProgress,
                        [this](const Result<Deployed>& deployed) {
                            if (!deployed.ok()) {
                                end(deployed.error());
                                return;
                            }
                            putPlan(*deployed);
                        });
    }

    void putPlan(const Deployed& deployed) {
        wire::Plan& plan = m_plan.plan;
        plan.attempt = 1;
        plan.node = 0;
        plan.scheduler = true;
        plan.sharedFolder = true;
        plan.workFolder = m_host.workFolder();
        plan.outputsFolder = work().outputs(plan.run).string();
        plan.slotsFolder = work().slots().string();
        plan.inputs = deployed.inputs;
        plan.resumeCheckpoint = deployed.resumeCheckpoint;
        plan.token = base::newUuid7() + base::newUuid7();
        if (!plan.command.empty() && plan.command.front() == kEngineWord) {
            plan.command.front() = deployed.engine;
        }
        std::vector<std::pair<std::string, std::string>> files = m_plan.files;
        if (m_plan.hasSource) {
            plan.sourceManifest = kManifestName;
            files.emplace_back(kManifestName, snapshotManifest(m_plan.source));
        }
        const auto script = slurmScript(m_target.slurm, m_job);
        if (!script.ok()) {
            end(script.error());
            return;
        }
        files.emplace_back("plan.json", base::dumpJsonPretty(wire::toJson(plan)));
        files.emplace_back(kScriptName, *script);
        if (const Status noted = m_plan.placeOn({m_host.label()}); !noted.ok()) {
            end(noted);
            return;
        }
        say("submit", "Submitting the job");
        m_step = putFiles(m_host, plan.run, 0, 0, files, soon(), [this](const Status& status) {
            if (!status.ok()) {
                end(status.error());
                return;
            }
            submit();
        });
    }

    void submit() {
        m_step =
            slurmCall(m_host, {{"sbatch", "--parsable", m_job.runFolder + "/" + kScriptName}, false, m_job.runFolder},
                      soon(), [this](const Result<ExecResult>& result) {
                          if (!result.ok()) {
                              end(result.error());
                              return;
                          }
                          const auto number = slurmJobNumber(result->out);
                          if (!number.ok()) {
                              end(number.error());
                              return;
                          }
                          m_number = *number;
                          rememberJob();
                      });
    }

    /// For a workbench that is started anew: which job it is. Not having written it is no failure, the queue knows the
    /// name.
    void rememberJob() {
        m_step = putFiles(m_host, m_job.run, 0, 0, {{"job", m_number + "\n"}}, soon(), [this](const Status&) {
            say("start", "Job " + m_number + " is in the queue");
            end({});
        });
    }

    void say(const char* step, std::string text) {
        if (m_onProgress) {
            m_onProgress({step, std::move(text), 0, 0});
        }
    }
    void end(Status status) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(status));
        }
    }

    Host& m_host;
    spec::TargetSpec m_target;
    LaunchPlan m_plan;
    SlurmJob m_job;
    std::string m_number;
    std::function<void(LaunchProgress)> m_onProgress;
    DoneStatus m_done;
    OperationPtr m_step;
};

class Measure final : public Operation {
public:
    Measure(Host& host, const spec::TargetSpec& target, const LaunchPlan& plan, Deadline deadline,
            Done<base::Json> done)
        : m_host(host), m_slurm(target.slurm), m_job(jobOf(target.slurm, plan.plan)), m_deadline(deadline),
          m_done(std::move(done)) {
        m_step = measureDeploy(host, plan, {target.engine, plan.needsCuda}, deadline,
                               [this](const Result<base::Json>& measured) {
                                   if (!measured.ok()) {
                                       end(measured.error());
                                       return;
                                   }
                                   m_measured = *measured;
                                   askQueue();
                               });
    }

private:
    void askQueue() {
        m_job.runFolder = "/";
        m_job.agent = "/";
        const auto script = slurmScript(m_slurm, m_job);
        if (!script.ok()) {
            end(script.error());
            return;
        }
        SlurmCall ask{{"sbatch", "--test-only"}, true, {}, *script};
        m_step = slurmCall(m_host, std::move(ask), m_deadline, [this](const Result<ExecResult>& result) {
            if (!result.ok() && !result.error().code.starts_with("slurm.")) {
                end(result.error());
                return;
            }
            m_measured["estimated_start"] = result.ok() ? slurmTestedStart(result->err) : 0;
            m_measured["queue_says"] = result.ok() ? "" : result.error().message;
            end(std::move(m_measured));
        });
    }
    void end(Result<base::Json> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    spec::SlurmSpec m_slurm;
    SlurmJob m_job;
    Deadline m_deadline;
    Done<base::Json> m_done;
    base::Json m_measured;
    OperationPtr m_step;
};

}  // namespace

OperationPtr measureForSlurm(Host& host, const spec::TargetSpec& target, const LaunchPlan& plan, Deadline deadline,
                             Done<base::Json> done) {
    return std::make_unique<Measure>(host, target, plan, deadline, std::move(done));
}

Status fitsPartition(const std::vector<SlurmPartition>& partitions, const spec::SlurmSpec& slurm, int nodes,
                     std::int64_t minutes) {
    const std::string wanted = slurmPartition(slurm);
    if (wanted.find(',') != std::string::npos) {
        return {};  // the first that can take it does; sbatch says when none can
    }
    const auto found = std::find_if(partitions.begin(), partitions.end(), [&](const SlurmPartition& partition) {
        return wanted.empty() ? partition.isDefault : partition.name == wanted;
    });
    const std::string field =
        slurm.lowPriority && !slurm.lowPriorityPartition.empty() ? "slurm.low_priority_partition" : "slurm.partition";
    if (found == partitions.end()) {
        if (partitions.empty()) {
            return {};  // hidden from this user, perhaps; sbatch knows
        }
        std::string names;
        for (const SlurmPartition& partition : partitions) {
            names += (names.empty() ? "" : ", ") + partition.name;
        }
        return Error{"slurm.partition",
                     wanted.empty() ? "The cluster has no default partition; name one of: " + names + "."
                                    : "The cluster has no partition \"" + wanted + "\"; it has: " + names + ".",
                     field};
    }
    if (!found->up) {
        return Error{"slurm.partition", "The partition " + found->name + " is closed at present.", field};
    }
    const int most = found->maxNodes > 0 ? std::min(found->maxNodes, found->nodes) : found->nodes;
    if (nodes > most) {
        return Error{"slurm.nodes",
                     "The run asks for " + std::to_string(nodes) + " nodes; a job in the partition " + found->name +
                         " can have " + std::to_string(most) + ".",
                     "distribution.nodes"};
    }
    if (found->maxSeconds > 0 && minutes * 60 > found->maxSeconds) {
        return Error{"slurm.time",
                     "The time limit of " + duration(minutes * 60) + " is more than the " +
                         duration(found->maxSeconds) + " that the partition " + found->name + " allows.",
                     "limits.max_seconds"};
    }
    return {};
}

OperationPtr launchOnSlurm(Host& host, const spec::TargetSpec& target, LaunchPlan plan,
                           std::function<void(LaunchProgress)> onProgress, DoneStatus done) {
    return std::make_unique<Launch>(host, target, std::move(plan), std::move(onProgress), std::move(done));
}

}  // namespace trainyard::targets
