#include "core/agent/AgentMain.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/agent/Askpass.h"
#include "core/agent/Detach.h"
#include "core/agent/Machine.h"
#include "core/agent/NextAttempt.h"
#include "core/agent/Serve.h"
#include "core/agent/Shim.h"
#include "core/agent/Supervisor.h"
#include "core/base/Text.h"
#include "core/unpack/Archive.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kHandshakeMillis = 15'000;

constexpr const char* kHelp =
    "Usage: trainyard-agent run NODEFOLDER [--detach] [--disk-full-seconds N]\n"
    "       trainyard-agent run --scheduler RUNFOLDER\n"
    "       trainyard-agent serve [--work FOLDER] [--slots FOLDER] [--silence-seconds N]\n"
    "       trainyard-agent info [--json]\n"
    "       trainyard-agent --version | --help\n"
    "\n"
    "Carries out NODEFOLDER/plan.json on this machine: waits for slots, starts the ranks, writes their\n"
    "output, metrics and end to the stream in NODEFOLDER/stream. May be killed at any moment and started\n"
    "again on the same folder: the ranks live on meanwhile, and nothing is lost or told twice.\n"
    "\n"
    "  --detach                 go into the background; returns when the agent is at work, or says why not\n"
    "  --scheduler              as a task of a Slurm job: the folder is the run's, this node's own is made in it\n"
    "  --disk-full-seconds N    how long a full disk is waited for before the run fails (default 10)\n"
    "\n"
    "serve talks to a workbench over standard input and output until either ends; runs go on without it.\n"
    "  --work FOLDER            where runs, data and programs are kept (default ~/.local/share/trainyard/work)\n"
    "  --slots FOLDER           the queue of this machine (default /var/tmp/trainyard-slots)\n"
    "  --silence-seconds N      ends after so long without a word from the other side (default 120)\n"
    "\n"
    "A file NODEFOLDER/control/cancel ends the run. SIGTERM ends the agent alone: the ranks go on.\n"
    "\n"
    "Exit status: 0 carried out (whatever the run's outcome) or, with --detach, at work; 1 an error;\n"
    "2 a wrong command line; 3 another agent is at work on that folder.\n";

int usageError(const std::string& message) {
    std::fprintf(stderr, "trainyard-agent: %s\nTry: trainyard-agent --help\n", message.c_str());
    return exitStatus::kUsage;
}

std::optional<std::int64_t> wholeNumber(std::string_view text, std::int64_t most) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value < 0 || value > most) return {};
    return value;
}

