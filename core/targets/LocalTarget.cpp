#include "core/targets/LocalTarget.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/targets/Host.h"
#include "core/targets/LocalFiles.h"
#include "core/targets/LocalOperations.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kChunkBytes = 1 << 20;
constexpr int kStartMillis = 20'000;

base::Error missingProgram(const std::string& name) {
    return {"target.program",
            name + " was found neither beside this program nor in ../lib/trainyard; the installation is incomplete."};
}

base::Error missingRun(const base::Path& folder) {
    return {"target.missing", "The run's folder " + folder.string() + " is not there."};
}

/// Steps one after the other; each is made when the one before has succeeded.
class StepsOperation final : public Operation {
public:
    using Step = std::function<OperationPtr(DoneStatus)>;
    StepsOperation(std::vector<Step> steps, DoneStatus done) : m_steps(std::move(steps)), m_done(std::move(done)) {
        next();
    }

private:
    void next() {
        if (m_at == m_steps.size()) {
            m_step = postResult<void>(Status{}, m_done);
            return;
        }
        m_step = m_steps[m_at++]([this](const Status& status) {
            if (status.ok()) {
                next();
                return;
            }
            const DoneStatus call = m_done;
            call(status);
        });
    }

    std::vector<Step> m_steps;
    std::size_t m_at = 0;
    DoneStatus m_done;
    OperationPtr m_step;
};

}  // namespace

LocalTarget::LocalTarget(LocalTargetOptions options, spec::TargetSpec settings)
    : m_options(std::move(options)), m_settings(std::move(settings)) {
    const std::string& set = m_settings.workFolder;
    m_work.root = !m_options.work.empty() ? m_options.work
                  : set.starts_with("~/") ? base::homeFolder() / set.substr(2)
                  : !set.empty()          ? base::Path(set)
                                          : defaultWorkFolder();
    if (m_options.slots.empty()) {
        m_options.slots = m_settings.slotsFolder.empty() ? defaultSlotsFolder() : base::Path(m_settings.slotsFolder);
    }
}

LocalTarget::~LocalTarget() = default;

base::Path LocalTarget::defaultWorkFolder() {
    const QByteArray chosen = qgetenv("TRAINYARD_WORK");
    if (!chosen.isEmpty()) {
        return base::Path(chosen.toStdString());
    }
    return base::xdgDataHome() / "trainyard" / "work";
}

base::Path LocalTarget::defaultSlotsFolder() {
    const QByteArray chosen = qgetenv("TRAINYARD_SLOTS");
    return chosen.isEmpty() ? base::Path("/var/tmp/trainyard-slots") : base::Path(chosen.toStdString());
}

base::Path LocalTarget::findProgram(const std::string& name, const base::Path& folder) {
    const QByteArray chosen = qgetenv("TRAINYARD_BIN");
    const base::Path here = !folder.empty()     ? folder
                            : !chosen.isEmpty() ? base::Path(chosen.toStdString())
                                                : base::executableFolder();
    for (const base::Path& candidate : {here / name, here / ".." / "lib" / "trainyard" / name}) {
        if (::access(candidate.c_str(), X_OK) == 0) {
            return candidate.lexically_normal();
        }
    }
    return {};
}

Reach LocalTarget::reach() const {
    Reach reach;
    reach.state = Reach::State::Connected;
    return reach;
}

void LocalTarget::onReachChanged(std::function<void(const Reach&)>) {}

void LocalTarget::setAsk(AskPerson) {}

OperationPtr LocalTarget::connect(Deadline, DoneStatus done) {
    std::string engine;
    return postResult<void>(prepare({}, engine), std::move(done));
}

// ---------------------------------------------------------------------------------------------------- launch

