#pragma once
// What reaches the stream besides the ranks' own lines and outputs: the MLflow server that their scripts talk to, and
// the event files that they write for TensorBoard. Also unpacks the client modules that they import.
#include <poll.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/EventFiles.h"
#include "core/agent/HttpServer.h"
#include "core/agent/Masker.h"
#include "core/agent/Mlflow.h"
#include "core/agent/RankFiles.h"
#include "core/agent/StreamSink.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

class Intake {
public:
    /// `masker` must outlive it.
    Intake(const NodeLayout& layout, const wire::Plan& plan, const Masker& masker);

    /// Before the ranks start: fills in what they find in their environment. What fails is a warning, not the run's
    /// end.
    void prepare(Launch& launch, StreamSink& sink);
    /// With the ranks' launch decided, now or by an agent before this one, whose `offsets` tell what of the event files
    /// is known.
    void begin(const Launch& launch, const std::map<std::string, std::int64_t>& offsets, StreamSink& sink);

    void addDescriptors(std::vector<pollfd>& into) const;
    /// Answers requests, for some milliseconds at most. True when there were any.
    bool service();
    [[nodiscard]] bool hasConnections() const { return m_server && m_server->hasConnections(); }
    /// Reads event files. True when more is waiting.
    bool drain(StreamSink& sink, wire::ClientLineTranslator& translator);
    /// The ranks have ended: nobody is answered any more, and files are read to their end. True when that is done.
    bool finish(StreamSink& sink, wire::ClientLineTranslator& translator);

private:
    [[nodiscard]] std::vector<std::string> tokens(const std::string& secret) const;

    NodeLayout m_layout;
    wire::Plan m_plan;
    const Masker& m_masker;
    std::unique_ptr<Mlflow> m_mlflow;  ///< Outlives the server, which calls it.
    std::optional<HttpServer> m_server;
    std::optional<EventFiles> m_events;
};

}  // namespace trainyard::agent
