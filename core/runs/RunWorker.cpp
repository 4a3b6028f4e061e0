#include "core/runs/RunWorker.h"

#include <unistd.h>

#include <QThreadPool>
#include <algorithm>
#include <functional>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/runs/EnvironmentBook.h"
#include "core/runs/NamedData.h"
#include "core/runs/TargetBook.h"
#include "core/targets/Operations.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Result;
using base::RunId;
using base::Status;
using spec::RunState;

namespace {

constexpr int kFlushMillis = 40;
constexpr int kWatchMillis = 200;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kRemembered = 1000;  // Newest runs that are compared when another process wrote.

void mix(std::size_t& hash, std::size_t value) { hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2); }
void mix(std::size_t& hash, const std::string& text) { mix(hash, std::hash<std::string>{}(text)); }
void mixNumber(std::size_t& hash, std::int64_t value) { mix(hash, std::hash<std::int64_t>{}(value)); }

std::size_t metaOf(const store::RunRow& row) {
    std::size_t hash = row.archived ? 1 : 0;
    mix(hash, row.name);
    mix(hash, row.notes);
    for (const auto& [name, value] : row.tags) {
        mix(hash, name);
        mix(hash, value);
    }
    return hash;
}

std::size_t restOf(const store::RunRow& row) {
    std::size_t hash = static_cast<std::size_t>(row.state);
    mix(hash, row.stateReason);
    mixNumber(hash, row.attempts);
    mixNumber(hash, row.logLines);
    mixNumber(hash, row.warnings);
    mixNumber(hash, row.startedAt);
    mixNumber(hash, row.endedAt);
    mixNumber(hash, row.progress ? row.progress->at : 0);
    return hash;
}

}  // namespace

RunWorker::RunWorker(Workspace workspace, ServiceOptions options, WorkerSink sink)
    : m_workspace(std::move(workspace)), m_options(std::move(options)), m_sink(std::move(sink)),
      m_pool(
          m_options.local,
          m_options.definitions ? m_options.definitions
                                : [layout = m_workspace.layout](const std::string& name) -> Result<spec::TargetSpec> {
              auto found = readTarget(layout, name);
              return found.ok() ? Result<spec::TargetSpec>(std::move(found->spec)) : found.error();
          },
          m_options.makeTarget) {
    m_flush.setSingleShot(true);
    connect(&m_flush, &QTimer::timeout, this, &RunWorker::flushChanges);
    connect(&m_watch, &QTimer::timeout, this, &RunWorker::watchOthers);
    connect(&m_retention, &QTimer::timeout, this, [this] {
        for (const std::string& name : m_pool.connected()) {
            if (name != kLocalTarget && !m_targetSweeps.contains(name)) {
                sweepTarget(name);
            }
        }
        if (!m_targetSweeps.contains(kLocalTarget)) {
            sweepTarget(kLocalTarget);
        }
    });
    m_settleTimer.setInterval(20);
    connect(&m_settleTimer, &QTimer::timeout, this, &RunWorker::checkSettled);
    connect(&m_pool, &TargetPool::reachChanged, this, &RunWorker::reachChanged);
    connect(&m_pool, &TargetPool::asked, this,
            [this](std::int64_t question, const targets::Question& what) { m_sink.asked(question, what); });
    connect(&m_pool, &TargetPool::leaving, this, [this](const std::string& name) {
        for (auto& [run, follower] : m_followers) {
            if (follower->target() == name) {
                follower->leaveTarget();
            }
        }
        m_targetSweeps.erase(name);
        std::erase_if(m_retiring, [&](const auto& one) { return targetOf(one.first) == name; });
        std::vector<std::function<void(Error)>> broken;
        for (auto one = m_operations.begin(); one != m_operations.end();) {
            if (one->second.target == name) {
                broken.push_back(std::move(one->second.fail));
                one = m_operations.erase(one);
            } else {
                ++one;
            }
        }
        for (const auto& fail : broken) {
            fail(Error{"target.changed", "The definition of " + name + " was changed meanwhile."});
        }
    });
}

