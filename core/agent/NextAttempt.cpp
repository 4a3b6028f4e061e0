#include "core/agent/NextAttempt.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

namespace trainyard::agent {

namespace {

/// Files of the agents themselves; everything else in a node's folder was put there for the run.
bool isOurs(const std::string& name) {
    static const std::set<std::string> names{"plan.json", "agent.json",      "agent.lock", "agent.log",  "launch.json",
                                             "lead.json", "rendezvous.json", "ballast",    "mpirun.log", "mpirun.json"};
    return names.contains(name) || name == "restarts.json" || name.starts_with("slurm-") || name.starts_with("job") ||
           name.starts_with("init-") || name.starts_with('.') || name.find(".tmp") != std::string::npos;
}

/// Nobody changes these files, so a second name is enough.
Status bringFiles(const Path& from, const Path& to) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(from, error)) {
        const std::string name = entry.path().filename().string();
        if (isOurs(name) || !entry.is_regular_file(error) || entry.is_symlink(error)) continue;
        const Path target = to / name;
        if (std::filesystem::exists(target, error)) continue;
        if (::link(entry.path().c_str(), target.c_str()) == 0 || errno == EEXIST) continue;
        TRAINYARD_TRY(base::copyFile(entry.path(), target));
    }
    return {};
}

Status writePlan(const NodeLayout& layout, const wire::Plan& plan) {
    return base::writeFileAtomically(layout.plan(), base::dumpJsonPretty(wire::toJson(plan)));
}

Result<int> numberOf(std::initializer_list<const char*> names, int fallback) {
    for (const char* name : names) {
        const char* text = std::getenv(name);
        if (!text || !*text) continue;
        int value = 0;
        const std::string_view all(text);
        const auto parsed = std::from_chars(all.data(), all.data() + all.size(), value);
        if (parsed.ec != std::errc{} || parsed.ptr != all.data() + all.size() || value < 0 || value > 1'000'000) {
            return base::Error{"scheduler.variables",
                               std::string(name) + " is \"" + text + "\", which is no number of a node or attempt."};
        }
        return value;
    }
    return fallback;
}

Path restartsFile(const NodeLayout& layout) { return layout.root.parent_path().parent_path() / "restarts.json"; }

/// A folder of our own on this machine's disk, remembered by the link that leads there.
Status linkLocalRanks(const NodeLayout& layout) {
    std::error_code error;
    if (std::filesystem::is_symlink(layout.ranks(), error) || std::filesystem::exists(layout.ranks(), error)) return {};
    for (const char* name : {"SLURM_TMPDIR", "TMPDIR", ""}) {
        const char* set = *name ? std::getenv(name) : "/tmp";
        if (!set || *set != '/') continue;
        std::string folder = std::string(set) + "/trainyard-XXXXXX";
        if (!::mkdtemp(folder.data())) continue;
        if (::symlink(folder.c_str(), layout.ranks().c_str()) == 0 || errno == EEXIST) return {};
        return base::errnoError(errno, "link", layout.ranks());
    }
    return {};
}

}  // namespace

Result<NodeLayout> makeNextAttempt(const NodeLayout& layout, const wire::Plan& plan, std::int64_t usedSeconds,
                                   int leadPort) {
    wire::Plan next = plan;
    ++next.attempt;
    --next.maxRestarts;
    if (plan.maxSeconds > 0) {
        next.maxSeconds = plan.maxSeconds - usedSeconds;
        if (next.maxSeconds < 1) return base::Error{"run.time_limit", "No time is left for another attempt."};
    }
    if (next.nodes > 1 && !next.peers.empty() && !next.peers.front().address.empty()) next.leadPort = leadPort;
    const Path run = layout.root.parent_path().parent_path();
    const NodeLayout made{run / ("a" + std::to_string(next.attempt)) / ("n" + std::to_string(next.node))};
    std::error_code error;
    if (std::filesystem::exists(made.plan(), error)) return made;
    TRAINYARD_TRY(base::makeDirs(made.root));
    TRAINYARD_TRY(bringFiles(layout.root, made.root));
    TRAINYARD_TRY(writePlan(made, next));
    return made;
}

Result<NodeLayout> scheduledNode(const Path& runFolder) {
    const auto restarts = numberOf({"SLURM_RESTART_COUNT"}, 0);
    const auto node = numberOf({"SLURM_NODEID", "SLURM_PROCID"}, 0);
    if (!restarts.ok()) return restarts.error();
    if (!node.ok()) return node.error();
    return NodeLayout{runFolder / ("a" + std::to_string(*restarts + 1)) / ("n" + std::to_string(*node))};
}

std::int64_t restartsAsked(const NodeLayout& layout) {
    const auto note = readJsonFile(restartsFile(layout));
    return note.ok() && note->is_object() && note->value("asked", Json()).is_number_integer()
               ? (*note)["asked"].get<std::int64_t>()
               : 0;
}

Status noteRestartAsked(const NodeLayout& layout) {
    return base::writeFileAtomically(restartsFile(layout), base::dumpJson(Json{{"asked", restartsAsked(layout) + 1}}));
}

void removeLocalRanks(const NodeLayout& layout) {
    std::error_code error;
    if (!std::filesystem::is_symlink(layout.ranks(), error)) return;
    const Path folder = std::filesystem::read_symlink(layout.ranks(), error);
    // Made by us and nobody else: mkdtemp's name, our own folder.
    if (error || !folder.filename().string().starts_with("trainyard-") || !base::checkOwnedByUs(folder).ok()) return;
    if (const auto removed = base::removeTree(folder); !removed.ok()) {
        std::fprintf(stderr, "trainyard-agent: %s\n", removed.error().message.c_str());
        return;
    }
    std::filesystem::remove(layout.ranks(), error);
}

Result<NodeLayout> makeScheduledNode(const Path& runFolder) {
    const NodeLayout whole{runFolder};
    const auto text = base::readFile(whole.plan());
    if (!text.ok()) return text.error();
    const auto json = base::parseJson(*text);
    if (!json.ok()) return json.error();
    auto plan = wire::planFromJson(*json);
    if (!plan.ok()) return plan.error();
    const auto restarts = numberOf({"SLURM_RESTART_COUNT"}, 0);
    const auto node = numberOf({"SLURM_NODEID", "SLURM_PROCID"}, 0);
    const auto nodes = numberOf({"SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"}, plan->nodes);
    for (const auto* number : {&restarts, &node, &nodes}) {
        if (!number->ok()) return number->error();
    }
    if (*nodes != plan->nodes || *node >= plan->nodes) {
        return base::Error{"scheduler.nodes", "The scheduler gave " + std::to_string(*nodes) +
                                                  " nodes and this is number " + std::to_string(*node) +
                                                  "; the plan asks for " + std::to_string(plan->nodes) + "."};
    }
    plan->attempt = *restarts + 1;
    plan->node = *node;
    plan->scheduler = true;
    plan->sharedFolder = true;
    plan->leadPort = 0;
    const NodeLayout made{runFolder / ("a" + std::to_string(plan->attempt)) / ("n" + std::to_string(plan->node))};
    std::error_code error;
    if (!std::filesystem::exists(made.plan(), error)) {
        TRAINYARD_TRY(base::makeDirs(made.root));
        TRAINYARD_TRY(bringFiles(runFolder, made.root));
        TRAINYARD_TRY(writePlan(made, *plan));
    }
    TRAINYARD_TRY(linkLocalRanks(made));
    return made;
}

}  // namespace trainyard::agent