Status LocalTarget::prepare(const LaunchPlan& plan, std::string& engine) const {
    if (findProgram("trainyard-agent", m_options.programs).empty()) {
        return missingProgram("trainyard-agent");
    }
    if (plan.needsEngine) {
        engine = m_settings.engine.starts_with("/") ? m_settings.engine
                                                    : findProgram("trainyard-engine", m_options.programs).string();
        if (engine.empty()) {
            return base::Error{
                "target.program",
                "trainyard-engine was found neither beside this program nor in ../lib/trainyard; without it "
                "no model can be trained."};
        }
    }
    TRAINYARD_TRY(base::makeDirs(m_work.root));
    return base::checkOwnedByUs(m_work.root);
}

OperationPtr LocalTarget::launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress, DoneStatus done) {
    std::string engine;
    if (const Status ready = prepare(plan, engine); !ready.ok()) {
        return postResult<void>(ready, std::move(done));
    }
    if (const Status noted = plan.placeOn({"local"}); !noted.ok()) {
        return postResult<void>(noted, std::move(done));
    }
    std::vector<base::Path> folders;
    for (int node = 0; node < plan.plan.nodes; ++node) {
        folders.push_back(m_work.attemptNode(plan.plan.run, plan.plan.attempt, node));
    }
    std::int64_t total = 0;
    for (const SnapshotFile& file : plan.source) {
        total += file.size;
    }
    const auto place = [this, plan = std::move(plan), engine, onProgress, total](DoneStatus placed) -> OperationPtr {
        return std::make_unique<ThreadOperation<void>>(
            [work = m_work, slots = m_options.slots, plan, engine](const KeepGoing& report) {
                return placeLaunch(work, slots, engine, plan, report);
            },
            [onProgress, total](std::int64_t bytes) {
                if (onProgress) {
                    onProgress({"upload", "Copying the source.", bytes, std::max(bytes, total)});
                }
            },
            std::move(placed));
    };
    const auto start = [this, folders](DoneStatus started) {
        return startAgents(folders, Deadline::inMillis(kStartMillis), std::move(started));
    };
    return std::make_unique<StepsOperation>(std::vector<StepsOperation::Step>{place, start}, std::move(done));
}

OperationPtr LocalTarget::startAgents(std::vector<base::Path> folders, Deadline deadline, DoneStatus done) const {
    const base::Path agent = findProgram("trainyard-agent", m_options.programs);
    if (agent.empty()) {
        return postResult<void>(missingProgram("trainyard-agent"), std::move(done));
    }
    std::vector<StepsOperation::Step> steps;
    for (const base::Path& folder : folders) {
        steps.emplace_back([agent, folder, deadline](DoneStatus started) -> OperationPtr {
            return std::make_unique<ProcessOperation>(
                QString::fromStdString(agent.string()),
                QStringList{QStringLiteral("run"), QString::fromStdString(folder.string()), QStringLiteral("--detach")},
                deadline, std::move(started));
        });
    }
    return std::make_unique<StepsOperation>(std::move(steps), std::move(done));
}

OperationPtr LocalTarget::revive(const RunId& run, Deadline deadline, DoneStatus done) {
    const AttemptFolders newest = newestAttempt(m_work, run);
    if (newest.nodes == 0) {
        return postResult<void>(missingRun(m_work.run(run)), std::move(done));
    }
    std::vector<base::Path> folders;
    for (int node = 0; node < newest.nodes; ++node) {
        const base::Path folder = m_work.attemptNode(run, newest.attempt, node);
        const Result<AgentStatus> status = lookAtAgent(folder);
        if (!status.ok() || *status != AgentStatus::Alive) {
            folders.push_back(folder);
        }
    }
    return startAgents(std::move(folders), deadline, std::move(done));
}

OperationPtr LocalTarget::command(const RunId& run, const std::string& command, Deadline, DoneStatus done) {
    const AttemptFolders newest = newestAttempt(m_work, run);
    if (newest.nodes == 0) {
        return postResult<void>(missingRun(m_work.run(run)), std::move(done));
    }
    Status status;
    for (int node = 0; node < newest.nodes && status.ok(); ++node) {
        const wire::NodeLayout layout{m_work.attemptNode(run, newest.attempt, node)};
        status = base::makeDirs(layout.control());
        if (status.ok()) {
            status = base::writeFileAtomically(layout.control() / command, "");
        }
    }
    return postResult<void>(std::move(status), std::move(done));
}

