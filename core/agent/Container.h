#pragma once
// The container that a rank runs in, where the environment's wrap is podman's or docker's "run". podman's containers
// are processes below ours and end with the rank; docker's are its daemon's, and either may leave the container's
// record behind when it is killed. So each has a name, and is removed by it.
#include <optional>
#include <string>
#include <vector>

#include "core/wire/Plan.h"

namespace trainyard::agent {

struct Container {
    std::string engine;  ///< The program, as the wrap names it.
    std::string name;
};

/// "trainyard-<run>-a1-r0"; `rank` is the one on this node.
[[nodiscard]] std::string containerName(const wire::Plan& plan, int rank);

/// The container that `wrap` makes; one without a name is given `name` there. Nothing when it makes none.
[[nodiscard]] std::optional<Container> containerIn(std::vector<std::string>& wrap, const std::string& name);

/// What has to be run for it to be gone.
[[nodiscard]] std::vector<std::string> removalOf(const Container& container);

/// Runs that, for 15 s at most. What goes wrong is told on stderr.
void removeContainer(const Container& container);

}  // namespace trainyard::agent
