// RunWorker: what it does with targets beside following runs: clean up there, fetch, ask.
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/Collection.h"
#include "core/runs/DiskUse.h"
#include "core/runs/FollowTimes.h"
#include "core/runs/Launch.h"
#include "core/runs/RunWorker.h"
#include "core/runs/StreamCopy.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::RunId;
using base::Status;

namespace {

constexpr int kRemoveMillis = 60'000;
constexpr int kLockMillis = 10'000;  // Longer than a look that finds a host silent.
constexpr int kEndingMillis = 1000;
constexpr int kFindAgainMillis = 60'000;
constexpr int kTriesBefore = 2;  // A call of the command line is over before anybody is connected to for old debts.
constexpr const char* kBusy = "target.busy";  // Of a removal: an agent of the run is at work there.
constexpr int kStreamsMillis = 600'000;       // For the records of a run that was given up.
constexpr std::int64_t kDayMicros = 86'400'000'000;

/// Runs that were deleted here while their target could not be reached: a file each, with the target's name.
base::Path removalFile(const wire::WorkspaceLayout& layout, const RunId& run) {
    return layout.trash() / "there" / run.str();
}

bool lives(const Result<targets::RunLook>& look) {
    if (!look.ok()) {
        return true;
    }
    const bool queued = look->scheduler && (look->scheduler->state == targets::SchedulerLook::State::Pending ||
                                            look->scheduler->state == targets::SchedulerLook::State::Running ||
                                            look->scheduler->state == targets::SchedulerLook::State::Ending);
    return queued || std::any_of(look->nodes.begin(), look->nodes.end(), [](const targets::NodeLook& node) {
               return node.status == targets::AgentStatus::Alive;
           });
}

}  // namespace

std::string RunWorker::targetOf(const RunId& run) const {
    if (const auto found = m_followers.find(run); found != m_followers.end()) {
        return found->second->target();
    }
    const auto row = m_reader ? m_reader->run(run) : Result<store::RunRow>(Error{});
    return row.ok() && !row->target.empty() ? row->target : kLocalTarget;
}

void RunWorker::reachChanged(const std::string& target, const targets::Reach& reach) {
    m_sink.reachChanged(target, reach);
    for (auto& [run, follower] : m_followers) {
        if (follower->target() == target) {
            follower->reachChanged(reach);
        }
    }
    if (reach.state == targets::Reach::State::Connected && m_begun && m_writer && m_options.followRuns &&
        !m_targetSweeps.contains(target)) {
        sweepTarget(target);
    }
    if (reach.state == targets::Reach::State::Connected) {
        if (const auto debts = m_debts.find(target); debts != m_debts.end()) {
            debts->second.tries = 0;
            collectDebts(target);
        }
    }
}

// ---------------------------------------------------------------------------------------------------- cleaning up
// there

void RunWorker::retire(const RunId& run, int triesLeft) {
    const auto row = m_reader ? m_reader->run(run) : Result<store::RunRow>(Error{});
    m_retiring.erase(run);
    if (triesLeft == 0 || !row.ok() || !spec::isFinal(row->state)) {
        return;
    }
    if (areNodesLeft(*m_reader, run)) {
        bringRest(run);
        return;
    }
    if (!allIsHere(*row)) {
        return;
    }
    const std::string name = targetOf(run);
    const auto definition = m_pool.definition(name);
    const auto target = m_pool.get(name);
    if (!definition.ok() || !target.ok() || definition->retention == "keep") {
        return;
    }
    if (definition->retention == "days" && base::wallMicros() - row->endedAt < definition->retentionDays * kDayMicros) {
        return;
    }
    m_retiring[run] =
        (*target)->look(run, stepDeadline(), [this, run, triesLeft, name](const Result<targets::RunLook>& look) {
            const targets::OperationPtr ended = std::move(m_retiring[run]);
            if (look.ok() ? !look->silent.empty() : look.error().code == "target.unreachable") {
                m_retiring.erase(run);  // Swept when it can be reached again.
            } else if (lives(look)) {
                QTimer::singleShot(250, this, [this, run, triesLeft] { retire(run, triesLeft - 1); });
            } else {
                removeThere(name, run);
            }
        });
}

