#pragma once
// Realises a run's environment on this machine: once under <work>/environments/<hash>/, for all runs with that hash.
//
// <hash>.lock   beside the folder; held alone by who builds or clears, shared by the agents and shims of runs that use
// it <hash>/       files and steps' results; tmp/ (TMPDIR of the steps), build.log
//   ready.json  written last, by rename: a folder without it is what a killed build left, and is removed
//   used        touched by each run
//   remove.json {"commands": [[argv…]…]} made by a step: what has to be run before the folder is removed (a container's
//   image) image.id    made by a step: which image the ranks run in facts.json  what the facts program said, and in
//   which boot of the machine
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/Masker.h"
#include "core/agent/RankEnvironment.h"
#include "core/agent/RankTail.h"
#include "core/agent/StreamSink.h"
#include "core/agent/TreeChild.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

[[nodiscard]] Path environmentLock(const wire::WorkLayout& work, const std::string& hash);
[[nodiscard]] Path environmentReady(const Path& folder);
/// Whether the folder holds a whole build of this hash.
[[nodiscard]] bool isReadyEnvironment(const Path& folder, const std::string& hash);
/// Runs the folder's remove.json, whatever comes of it, then removes the folder. Blocks; the lock is held by the
/// caller.
[[nodiscard]] Status removeEnvironment(const Path& folder);

/// The names that steps, wrap, interpreter and folders of an environment may use: TRAINYARD_ENVIRONMENT,
/// TRAINYARD_WORK, TRAINYARD_WORKING_FOLDER, TRAINYARD_UID, TRAINYARD_GID, HOME.
[[nodiscard]] Variables environmentNames(const NodeLayout& layout, const wire::Plan& plan);

class EnvironmentBuild {
public:
    using Values = std::vector<std::pair<std::string, std::string>>;

    /// `holder`: who we are, for others that wait for us. The masker must outlive it.
    EnvironmentBuild(const NodeLayout& layout, const wire::Plan& plan, Values secrets, const Masker& masker,
                     std::string holder);

    /// One step on, without waiting: true when the environment is ready, and held for this run. To be called again
    /// soon. Errors: "environment.step", "environment.program", "environment.time", "environment.disk", file.*.
    [[nodiscard]] Result<bool> advance(StreamSink& sink);
    /// What it is at, for people; changes with each step.
    [[nodiscard]] const std::string& reason() const { return m_reason; }
    /// Ends what runs, politely at first. advance() then fails with "canceled" once nothing is left of it.
    void cancel();
    /// Nothing had to be built here.
    [[nodiscard]] bool wasCached() const { return m_cached; }

private:
    enum class Stage { Look, Clear, Make, Step, Finish, Discard };

    [[nodiscard]] std::string title() const { return "environment " + m_environment.name; }
    [[nodiscard]] Result<bool> look();
    [[nodiscard]] Status clear();
    [[nodiscard]] Status make();
    [[nodiscard]] Status writeFiles();
    [[nodiscard]] Status startStep();
    [[nodiscard]] Status afterStep(const ChildEnd& end, StreamSink& sink);
    [[nodiscard]] Status finish();
    /// Keeps the error, removes what was made, then fails with it.
    void discard(base::Error error);
    [[nodiscard]] Status work(std::function<int()> what);
    /// What a keeper does when the agent was killed: nothing half-made stays.
    [[nodiscard]] std::function<void()> whenAbandoned() const;
    void readLog(StreamSink& sink, bool final);
    [[nodiscard]] std::string lastWords() const;
    [[nodiscard]] Path file(const char* name) const { return m_folder / name; }

    wire::PlanEnvironment m_environment;
    wire::WorkLayout m_work;
    Path m_folder;
    Variables m_names;
    Values m_secrets;
    const Masker& m_masker;
    std::string m_holder;

    Stage m_stage = Stage::Look;
    std::string m_reason;
    std::optional<base::FileLock> m_lock;
    std::optional<TreeChild> m_child;
    std::optional<LogTail> m_log;
    std::optional<base::Deadline> m_limit;
    std::optional<base::Error> m_error;
    std::size_t m_step = 0;
    std::int64_t m_begun = 0;  ///< Monotonic ns.
    bool m_cached = true;
    bool m_canceled = false;
    bool m_timedOut = false;
};

}  // namespace trainyard::agent
