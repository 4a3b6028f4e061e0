#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/spec/TargetSpec.h"
#include "core/targets/Deploy.h"
#include "core/targets/Host.h"
#include "core/targets/Target.h"

namespace trainyard::targets {

/// One or several hosts over SSH. Node i of a run lives on one host; which one is written beside the run on each of
/// them, so that any workbench finds it. See Target for threads and errors.
class SshTarget final : public Target {
public:
    explicit SshTarget(spec::TargetSpec spec);
    ~SshTarget() override;

    [[nodiscard]] const std::string& name() const override { return m_spec.name; }
    [[nodiscard]] Reach reach() const override { return m_reach; }
    void onReachChanged(std::function<void(const Reach&)> listener) override { m_onReach = std::move(listener); }
    void setAsk(AskPerson ask) override;
    [[nodiscard]] OperationPtr launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress,
                                      DoneStatus done) override;
    [[nodiscard]] OperationPtr revive(const RunId& run, Deadline deadline, DoneStatus done) override;
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

    /// Hosts by node of a run.
    using Placement = std::vector<Host*>;
    /// What the parts of this target (SshLaunch, SshFollow) share.
    struct Shared {
        spec::TargetSpec spec;
        std::vector<std::unique_ptr<Host>> hosts;
        std::map<std::string, std::vector<std::size_t>> places;  ///< Index of the host by node, by run.
    };

private:
    void hostReachChanged();
    [[nodiscard]] EngineChoice engineChoice() const;

    spec::TargetSpec m_spec;
    std::shared_ptr<Shared> m_shared;
    std::function<void(const Reach&)> m_onReach;
    Reach m_reach;
};

}  // namespace trainyard::targets