void RunWorker::bringRest(const RunId& run) {
    if (!m_bringing.insert(run).second) {
        return;
    }
    const std::string name = targetOf(run);
    collectAgain(run, [this, run, name](const Status& brought) {
        m_bringing.erase(run);
        if (brought.ok() || brought.error().code == "store.run_unknown" || brought.error().code == "target.unknown") {
            paid(name, run);
            return;
        }
        const bool waits = targets::mayAnswerLater(brought.error()) || brought.error().code == "lock.held" ||
                           brought.error().code == "run.running";
        const auto debts = m_debts.find(name);
        if (!waits && (debts == m_debts.end() || !debts->second.runs.contains(run))) {
            m_sink.troubled(brought.error().code, brought.error().message);  // Once; a person may mend it.
        }
        owe(name, run);
    });
}

void RunWorker::owe(const std::string& name, const RunId& run) {
    Debts& debts = m_debts[name];
    debts.runs.insert(run);
    if (!debts.timer) {
        debts.timer = std::make_unique<QTimer>();
        debts.timer->setSingleShot(true);
        connect(debts.timer.get(), &QTimer::timeout, this, [this, name] { collectDebts(name); });
    }
    if (!debts.timer->isActive()) {
        debts.timer->start(pauseMillis(debts.tries++));
    }
}

void RunWorker::paid(const std::string& name, const RunId& run) {
    const auto debts = m_debts.find(name);
    if (debts != m_debts.end() && debts->second.runs.erase(run) > 0 && debts->second.runs.empty()) {
        debts->second.timer.release()->deleteLater();  // This may be called by its signal.
        m_debts.erase(debts);
    }
}

void RunWorker::collectDebts(const std::string& name) {
    const auto debts = m_debts.find(name);
    if (debts == m_debts.end() || !m_reader) {
        return;
    }
    for (const RunId& run : std::set<RunId>(debts->second.runs)) {
        std::error_code error;
        if (std::filesystem::exists(removalFile(m_workspace.layout, run), error)) {
            removeThere(name, run);
        } else if (areNodesLeft(*m_reader, run)) {
            bringRest(run);
        } else {
            paid(name, run);
            retire(run, 2);
        }
    }
}

void RunWorker::findDebts() {
    const auto oweFromBefore = [this](const std::string& name, const RunId& run) {
        m_debts[name].tries = kTriesBefore;
        owe(name, run);
    };
    const auto left = m_reader->runsLeftBehind();
    if (!left.ok()) {
        m_sink.troubled(left.error().code, left.error().message);
        QTimer::singleShot(kFindAgainMillis, this, [this] {
            if (m_reader && m_writer) {
                findDebts();
            }
        });
        return;
    }
    for (const RunId& run : *left) {
        oweFromBefore(targetOf(run), run);
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_workspace.layout.trash() / "there", error)) {
        const RunId run(entry.path().filename().string());
        const auto name = base::readFile(entry.path());
        if (run.isValid() && name.ok() && !name->empty()) {
            oweFromBefore(*name, run);
        }
    }
}

bool RunWorker::allIsHere(const store::RunRow& row) const {
    const auto outputs = m_reader->outputs(row.id);
    const auto collected = m_reader->events(row.id, wire::kind::kCollected, 1);
    const auto warnings = m_reader->warnings(row.id);
    if (!outputs.ok() || !collected.ok() || !warnings.ok() ||
        !std::all_of(outputs->begin(), outputs->end(),
                     [](const store::OutputRow& output) { return output.collected; })) {
        return false;
    }
    // Without a collection there may still be records and outputs there: of a run that was given up, or canceled out of
    // sight.
    const bool left = std::any_of(warnings->begin(), warnings->end(),
                                  [](const store::WarningRow& one) { return one.code == kLeftThere; });
    return !collected->empty() || (row.attempts == 0 && !left);
}

void RunWorker::removeThere(const std::string& name, const RunId& run) {
    const auto target = m_pool.get(name);
    if (!target.ok()) {
        m_retiring.erase(run);
        paid(name, run);
        return;
    }
    m_retiring[run] =
        (*target)->removeRun(run, base::Deadline::inMillis(kRemoveMillis), [this, run, name](const Status& removed) {
            const auto ended = m_retiring.extract(run);
            if (!removed.ok() && removed.error().code == kBusy) {
                endThere(name, run, [this, name, run] { owe(name, run); });
                return;
            }
            if (!removed.ok() && name != kLocalTarget) {
                owe(name, run);
                return;
            }
            if (removed.ok()) {
                std::error_code ignored;
                std::filesystem::remove(removalFile(m_workspace.layout, run), ignored);
            }
            paid(name, run);
        });
}

