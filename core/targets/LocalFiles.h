#pragma once
// What LocalTarget does with files and processes. No thread of its own: for pool threads too.
#include <functional>
#include <vector>

#include "core/base/Files.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {

/// Reads agent.json of a node's folder and compares it with the machine.
[[nodiscard]] Result<AgentStatus> lookAtAgent(const base::Path& nodeFolder);

/// The newest attempt that has a folder, 0 when the run has none; and how many nodes it has.
struct AttemptFolders {
    int attempt = 0;
    int nodes = 0;
};
[[nodiscard]] AttemptFolders newestAttempt(const wire::WorkLayout& work, const RunId& run);

/// True for a path that stays inside the folder it is joined to: relative, no "..", no empty or control characters.
[[nodiscard]] bool isSafeRelativePath(const std::string& path);

/// Hard link where both lie on one file system, else a copy. Appears whole; replaces what is there.
[[nodiscard]] Status linkOrCopy(const base::Path& from, const base::Path& to,
                                const std::function<bool(std::int64_t)>& report = {});

/// Makes what a launch needs of files on this machine: objects of the snapshot in <work>/objects, and for every node a
/// folder with the plan's files, the snapshot's list and plan.json. A node folder that has a plan already is left as it
/// is: the run was brought here before. Errors: file.*, "target.hash" (an object of the snapshot is not what it was),
/// "canceled".
[[nodiscard]] Status placeLaunch(const wire::WorkLayout& work, const base::Path& slots, const std::string& engine,
                                 const LaunchPlan& launch, const std::function<bool(std::int64_t)>& report);

/// Links or copies every file of the list from one folder to another and checks size and hash (where it has one).
/// `report(bytesDone)` returning false cancels ("canceled").
[[nodiscard]] Result<FetchReport> bringOutputs(const base::Path& from, const std::vector<OutputFile>& files,
                                               const base::Path& into, const std::function<bool(std::int64_t)>& report);

/// Regular files below the folder with their sizes, by path; links are left out. A folder that is not there has none.
[[nodiscard]] Result<std::vector<OutputFile>> listFiles(const base::Path& folder,
                                                        const std::function<bool(std::int64_t)>& report);

}  // namespace trainyard::targets
