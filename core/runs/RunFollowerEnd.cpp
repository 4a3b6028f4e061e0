// RunFollower: the end of a run: what it was given, its outputs, the comparison with what it repeats, the last state.
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/Comparison.h"
#include "core/runs/FollowTimes.h"
#include "core/runs/Inputs.h"
#include "core/runs/NamedData.h"
#include "core/runs/RunFollower.h"
#include "core/targets/Operations.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::Status;
using spec::RunState;

namespace {

constexpr int kFactsMillis = 60'000;  // Large data may take longer to read than the run takes.

RunState stateOfOutcome(const std::string& outcome) {
    if (outcome == "completed") return RunState::Completed;
    if (outcome == "canceled") return RunState::Canceled;
    return RunState::Failed;
}

}  // namespace

void RunFollower::tellInputs(const spec::RunSpec& spec, std::vector<targets::InputData> inputs) {
    if (spec.taskKind != spec::TaskKind::Train && spec.inputs.empty() && inputs.empty()) {
        return;
    }
    m_facts = std::make_unique<targets::ThreadOperation<Json>>(
        [layout = m_context.workspace.layout, spec,
         inputs = std::move(inputs)](const targets::KeepGoing& report) -> Result<Json> {
            const auto placed = placeDatasets(layout, spec);
            return placed.ok() ? inputFacts(*placed, inputs, report) : placed.error();
        },
        std::function<void(std::int64_t)>{},
        [this](const Result<Json>& facts) {
            const targets::OperationPtr ended = std::move(m_facts);
            takeInputs(facts);
        });
}

void RunFollower::takeInputs(const Result<Json>& facts) {
    // Data that are gone meanwhile are not known; the run itself does not need them to be.
    if (!facts.ok() || facts->empty() || m_phase == Phase::Done) {
        return;
    }
    if (appendJournal(m_context.workspace.layout, m_run, {{wire::kind::kInputs, Json{{"data", *facts}}}}).ok()) {
        indexJournal([this] { m_context.changed(m_run, RunPart::Meta); });
    }
}

void RunFollower::finalize() {
    m_phase = Phase::Finalizing;
    m_stream.reset();
    m_look.reset();
    m_command.reset();
    m_lookTimer.stop();
    m_comparing = false;
    if (m_facts && m_ended->outcome == "completed") {
        if (!m_factsUntil) {
            m_factsUntil = base::Deadline::inMillis(kFactsMillis);
        }
        if (!m_factsUntil->passed()) {
            retryIn(50, [this] { finalize(); });
            return;
        }
    }
    m_facts.reset();
    if (const Status synced = m_copies.sync(); !synced.ok()) {
        trouble(synced.error());
        retryIn(2000, [this] { finalize(); });
        return;
    }
    if (!m_ended->listFirst) {
        fetchOutputs();
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        retryIn(pauseMillis(m_fetchTries++), [this] { finalize(); });
        return;
    }
    m_work = target->listOutputs(m_run, stepDeadline(), [this](const Result<targets::OutputList>& list) {
        if (!list.ok() || !list->silent.empty()) {
            takeOutputs(list.ok() ? Error{"target.unreachable", targets::textOf(list->silent)} : list.error());
            return;
        }
        m_ended->outputs = list->files;
        m_ended->listFirst = false;
        fetchOutputs();
    });
}

void RunFollower::fetchOutputs() {
    if (m_ended->outputs.empty()) {
        takeOutputs(targets::FetchReport{});
        return;
    }
    targets::Target* target = place();
    if (target == nullptr) {
        retryIn(pauseMillis(m_fetchTries++), [this] { finalize(); });
        return;
    }
    std::int64_t total = 0;
    for (const targets::OutputFile& file : m_ended->outputs) {
        total += file.size;
    }
    const auto progress = [this, total](std::int64_t bytes) {
        noteProgress({"collect", "Bringing the outputs.", bytes, total});
    };
    m_work = target->fetchOutputs(m_run, m_ended->outputs, m_context.workspace.layout.outputs(m_run), progress,
                                  [this](const Result<targets::FetchReport>& report) { takeOutputs(report); });
}