void RunWorker::sweepTarget(const std::string& name) {
    const auto target = m_pool.get(name);
    if (!target.ok()) {
        return;
    }
    m_targetSweeps[name] = (*target)->listRuns(stepDeadline(), [this, name](const Result<std::vector<RunId>>& runs) {
        const auto ended = m_targetSweeps.extract(name);
        if (!runs.ok()) {
            return;
        }
        for (const RunId& run : *runs) {
            std::error_code error;
            if (std::filesystem::exists(removalFile(m_workspace.layout, run), error)) {
                removeThere(name, run);
            } else if (!m_followers.contains(run) && !m_retiring.contains(run) && targetOf(run) == name) {
                retire(run, 2);
            }
        }
    });
}

void RunWorker::remove(const RunId& run, RemoveWay way, std::function<void(Result<std::int64_t>)> done) {
    if (!m_writer) {
        done(writer().error());
        return;
    }
    removeLocked(run, way, base::Deadline::inMillis(kLockMillis), std::move(done));
}

void RunWorker::removeLocked(const RunId& run, RemoveWay way, base::Deadline deadline,
                             std::function<void(Result<std::int64_t>)> done) {
    const auto row = m_reader->run(run);
    if (!row.ok()) {
        done(row.error());
        return;
    }
    if (!spec::isFinal(row->state)) {
        done(Error{"run.running",
                   "Run " + std::to_string(row->number) + " has not ended. Cancel it first, then it can be deleted."});
        return;
    }
    auto lock = base::FileLock::tryExclusive(m_workspace.layout.lock(run), "pid " + std::to_string(::getpid()));
    if (!lock.ok() && lock.error().code == "lock.held" && !deadline.passed()) {
        QTimer::singleShot(
            50, this, [this, run, way, deadline, done = std::move(done)] { removeLocked(run, way, deadline, done); });
        return;
    }
    if (!lock.ok() && lock.error().code != "file.missing") {
        done(lock.error());
        return;
    }
    const std::string name = targetOf(run);
    if (name == kLocalTarget || way == RemoveWay::Force) {
        removeHere(run, std::move(done));
        if (name == kLocalTarget) {
            removeThere(name, run);
        }
        return;
    }
    if (way == RemoveWay::Remember) {
        Status noted = base::makeDirs(removalFile(m_workspace.layout, run).parent_path());
        if (noted.ok()) {
            noted = base::writeFileAtomically(removalFile(m_workspace.layout, run), name);
        }
        if (!noted.ok()) {
            done(noted.error());
            return;
        }
        removeHere(run, std::move(done));
        removeThere(name, run);
        return;
    }
    const auto held = lock.ok() ? std::make_shared<base::FileLock>(std::move(*lock)) : nullptr;
    // Nothing is deleted anywhere before a person has decided what becomes of hosts that do not answer.
    onTarget<targets::RunLook>(
        --m_lastOwnTicket, name,
        [run](targets::Target& target, targets::Done<targets::RunLook> looked) {
            return target.look(run, stepDeadline(), std::move(looked));
        },
        [this, run, name, held, done = std::move(done)](const Result<targets::RunLook>& look) {
            if (look.ok() && look->silent.empty()) {
                removeThereAndHere(run, held, base::Deadline::inMillis(kRemoveMillis), done);
                return;
            }
            done(
                Error{"run.target_unreachable", "What the run left on " + name + " cannot be removed now: " +
                                                    (look.ok() ? targets::textOf(look->silent) : look.error().message) +
                                                    " Delete it here and there later, or here alone."});
        });
}

void RunWorker::endThere(const std::string& name, const RunId& run, std::function<void()> then) {
    onTarget<void>(
        --m_lastOwnTicket, name,
        [run](targets::Target& target, targets::DoneStatus sent) {
            return target.command(run, wire::control::kCancel, stepDeadline(), std::move(sent));
        },
        [then = std::move(then)](const Status&) { then(); });
}

