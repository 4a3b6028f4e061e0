#pragma once
// This machine behind a cable that a test can pull: everything is real but the way there.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <QTimer>

#include "core/base/Clock.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Operations.h"

namespace trainyard::test {

/// What the test and the target's thread share. Used in the target's thread alone.
struct Cable {
    bool cut = false;
    std::function<void()> changed;  ///< Set by the target.
    /// What look() says of a scheduler; by default there is none.
    std::function<std::optional<targets::SchedulerLook>()> scheduler;
    int lookMillis = 0;                            ///< How long look() takes to answer.
    std::vector<targets::LaunchProgress> uploads;  ///< What launch() says of the way there.
};

class CutTarget final : public targets::Target {
public:
    CutTarget(std::string name, std::shared_ptr<Cable> cable, targets::LocalTargetOptions options)
        : m_name(std::move(name)), m_cable(std::move(cable)), m_local(std::move(options)) {
        m_cable->changed = [this] { cableChanged(); };
    }
    ~CutTarget() override { m_cable->changed = {}; }

    const std::string& name() const override { return m_name; }
    targets::Reach reach() const override {
        targets::Reach reach;
        reach.state = m_cable->cut ? targets::Reach::State::Unreachable : targets::Reach::State::Connected;
        reach.reason = m_cable->cut ? "The cable is out." : "";
        reach.since = base::wallMicros();
        return reach;
    }
    void onReachChanged(std::function<void(const targets::Reach&)> listener) override {
        m_listener = std::move(listener);
    }
    void setAsk(targets::AskPerson) override {}

