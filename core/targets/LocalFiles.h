#pragma once
// What LocalTarget does with files and processes, without Qt and without threads of its own.
#include <functional>
#include <vector>

#include "core/base/Files.h"
#include "core/targets/ComputeTarget.h"

namespace trainyard::targets {

/// Reads agent.json of a node's folder and compares it with the machine.
[[nodiscard]] Result<AgentStatus> lookAtAgent(const base::Path& nodeFolder);

/// True for a path that stays inside the folder it is joined to: relative, no "..", no empty or control characters.
[[nodiscard]] bool isSafeRelativePath(const std::string& path);

/// Links or copies every file of the list from one folder to another and checks size and hash. `report(bytesDone)`
/// returning false cancels ("canceled").
[[nodiscard]] Result<FetchReport> bringOutputs(const base::Path& from, const std::vector<OutputFile>& files, const base::Path& into,
                                  const std::function<bool(std::int64_t)>& report);

}  // namespace trainyard::targets
