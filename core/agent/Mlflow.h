#pragma once
// MLflow's tracking REST interface (version 2.0), as far as a training script calls it: what a rank tells becomes lines
// of its own client file, exactly as if it had written them itself, so that all rules of client.md hold and nothing
// that was answered is lost when the agent is killed. Which calls: resources/docs/guide/scripts.md.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/HttpServer.h"
#include "core/agent/RankFiles.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

/// A run as a script's MLflow client sees it: the run itself, or a child of it that the script made.
struct TrackedRun {
    std::string id;
    std::string name;
    std::string prefix;  ///< Before its metrics' names: empty for the run itself, else "NAME/".
    std::string parent;
    std::string status = "RUNNING";
    int rank = -1;  ///< Of this node, who made it; -1: the run itself, which every rank has.
    std::int64_t startMillis = 0;
    std::int64_t endMillis = 0;
    std::map<std::string, Json> params;
    std::map<std::string, std::string> tags;
    struct Last {
        Json value;
        std::int64_t millis = 0;
        std::int64_t step = 0;
    };
    std::map<std::string, Last> metrics;
};

class Mlflow final : public HttpHandler {
public:
    /// `layout` and `plan` of the attempt; reads which children there were before the agent was started again.
    Mlflow(const NodeLayout& layout, const wire::Plan& plan);

    [[nodiscard]] std::optional<HttpAnswer> accept(HttpRequest& request) override;
    [[nodiscard]] HttpAnswer answer(HttpRequest& request) override;
    void abandoned(const HttpRequest& request) override;

    static constexpr std::size_t kMaxNames = 10'000;  ///< Of a run, that runs/get gives back.
    static constexpr std::size_t kMaxChildren = 10'000;

private:
    using Body = Json;
    [[nodiscard]] HttpAnswer call(const std::string& name, const HttpRequest& request, const Body& body);
    [[nodiscard]] HttpAnswer artifacts(HttpRequest& request);
    [[nodiscard]] HttpAnswer listArtifacts(const HttpRequest& request) const;
    [[nodiscard]] HttpAnswer createRun(int rank, const Body& body);
    [[nodiscard]] HttpAnswer updateRun(int rank, const Body& body);
    [[nodiscard]] HttpAnswer searchRuns(int rank) const;
    [[nodiscard]] HttpAnswer logMetrics(int rank, TrackedRun& run, const Body& list);
    [[nodiscard]] HttpAnswer logParams(int rank, TrackedRun& run, const Body& list);
    [[nodiscard]] HttpAnswer setTags(int rank, TrackedRun& run, const Body& list);
    [[nodiscard]] TrackedRun* find(int rank, const std::string& id);
    [[nodiscard]] Json describe(const TrackedRun& run) const;
    [[nodiscard]] Json info(const TrackedRun& run) const;
    [[nodiscard]] Json experiment(const std::string& name) const;
    /// "0/RUN/artifacts/model/weights.bin" → the file's path inside the outputs; nothing for another run or a way out.
    [[nodiscard]] std::optional<std::string> placeOf(int rank, const std::string& artifact) const;
    /// Appends to the rank's client file. An error answer when that failed.
    [[nodiscard]] std::optional<HttpAnswer> put(int rank, Json line);
    void save() const;

    NodeLayout m_layout;
    wire::Plan m_plan;
    std::vector<bool> m_ownTaken;  ///< By rank: has its first run.
    std::map<std::string, TrackedRun> m_runs;
    std::map<int, base::UniqueFd> m_streams;
    std::map<int, bool> m_lineOpen;
    std::int64_t m_parts = 0;
};

}  // namespace trainyard::agent