    targets::OperationPtr launch(targets::LaunchPlan plan, std::function<void(targets::LaunchProgress)> progress,
                                 targets::DoneStatus done) override {
        if (!m_cable->cut) {
            m_listener(reach());
            for (const targets::LaunchProgress& upload : m_cable->uploads) {
                progress(upload);
            }
        }
        return m_cable->cut ? cut<void>(std::move(done))
                            : m_local.launch(std::move(plan), std::move(progress), std::move(done));
    }
    targets::OperationPtr revive(const base::RunId& run, base::Deadline deadline, targets::DoneStatus done) override {
        return m_cable->cut ? cut<void>(std::move(done)) : m_local.revive(run, deadline, std::move(done));
    }
    targets::OperationPtr command(const base::RunId& run, const std::string& command, base::Deadline deadline,
                                  targets::DoneStatus done) override {
        return m_cable->cut ? cut<void>(std::move(done)) : m_local.command(run, command, deadline, std::move(done));
    }
    targets::OperationPtr look(const base::RunId& run, base::Deadline deadline,
                               targets::Done<targets::RunLook> done) override {
        if (m_cable->cut) {
            return cut<targets::RunLook>(std::move(done));
        }
        if (m_cable->lookMillis > 0) {
            return std::make_unique<SlowLook>(*this, run, deadline, std::move(done));
        }
        return lookNow(run, deadline, std::move(done));
    }
    targets::OperationPtr lookNow(const base::RunId& run, base::Deadline deadline,
                                  targets::Done<targets::RunLook> done) {
        return m_local.look(run, deadline,
                            [cable = m_cable, done = std::move(done)](base::Result<targets::RunLook> look) {
                                if (look.ok() && cable->scheduler) {
                                    look->scheduler = cable->scheduler();
                                }
                                done(std::move(look));
                            });
    }
    targets::OperationPtr follow(const base::RunId& run, std::vector<targets::StreamPosition> from,
                                 std::function<void(targets::StreamChunk)> onChunk,
                                 std::function<void(base::Error)> onError) override {
        auto following =
            std::make_unique<Following>(*this, run, std::move(from), std::move(onChunk), std::move(onError));
        following->pulled();
        return following;
    }
    targets::OperationPtr listOutputs(const base::RunId& run, base::Deadline deadline,
                                      targets::Done<targets::OutputList> done) override {
        return m_cable->cut ? cut<targets::OutputList>(std::move(done))
                            : m_local.listOutputs(run, deadline, std::move(done));
    }
    targets::OperationPtr fetchOutputs(const base::RunId& run, std::vector<targets::OutputFile> files,
                                       const base::Path& into, std::function<void(std::int64_t)> progress,
                                       targets::Done<targets::FetchReport> done) override {
        return m_cable->cut ? cut<targets::FetchReport>(std::move(done))
                            : m_local.fetchOutputs(run, std::move(files), into, std::move(progress), std::move(done));
    }
    targets::OperationPtr listRuns(base::Deadline deadline, targets::Done<std::vector<base::RunId>> done) override {
        return m_cable->cut ? cut<std::vector<base::RunId>>(std::move(done))
                            : m_local.listRuns(deadline, std::move(done));
    }
    targets::OperationPtr removeRun(const base::RunId& run, base::Deadline deadline,
                                    targets::DoneStatus done) override {
        return m_cable->cut ? cut<void>(std::move(done)) : m_local.removeRun(run, deadline, std::move(done));
    }
    targets::OperationPtr connect(base::Deadline deadline, targets::DoneStatus done) override {
        m_listener(reach());
        return m_cable->cut ? cut<void>(std::move(done)) : m_local.connect(deadline, std::move(done));
    }
    targets::OperationPtr doctor(base::Deadline deadline, std::function<void(targets::DoctorLine)> line,
                                 targets::Done<std::vector<targets::DoctorLine>> done) override {
        return m_local.doctor(deadline, std::move(line), std::move(done));
    }
    targets::OperationPtr load(base::Deadline deadline, targets::Done<base::Json> done) override {
        return m_local.load(deadline, std::move(done));
    }
    targets::OperationPtr listCache(base::Deadline deadline,
                                    targets::Done<std::vector<targets::CacheEntry>> done) override {
        return m_local.listCache(deadline, std::move(done));
    }
    targets::OperationPtr clearCache(std::vector<targets::CacheEntry> entries, base::Deadline deadline,
                                     targets::Done<std::int64_t> done) override {
        return m_local.clearCache(std::move(entries), deadline, std::move(done));
    }
    targets::OperationPtr measureUpload(const targets::LaunchPlan& plan, base::Deadline deadline,
                                        targets::Done<base::Json> done) override {
        return m_local.measureUpload(plan, deadline, std::move(done));
    }
    targets::OperationPtr buildEngine(std::function<void(std::string)> line, targets::Done<base::Json> done) override {
        return m_local.buildEngine(std::move(line), std::move(done));
    }

private:
    /// A follow that waits while the cable is out and goes on from what has come.
    class Following final : public targets::Operation {
    public:
        Following(CutTarget& target, base::RunId run, std::vector<targets::StreamPosition> from,
                  std::function<void(targets::StreamChunk)> onChunk, std::function<void(base::Error)> onError)
            : m_target(target), m_run(std::move(run)), m_onChunk(std::move(onChunk)), m_onError(std::move(onError)) {
            for (const targets::StreamPosition& at : from) {
                m_at[{at.attempt, at.node}] = at;
            }
            m_target.m_following.insert({this, this});
        }
        ~Following() override { m_target.m_following.erase(this); }
        void pulled() {
            if (m_target.m_cable->cut) {
                m_inner.reset();
                return;
            }
            std::vector<targets::StreamPosition> from;
            for (const auto& [stream, at] : m_at) {
                from.push_back(at);
            }
            m_inner = m_target.m_local.follow(
                m_run, std::move(from),
                [this](const targets::StreamChunk& chunk) {
                    if (!chunk.bytes.empty() || chunk.closed) {
                        m_at[{chunk.attempt, chunk.node}] = {
                            chunk.attempt, chunk.node, chunk.closed ? chunk.segment + 1 : chunk.segment,
                            chunk.closed ? 0 : chunk.offset + static_cast<std::int64_t>(chunk.bytes.size())};
                    }
                    const auto deliver = m_onChunk;
                    deliver(chunk);
                },
                m_onError);
        }

    private:
        CutTarget& m_target;
        base::RunId m_run;
        std::map<std::pair<int, int>, targets::StreamPosition> m_at;
        std::function<void(targets::StreamChunk)> m_onChunk;
        std::function<void(base::Error)> m_onError;
        targets::OperationPtr m_inner;
    };

    class SlowLook final : public targets::Operation {
    public:
        SlowLook(CutTarget& target, const base::RunId& run, base::Deadline deadline,
                 targets::Done<targets::RunLook> done) {
            m_timer.setSingleShot(true);
            QObject::connect(&m_timer, &QTimer::timeout, &m_timer,
                             [this, &target, run, deadline, done = std::move(done)] {
                                 m_inner = target.lookNow(run, deadline, done);
                             });
            m_timer.start(target.m_cable->lookMillis);
        }

    private:
        QTimer m_timer;
        targets::OperationPtr m_inner;
    };

    template <class T>
    targets::OperationPtr cut(targets::Done<T> done) {
        return targets::postResult<T>(base::Error{"target.unreachable", "The cable is out."}, std::move(done));
    }
    void cableChanged() {
        const auto all = m_following;
        for (const auto& [key, one] : all) {
            if (m_following.contains(key)) {
                one->pulled();
            }
        }
        m_listener(reach());
    }

    std::string m_name;
    std::shared_ptr<Cable> m_cable;
    targets::LocalTarget m_local;
    std::function<void(const targets::Reach&)> m_listener;
    std::map<Following*, Following*> m_following;
};

}  // namespace trainyard::test
