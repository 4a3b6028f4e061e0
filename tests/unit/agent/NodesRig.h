#pragma once
// Several agents of one attempt on this machine, each with a work folder of its own, over the loopback.
#include <memory>

#include "tests/unit/agent/AgentRig.h"

namespace trainyard::test {

class NodesRig {
public:
    NodesRig(const Scratch& scratch, wire::Plan plan, int nodes) : m_root(scratch.path()), m_plan(std::move(plan)) {
        m_plan.nodes = nodes;
        m_plan.token = std::string(32, 't');
        m_plan.distribution = "pytorch";
        m_plan.graceSeconds = 1;
        m_plan.silenceSeconds = 10;
        m_plan.joinSeconds = 60;
        m_plan.cores = 0;
        m_plan.peers.assign(static_cast<std::size_t>(nodes), wire::PlanPeer{"", "127.0.0.1", ""});
        m_agents.resize(static_cast<std::size_t>(nodes));
    }

    wire::Plan& plan() { return m_plan; }

    [[nodiscard]] Path work(int node) const { return m_root / ("host" + std::to_string(node)); }
    [[nodiscard]] NodeLayout layout(int node, int attempt = 1) const {
        return NodeLayout{wire::WorkLayout{work(node)}.attemptNode(m_plan.run, attempt, node)};
    }

    /// Writes the node's plan; other nodes than the lead learn its port first.
    bool place(int node) {
        wire::Plan own = m_plan;
        own.node = node;
        own.workFolder = work(node).string();
        own.outputsFolder = wire::WorkLayout{work(node)}.outputs(m_plan.run).string();
        own.slotsFolder = (work(node) / "slots").string();
        if (node > 0) {
            if (!waitFor([this] { return std::filesystem::exists(layout(0).lead()); })) return false;
            own.leadPort = leadPort();
        }
        std::filesystem::create_directories(layout(node).root);
        std::ofstream(layout(node).plan(), std::ios::binary) << base::dumpJsonPretty(toJson(own));
        return true;
    }
    [[nodiscard]] int leadPort() const {
        const auto text = base::readFile(layout(0).lead());
        return text.ok() ? (*base::parseJson(*text))["port"].get<int>() : 0;
    }

    void start(int node, int attempt = 1) {
        m_agents[static_cast<std::size_t>(node)] = std::make_unique<AgentProcess>(layout(node, attempt));
    }
    bool startAll() {
        for (int node = 0; node < m_plan.nodes; ++node) {
            if (!place(node)) return false;
            start(node);
        }
        return true;
    }
    AgentProcess& agent(int node) { return *m_agents[static_cast<std::size_t>(node)]; }
    /// All agents ended with 0 in time.
    bool waitAll(int millis = 60'000) {
        bool good = true;
        for (auto& agent : m_agents) good = agent->wait(millis) == 0 && good;
        return good;
    }
    [[nodiscard]] std::vector<Record> records(int node, int attempt = 1) const {
        return recordsOf(layout(node, attempt));
    }
    [[nodiscard]] Json ended(int node, int attempt = 1) const { return endedOf(records(node, attempt)); }

private:
    Path m_root;
    wire::Plan m_plan;
    std::vector<std::unique_ptr<AgentProcess>> m_agents;
};

}  // namespace trainyard::test
