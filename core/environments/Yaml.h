#pragma once
// YAML that comes from people, read by libyaml's events into a small tree. What makes YAML dangerous is refused with
// its line: aliases (bombs are made of them), tags, depth, size, two documents, two equal keys.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::environments {

struct YamlNode {
    enum class Kind { Null, Scalar, List, Map };
    Kind kind = Kind::Null;
    int line = 0;                 ///< From 1.
    std::string text;             ///< Scalar: as it is written; nothing is taken for a number or a date.
    std::vector<YamlNode> items;  ///< List
    std::vector<std::pair<std::string, YamlNode>> members;  ///< Map, in the file's order
};

/// One document of at most 1 MiB, 20 levels and 20,000 nodes. Errors: "environment.yaml", "environment.yaml_limit".
[[nodiscard]] base::Result<YamlNode> parseYaml(std::string_view text);

}  // namespace trainyard::environments