void RunFollower::takeOutputs(const Result<targets::FetchReport>& report) {
    if (!report.ok()) {
        if (isUnreachable(report.error())) {
            noteUnreachable(report.error().message);
        } else {
            trouble(report.error());
        }
        retryIn(pauseMillis(m_fetchTries++), [this] { finalize(); });
        return;
    }
    if (!report->left.empty()) {
        // What is here stays; the rest is asked for again.
        noteUnreachable(targets::textOf(report->silent));
        retryIn(pauseMillis(m_fetchTries++), [this] { finalize(); });
        return;
    }
    heard();
    std::vector<JournalEntry> before;
    for (const Error& lost : report->lost) {
        before.push_back({wire::kind::kWarning, Json{{"code", lost.code}, {"message", lost.message}}});
    }
    before.push_back(collectedEntry(m_ended->attempt, report->brought, m_nodesLeft));
    if (!m_nodesLeft.empty()) {
        before.push_back({wire::kind::kWarning,
                          Json{{"code", "run.nodes_left"},
                               {"message", "Of " + nodesText(m_nodesLeft) +
                                               " nothing was heard at the run's end. What is left there is brought "
                                               "when the target can be reached."}}});
    }
    auto registering = startRegistering(m_context.registerModels, m_context.reader, m_context.writer, m_run,
                                        report->brought, [this, before](std::vector<JournalEntry> done) {
                                            m_context.modelsChanged();
                                            done.insert(done.begin(), before.begin(), before.end());
                                            compareAndClose(std::move(done));
                                        });
    if (!registering) {
        compareAndClose(std::move(before));
        return;
    }
    m_comparing = true;
    m_work = std::move(registering);
}

void RunFollower::compareAndClose(std::vector<JournalEntry> before) {
    // What was ended because it could not be started whole has failed.
    const RunState state = m_launchError && !m_cancelAsked ? RunState::Failed : stateOfOutcome(m_ended->outcome);
    const std::string reason = m_launchError && !m_cancelAsked ? m_launchError->message : m_ended->reason;
    const auto row = m_context.reader.run(m_run);
    if (!row.ok() || row->reproduces.empty()) {
        close(state, reason, std::move(before));
        return;
    }
    m_comparing = true;
    m_work = std::make_unique<targets::ThreadOperation<Json>>(
        [layout = m_context.workspace.layout, index = m_context.workspace.index,
         original = base::RunId(row->reproduces), run = m_run,
         state](const targets::KeepGoing& report) -> Result<Json> {
            const auto reader = store::Reader::open(index);
            if (!reader.ok()) {
                return reader.error();
            }
            const auto left = reader->run(original);
            auto right = reader->run(run);
            if (!left.ok() || !right.ok()) {
                return left.ok() ? right.error() : left.error();
            }
            right->state = state;
            return compareRuns(layout, *reader, *left, *right, true, report);
        },
        std::function<void(std::int64_t)>{},
        [this, state, reason, before = std::move(before)](const Result<Json>& compared) mutable {
            if (compared.ok()) {
                before.push_back({wire::kind::kReproduced, *compared});
            } else {
                before.push_back(
                    {wire::kind::kWarning, Json{{"code", "run.not_compared"},
                                                {"message", "It could not be compared with the run that it repeats: " +
                                                                compared.error().message}}});
            }
            close(state, reason, std::move(before));
        });
}

void RunFollower::close(RunState state, const std::string& reason, std::vector<JournalEntry> before) {
    m_phase = Phase::Finalizing;
    m_unreachableSince = 0;
    m_stream.reset();
    m_look.reset();
    m_lookTimer.stop();
    m_lostTimer.stop();
    before.push_back(stateEntry(state, reason));
    const bool live = m_ended ? m_endedLive : !m_adopted || m_cancelAsked;
    journalOrRetry(std::move(before), [this, state, reason, live] {
        m_phase = Phase::Done;
        m_lock.release();
        m_context.changed(m_run, RunPart::State | RunPart::Outputs | RunPart::Warning);
        if (live) {
            m_context.ended(m_run, state, reason);
        }
        tellCancel({});
        Q_EMIT settled();
        Q_EMIT done();
    });
}

}  // namespace trainyard::runs
