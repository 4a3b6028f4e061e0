#pragma once
// Other programs' definitions, taken over: conda's environment.yml, requirements.txt, Containerfile, an image's name.
#include <functional>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::environments {

/// Reads a file that another one names ("-r more.txt"), relative to the first.
using ReadBeside = std::function<base::Result<std::string>(const std::string& path)>;

struct Imported {
    base::Json document;             ///< Valid as trainyard.environment.
    std::vector<std::string> notes;  ///< What was left out or changed, for people.
};

/// "conda", "requirements", "containerfile", "image", "definition" by a file's name; empty when it does not say.
[[nodiscard]] std::string kindOfFile(const std::string& fileName);

/// `name` empty: the file's own, where it has one. What is wrong names its line. Codes: "environment.yaml",
/// "environment.key" (a key that is not known here), "environment.requirement", … and those of validateEnvironmentSpec.
[[nodiscard]] base::Result<Imported> importConda(const std::string& text, const std::string& name);
[[nodiscard]] base::Result<Imported> importRequirements(const std::string& text, const std::string& name,
                                                        const ReadBeside& beside);
[[nodiscard]] base::Result<Imported> importContainerfile(const std::string& text, const std::string& name);
[[nodiscard]] base::Result<Imported> importImage(const std::string& image, const std::string& name);
/// A document of our own, under another name when `name` is given.
[[nodiscard]] base::Result<Imported> importDefinition(const std::string& text, const std::string& name);

}  // namespace trainyard::environments
