#pragma once
// What a form, the CLI's help, the JSON schema and validation all read: one description per field of a spec.
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::spec {

using base::Error;
using base::Json;

enum class FieldType { Text, MultilineText, Integer, Number, Boolean, Choice, File, Folder, TextList, TextMap };

struct Choice {
    std::string value;  ///< As in JSON.
    std::string label;  ///< As a person reads it.
    std::string help{};
};

/// The field is shown and validated only while the field at `path` has one of `values`.
struct Condition {
    std::string path;
    std::vector<std::string> values;
};

/// Several fields may have one path when their conditions exclude each other: the learning rate of SGD and the one of
/// Adam differ in default and range. A form shows the one that applies, and puts its default in when the value still
/// is the default of the one that applied before.
struct Field {
    std::string path;   ///< Dotted path from the document's root: "task.optimizer.learning_rate".
    std::string label;  ///< "Learning rate"
    FieldType type = FieldType::Text;
    Json defaultValue;
    std::string help{};   ///< One or two sentences, shown on hover.
    std::string unit{};   ///< "epochs", "MiB", "" when it has none.
    std::string group{};  ///< Heading it stands under: "Data", "Model", "Optimizer"…
    double minimum = -std::numeric_limits<double>::infinity();
    double maximum = std::numeric_limits<double>::infinity();
    bool minimumExclusive = false;
    bool required = false;
    bool advanced = false;  ///< Folded away at first.
    std::vector<Choice> choices{};
    std::vector<Condition> onlyWhen{};     ///< All must hold.
    int maxLength = 4096;                  ///< Text, in bytes.
    std::vector<std::string> elsewhere{};  ///< File, Folder: how values begin that are no path here: "run:", "target:".
};

/// Whether a value of the field names something that is not looked for among this machine's files.
[[nodiscard]] bool isElsewhere(const Field& field, std::string_view value);

/// The value at a dotted path, or null.
[[nodiscard]] const Json* valueAt(const Json& document, std::string_view path);
/// Sets the value at a dotted path, making the objects on the way.
void setValueAt(Json& document, std::string_view path, Json value);

/// True when all conditions of the field hold in `document` (of which no defaults are filled in here).
[[nodiscard]] bool applies(const Field& field, const Json& document);
/// A document that holds the default of every field that applies, filled in the order of the list.
[[nodiscard]] Json defaultsOf(const std::vector<Field>& fields);
/// The document with the default of every field that applies and is absent. What is there stays as it is.
[[nodiscard]] Json withDefaults(const std::vector<Field>& fields, Json document);
/// The field of this path that applies in `document`, or nullptr.
[[nodiscard]] const Field* fieldAt(const std::vector<Field>& fields, std::string_view path, const Json& document);
/// Checks one value against its field: type, range, choices, length, control characters.
/// Codes: "spec.type", "spec.range", "spec.choice", "spec.required", "spec.length", "spec.control".
[[nodiscard]] std::optional<Error> checkValue(const Field& field, const Json* value);
/// Checks every field that applies (absent ones count with their default), and names keys of `document` that no field
/// knows ("spec.unknown", with the nearest known name). Fields that do not apply may be present and are left alone.
[[nodiscard]] std::vector<Error> checkDocument(const std::vector<Field>& fields, const Json& document,
                                               const std::vector<std::string>& freePaths = {});
/// JSON Schema (2020-12) of a list of fields. Conditions become if/then.
[[nodiscard]] Json jsonSchema(const std::vector<Field>& fields, std::string_view title, std::string_view id);

}  // namespace trainyard::spec
