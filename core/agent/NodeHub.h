#pragma once
// The lead's side of what the nodes of one attempt say to each other. Single-threaded; nothing blocks.
#include <poll.h>

#include <optional>
#include <string>
#include <vector>

#include "core/agent/RankFiles.h"
#include "core/base/Clock.h"
#include "core/wire/NodeLink.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

class NodeHub {
public:
    struct Member {
        bool joined = false;  ///< It has been heard of, ever.
        std::string host;
        std::int64_t heardAt = 0;  ///< Monotonic ns; of the beginning before it has joined.
        Json status = Json::object();
        Json order = Json::object();
        wire::LineSocket socket;

        [[nodiscard]] std::string phase() const;
    };

    /// Listens on a numeric address; `port` 0: any. Errors: "node.address", "node.listen".
    [[nodiscard]] static Result<NodeHub> listen(const wire::Plan& plan, const std::string& address, int port);

    [[nodiscard]] int port() const { return m_port; }
    /// Accepts, reads, answers. To be called whenever a descriptor has something, and once a second at least.
    void service(std::int64_t wallMicros);
    void addDescriptors(std::vector<pollfd>& into) const;
    /// What this node has to do; said at once and after each of its connections.
    void setOrder(int node, Json order);
    [[nodiscard]] Member& member(int node) { return m_members[static_cast<std::size_t>(node)]; }
    [[nodiscard]] int count() const { return static_cast<int>(m_members.size()); }
    /// "node 1 (host)".
    [[nodiscard]] std::string name(int node) const;
    /// Connections turned away since the last call, and why the last one.
    [[nodiscard]] std::optional<std::pair<int, std::string>> takeRefused();

private:
    struct Stranger {
        wire::LineSocket socket;
        base::Deadline until;
    };
    NodeHub() = default;
    void acceptAll();
    void hearStrangers();
    void greet(Stranger& stranger, const std::string& line, std::vector<std::string> rest, std::int64_t wallMicros);
    void take(Member& member, const std::string& line, std::int64_t wallMicros);
    void refuse(Stranger& stranger, const char* code, const std::string& reason);

    base::UniqueFd m_listener;
    int m_port = 0;
    std::string m_token;
    std::string m_run;
    int m_attempt = 1;
    std::vector<Member> m_members;  ///< By node; 0 is not used.
    std::vector<wire::PlanPeer> m_peers;
    std::vector<Stranger> m_strangers;
    int m_refused = 0;
    std::string m_whyRefused;
    std::int64_t m_wall = 0;
};

/// Of this machine: the first that is up and not the loopback; 127.0.0.1 where there is none.
[[nodiscard]] std::string ownAddress();
/// The network interface that has this address; empty where none has.
[[nodiscard]] std::string interfaceOf(const std::string& address);

}  // namespace trainyard::agent
