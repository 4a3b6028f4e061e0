#pragma once
// What a run really ran with: asked of the environment's own program, beside the ranks, and told as one record.
#include <optional>
#include <string>

#include "core/agent/Child.h"
#include "core/agent/Machine.h"
#include "core/agent/Masker.h"
#include "core/agent/RankEnvironment.h"
#include "core/agent/StreamSink.h"
#include "core/base/Clock.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

class EnvironmentFacts {
public:
    /// `masker` must outlive it.
    EnvironmentFacts(const NodeLayout& layout, const wire::Plan& plan, const Machine& machine, const Masker& masker);

    /// `prepareNanos`: what it took to have the environment ready.
    void start(bool cached, std::int64_t prepareNanos);
    /// Puts the record as soon as all of it is known; does not wait. To be called again and again.
    void service(StreamSink& sink);
    [[nodiscard]] bool isTold() const { return m_told; }
    /// For the loop's wait; -1 when nothing is under way.
    [[nodiscard]] int descriptor() const { return m_child ? m_child->out.get() : -1; }

private:
    [[nodiscard]] std::optional<Json> kept() const;
    void keep(const Json& facts) const;
    void tell(StreamSink& sink, const Json& facts, const std::string& error);

    wire::PlanEnvironment m_environment;
    const Masker& m_masker;
    Variables m_names;
    Variables m_variables;
    Path m_folder;  ///< Empty: nothing is built.
    Json m_body = Json::object();
    std::optional<Child> m_child;
    std::optional<base::Deadline> m_limit;
    std::string m_out;
    bool m_begun = false;
    bool m_told = false;
};

}  // namespace trainyard::agent
