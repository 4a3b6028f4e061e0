#include "core/targets/SlurmTarget.h"

#include <utility>

#include "core/targets/Deploy.h"
#include "core/targets/EngineBuild.h"
#include "core/targets/HostCalls.h"
#include "core/targets/Operations.h"
#include "core/targets/SlurmCalls.h"
#include "core/targets/SlurmDoctor.h"
#include "core/targets/SlurmLaunch.h"
#include "core/targets/SlurmQueue.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {
namespace {

using base::Error;
using State = SchedulerLook::State;

HostOptions hostOptions(const spec::TargetSpec& spec) {
    HostOptions options;
    options.target = spec.name;
    options.overSsh = !spec.slurm.login.empty();
    options.where.destination = spec.slurm.login;
    options.where.port = spec.slurm.loginPort;
    options.workFolder = spec.workFolder;
    options.slotsFolder = spec.slotsFolder;
    options.connectSeconds = spec.connectSeconds;
    options.aliveSeconds = spec.aliveSeconds;
    return options;
}

/// A file for the agents first, so that they know why they are ended, then the queue's own word, which is certain.
class Cancel final : public Operation {
public:
    Cancel(Host& host, RunId run, Deadline deadline, DoneStatus done)
        : m_host(host), m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = commandRun(host, m_run, wire::control::kCancel, deadline, [this](const Result<int>& told) {
            if (!told.ok() && told.error().code == "target.unreachable") {
                end(told.error());
                return;
            }
            // Without a folder of the run there is no agent to tell; a job may still wait.
            m_step = cancelSlurmJob(m_host, m_run, m_deadline, [this](const Status& status) { end(status); });
        });
    }

private:
    void end(Status status) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(status));
        }
    }

    Host& m_host;
    RunId m_run;
    Deadline m_deadline;
    DoneStatus m_done;
    OperationPtr m_step;
};

/// Agents on compute nodes cannot be seen from the login host: the queue's word says whether they live.
class Look final : public Operation {
public:
    Look(Host& host, RunId run, Deadline deadline, Done<RunLook> done)
        : m_host(host), m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = lookAtSlurmJob(host, m_run, deadline, [this](const Result<SchedulerLook>& look) {
            if (!look.ok()) {
                end(look.error());
                return;
            }
            m_job = *look;
            if (!m_job.job.empty()) {
                m_look.scheduler = m_job;
            }
            m_step = lookAtRun(m_host, m_run, m_deadline,
                               [this](const Result<std::vector<NodeLook>>& nodes) { lookedAtNodes(nodes); });
        });
    }

private:
    void lookedAtNodes(const Result<std::vector<NodeLook>>& nodes) {
        if (!nodes.ok()) {
            end(nodes.error());
            return;
        }
        m_look.nodes = *nodes;
        const bool runs = m_job.state == State::Running || m_job.state == State::Ending;
        for (NodeLook& node : m_look.nodes) {
            if (node.status == AgentStatus::FolderMissing || (node.status == AgentStatus::NotStarted && runs)) {
                continue;
            }
            node.status = runs && node.attempt == m_job.restarts + 1 ? AgentStatus::Alive : AgentStatus::Gone;
        }
        end(std::move(m_look));
    }
    void end(Result<RunLook> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    RunId m_run;
    Deadline m_deadline;
    Done<RunLook> m_done;
    RunLook m_look;
    SchedulerLook m_job;
    OperationPtr m_step;
};

/// Not while a job of the run is in the queue: its agents write into what would be removed.
class Remove final : public Operation {
public:
    Remove(Host& host, RunId run, Deadline deadline, DoneStatus done)
        : m_host(host), m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = lookAtSlurmJob(host, m_run, deadline, [this](const Result<SchedulerLook>& look) {
            if (!look.ok()) {
                end(look.error());
                return;
            }
            if (!look->job.empty() && !slurmStateIsFinal(look->state) && look->state != State::Unknown) {
                end(Error{"target.busy",
                          "Job " + look->job + " of the run is still in the queue; cancel the run first."});
                return;
            }
            m_step = removeRun(m_host, m_run, m_deadline, [this](const Status& status) { end(status); });
        });
    }

