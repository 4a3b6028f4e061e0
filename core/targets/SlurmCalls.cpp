#include "core/targets/SlurmCalls.h"

#include <algorithm>
#include <utility>

#include "core/base/Text.h"
#include "core/targets/SlurmQueue.h"
#include "core/targets/SlurmScript.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {
namespace {

using base::Error;

constexpr int kNoSuchProgram = 127;

bool isNumber(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

class FindJob final : public Operation {
public:
    FindJob(Host& host, RunId run, Deadline deadline, Done<std::optional<std::string>> done)
        : m_host(host), m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = host.connect(deadline, [this](const Status& status) { connected(status); });
    }

private:
    void connected(const Status& status) {
        if (!status.ok()) {
            end(status.error());
            return;
        }
        const wire::WorkLayout work{m_host.workFolder()};
        ExecRequest read;
        read.argv = {"cat", (work.run(m_run) / "job").string()};
        read.repeat = true;
        m_step = m_host.exec(std::move(read), m_deadline, [this](const Result<ExecResult>& result) {
            if (!result.ok()) {
                end(result.error());
                return;
            }
            const std::string job(base::trim(result->out));
            if (result->exit == 0 && isNumber(job)) {
                end(std::optional<std::string>(job));
                return;
            }
            askQueue();
        });
    }
    void askQueue() {
        m_step = slurmCall(m_host, {squeueByName(slurmJobName(m_run)), true, {}}, m_deadline,
                           [this](const Result<ExecResult>& result) {
                               if (!result.ok()) {
                                   end(result.error());
                                   return;
                               }
                               // An open job counts before one that has ended; of several open ones the script lets one
                               // work.
                               std::optional<std::string> found;
                               bool open = false;
                               for (const SchedulerLook& look : slurmJobsFromSqueue(result->out)) {
                                   const bool isOpen = !slurmStateIsFinal(look.state);
                                   if (!found || isOpen || !open) {
                                       found = look.job;
                                       open = open || isOpen;
                                   }
                               }
                               end(found);
                           });
    }
    void end(Result<std::optional<std::string>> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    RunId m_run;
    Deadline m_deadline;
    Done<std::optional<std::string>> m_done;
    OperationPtr m_step;
};

class LookAtJob final : public Operation {
public:
    LookAtJob(Host& host, RunId run, Deadline deadline, Done<SchedulerLook> done)
        : m_host(host), m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = findSlurmJob(host, m_run, deadline, [this](const Result<std::optional<std::string>>& found) {
            if (!found.ok()) {
                end(found.error());
            } else if (!*found) {
                end(SchedulerLook{});
            } else {
                m_job = **found;
                askController();
            }
        });
    }

private:
    void askController() {
        m_step = slurmCall(m_host, {{"scontrol", "--oneliner", "show", "job", m_job}, true, {}}, m_deadline,
                           [this](const Result<ExecResult>& result) {
                               if (!result.ok()) {
                                   if (result.error().message.find("Invalid job id") != std::string::npos) {
                                       askAccounting(false);
                                   } else {
                                       end(result.error());
                                   }
                                   return;
                               }
                               // A number that the cluster gave anew to somebody else's job is not ours any more.
                               if (result->out.find("JobName=" + slurmJobName(m_run) + " ") == std::string::npos) {
                                   askAccounting(false);
                                   return;
                               }
                               Result<SchedulerLook> look = slurmJobFromScontrol(result->out);
                               if (look.ok() && look->state == SchedulerLook::State::Pending) {
                                   const std::string text = slurmReasonText(look->reason);
                                   look->reason += text.empty() ? "" : " (" + text + ")";
                               }
                               if (look.ok() && look->state == SchedulerLook::State::Failed) {
                                   readLastWords(std::move(*look));
                                   return;
                               }
                               end(std::move(look));
                           });
    }
    /// Why the agents did not even begin stands in the batch output.
    void readLastWords(SchedulerLook look) {
        ExecRequest read;
        const wire::WorkLayout work{m_host.workFolder()};
        read.argv = {"tail", "-n", "3", (work.run(m_run) / ("slurm-" + m_job + ".out")).string()};
        read.repeat = true;
        m_step = m_host.exec(
            std::move(read), m_deadline, [this, look = std::move(look)](const Result<ExecResult>& result) mutable {
                std::string words;
                for (const std::string& line :
                     base::split(result.ok() && result->exit == 0 ? result->out : std::string(), '\n')) {
                    const std::string shown = base::stripControl(base::toValidUtf8(base::trim(line))).substr(0, 300);
                    words += (words.empty() || shown.empty() ? "" : "; ") + shown;
                }
                look.reason += (look.reason.empty() || words.empty() ? "" : ": ") + words;
                end(std::move(look));
            });
    }
    void askAccounting(bool completionLog) {
        m_step = slurmCall(m_host, {sacctOfJob(m_job, completionLog), true, {}}, m_deadline,
                           [this, completionLog](const Result<ExecResult>& result) {
                               // A cluster without accounting is common; its answer is an error and no news.
                               const auto look = result.ok() ? slurmJobFromSacct(result->out, m_job) : std::nullopt;
                               if (!result.ok() && result.error().code == "target.unreachable") {
                                   end(result.error());
                               } else if (look && slurmStateIsFinal(look->state)) {
                                   end(*look);
                               } else if (!completionLog) {
                                   askAccounting(true);
                               } else {
                                   SchedulerLook gone;
                                   gone.job = m_job;
                                   gone.reason = "The queue no longer knows the job.";
                                   end(std::move(gone));
                               }
                           });
    }
    void end(Result<SchedulerLook> result) {
        if (const auto done = std::exchange(m_done, {})) {
            done(std::move(result));
        }
    }

    Host& m_host;
    RunId m_run;
    Deadline m_deadline;
    Done<SchedulerLook> m_done;
    std::string m_job;
    OperationPtr m_step;
};

}  // namespace