/// Takes the folder's lock and carries out its plan.
/// Sets `next` when another attempt of the run follows.
int superviseOne(const NodeLayout& layout, SupervisorOptions options, Handshake& handshake,
                 std::optional<NodeLayout>& next) {
    const auto lock = takeLock(layout.agentLock(), "process " + std::to_string(::getpid()));
    if (!lock.ok()) {
        if (lock.error().code == "lock.held") {
            handshake.fail(exitStatus::kHeld,
                           "Another agent is at work on " + layout.root.string() + ". " + lock.error().message);
            return exitStatus::kHeld;
        }
        handshake.fail(exitStatus::kError, lock.error().message);
        return exitStatus::kError;
    }
    auto loop = EventLoop::create();
    if (!loop.ok()) {
        handshake.fail(exitStatus::kError, loop.error().message);
        return exitStatus::kError;
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    options.onStarted = [&handshake] { handshake.succeed(); };
    Supervisor supervisor(layout, std::move(options), std::move(loop).value());
    const auto end = supervisor.run();
    if (!end.ok()) {
        handshake.fail(exitStatus::kError, end.error().message);
        return exitStatus::kError;
    }
    if (*end == SupervisorEnd::Done) next = supervisor.next();
    return exitStatus::kDone;
}

int superviseFolder(const NodeLayout& layout, const SupervisorOptions& options, Handshake& handshake) {
    std::optional<NodeLayout> next = layout;
    int status = exitStatus::kDone;
    while (next && status == exitStatus::kDone) {
        const NodeLayout now = *next;
        next.reset();
        status = superviseOne(now, options, handshake, next);
    }
    return status;
}

int runCommand(const std::vector<std::string>& arguments) {
    bool detach = false;
    bool scheduler = false;
    SupervisorOptions options;
    std::optional<std::string> folder;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        if (argument == "--detach") {
            detach = true;
        } else if (argument == "--scheduler") {
            scheduler = true;
        } else if (argument == "--disk-full-seconds") {
            const auto seconds = i + 1 < arguments.size() ? wholeNumber(arguments[i + 1], 86'400) : std::nullopt;
            if (!seconds) return usageError("--disk-full-seconds needs a whole number of seconds");
            options.diskFullMillis = *seconds * 1000;
            ++i;
        } else if (argument.starts_with("-")) {
            return usageError("unknown option " + argument);
        } else if (folder) {
            return usageError("run takes one folder");
        } else {
            folder = argument;
        }
    }
    if (!folder || folder->empty()) return usageError("run needs the node folder");
    std::error_code error;
    NodeLayout layout{std::filesystem::canonical(*folder, error)};
    if (error || !std::filesystem::is_directory(layout.root, error)) {
        std::fprintf(stderr, "trainyard-agent: %s is not a folder.\n", folder->c_str());
        return exitStatus::kError;
    }
    if (const auto owned = base::checkOwnedByUs(layout.root); !owned.ok()) {
        std::fprintf(stderr, "trainyard-agent: %s\n", owned.error().message.c_str());
        return exitStatus::kError;
    }
    ::umask(077);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    closeInherited();
    if (scheduler) {
        auto node = makeScheduledNode(layout.root);
        if (!node.ok()) {
            std::fprintf(stderr, "trainyard-agent: %s\n", node.error().message.c_str());
            return exitStatus::kError;
        }
        layout = *node;
    }
    const auto work = [&](Handshake& handshake) { return superviseFolder(layout, options, handshake); };
    if (detach) return runDetached(layout.agentLog(), kHandshakeMillis, work);
    Handshake nobody;
    return work(nobody);
}

int shimCommand(const std::vector<std::string>& arguments) {
    const auto rank = arguments.size() == 2 ? wholeNumber(arguments[1], 1'000'000) : std::nullopt;
    if (!rank) return usageError("shim needs the node folder and the rank");
    return runShim(NodeLayout{arguments[0]}, static_cast<int>(*rank));
}

/// As a process of MPI's launcher.
int rankCommand(const std::vector<std::string>& arguments) {
    const bool scheduled = arguments.size() == 2 && arguments[0] == "--scheduler";
    if (arguments.size() != 1 && !scheduled) return usageError("rank needs the node folder");
    const auto folder = scheduled ? scheduledNode(arguments[1]) : Result<NodeLayout>(NodeLayout{arguments[0]});
    if (!folder.ok()) {
        std::fprintf(stderr, "trainyard-agent rank: %s\n", folder.error().message.c_str());
        return exitStatus::kError;
    }
    const NodeLayout layout = *folder;
    const auto text = base::readFile(layout.plan());
    const auto json = text.ok() ? base::parseJson(*text) : base::Result<base::Json>(text.error());
    const auto plan = json.ok() ? wire::planFromJson(*json) : base::Result<wire::Plan>(json.error());
    const auto rank = plan.ok() ? mpiLocalRank(*plan) : base::Result<int>(plan.error());
    if (!rank.ok()) {
        std::fprintf(stderr, "trainyard-agent rank: %s\n", rank.error().message.c_str());
        return exitStatus::kError;
    }
    ::umask(077);
    return runMpiShim(layout, *rank);
}

/// What this build goes without.
std::vector<std::string> absentParts() {
    std::vector<std::string> all;
    if (!TRAINYARD_HAVE_ZSTD) all.emplace_back("libzstd: the engine's bundle is not unpacked");
    if (!TRAINYARD_HAVE_HTTP_PARSER) all.emplace_back("http-parser: MLflow calls of scripts are not taken");
    if (!unpack::canUnpack()) all.emplace_back("libarchive: archives are not unpacked");
    return all;
}

int infoCommand(const std::vector<std::string>& arguments) {
    if (arguments.size() > 1 || (arguments.size() == 1 && arguments[0] != "--json")) {
        return usageError("info takes --json and nothing else");
    }
    const Machine machine = inspectMachine();
    if (arguments.empty()) {
        std::printf("trainyard-agent %s, protocol %d\n%s, %s\n%d cores, %s of memory, %d GPUs\n", TRAINYARD_VERSION,
                    kAgentProtocol, machine.host.c_str(), machine.kernel.c_str(), machine.cores,
                    base::formatBytes(machine.memoryBytes).c_str(), machine.gpus);
        for (const std::string& absent : absentParts()) std::printf("without %s\n", absent.c_str());
        return exitStatus::kDone;
    }
    Json json = Json::object();
    json["format"] = "trainyard.agent-info";
    json["version"] = 1;
    json["agent"] = TRAINYARD_VERSION;
    json["protocol"] = kAgentProtocol;
    json["host"] = machine.host;
    json["kernel"] = machine.kernel;
    json["cores"] = machine.cores;
    json["memory_bytes"] = machine.memoryBytes;
    json["gpus"] = machine.gpus;
    json["without"] = absentParts();
    std::fputs(base::dumpJsonPretty(json).c_str(), stdout);
    return exitStatus::kDone;
}

}  // namespace

int agentMain(int argc, char** argv) {
    if (isAskpass(argc)) return askpassMain(argv[1]);
    const std::vector<std::string> all(argv + 1, argv + std::max(1, argc));
    if (all.empty()) return usageError("no command given");
    const std::vector<std::string> rest(all.begin() + 1, all.end());
    if (all[0] == "--version") {
        std::printf("trainyard-agent %s\n", TRAINYARD_VERSION);
        return exitStatus::kDone;
    }
    if (all[0] == "--help" || all[0] == "-h") {
        std::fputs(kHelp, stdout);
        return exitStatus::kDone;
    }
    if (all[0] == "run") return runCommand(rest);
    if (all[0] == "shim") return shimCommand(rest);
    if (all[0] == "rank") return rankCommand(rest);
    if (all[0] == "serve") return serveCommand(rest);
    if (all[0] == "info") return infoCommand(rest);
    return usageError("unknown command " + all[0]);
}

}  // namespace trainyard::agent