RunWorker::~RunWorker() = default;

// ---------------------------------------------------------------------------------------------------- index

Status RunWorker::open(const std::function<void(double, std::string)>& progress) {
    if (m_workspace.readOnly) {
        return openReadOnly(m_workspace.readOnlyReason, progress);
    }
    Status opened = openIndex(progress);
    if (!opened.ok() && opened.error().code == "store.readonly") {
        return openReadOnly(opened.error().message, progress);
    }
    if (!opened.ok() && opened.error().code == "store.corrupt") {
        progress(-1, "The index is damaged; it is made anew from the runs' files.");
        const auto rebuilt = rebuild(progress);
        if (!rebuilt.ok()) {
            return rebuilt.error();
        }
        m_sink.troubled("store.rebuilt", "The index was damaged and was made anew from the runs' files.");
        return {};
    }
    return opened;
}

Status RunWorker::openIndex(const std::function<void(double, std::string)>& progress) {
    auto opened = store::Writer::open(m_workspace.index);
    if (!opened.ok()) {
        return opened.error();
    }
    m_writer.emplace(std::move(*opened));
    if (m_writer->created()) {
        progress(-1, "Reading the runs into a new index.");
        const auto report = m_writer->catchUp([&](std::int64_t done, std::int64_t total) {
            progress(total > 0 ? static_cast<double>(done) / static_cast<double>(total) : -1, {});
            return true;
        });
        if (!report.ok()) {
            closeIndex();
            return report.error();
        }
    }
    auto reader = store::Reader::open(m_workspace.index);
    if (!reader.ok()) {
        closeIndex();
        return reader.error();
    }
    m_reader.emplace(std::move(*reader));
    makeContext();
    return {};
}

Status RunWorker::openReadOnly(const std::string& reason, const std::function<void(double, std::string)>& progress) {
    m_workspace.readOnly = true;
    m_workspace.readOnlyReason = reason;
    auto reader = store::Reader::open(m_workspace.index);
    if (!reader.ok() && (reader.error().code == "store.missing" || reader.error().code == "store.outdated")) {
        // The workspace has no index that can be read, and none can be made in it: it goes into the cache folder.
        m_workspace.index.database =
            base::xdgCacheHome() / "trainyard" / "indexes" / (m_workspace.id + ".readonly.sqlite");
        m_workspace.index.cached = true;
        TRAINYARD_TRY(base::makeDirs(m_workspace.index.database.parent_path()));
        progress(-1, "Reading the runs into an index in the cache folder.");
        auto writer = store::Writer::open(m_workspace.index);
        if (!writer.ok()) {
            return writer.error();
        }
        const auto report = writer->catchUp();
        if (!report.ok()) {
            return report.error();
        }
        reader = store::Reader::open(m_workspace.index);
    }
    if (!reader.ok()) {
        return reader.error();
    }
    m_reader.emplace(std::move(*reader));
    return {};
}

void RunWorker::closeIndex() {
    m_reader.reset();
    m_writer.reset();
}

void RunWorker::makeContext() {
    if (m_context) {
        return;  // Its references stay good: writer and reader live in the same places.
    }
    m_context.reset(new FollowContext{
        m_workspace, *m_writer, *m_reader, m_pool, [this](const RunId& run, RunParts parts) { noteChange(run, parts); },
        [this](const RunId& run, RunState state, const std::string& reason) {
            flushChanges();
            m_sink.ended(run, state, reason);
        },
        [this](const RunId& run, const std::string& code, const std::string& message) {
            m_sink.warned(run, code, message);
        },
        [this](const std::string& code, const std::string& message) { m_sink.troubled(code, message); },
        m_options.registerModels, [this] { m_sink.modelsChanged(); }});
}

