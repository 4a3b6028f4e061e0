#include "core/targets/LocalTarget.h"

#include <unistd.h>

#include <system_error>
#include <utility>

#include "core/targets/LocalFiles.h"
#include "core/targets/LocalOperations.h"
#include "core/wire/RunStream.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kChunkBytes = 1 << 20;

base::Error missingProgram(const std::string& name) {
    return {"target.program",
            name + " was found neither beside this program nor in ../lib/trainyard; the installation is incomplete."};
}

}  // namespace

LocalTarget::LocalTarget(LocalTargetOptions options) : m_options(std::move(options)) {
    m_work.root = m_options.work.empty() ? defaultWorkFolder() : m_options.work;
    m_workText = m_work.root.string();
}

LocalTarget::~LocalTarget() = default;

base::Path LocalTarget::defaultWorkFolder() {
    const QByteArray chosen = qgetenv("TRAINYARD_WORK");
    if (!chosen.isEmpty()) {
        return base::Path(chosen.toStdString());
    }
    return base::xdgDataHome() / "trainyard" / "work";
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

base::Path LocalTarget::nodeFolder(const NodeRef& node) const {
    return m_work.attemptNode(node.run, node.attempt, node.node);
}

OperationPtr LocalTarget::deploy(Deadline, Done<Programs> done) {
    Programs programs;
    programs.agent = findProgram("trainyard-agent", m_options.programs).string();
    programs.engine = findProgram("trainyard-engine", m_options.programs).string();
    if (programs.agent.empty()) {
        return postResult<Programs>(missingProgram("trainyard-agent"), std::move(done));
    }
    if (const Status made = base::makeDirs(m_work.root); !made.ok()) {
        return postResult<Programs>(made.error(), std::move(done));
    }
    if (const Status ours = base::checkOwnedByUs(m_work.root); !ours.ok()) {
        return postResult<Programs>(ours.error(), std::move(done));
    }
    return postResult<Programs>(std::move(programs), std::move(done));
}

OperationPtr LocalTarget::putFiles(const NodeRef& node, std::vector<std::pair<std::string, std::string>> files,
                                   Deadline, DoneStatus done) {
    const base::Path folder = nodeFolder(node);
    Status status = base::makeDirs(folder);
    for (const auto& [name, bytes] : files) {
        if (status.ok()) {
            status = base::writeFileAtomically(folder / name, bytes);
        }
    }
    return postResult<void>(std::move(status), std::move(done));
}

OperationPtr LocalTarget::startAgent(const NodeRef& node, Deadline deadline, DoneStatus done) {
    const base::Path agent = findProgram("trainyard-agent", m_options.programs);
    if (agent.empty()) {
        return postResult<void>(missingProgram("trainyard-agent"), std::move(done));
    }
    const base::Path folder = nodeFolder(node);
    return std::make_unique<ProcessOperation>(
        QString::fromStdString(agent.string()),
        QStringList{QStringLiteral("run"), QString::fromStdString(folder.string()), QStringLiteral("--detach")}, deadline,
        std::move(done));
}

OperationPtr LocalTarget::sendCommand(const NodeRef& node, const std::string& command, Deadline, DoneStatus done) {
    const wire::NodeLayout layout{nodeFolder(node)};
    std::error_code missing;
    if (!std::filesystem::is_directory(layout.root, missing)) {
        return postResult<void>(base::Error{"target.unreachable", "The run's folder " + layout.root.string() + " is not there."},
                                std::move(done));
    }
    Status status = base::makeDirs(layout.control());
    if (status.ok()) {
        status = base::writeFileAtomically(layout.control() / command, "");
    }
    return postResult<void>(std::move(status), std::move(done));
}

OperationPtr LocalTarget::look(const NodeRef& node, Deadline, Done<AgentStatus> done) {
    return postResult<AgentStatus>(lookAtAgent(nodeFolder(node)), std::move(done));
}

OperationPtr LocalTarget::followStream(const NodeRef& node, int segment, std::int64_t offset,
                                       std::function<void(StreamChunk)> onChunk,
                                       std::function<void(base::Error)> onError) {
    return std::make_unique<FollowOperation>(wire::NodeLayout{nodeFolder(node)}.stream(), segment, offset, kChunkBytes,
                                             m_options.pollMillis, std::move(onChunk), std::move(onError));
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

}  // namespace trainyard::targets