private:
    void end(Status status) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(status));
        }
    }

    Host& m_host;
    RunId m_run;
    Deadline m_deadline;
    DoneStatus m_done;
    OperationPtr m_step;
};

}  // namespace

SlurmTarget::SlurmTarget(spec::TargetSpec spec)
    : m_spec(std::move(spec)), m_host(std::make_unique<Host>(hostOptions(m_spec))) {}

SlurmTarget::~SlurmTarget() = default;

OperationPtr SlurmTarget::launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress, DoneStatus done) {
    return launchOnSlurm(*m_host, m_spec, std::move(plan), std::move(onProgress), std::move(done));
}

OperationPtr SlurmTarget::revive(const RunId&, Deadline, DoneStatus done) {
    return postResult<void>(Status(), std::move(done));
}

OperationPtr SlurmTarget::command(const RunId& run, const std::string& command, Deadline deadline, DoneStatus done) {
    if (command == wire::control::kCancel) {
        return std::make_unique<Cancel>(*m_host, run, deadline, std::move(done));
    }
    return commandRun(*m_host, run, command, deadline, [done = std::move(done)](const Result<int>& told) {
        const auto tell = done;
        tell(told.ok() ? Status() : Status(told.error()));
    });
}

OperationPtr SlurmTarget::look(const RunId& run, Deadline deadline, Done<RunLook> done) {
    return std::make_unique<Look>(*m_host, run, deadline, std::move(done));
}

OperationPtr SlurmTarget::follow(const RunId& run, std::vector<StreamPosition> from,
                                 std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError) {
    return m_host->follow(run, std::move(from), std::move(onChunk), std::move(onError));
}

OperationPtr SlurmTarget::listOutputs(const RunId& run, Deadline deadline, Done<OutputList> done) {
    return targets::listOutputs(*m_host, run, deadline, asList(std::move(done)));
}

OperationPtr SlurmTarget::fetchOutputs(const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                                       std::function<void(std::int64_t)> onProgress, Done<FetchReport> done) {
    return targets::fetchOutputs(*m_host, run, std::move(files), into, std::move(onProgress), std::move(done));
}

OperationPtr SlurmTarget::listRuns(Deadline deadline, Done<std::vector<RunId>> done) {
    return targets::listRuns(*m_host, deadline, std::move(done));
}

OperationPtr SlurmTarget::removeRun(const RunId& run, Deadline deadline, DoneStatus done) {
    return std::make_unique<Remove>(*m_host, run, deadline, std::move(done));
}

OperationPtr SlurmTarget::connect(Deadline deadline, DoneStatus done) {
    return m_host->connect(deadline, std::move(done));
}

OperationPtr SlurmTarget::doctor(Deadline deadline, std::function<void(DoctorLine)> onLine,
                                 Done<std::vector<DoctorLine>> done) {
    return doctorOfSlurm(*m_host, m_spec, deadline, std::move(onLine), std::move(done));
}

OperationPtr SlurmTarget::load(Deadline deadline, Done<base::Json> done) {
    return loadOfSlurm(*m_host, m_spec, deadline, std::move(done));
}

OperationPtr SlurmTarget::listCache(Deadline deadline, Done<std::vector<CacheEntry>> done) {
    return cacheOfHost(*m_host, deadline, std::move(done));
}

OperationPtr SlurmTarget::clearCache(std::vector<CacheEntry> entries, Deadline deadline, Done<std::int64_t> done) {
    return clearCacheOfHost(*m_host, std::move(entries), deadline, std::move(done));
}

OperationPtr SlurmTarget::measureUpload(const LaunchPlan& plan, Deadline deadline, Done<base::Json> done) {
    return measureForSlurm(*m_host, m_spec, plan, deadline, std::move(done));
}

/// On the login host: its compiler and libtorch, and the work folder that all nodes see.
OperationPtr SlurmTarget::buildEngine(std::function<void(std::string line)> onLine, Done<base::Json> done) {
    EngineBuildOptions options;
    options.torch = m_spec.torch;
    options.python = m_spec.python;
    return targets::buildEngine(*m_host, std::move(options), std::move(onLine), std::move(done));
}

}  // namespace trainyard::targets
