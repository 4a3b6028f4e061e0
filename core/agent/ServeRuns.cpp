// Verbs about runs: start, command, look, outputs, runs, remove.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/agent/AgentMain.h"
#include "core/agent/Child.h"
#include "core/agent/Machine.h"
#include "core/agent/RankFiles.h"
#include "core/agent/ServeStore.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Process.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kStartMillis = 20'000;
constexpr int kMostLeadMillis = 600'000;
constexpr std::int64_t kLeavingMillis = 2000;  ///< For how long the agent of a removed run may still be ending.
constexpr std::size_t kMostOutputs = 20'000;

bool isFolder(const Path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Error missingRun(const Path& run) { return {"target.missing", "The run's folder " + run.string() + " is not there."}; }

void pauseMillis(long millis) {
    const timespec pause{0, millis * 1'000'000};
    ::nanosleep(&pause, nullptr);
}

struct AgentLook {
    std::string status = "not_started";
    std::string host;
    std::int64_t pid = 0;
};

AgentLook lookAt(const NodeLayout& node, const std::string& ourHost) {
    AgentLook look;
    look.host = ourHost;
    const auto json = readJsonFile(node.agent());
    if (!json.ok()) return look;
    base::ObjectReader reader(*json, "");
    const auto identity = base::processIdentityFromJson(reader.raw("identity"));
    if (!identity.ok()) return look;
    look.pid = identity->pid;
    look.host = reader.string("host", ourHost);
    switch (base::liveness(*identity)) {
    case base::Liveness::Alive: look.status = "alive"; break;
    case base::Liveness::Gone: look.status = "gone"; break;
    case base::Liveness::OtherBoot: look.status = "other_boot"; break;
    }
    return look;
}

Result<Json> waitForLead(const NodeLayout& node, const std::string& host, std::int64_t limitMillis) {
    const auto deadline = base::Deadline::inMillis(limitMillis);
    while (true) {
        if (const auto lead = readJsonFile(node.lead()); lead.ok()) return *lead;
        const bool alive = lookAt(node, host).status == "alive";
        if (const auto lead = readJsonFile(node.lead()); lead.ok()) return *lead;
        if (!alive) return Error{"target.lead", "The agent of node 0 ended before it listened for the other nodes."};
        if (deadline.passed())
            return Error{"target.deadline", "The agent of node 0 does not listen for the other nodes yet."};
        pauseMillis(5);
    }
}

Result<Json> startNode(const NodeLayout& node, int waitLeadMillis) {
    if (!isFolder(node.root)) return missingRun(node.root);
    ChildSpec spec;
    spec.argv = {"/proc/self/exe", "run", node.root.string(), "--detach"};
    const ProgramResult result = runProgram(spec, kStartMillis);
    if (!result.succeeded() && !(result.started && result.end.exit == exitStatus::kHeld)) {
        return Error{"target.program", "The run's agent did not start: " + result.trouble("trainyard-agent") + "."};
    }
    const std::string host = hostName();
    Json answer = Json::object();
    answer["pid"] = lookAt(node, host).pid;
    if (waitLeadMillis > 0) {
        const auto lead = waitForLead(node, host, waitLeadMillis);
        if (!lead.ok()) return lead.error();
        answer["lead"] = *lead;
    }
    return answer;
}

/// Files of a run's outputs as they are now. What is no regular file, or has a name that is no UTF-8, is left out.
Result<Json> listRunOutputs(const Path& outputs) {
    Json files = Json::array();
    std::error_code error;
    for (fs::recursive_directory_iterator it(outputs, error), end; !error && it != end; it.increment(error)) {
        const std::string path = it->path().lexically_relative(outputs).generic_string();
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode) || !base::isPlainRelativePath(path))
            continue;
        files.push_back({{"path", path}, {"size", static_cast<std::int64_t>(info.st_size)}});
        if (files.size() >= kMostOutputs) break;
    }
    std::sort(files.begin(), files.end(), [](const Json& a, const Json& b) {
        return a["path"].get_ref<const std::string&>() < b["path"].get_ref<const std::string&>();
    });
    return Json{{"files", std::move(files)}};
}

std::int64_t bytesBelow(const Path& root) {
    std::int64_t bytes = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) == 0) bytes += static_cast<std::int64_t>(info.st_blocks) * 512;
    }
    return bytes;
}

