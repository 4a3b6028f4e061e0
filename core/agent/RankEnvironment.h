#pragma once
// The environment and the arguments of one rank.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/agent/RankFiles.h"
#include "core/wire/Plan.h"

namespace trainyard::agent {

using Variables = std::map<std::string, std::string>;

/// `inherited` without what another run may have left in it, then the plan's variables, then what the launch decides:
/// the run's own (wire/Plan.h), torchrun's and Azure's, which nothing overrides. What the environment sets comes before
/// the plan's variables; its secrets are not among them. CUDA_VISIBLE_DEVICES and OMP_NUM_THREADS are set only where
/// the plan does not.
[[nodiscard]] Variables rankEnvironment(const Variables& inherited, const wire::Plan& plan, const NodeLayout& layout,
                                        const Launch& launch, int rank);

/// Where the ranks begin: the plan's own folder, inside the source where there is one.
[[nodiscard]] Path workingFolderOf(const NodeLayout& layout, const wire::Plan& plan);

/// Replaces $NAME and ${NAME} inside one argument by the variable's value, once, without a shell. A name that is not
/// set stays as it is written, so that "sh -c 'for i in 1 2; do echo $i; done'" works; \$NAME gives $NAME.
[[nodiscard]] std::string expandVariables(std::string_view argument, const Variables& variables);

/// This process's environment.
[[nodiscard]] Variables currentEnvironment();
/// "NAME=value" strings, for exec.
[[nodiscard]] std::vector<std::string> environmentStrings(const Variables& variables);

}  // namespace trainyard::agent