Result<store::CatchUpReport> RunWorker::rebuild(const std::function<void(double, std::string)>& progress) {
    closeIndex();
    auto report = store::Writer::rebuild(m_workspace.index, [&](std::int64_t done, std::int64_t total) {
        progress(total > 0 ? static_cast<double>(done) / static_cast<double>(total) : -1, {});
        return true;
    });
    if (const Status opened = openIndex(progress); !opened.ok()) {
        // Without an index nothing can be followed; the next opening of the workspace tries again.
        m_followers.clear();
        m_watch.stop();
        m_retention.stop();
        m_context.reset();
        return opened.error();
    }
    for (auto& [run, seen] : m_seen) {
        noteChange(run, anyPart());
    }
    m_sink.modelsChanged();
    return report;
}

Result<store::Writer*> RunWorker::writer() {
    if (!m_writer) {
        return Error{"workspace.read_only",
                     m_workspace.readOnly ? m_workspace.readOnlyReason : "The index of the workspace is not open."};
    }
    return &*m_writer;
}

// ---------------------------------------------------------------------------------------------------- taking over

void RunWorker::begin() {
    m_begun = true;
    if (m_writer && !m_writer->created()) {
        const auto report = m_writer->catchUp();
        if (!report.ok()) {
            m_sink.troubled(report.error().code, report.error().message);
        } else {
            for (const Error& problem : report->problems) {
                m_sink.troubled(problem.code, problem.message);
            }
            if (report->records > 0 || report->removed > 0 || report->models > 0) {
                m_sink.changed({});
                m_sink.modelsChanged();
            }
        }
    }
    if (m_reader) {
        m_dataVersion = m_reader->dataVersion().valueOr(0);
        compareWithOthers(false);
        m_watch.start(kWatchMillis);
    }
    if (m_writer && m_options.followRuns) {
        sweep();
        sweepTarget(kLocalTarget);
        findDebts();
        m_retention.start(m_options.retentionMillis);
        QThreadPool::globalInstance()->start([layout = m_workspace.layout] { sweepTrash(layout); });
    }
}

Result<std::vector<store::RunRow>> RunWorker::activeRuns() {
    std::vector<store::RunRow> all;
    const auto counts = m_reader->counts();
    if (!counts.ok()) {
        return counts.error();
    }
    const std::pair<std::int64_t, std::vector<const char*>> kinds[] = {
        {counts->preparing, {"state:preparing"}},
        {counts->queued, {"state:queued"}},
        {counts->running, {"state:running", "state:finalizing"}},
        {counts->lost, {"state:lost"}},
    };
    for (const auto& [count, filters] : kinds) {
        if (count == 0) {
            continue;
        }
        for (const char* filter : filters) {
            store::RunQuery query;
            query.filter = filter;
            query.archived = store::Archived::Include;
            query.limit = 10'000;
            query.withMetrics = false;
            auto page = m_reader->listRuns(query);
            if (!page.ok()) {
                return page.error();
            }
            std::move(page->rows.begin(), page->rows.end(), std::back_inserter(all));
        }
    }
    return all;
}

void RunWorker::sweep() {
    m_lastSweep = base::monotonicNanos();
    const auto active = activeRuns();
    if (!active.ok()) {
        m_unfollowed = true;
        return;
    }
    m_unfollowed = false;
    for (const store::RunRow& row : *active) {
        if (m_followers.contains(row.id)) {
            continue;
        }
        auto lock = base::FileLock::tryExclusive(m_workspace.layout.lock(row.id), "pid " + std::to_string(::getpid()));
        if (!lock.ok()) {
            m_unfollowed = true;
            continue;
        }
        addFollower(row.id, row.target, std::move(*lock)).adopt();
    }
}

RunFollower& RunWorker::addFollower(const RunId& run, const std::string& target, base::FileLock lock) {
    auto follower = std::make_unique<RunFollower>(*m_context, run, target, std::move(lock));
    RunFollower& added = *follower;
    // Queued: the follower is still at work when it says that it is done.
    connect(
        &added, &RunFollower::done, this, [this, run] { dropFollower(run); }, Qt::QueuedConnection);
    connect(&added, &RunFollower::settled, this, &RunWorker::checkSettled, Qt::QueuedConnection);
    m_followers[run] = std::move(follower);
    return added;
}