Result<Json> removeRun(const Path& run) {
    Json answer = Json::object();
    answer["freed_bytes"] = 0;
    if (!isFolder(run)) return answer;
    TRAINYARD_TRY(base::checkOwnedByUs(run));
    const std::string host = hostName();
    const auto deadline = base::Deadline::inMillis(kLeavingMillis);
    for (const int attempt : numberedFolders(run, 'a')) {
        const Path folder = run / ("a" + std::to_string(attempt));
        for (const int node : numberedFolders(folder, 'n')) {
            const NodeLayout layout{folder / ("n" + std::to_string(node))};
            while (lookAt(layout, host).status == "alive") {
                if (deadline.passed())
                    return Error{"target.busy", "The run's agent is still at work; cancel the run first."};
                pauseMillis(20);
            }
        }
    }
    answer["freed_bytes"] = bytesBelow(run);
    TRAINYARD_TRY(removeReadOnlyTree(run));
    return answer;
}

}  // namespace

MadeRequest serveStart(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    const int attempt = arguments.number("attempt", 1, 1'000'000, 1);
    const int node = arguments.number("node", 0, 1'000'000, 0);
    const int waitLead = arguments.number("wait_lead", 0, kMostLeadMillis, 0);
    TRAINYARD_TRY(arguments.status());
    const NodeLayout layout{context.work.attemptNode(run, attempt, node)};
    return ServeRequestPtr(std::make_unique<ServeWorker>(
        context, id, [&](const ServeWorker::Say&) { return startNode(layout, waitLead); }));
}

MadeRequest serveCommandVerb(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    const std::string name = arguments.reader().string("name");
    if (name != wire::control::kCancel && name != wire::control::kCheckpoint) {
        arguments.reader().fail("serve.command", "name", "\"name\" must be cancel or checkpoint.");
    }
    TRAINYARD_TRY(arguments.status());
    const Path folder = context.work.run(run);
    if (!isFolder(folder)) return missingRun(folder);
    const int attempt = newestAttempt(folder);
    const auto nodes = numberedFolders(folder / ("a" + std::to_string(attempt)), 'n');
    for (const int node : nodes) {
        const NodeLayout layout{context.work.attemptNode(run, attempt, node)};
        TRAINYARD_TRY(base::makeDirs(layout.control()));
        TRAINYARD_TRY(base::checkOwnedByUs(layout.control()));
        TRAINYARD_TRY(base::writeFileAtomically(layout.control() / name, {}));
    }
    return answered(context, id, Json{{"nodes", static_cast<std::int64_t>(nodes.size())}});
}

MadeRequest serveLook(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    TRAINYARD_TRY(arguments.status());
    const Path folder = context.work.run(run);
    Json answer = Json::object();
    answer["folder"] = isFolder(folder);
    answer["nodes"] = Json::array();
    const std::string host = hostName();
    const int attempt = newestAttempt(folder);
    for (const int node : numberedFolders(folder / ("a" + std::to_string(attempt)), 'n')) {
        const AgentLook look = lookAt(NodeLayout{context.work.attemptNode(run, attempt, node)}, host);
        answer["nodes"].push_back({{"attempt", attempt}, {"node", node}, {"status", look.status}, {"host", look.host}});
    }
    return answered(context, id, std::move(answer));
}

MadeRequest serveOutputs(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    TRAINYARD_TRY(arguments.status());
    const Path folder = context.work.run(run);
    if (!isFolder(folder)) return missingRun(folder);
    return ServeRequestPtr(std::make_unique<ServeWorker>(
        context, id, [&](const ServeWorker::Say&) { return listRunOutputs(context.work.outputs(run)); }));
}

MadeRequest serveRuns(ServeContext& context, std::int64_t id, const Json&, std::string) {
    Json runs = Json::array();
    std::error_code error;
    for (fs::directory_iterator it(context.work.runs(), error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (base::isUuid7(name) && isFolder(it->path())) runs.push_back(name);
    }
    std::sort(runs.begin(), runs.end());
    return answered(context, id, Json{{"runs", std::move(runs)}});
}

MadeRequest serveRemove(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const RunId run = arguments.run();
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(std::make_unique<ServeWorker>(
        context, id, [&](const ServeWorker::Say&) { return removeRun(context.work.run(run)); }));
}

}  // namespace trainyard::agent
