#include "core/store/Types.h"

#include "core/base/Hash.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

IndexLocation IndexLocation::of(const Path& workspace) {
    std::error_code ignored;
    Path root = std::filesystem::weakly_canonical(workspace, ignored);
    if (root.empty()) root = workspace;
    if (!base::isNetworkFileSystem(root)) return {root, wire::WorkspaceLayout{root}.index(), false};
    const std::string key = base::sha256Hex(root.string()).substr(0, 16);
    return {root, base::xdgCacheHome() / "trainyard" / "index" / key / "history.sqlite", true};
}

}  // namespace trainyard::store