void RunWorker::dropFollower(const RunId& run) {
    const auto found = m_followers.find(run);
    if (found == m_followers.end() || !found->second->isDone()) {
        return;
    }
    m_followers.erase(found);
    if (const auto row = m_reader->run(run); row.ok()) {
        m_seen[run] = {metaOf(*row), restOf(*row), row->state};
    }
    checkSettled();
    retire(run, 20);
}

// ---------------------------------------------------------------------------------------------------- actions

void RunWorker::submit(const Json& document, std::function<void(Result<Submitted>)> done, const RunId& snapshotFrom,
                       const RunId& reproduces, std::function<void(const Json&)> onUpload) {
    const Result<store::Writer*> index = writer();
    if (!index.ok()) {
        done(index.error());
        return;
    }
    const auto pinned = pinDatasets(m_workspace.layout, document);
    Result<spec::RunSpec> spec =
        pinned.ok() ? checkForLaunch(*pinned, snapshotFrom.isValid()) : Result<spec::RunSpec>(pinned.error());
    if (!spec.ok()) {
        done(spec.error());
        return;
    }
    const auto target = m_pool.definition(spec->target);
    if (!target.ok()) {
        done(Error{target.error().code, target.error().message, "target"});
        return;
    }
    if (const Status fits = checkTarget(*spec, *target); !fits.ok()) {
        done(fits.error());
        return;
    }
    NewRun run;
    run.spec = std::move(*spec);
    const auto environment = environmentOf(m_workspace.layout, run.spec);
    if (!environment.ok()) {
        done(environment.error());
        return;
    }
    // A later version of the definition does not change what this run used.
    run.spec.environment =
        environment->spec.kind == spec::EnvironmentKind::Engine ? environment->spec.name : environment->pinned();
    run.document = spec::toJson(run.spec);
    run.snapshotFrom = snapshotFrom;
    run.reproduces = reproduces;
    if (!run.spec.resumeFrom.empty()) {
        const auto parent = m_reader->run(RunId(run.spec.resumeFrom));
        if (!parent.ok()) {
            done(Error{"run.unknown", "The run to go on from is not in this workspace.", "resume_from"});
            return;
        }
        if (!spec::isFinal(parent->state)) {
            done(Error{"run.running",
                       "Run " + std::to_string(parent->number) + " has not ended; only then can it be resumed.",
                       "resume_from"});
            return;
        }
        auto checkpoint = checkpointOf(m_workspace.layout, parent->id, run.spec.taskKind);
        if (!checkpoint.ok()) {
            done(Error{checkpoint.error().code, checkpoint.error().message, "resume_from"});
            return;
        }
        run.resumeCheckpoint = std::move(*checkpoint);
    }
    const auto number = (*index)->takeNumber();
    if (!number.ok()) {
        done(number.error());
        return;
    }
    run.id = RunId::make();
    run.number = *number;
    run.name = run.spec.name.empty() ? run.spec.experiment + "-" + std::to_string(run.number) : run.spec.name;
    auto lock = makeRunFolder(m_workspace.layout, run);
    if (!lock.ok()) {
        done(lock.error());
        return;
    }
    RunFollower& follower = addFollower(run.id, run.spec.target, std::move(*lock));
    if (const auto taken = (*index)->followJournal(run.id); !taken.ok()) {
        // The run exists by its files. It is told to the index again when it ends or the workspace is opened.
        m_sink.troubled(taken.error().code, taken.error().message);
    }
    noteChange(run.id, RunPart::Added | RunPart::State);
    const Submitted submitted{run.id, run.number, run.name};
    const auto answer = [submitted, done = std::move(done)](const Status& launched) {
        if (launched.ok()) {
            done(submitted);
            return;
        }
        done(Error{launched.error().code,
                   "Run " + std::to_string(submitted.number) + " could not be started: " + launched.error().message});
    };
    follower.launch(std::move(run), answer, std::move(onUpload));
}

