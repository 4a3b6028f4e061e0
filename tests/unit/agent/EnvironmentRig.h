#pragma once
// Plans with environments, and what became of them.
#include <map>

#include "core/base/Hash.h"
#include "tests/unit/agent/AgentRig.h"

namespace trainyard::test {

class EnvironmentRig : public AgentRig {
public:
    explicit EnvironmentRig(const Scratch& scratch, Path work = {})
        : AgentRig(scratch), m_work{work.empty() ? scratch / "work" : std::move(work)} {}

    /// Steps of /bin/sh. The hash stands for `name` and the steps, as the workspace's side makes it.
    [[nodiscard]] wire::Plan plan(const std::string& name, const std::vector<std::string>& steps,
                                  const std::string& script) const {
        wire::Plan plan = shellPlan(script);
        plan.workFolder = m_work.root.string();
        plan.cores = 0;
        plan.environment.name = name;
        plan.environment.kind = "setup";
        std::string all = name;
        for (const std::string& step : steps) {
            all += "\n" + step;
            plan.environment.steps.push_back(
                {"Step " + std::to_string(plan.environment.steps.size() + 1), {"/bin/sh", "-c", step}, {}, 3600});
        }
        plan.environment.hash = base::sha256Hex(all);
        return plan;
    }
    [[nodiscard]] const wire::WorkLayout& work() const { return m_work; }
    [[nodiscard]] Path folder(const wire::Plan& plan) const { return m_work.environment(plan.environment.hash); }
    /// Nothing of the environment is there but its lock.
    [[nodiscard]] bool isGoneOf(const wire::Plan& plan) const {
        std::error_code error;
        return !std::filesystem::exists(folder(plan), error);
    }
    [[nodiscard]] static std::string reasonsOf(const std::vector<Record>& records) {
        std::string text;
        for (const Record& record : ofKind(records, wire::kind::kState)) text += textOf(record.body, "reason") + "\n";
        return text;
    }
    /// The whole stream as it lies on the disk.
    [[nodiscard]] static std::string streamText(const NodeLayout& layout) {
        return base::readFile(layout.stream() / wire::segmentName(1)).valueOr({});
    }
    [[nodiscard]] static Json environmentOf(const std::vector<Record>& records) {
        const auto found = ofKind(records, wire::kind::kEnvironment);
        return found.size() == 1 ? found.front().body : Json::object();
    }

private:
    wire::WorkLayout m_work;
};

/// All processes below this one, parents before their children.
inline std::vector<pid_t> processesBelow(pid_t parent) {
    std::multimap<pid_t, pid_t> children;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string stat = base::readFile(entry.path() / "stat").valueOr({});
        const std::size_t behind = stat.rfind(") ");  // The state's letter, then the parent.
        if (behind != std::string::npos) children.emplace(std::atoi(stat.c_str() + behind + 4), std::stoi(name));
    }
    std::vector<pid_t> all;
    for (std::size_t next = 0; next <= all.size(); ++next) {
        const auto [from, to] = children.equal_range(next == 0 ? parent : all[next - 1]);
        for (auto it = from; it != to; ++it) all.push_back(it->second);
    }
    return all;
}

/// Living processes whose command line holds the text.
inline std::vector<pid_t> processesThatSay(const std::string& text) {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(::getpid())) continue;
        std::ifstream in(entry.path() / "cmdline", std::ios::binary);
        std::stringstream words;
        words << in.rdbuf();
        if (words.str().find(text) != std::string::npos && !isGone(std::stoi(name))) found.push_back(std::stoi(name));
    }
    return found;
}

}  // namespace trainyard::test
