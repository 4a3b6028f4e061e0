#pragma once
// What a "podman build" leaves that was killed: programs in containers that nobody waits for, working containers and
// images without a name in podman's storage. Ours are told from everybody else's by the folder of the environment: it
// stands among the build's arguments and in a label (kBuildMark), and each container has files of the folder's tmp/
// mounted.
#include <sys/types.h>

#include <set>
#include <string>
#include <utility>

#include "core/base/Files.h"

namespace trainyard::agent {

/// The build argument that core/environments gives to podman, its value the environment's folder.
inline constexpr const char* kBuildMark = "TRAINYARD_BUILD";
/// The label that each image of a build has, with the same value.
inline constexpr const char* kBuildLabel = "trainyard.build";

/// Device and inode of a file.
using FileIdentity = std::pair<dev_t, ino_t>;

/// The files that podman made below `tmp`/ for containers of a build, and has mounted into them (/etc/hosts and the
/// like).
[[nodiscard]] std::set<FileIdentity> filesOfContainers(const base::Path& tmp);
/// Whether the process sees one of them where containers have them.
[[nodiscard]] bool livesInContainer(pid_t pid, const std::set<FileIdentity>& files);

/// Removes from `engine`'s storage what the build in `folder` had begun. Blocks, a minute a call at most; trouble is
/// only logged. What was built whole has a name and stays.
void removeHalfBuilt(const std::string& engine, const base::Path& folder);

}  // namespace trainyard::agent