OperationPtr LocalTarget::look(const RunId& run, Deadline, Done<RunLook> done) {
    const AttemptFolders newest = newestAttempt(m_work, run);
    RunLook look;
    if (newest.nodes == 0) {
        look.nodes.push_back({std::max(1, newest.attempt), 0, AgentStatus::FolderMissing, {}});
    }
    for (int node = 0; node < newest.nodes; ++node) {
        const Result<AgentStatus> status = lookAtAgent(m_work.attemptNode(run, newest.attempt, node));
        if (!status.ok()) {
            return postResult<RunLook>(status.error(), std::move(done));
        }
        look.nodes.push_back({newest.attempt, node, *status, {}});
    }
    return postResult<RunLook>(std::move(look), std::move(done));
}

// ---------------------------------------------------------------------------------------------------- what comes back

OperationPtr LocalTarget::follow(const RunId& run, std::vector<StreamPosition> from,
                                 std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError) {
    return std::make_unique<FollowOperation>(m_work, run, std::move(from), kChunkBytes, m_options.pollMillis,
                                             std::move(onChunk), std::move(onError));
}

OperationPtr LocalTarget::listOutputs(const RunId& run, Deadline, Done<OutputList> done) {
    return std::make_unique<ThreadOperation<std::vector<OutputFile>>>(
        [folder = m_work.outputs(run)](const KeepGoing& report) { return listFiles(folder, report); },
        std::function<void(std::int64_t)>{}, asList(std::move(done)));
}

OperationPtr LocalTarget::fetchOutputs(const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                                       std::function<void(std::int64_t)> onProgress, Done<FetchReport> done) {
    return std::make_unique<ThreadOperation<FetchReport>>(
        [from = m_work.outputs(run), files = std::move(files), into](const KeepGoing& report) {
            return bringOutputs(from, files, into, report);
        },
        std::move(onProgress), std::move(done));
}

OperationPtr LocalTarget::listRuns(Deadline, Done<std::vector<RunId>> done) {
    std::vector<RunId> runs;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(m_work.runs(), error)) {
        RunId id(entry.path().filename().string());
        if (id.isValid()) {
            runs.push_back(std::move(id));
        }
    }
    return postResult<std::vector<RunId>>(std::move(runs), std::move(done));
}

OperationPtr LocalTarget::removeRun(const RunId& run, Deadline, DoneStatus done) {
    return std::make_unique<ThreadOperation<void>>(
        [folder = m_work.run(run)](const KeepGoing&) { return base::removeTree(folder); },
        std::function<void(std::int64_t)>{}, std::move(done));
}

OperationPtr LocalTarget::measureUpload(const LaunchPlan& plan, Deadline, Done<base::Json> done) {
    std::int64_t files = 0;
    std::int64_t bytes = 0;
    for (const SnapshotFile& file : plan.source) {
        std::error_code missing;
        if (!std::filesystem::exists(m_work.object(file.sha256), missing)) {
            ++files;
            bytes += file.size;
        }
    }
    base::Json answer{{"files", files},   {"bytes", bytes}, {"bytes_per_second", 0}, {"fetches", base::Json::array()},
                      {"fetch_bytes", 0}, {"disk", nullptr}};
    base::Path at = m_work.root;  // Made by the first run.
    std::error_code missing;
    while (!std::filesystem::exists(at, missing) && at.has_relative_path()) {
        at = at.parent_path();
    }
    if (const auto space = base::diskSpace(at); space.ok()) {
        answer["disk"] = base::Json{{"host", "this machine"},
                                    {"folder", m_work.root.string()},
                                    {"free_bytes", space->freeBytes},
                                    {"needed_bytes", bytes}};
    }
    return postResult<base::Json>(std::move(answer), std::move(done));
}

}  // namespace trainyard::targets
