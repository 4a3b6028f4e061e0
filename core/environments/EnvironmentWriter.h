#pragma once
// A definition in the languages of other programs.
#include <string>
#include <utility>
#include <vector>

#include "core/spec/EnvironmentSpec.h"

namespace trainyard::environments {

/// One a line, without comments and empty lines; with a line break at its end.
[[nodiscard]] std::string requirementLines(const std::vector<std::string>& requirements);
/// As pip reads it, with the definition's indexes as options at its beginning.
[[nodiscard]] std::string requirementsText(const spec::EnvironmentSpec& spec);
/// environment.yml of a conda environment.
[[nodiscard]] std::string condaYaml(const spec::EnvironmentSpec& spec);
/// A container's own, or one that takes the image and puts the requirements on it.
[[nodiscard]] std::string containerfileText(const spec::EnvironmentSpec& spec);

/// What "Save to folder" writes: name and text of each file; the JSON document is always there.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> definitionFiles(const spec::EnvironmentSpec& spec);

}  // namespace trainyard::environments
