#pragma once
#include "core/targets/ComputeTarget.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {

struct LocalTargetOptions {
    base::Path work;      ///< Empty: $TRAINYARD_WORK, else $XDG_DATA_HOME/trainyard/work.
    base::Path programs;  ///< Where the agent and the engine are; empty: looked for beside the running program.
    int pollMillis = 20;  ///< How often a followed stream is looked at.
};

/// This machine. Streams are read as files, outputs are hard-linked (copied across file systems).
class LocalTarget final : public ComputeTarget {
public:
    explicit LocalTarget(LocalTargetOptions options = {});
    ~LocalTarget() override;

    [[nodiscard]] const std::string& id() const override { return m_id; }
    [[nodiscard]] const std::string& workFolder() const override { return m_workText; }
    [[nodiscard]] OperationPtr deploy(Deadline deadline, Done<Programs> done) override;
    [[nodiscard]] OperationPtr putFiles(const NodeRef& node, std::vector<std::pair<std::string, std::string>> files,
                                        Deadline deadline, DoneStatus done) override;
    [[nodiscard]] OperationPtr startAgent(const NodeRef& node, Deadline deadline, DoneStatus done) override;
    [[nodiscard]] OperationPtr sendCommand(const NodeRef& node, const std::string& command, Deadline deadline,
                                           DoneStatus done) override;
    [[nodiscard]] OperationPtr look(const NodeRef& node, Deadline deadline, Done<AgentStatus> done) override;
    [[nodiscard]] OperationPtr followStream(const NodeRef& node, int segment, std::int64_t offset,
                                            std::function<void(StreamChunk)> onChunk,
                                            std::function<void(base::Error)> onError) override;
    [[nodiscard]] OperationPtr fetchOutputs(const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                                            std::function<void(std::int64_t)> onProgress,
                                            Done<FetchReport> done) override;
    [[nodiscard]] OperationPtr listRuns(Deadline deadline, Done<std::vector<RunId>> done) override;
    [[nodiscard]] OperationPtr removeRun(const RunId& run, Deadline deadline, DoneStatus done) override;

    /// A program of ours in `folder` (empty: $TRAINYARD_BIN, else where the running one is) or in ../lib/trainyard from
    /// there; empty when it is in neither.
    [[nodiscard]] static base::Path findProgram(const std::string& name, const base::Path& folder = {});
    [[nodiscard]] static base::Path defaultWorkFolder();

private:
    [[nodiscard]] base::Path nodeFolder(const NodeRef& node) const;

    LocalTargetOptions m_options;
    std::string m_id = "local";
    wire::WorkLayout m_work;
    std::string m_workText;
};

}  // namespace trainyard::targets