void RunWorker::cancel(const RunId& run, std::function<void(Status)> done) {
    if (const auto found = m_followers.find(run); found != m_followers.end()) {
        found->second->cancel(std::move(done));
        return;
    }
    const auto row = m_reader->run(run);
    if (!row.ok()) {
        done(row.error());
        return;
    }
    if (spec::isFinal(row->state)) {
        done(Error{"run.ended", "Run " + std::to_string(row->number) + " has ended already."});
        return;
    }
    auto lock = base::FileLock::tryExclusive(m_workspace.layout.lock(run), "pid " + std::to_string(::getpid()));
    if (lock.ok()) {
        RunFollower& follower = addFollower(run, row->target, std::move(*lock));
        follower.adopt();
        follower.cancel(std::move(done));
        return;
    }
    // Whoever follows it finds this, should the target not be told from here.
    if (const Status written = appendJournal(m_workspace.layout, run, {{wire::kind::kCancelAsked, Json::object()}});
        !written.ok()) {
        done(written);
        return;
    }
    if (m_writer) {
        if (const auto taken = m_writer->followJournal(run); !taken.ok()) {
            m_sink.troubled(taken.error().code, taken.error().message);
        }
    }
    cancelElsewhere(run, base::Deadline::inMillis(5000), std::move(done));
}

void RunWorker::cancelElsewhere(const RunId& run, base::Deadline deadline, std::function<void(Status)> done) {
    // Whoever follows it may be just about to make the run's folder on the target.
    onTarget<void>(
        --m_lastOwnTicket, targetOf(run),
        [run, deadline](targets::Target& target, targets::DoneStatus sent) {
            return target.command(run, wire::control::kCancel, deadline, std::move(sent));
        },
        [this, run, deadline, done = std::move(done)](const Status& sent) {
            if (!sent.ok() && sent.error().code == "target.missing" && !deadline.passed()) {
                QTimer::singleShot(100, this, [this, run, deadline, done] { cancelElsewhere(run, deadline, done); });
                return;
            }
            // It is in the journal: its follower tells the target when that can be reached.
            done(!sent.ok() && sent.error().code == "target.unreachable" ? Status{} : sent);
        });
}

Status RunWorker::giveUp(const RunId& run) {
    if (const auto found = m_followers.find(run); found != m_followers.end()) {
        return found->second->giveUp();
    }
    const auto row = m_reader ? m_reader->run(run) : Result<store::RunRow>(writer().error());
    if (!row.ok()) {
        return row.error();
    }
    if (spec::isFinal(row->state)) {
        return Error{"run.ended", "Run " + std::to_string(row->number) + " has ended already."};
    }
    auto lock = base::FileLock::tryExclusive(m_workspace.layout.lock(run), "pid " + std::to_string(::getpid()));
    if (!m_writer || !lock.ok()) {
        return m_writer ? Error{"lock.held", "Another window follows this run; give it up there."} : writer().error();
    }
    RunFollower& follower = addFollower(run, row->target, std::move(*lock));
    follower.adopt();
    return follower.giveUp();
}

void RunWorker::edit(const RunId& run, std::vector<JournalEntry> entries, std::function<void(Status)> done) {
    const Result<store::Writer*> index = writer();
    if (!index.ok()) {
        done(index.error());
        return;
    }
    std::error_code error;
    if (!std::filesystem::exists(m_workspace.layout.journal(run), error)) {
        done(Error{"run.unknown", "The run is not there any more."});
        return;
    }
    Status status = appendJournal(m_workspace.layout, run, entries);
    if (status.ok()) {
        if (const auto taken = (*index)->followJournal(run); !taken.ok()) {
            status = taken.error();
        }
    }
    noteChange(run, RunPart::Meta);
    flushChanges();
    done(std::move(status));
}

// ---------------------------------------------------------------------------------------------------- changes

void RunWorker::noteChange(const RunId& run, RunParts parts) {
    m_changes[run] |= parts;
    const std::int64_t since = (base::monotonicNanos() - m_lastFlush) / 1'000'000;
    if (since >= kFlushMillis) {
        flushChanges();
    } else if (!m_flush.isActive()) {
        m_flush.start(static_cast<int>(kFlushMillis - since));
    }
}