OperationPtr slurmCall(Host& host, SlurmCall call, Deadline deadline, Done<ExecResult> done) {
    ExecRequest request;
    const std::string program = call.argv.front();
    request.argv = slurmCommand(std::move(call.argv));
    request.folder = std::move(call.folder);
    request.input = std::move(call.input);
    request.repeat = call.reads;
    if (call.reads) {
        request.environment = slurmReadingEnvironment();
    }
    return host.exec(std::move(request), deadline,
                     [program, label = host.label(), done = std::move(done)](const Result<ExecResult>& result) {
                         const auto tell = done;
                         if (!result.ok()) {
                             tell(result.error());
                         } else if (result->exit == kNoSuchProgram) {
                             tell(Error{"target.program", "Slurm's command " + program + " was not found on " + label +
                                                              ": it must be in the PATH of a command given to ssh."});
                         } else if (result->exit != 0) {
                             tell(slurmComplaint(program, result->err.empty() ? result->out : result->err));
                         } else {
                             tell(*result);
                         }
                     });
}

OperationPtr findSlurmJob(Host& host, const RunId& run, Deadline deadline, Done<std::optional<std::string>> done) {
    return std::make_unique<FindJob>(host, run, deadline, std::move(done));
}

OperationPtr lookAtSlurmJob(Host& host, const RunId& run, Deadline deadline, Done<SchedulerLook> done) {
    return std::make_unique<LookAtJob>(host, run, deadline, std::move(done));
}

OperationPtr cancelSlurmJob(Host& host, const RunId& run, Deadline deadline, DoneStatus done) {
    // By name: it is the run's alone, and holds for a job whose number never reached us.
    return slurmCall(host, {{"scancel", "--name=" + slurmJobName(run)}, true, {}}, deadline,
                     [done = std::move(done)](const Result<ExecResult>& result) {
                         const auto tell = done;
                         tell(result.ok() ? Status() : Status(result.error()));
                     });
}

}  // namespace trainyard::targets
