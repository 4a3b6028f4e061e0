#pragma once
#include "core/spec/TargetSpec.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {

struct LocalTargetOptions {
    base::Path work;      ///< Empty: $TRAINYARD_WORK, else $XDG_DATA_HOME/trainyard/work.
    base::Path programs;  ///< Where the agent and the engine are; empty: looked for beside the running program.
    int pollMillis = 20;  ///< How often a followed stream is looked at.
    base::Path slots;     ///< Empty: $TRAINYARD_SLOTS, else /var/tmp/trainyard-slots.
};

class Host;

/// This machine. Streams are read as files, outputs are hard-linked (copied across file systems). A run of several
/// nodes has all of them here. Its doctor, load and cache are asked of `trainyard-agent serve` over a pipe, as those of
/// any host.
class LocalTarget final : public Target {
public:
    /// `settings`: a definition named "local" that changes something (work folder, slots folder); may be the default.
    explicit LocalTarget(LocalTargetOptions options = {}, spec::TargetSpec settings = {});
    ~LocalTarget() override;

    [[nodiscard]] const std::string& name() const override { return m_name; }
    /// This machine is always there.
    [[nodiscard]] Reach reach() const override;
    void onReachChanged(std::function<void(const Reach&)> listener) override;
    void setAsk(AskPerson ask) override;
    [[nodiscard]] OperationPtr launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress,
                                      DoneStatus done) override;
    [[nodiscard]] OperationPtr revive(const RunId& run, Deadline deadline, DoneStatus done) override;
    /// "target.missing" when the run has no folder here.
    [[nodiscard]] OperationPtr command(const RunId& run, const std::string& command, Deadline deadline,
                                       DoneStatus done) override;
    [[nodiscard]] OperationPtr look(const RunId& run, Deadline deadline, Done<RunLook> done) override;
    [[nodiscard]] OperationPtr follow(const RunId& run, std::vector<StreamPosition> from,
                                      std::function<void(StreamChunk)> onChunk,
                                      std::function<void(base::Error)> onError) override;
    [[nodiscard]] OperationPtr listOutputs(const RunId& run, Deadline deadline, Done<OutputList> done) override;
    [[nodiscard]] OperationPtr fetchOutputs(const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                                            std::function<void(std::int64_t)> onProgress,
                                            Done<FetchReport> done) override;
    [[nodiscard]] OperationPtr listRuns(Deadline deadline, Done<std::vector<RunId>> done) override;
    [[nodiscard]] OperationPtr removeRun(const RunId& run, Deadline deadline, DoneStatus done) override;
    [[nodiscard]] OperationPtr connect(Deadline deadline, DoneStatus done) override;
    [[nodiscard]] OperationPtr doctor(Deadline deadline, std::function<void(DoctorLine)> onLine,
                                      Done<std::vector<DoctorLine>> done) override;
    [[nodiscard]] OperationPtr load(Deadline deadline, Done<base::Json> done) override;
    [[nodiscard]] OperationPtr listCache(Deadline deadline, Done<std::vector<CacheEntry>> done) override;
    [[nodiscard]] OperationPtr clearCache(std::vector<CacheEntry> entries, Deadline deadline,
                                          Done<std::int64_t> done) override;
    [[nodiscard]] OperationPtr measureUpload(const LaunchPlan& plan, Deadline deadline, Done<base::Json> done) override;
    [[nodiscard]] OperationPtr buildEngine(std::function<void(std::string line)> onLine,
                                           Done<base::Json> done) override;

    /// A program of ours in `folder` (empty: $TRAINYARD_BIN, else where the running one is) or in ../lib/trainyard from
    /// there; empty when it is in neither.
    [[nodiscard]] static base::Path findProgram(const std::string& name, const base::Path& folder = {});
    [[nodiscard]] static base::Path defaultWorkFolder();
    [[nodiscard]] static base::Path defaultSlotsFolder();

private:
    [[nodiscard]] Status prepare(const LaunchPlan& plan, std::string& engine) const;
    /// Starts the agents of these node folders, one after the other.
    [[nodiscard]] OperationPtr startAgents(std::vector<base::Path> folders, Deadline deadline, DoneStatus done) const;
    [[nodiscard]] Host& host();

    LocalTargetOptions m_options;
    spec::TargetSpec m_settings;
    std::string m_name = "local";
    wire::WorkLayout m_work;
    std::unique_ptr<Host> m_host;  ///< Made when it is first asked for.
};

}  // namespace trainyard::targets