void RunWorker::flushChanges() {
    m_flush.stop();
    m_lastFlush = base::monotonicNanos();
    if (m_changes.empty()) {
        return;
    }
    QList<RunChange> changes;
    for (const auto& [run, parts] : std::exchange(m_changes, {})) {
        changes.append({run, parts});
    }
    m_sink.changed(std::move(changes));
}

void RunWorker::watchOthers() {
    if (!m_reader) {
        return;
    }
    const auto version = m_reader->dataVersion();
    const std::int64_t now = base::monotonicNanos();
    const std::uint64_t own = m_writer ? m_writer->changeCount() : 0;
    if (version.ok() && *version != m_dataVersion) {
        const bool onlyOthers = own == m_ownChanges;
        if (onlyOthers || now - m_lastCompare > kSecond) {
            m_dataVersion = *version;
            m_ownChanges = own;
            compareWithOthers(true);
            m_unfollowed = true;
            for (const auto& [run, follower] : m_followers) {
                follower->lookAtJournal();
            }
        }
    }
    if (m_unfollowed && m_writer && m_options.followRuns && now - m_lastSweep > kSecond) {
        sweep();
    }
}

void RunWorker::compareWithOthers(bool tell) {
    m_lastCompare = base::monotonicNanos();
    store::RunQuery query;
    query.archived = store::Archived::Include;
    query.limit = kRemembered;
    query.withMetrics = false;
    const auto page = m_reader->listRuns(query);
    if (page.ok()) {
        std::map<RunId, Seen> now;
        for (const store::RunRow& row : page->rows) {
            const Seen seen{metaOf(row), restOf(row), row.state};
            now[row.id] = seen;
            if (!tell) {
                continue;
            }
            const auto before = m_seen.find(row.id);
            const bool ours = m_followers.contains(row.id);
            if (before == m_seen.end()) {
                // One of ours that is compared for the first time may have been renamed by others since it was made.
                if (ours) {
                    noteChange(row.id, RunPart::Meta);
                } else if (page->rows.size() < kRemembered) {
                    noteChange(row.id, RunPart::Added | anyPart());
                }
                continue;
            }
            if (before->second.meta != seen.meta) {
                noteChange(row.id, RunPart::Meta);
            }
            if (!ours && (before->second.rest != seen.rest || !spec::isFinal(seen.state))) {
                noteChange(row.id, anyPart());
            }
            if (!ours && !spec::isFinal(before->second.state) && spec::isFinal(seen.state)) {
                flushChanges();
                m_sink.ended(row.id, row.state, row.stateReason);
            }
        }
        for (const auto& [run, seen] : m_seen) {
            if (tell && !now.contains(run) && !m_reader->run(run).ok()) {
                noteChange(run, RunPart::Removed);
            }
        }
        m_seen = std::move(now);
    }
    if (const auto models = m_reader->models(); models.ok()) {
        std::size_t hash = models->size();
        for (const store::ModelRow& model : *models) {
            mix(hash, model.name);
            mixNumber(hash, model.versions);
            mixNumber(hash, model.latest.version);
            mix(hash, base::dumpJson(model.latest.card));
        }
        if (std::exchange(m_seenModels, hash) != hash && tell) {
            m_sink.modelsChanged();
        }
    }
}

// ---------------------------------------------------------------------------------------------------- settling

void RunWorker::settle(int millis, std::function<void()> done) {
    m_settling.push_back({base::Deadline::inMillis(millis), std::move(done)});
    m_settleTimer.start();
    checkSettled();
}

void RunWorker::checkSettled() {
    const bool all =
        std::all_of(m_followers.begin(), m_followers.end(), [](const auto& one) { return one.second->isSettled(); });
    std::vector<Settling> waiting;
    for (Settling& one : std::exchange(m_settling, {})) {
        if (all || one.deadline.passed()) {
            one.done();
        } else {
            waiting.push_back(std::move(one));
        }
    }
    m_settling.insert(m_settling.end(), std::make_move_iterator(waiting.begin()),
                      std::make_move_iterator(waiting.end()));
    if (m_settling.empty()) {
        m_settleTimer.stop();
    }
}

}  // namespace trainyard::runs
