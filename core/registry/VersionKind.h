#pragma once
// What a model version as a whole is, from the kinds of its files, and whether it can be exported to ONNX.
#include <string>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::registry {

struct VersionKind {
    std::string kind;  ///< A FileKind's name, or "folder" for files that belong together.
    std::string main;  ///< The file that stands for it; empty for a folder without one.
};

/// `files`: a card's entries {path, kind, …}. One file is its kind; what the engine leaves (model.pt with
/// `hasEngineCard`) is TorchScript; several other files are a folder, whose main file is the only TorchScript or ONNX
/// file in it.
[[nodiscard]] VersionKind kindOfVersion(const std::vector<base::Json>& files, bool hasEngineCard);

/// "TorchScript", "Weights (state_dict)", … for people.
[[nodiscard]] std::string kindTitle(const std::string& kind);

struct Exportability {
    bool possible = false;
    std::string file;     ///< What would be converted.
    std::string reason;   ///< Why not.
    std::string instead;  ///< What to save so that it can be.
};

/// By a version's card; one from before cards told kinds has what the engine leaves.
[[nodiscard]] Exportability exportabilityOf(const base::Json& card);

}  // namespace trainyard::registry