void RunWorker::removeThereAndHere(const RunId& run, std::shared_ptr<base::FileLock> held, base::Deadline deadline,
                                   std::function<void(Result<std::int64_t>)> done) {
    const std::string name = targetOf(run);
    onTarget<void>(
        --m_lastOwnTicket, name,
        [run, deadline](targets::Target& target, targets::DoneStatus removed) {
            return target.removeRun(run, deadline, std::move(removed));
        },
        [this, run, name, held, deadline, done = std::move(done)](const Status& removed) {
            if (removed.ok()) {
                removeHere(run, done);
                return;
            }
            if (removed.error().code == kBusy && !deadline.passed()) {
                endThere(name, run, [this, run, held, deadline, done] {
                    QTimer::singleShot(kEndingMillis, this, [this, run, held, deadline, done] {
                        removeThereAndHere(run, held, deadline, done);
                    });
                });
                return;
            }
            done(Error{"run.target_unreachable", "What the run left on " + name +
                                                     " cannot be removed now: " + removed.error().message +
                                                     " Delete it here and there later, or here alone."});
        });
}

void RunWorker::removeHere(const RunId& run, std::function<void(Result<std::int64_t>)> done) {
    const base::Path trash = m_workspace.layout.trash() / run.str();
    if (const Status made = base::makeDirs(m_workspace.layout.trash()); !made.ok()) {
        done(made.error());
        return;
    }
    if (::rename(m_workspace.layout.run(run).c_str(), trash.c_str()) != 0 && errno != ENOENT) {
        done(base::errnoError(errno, "remove", m_workspace.layout.run(run)));
        return;
    }
    m_followers.erase(run);
    if (const Status forgotten = m_writer->deleteRun(run); !forgotten.ok()) {
        done(forgotten.error());
        return;
    }
    m_seen.erase(run);
    noteChange(run, RunPart::Removed);
    flushChanges();
    const auto freed = std::make_shared<std::int64_t>(0);
    m_commands[run] = std::make_unique<targets::ThreadOperation<void>>(
        [trash, freed](const targets::KeepGoing&) -> Status {
            *freed = diskUse(trash);
            return base::removeTree(trash);
        },
        std::function<void(std::int64_t)>{},
        [this, run, freed, done = std::move(done)](const Status& removed) {
            const auto ended = m_commands.extract(run);
            done(removed.ok() ? Result<std::int64_t>(*freed) : removed.error());
        });
}

// ---------------------------------------------------------------------------------------------------- fetching

void RunWorker::collectAgain(const RunId& run, std::function<void(Status)> done) {
    const auto index = writer();
    if (!index.ok()) {
        done(index.error());
        return;
    }
    const auto row = m_reader->run(run);
    if (!row.ok()) {
        done(row.error());
        return;
    }
    if (!spec::isFinal(row->state)) {
        done(Error{"run.running", "The run has not ended; its outputs are collected when it has."});
        return;
    }
    auto lock = base::FileLock::tryExclusive(m_workspace.layout.lock(run), "pid " + std::to_string(::getpid()));
    if (!lock.ok()) {
        done(lock.error());
        return;
    }
    const auto held = std::make_shared<base::FileLock>(std::move(*lock));
    const auto collected = m_reader->events(run, wire::kind::kCollected, 1);
    if (!collected.ok() || (!collected->empty() && !areNodesLeft(*m_reader, run))) {
        collectOutputs(run, held, std::move(done));
        return;
    }
    // It was given up, or canceled out of sight: its records come first, once it has ended there.
    onTarget<targets::RunLook>(
        --m_lastOwnTicket, targetOf(run),
        [run](targets::Target& target, targets::Done<targets::RunLook> looked) {
            return target.look(run, stepDeadline(), std::move(looked));
        },
        [this, run, held, done = std::move(done)](const Result<targets::RunLook>& look) {
            if (!look.ok()) {
                done(look.error());
            } else if (!look->silent.empty()) {
                done(Error{"target.unreachable", targets::textOf(look->silent)});
            } else if (lives(look)) {
                done(Error{"run.running", "It is still at work on " + targetOf(run) +
                                              "; collect what it leaves when it has ended there."});
            } else {
                copyStreams(run, held, done);
            }
        });
}

