#include "core/engine/data/InputPath.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/wire/Plan.h"

namespace trainyard::engine {

Result<std::string> expandInputPath(const std::string& path, const std::string& field) {
    constexpr std::string_view kPrefix = wire::variable::kInputPrefix;
    if (!path.starts_with('$') || !std::string_view(path).substr(1).starts_with(kPrefix)) {
        return path;
    }
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string name = path.substr(1, end - 1);
    const std::string_view own = std::string_view(name).substr(kPrefix.size());
    if (own.empty() || own.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string_view::npos) {
        return Error{"env.input", "\"$" + name + "\" is no name of an input: upper-case letters, digits and _ are.",
                     field};
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') {
        return Error{"env.input",
                     "\"" + path + "\" names an input of the run, but the environment has no " + name + ".", field};
    }
    return value + path.substr(end);
}

}  // namespace trainyard::engine
