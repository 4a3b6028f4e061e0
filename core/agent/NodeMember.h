#pragma once
// The side of every node but the lead: finds it, connects again and again, says its state, hears its orders. Nothing
// blocks.
#include <poll.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/RankFiles.h"
#include "core/base/Clock.h"
#include "core/wire/NodeLink.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

class NodeMember {
public:
    /// `host`: of this machine, for people. `leadFile`: where node 0 publishes its place, for nodes that share a
    /// folder.
    NodeMember(const wire::Plan& plan, std::string host, Path leadFile);

    void service(std::int64_t wallMicros);
    void addDescriptors(std::vector<pollfd>& into) const;
    /// Said at once when it differs, and after each new connection.
    void setStatus(Json status);
    [[nodiscard]] const Json& order() const { return m_order; }
    [[nodiscard]] std::string phase() const;
    [[nodiscard]] bool everConnected() const { return m_everConnected; }
    /// Since when the lead has not been heard of; ns.
    [[nodiscard]] std::int64_t silentNanos() const { return base::monotonicNanos() - m_heardAt; }
    /// The lead does not want this node: {"code","reason"}.
    [[nodiscard]] const std::optional<base::Error>& refused() const { return m_refused; }
    /// The attempt that the lead is at, as it said when it refused this node; 0: it did not.
    [[nodiscard]] int leadsAttempt() const { return m_leadsAttempt; }
    /// Everything was written.
    [[nodiscard]] bool flushed() const { return m_socket.open() && m_welcome && !m_socket.wantsToWrite(); }
    /// Microseconds to add to this machine's time to have the lead's, by the quickest answer so far; with the time it
    /// took.
    struct Offset {
        std::int64_t micros = 0;
        std::int64_t roundTripMicros = 0;
    };
    [[nodiscard]] const std::optional<Offset>& offset() const { return m_offset; }

private:
    void connect();
    void take(const std::string& line, std::int64_t wallMicros);

    wire::Plan m_plan;
    std::string m_host;
    Path m_leadFile;
    wire::LineSocket m_socket;
    bool m_connecting = false;
    bool m_welcome = false;
    bool m_everConnected = false;
    std::int64_t m_heardAt;
    std::int64_t m_nextTry = 0;
    std::int64_t m_lastBeat = 0;
    Json m_status = Json::object();
    Json m_order = Json::object();
    std::optional<base::Error> m_refused;
    int m_leadsAttempt = 0;
    std::optional<Offset> m_offset;
};

}  // namespace trainyard::agent
