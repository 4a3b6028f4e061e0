#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/spec/TargetSpec.h"
#include "core/targets/Host.h"
#include "core/targets/Target.h"

namespace trainyard::targets {

/// A Slurm cluster, reached through the one host on which its commands are: this machine, or a login node over SSH.
/// Nothing of ours stays on that host; the work folder is seen by all nodes under the same path. See Target for threads
/// and errors.
class SlurmTarget final : public Target {
public:
    explicit SlurmTarget(spec::TargetSpec spec);
    ~SlurmTarget() override;

    [[nodiscard]] const std::string& name() const override { return m_spec.name; }
    [[nodiscard]] Reach reach() const override { return m_host->reach(); }
    void onReachChanged(std::function<void(const Reach&)> listener) override {
        m_host->onReachChanged(std::move(listener));
    }
    void setAsk(AskPerson ask) override { m_host->setAsk(std::move(ask)); }
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

private:
    spec::TargetSpec m_spec;
    std::unique_ptr<Host> m_host;
};

}  // namespace trainyard::targets