void RunWorker::copyStreams(const RunId& run, std::shared_ptr<base::FileLock> lock, std::function<void(Status)> done) {
    const auto copies = std::make_shared<RunCopies>(m_workspace.layout, run);
    auto positions = copies->positions();
    const auto target = m_pool.get(targetOf(run));
    if (!positions.ok() || !target.ok()) {
        done(positions.ok() ? target.error() : positions.error());
        return;
    }
    const Ticket ticket = --m_lastOwnTicket;
    const auto failed = [this, ticket, done](const Error& error) {
        // Not inside the operation that says so.
        QTimer::singleShot(0, this, [this, ticket, done, error] {
            if (!m_operations.extract(ticket).empty()) {
                done(error);
            }
        });
    };
    QTimer::singleShot(kStreamsMillis, this, [failed] {
        failed(Error{"target.deadline", "Its records did not come in time."});
    });
    OnTarget& one = m_operations[ticket];
    one.target = targetOf(run);
    one.fail = done;
    const auto touched = std::make_shared<std::set<std::pair<int, int>>>();
    one.operation = (*target)->follow(
        run, std::move(*positions),
        [this, run, ticket, lock, copies, touched, done, failed](const targets::StreamChunk& chunk) {
            if (!chunk.bytes.empty() || chunk.closed) {
                if (const Status copied = copies->append(chunk); !copied.ok()) {
                    failed(copied.error());
                    return;
                }
                touched->insert({chunk.attempt, chunk.node});
            }
            if (!chunk.caughtUp) {
                return;
            }
            QTimer::singleShot(0, this, [this, run, ticket, lock, copies, touched, done] {
                if (m_operations.extract(ticket).empty()) {
                    return;
                }
                Status taken = copies->sync();
                for (const auto& [attempt, node] : *touched) {
                    const auto records =
                        m_writer ? m_writer->followStream(run, attempt, node) : Result<std::int64_t>(writer().error());
                    taken = records.ok() ? taken : records.error();
                }
                noteChange(run, anyPart());
                if (taken.ok()) {
                    collectOutputs(run, lock, done);
                } else {
                    done(taken);
                }
            });
        },
        failed);
}

void RunWorker::collectOutputs(const RunId& run, std::shared_ptr<base::FileLock> held,
                               std::function<void(Status)> done) {
    const auto outputs = m_reader->outputs(run);
    if (!outputs.ok()) {
        done(outputs.error());
        return;
    }
    std::vector<targets::OutputFile> left;
    for (const store::OutputRow& output : *outputs) {
        if (!output.collected) {
            left.push_back({output.path, output.size, output.sha256});
        }
    }
    if (!left.empty()) {
        fetchLeft(run, held, std::move(left), std::move(done));
        return;
    }
    // Its agents left no list: what lies there counts.
    std::map<std::string, std::int64_t> here;
    for (const store::OutputRow& output : *outputs) {
        here.emplace(output.path, output.size);
    }
    listRemoteOutputs(
        --m_lastOwnTicket, run,
        [this, run, held, here, done = std::move(done)](const Result<targets::OutputList>& list) {
            if (list.ok() && list->silent.empty()) {
                std::vector<targets::OutputFile> wanted = list->files;
                std::erase_if(wanted, [&](const targets::OutputFile& file) {
                    const auto known = here.find(file.path);
                    return known != here.end() && known->second == file.size;
                });
                fetchLeft(run, held, std::move(wanted), done);
            } else {
                done(list.ok() ? Error{"target.unreachable", targets::textOf(list->silent)} : list.error());
            }
        });
}

void RunWorker::fetchLeft(const RunId& run, std::shared_ptr<base::FileLock> lock,
                          std::vector<targets::OutputFile> files, std::function<void(Status)> done) {
    onTarget<targets::FetchReport>(
        --m_lastOwnTicket, targetOf(run),
        [this, run, files = std::move(files)](targets::Target& target, targets::Done<targets::FetchReport> fetched) {
            return target.fetchOutputs(run, files, m_workspace.layout.outputs(run), {}, std::move(fetched));
        },
        [this, run, lock = std::move(lock), done = std::move(done)](const Result<targets::FetchReport>& report) {
            if (!report.ok()) {
                done(report.error());
                return;
            }
            const auto row = m_reader->run(run);
            std::vector<JournalEntry> entries;
            for (const Error& lost : report->lost) {
                entries.push_back({wire::kind::kWarning, Json{{"code", lost.code}, {"message", lost.message}}});
            }
            entries.push_back(collectedEntry(row.ok() ? std::max(1, row->attempts) : 1, report->brought));
            const auto finish = [this, run, lock, silent = report->silent, done,
                                 entries](std::vector<JournalEntry> more) {
                const auto ended = m_registering.extract(run);
                more.insert(more.begin(), entries.begin(), entries.end());
                edit(run, std::move(more), [silent, done](const Status& noted) {
                    done(noted.ok() && !silent.empty()
                             ? Status(Error{"target.unreachable",
                                            targets::textOf(silent) + " Everything else is here now."})
                             : noted);
                });
                noteChange(run, RunPart::Outputs | RunPart::Warning);
                lock->release();
                m_sink.modelsChanged();
                retire(run, 2);
            };
            std::vector<targets::OutputFile> here = report->brought;
            const auto before = m_reader->outputs(run);
            for (const store::OutputRow& output : before.ok() ? *before : std::vector<store::OutputRow>()) {
                if (output.collected) {
                    here.push_back({output.path, output.size, output.sha256});
                }
            }
            auto registering = startRegistering(m_options.registerModels, *m_reader, *m_writer, run, here, finish);
            if (registering) {
                m_registering[run] = std::move(registering);
            } else {
                finish({});
            }
        });
}

