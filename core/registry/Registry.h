#pragma once
// Named, numbered models of one workspace: models/<name>/<number>/card.json with their files in objects/<sha256>, each
// content once. Everything here works on files; the index is told afterwards (store::Writer::applyModel).
// Several processes may work on one registry; each call is safe against all others. An instance is a value without
// state, its calls block (they hash and copy), so call them in a worker thread.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/registry/Objects.h"
#include "core/wire/Layout.h"

namespace trainyard::registry {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;
using Strings = std::vector<std::pair<std::string, std::string>>;

inline constexpr const char* kCardFormat = "trainyard.model-version";
inline constexpr int kCardVersion = 1;
inline constexpr const char* kExportFormat = "trainyard.model-export";
inline constexpr const char* kEvaluationFormat = "trainyard.model-evaluation";
inline constexpr int kExportVersion = 1;

/// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit and not ending with a dot. "model.name" otherwise.
[[nodiscard]] Status checkModelName(const std::string& name);
/// A name made from any text, or "model".
[[nodiscard]] std::string modelNameFrom(const std::string& text);

/// "fashion", "fashion:3", "fashion:latest", "fashion:production".
struct ModelReference {
    std::string name;
    std::string which;  ///< Number, alias or "latest"; empty means latest.
};
[[nodiscard]] Result<ModelReference> parseModelReference(const std::string& text);

struct ModelVersionId {
    std::string name;
    int number = 0;
    bool operator==(const ModelVersionId&) const = default;
};

/// What is registered.
struct NewVersion {
    std::string name;
    std::string description;
    Strings tags;
    std::string run;  ///< Run id, or empty for files from elsewhere.
    std::int64_t runNumber = 0;
    std::string runName;
    std::string experiment;
    std::string asked;  ///< What the run's own record named, where it asked for the registration; kept in the card.
    Json metrics = Json::array();  ///< As they stood when it was registered.
    Json configuration = Json();   ///< The run's spec document.
    struct File {
        Path from;
        std::string path;    ///< Relative name in the version: "model.pt".
        std::string sha256;  ///< What the run said it is; empty when nobody said.
    };
    std::vector<File> files;  ///< Of them model.json, the model's own card, is also taken into the card.
    /// No file may be reached through a link below this folder; empty: `from` itself may be none.
    Path root;
};

/// What may change later. Members that are not set stay.
struct CardChange {
    std::optional<std::string> description;
    Strings setTags;
    std::vector<std::string> removeTags;
    std::optional<std::vector<std::string>> aliases;  ///< All of this version's; each is taken from other versions.
    std::optional<bool> archived;
};

/// Told the bytes done and in all; false: stop ("canceled").
using Progress = std::function<bool(std::int64_t done, std::int64_t total)>;

class Registry {
public:
    explicit Registry(wire::WorkspaceLayout layout);

    /// Registers the next version of a name: numbers go up by one from 1, and one that was deleted is not given again.
    /// The version appears whole or not at all. What kind of model it is is told by its files' content, never by
    /// opening them as models (FileKind.h). Errors: "model.name", "model.files", "model.link" (a file is reached
    /// through a link, or is no plain file), "model.output_damaged" (a file is not what the run said), "canceled",
    /// file.*.
    [[nodiscard]] Result<ModelVersionId> add(const NewVersion& version, const Progress& progress = {}) const;

    /// "model.unknown" when the name, the number or the alias is not there.
    [[nodiscard]] Result<ModelVersionId> find(const ModelReference& reference) const;
    /// card.json. "model.unknown", "model.card" (cannot be read), "format.newer".
    [[nodiscard]] Result<Json> card(const ModelVersionId& id) const;
    [[nodiscard]] std::vector<std::string> names() const;
    /// Ascending; deleted ones are left out.
    [[nodiscard]] std::vector<int> versions(const std::string& name) const;

    /// Changes the card; returns every version whose card changed (an alias may have moved).
    [[nodiscard]] Result<std::vector<ModelVersionId>> edit(const ModelVersionId& id, const CardChange& change) const;

    struct Download {
        std::vector<std::string> files;  ///< Written or found equal, relative to the folder.
        std::int64_t bytes = 0;
    };
    /// Copies files (all, or those that `paths` names, or that lie in a folder it names) into `folder`, each checked
    /// against its SHA-256. A file that is there with other content is "model.exists" unless `overwrite`; nothing is
    /// written then. Errors: "model.file_unknown", "model.object_missing", "model.object_damaged".
    [[nodiscard]] Result<Download> download(const ModelVersionId& id, const Path& folder,
                                            const std::vector<std::string>& paths, bool overwrite,
                                            const Progress& progress = {}) const;
    /// Copies the ONNX file of an export to `file`, with the same rules. Empty `exportId`: the newest.
    [[nodiscard]] Result<Download> downloadExport(const ModelVersionId& id, const std::string& exportId,
                                                  const Path& file, bool overwrite,
                                                  const Progress& progress = {}) const;
    /// A file of the version as it lies in objects/, hashed just now.
    [[nodiscard]] Result<Path> verifiedFile(const ModelVersionId& id, const std::string& path,
                                            const Progress& progress = {}) const;

    /// Keeps an exported file and its proof: models/<name>/<number>/exports/<id>.json. Only a proof that passed and
    /// speaks of this file and this model is taken ("model.proof"). Returns the export's record.
    [[nodiscard]] Result<Json> addExport(const ModelVersionId& id, const Path& onnx, const Json& settings,
                                         const Json& proof, const Progress& progress = {}) const;
    /// Records of all exports, oldest first. Damaged ones are left out.
    [[nodiscard]] Result<std::vector<Json>> exports(const ModelVersionId& id) const;

    /// Keeps what `model.evaluate` found: dataset, split, samples, loss, accuracy, top5, classes, bad_count, device and
    /// seconds of `found`. Returns the record.
    [[nodiscard]] Result<Json> addEvaluation(const ModelVersionId& id, const Json& found) const;
    /// Records of all evaluations, oldest first. Damaged ones are left out.
    [[nodiscard]] Result<std::vector<Json>> evaluations(const ModelVersionId& id) const;

    /// Removes a version with its exports and evaluations, and objects that nothing else uses. Returns the bytes that
    /// were freed.
    [[nodiscard]] Result<std::int64_t> remove(const ModelVersionId& id) const;

    [[nodiscard]] const Objects& objects() const { return m_objects; }

private:
    [[nodiscard]] Status writeCard(const ModelVersionId& id, const Json& card) const;
    [[nodiscard]] Status publish(ModelVersionId& id, Json card) const;
    [[nodiscard]] Result<base::FileLock> lock(bool exclusive) const;
    [[nodiscard]] Result<int> highestNumber(const std::string& name) const;
    [[nodiscard]] bool isUsed(const std::string& sha256) const;

    wire::WorkspaceLayout m_layout;
    Objects m_objects;
};

}  // namespace trainyard::registry