void RunWorker::listRemoteOutputs(Ticket ticket, const RunId& run,
                                  std::function<void(Result<targets::OutputList>)> done) {
    onTarget<targets::OutputList>(
        ticket, targetOf(run),
        [run](targets::Target& target, targets::Done<targets::OutputList> listed) {
            return target.listOutputs(run, base::Deadline::inMillis(kRemoveMillis), std::move(listed));
        },
        std::move(done));
}

void RunWorker::fetchFile(Ticket ticket, const RunId& run, const std::string& path,
                          std::function<void(std::int64_t)> onProgress, std::function<void(Result<base::Path>)> done) {
    const base::Path into = m_workspace.layout.outputs(run);
    // The list says how big it is now; a run that goes on may still change it.
    listRemoteOutputs(
        --m_lastOwnTicket, run,
        [this, ticket, run, path, into, onProgress = std::move(onProgress),
         done = std::move(done)](const Result<targets::OutputList>& list) {
            if (!list.ok()) {
                done(list.error());
                return;
            }
            const auto found = std::find_if(list->files.begin(), list->files.end(),
                                            [&](const targets::OutputFile& file) { return file.path == path; });
            if (found == list->files.end()) {
                done(list->silent.empty()
                         ? Error{"target.missing", "The run has no output \"" + path + "\" now."}
                         : Error{"target.unreachable", "\"" + path + "\" is on none of the hosts that answer. " +
                                                           targets::textOf(list->silent)});
                return;
            }
            onTarget<targets::FetchReport>(
                ticket, targetOf(run),
                [run, file = *found, into, onProgress](targets::Target& target,
                                                       targets::Done<targets::FetchReport> fetched) {
                    return target.fetchOutputs(run, {file}, into, onProgress, std::move(fetched));
                },
                [into, path, done](const Result<targets::FetchReport>& report) {
                    if (!report.ok()) {
                        done(report.error());
                    } else if (!report->lost.empty()) {
                        done(report->lost.front());
                    } else {
                        done(into / path);
                    }
                });
        });
}

// ---------------------------------------------------------------------------------------------------- asking

void RunWorker::stop(Ticket ticket) {
    const auto stopped = m_operations.extract(ticket);
    if (!stopped.empty()) {
        stopped.mapped().fail(Error{"canceled", "It was stopped."});
    }
}

void RunWorker::measureUpload(Ticket ticket, const Json& document, std::function<void(Result<Json>)> done) {
    auto spec = checkForLaunch(document);
    if (!spec.ok()) {
        done(spec.error());
        return;
    }
    NewRun run;
    run.id = RunId::make();
    run.spec = std::move(*spec);
    run.document = spec::toJson(run.spec);
    const std::string name = run.spec.target;
    const auto definition = m_pool.definition(name);
    if (!definition.ok()) {
        done(definition.error());
        return;
    }
    OnTarget& one = m_operations[ticket];
    one.target = name;
    one.fail = [done](const Error& error) { done(error); };
    one.operation = std::make_unique<targets::ThreadOperation<targets::LaunchPlan>>(
        [layout = m_workspace.layout, run, target = *definition](const targets::KeepGoing& report) {
            return makeLaunch(layout, run, target, report);
        },
        std::function<void(std::int64_t)>{},
        [this, ticket, name, done](const Result<targets::LaunchPlan>& plan) {
            const auto ended = m_operations.extract(ticket);
            if (!plan.ok()) {
                done(plan.error());
                return;
            }
            onTarget<Json>(
                ticket, name,
                [plan = *plan](targets::Target& target, targets::Done<Json> measured) {
                    return target.measureUpload(plan, stepDeadline(), std::move(measured));
                },
                done);
        });
}

void RunWorker::targetChanged(const std::string& target) { m_pool.changed(target); }

}  // namespace trainyard::runs
