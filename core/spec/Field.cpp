#include "core/spec/Field.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "core/base/Text.h"

namespace trainyard::spec {

namespace {

std::string textOf(const Json& value) { return value.is_string() ? value.get<std::string>() : base::dumpJson(value); }

std::string numberText(double value) {
    return base::dumpJson(value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<std::int64_t>(value))
                                                                               : Json(value));
}

Error errorOf(const Field& field, const char* code, const std::string& what) {
    return Error{code, field.label + " " + what + ".", field.path};
}

bool hasControl(std::string_view text, bool mayBreakLines) {
    return std::any_of(text.begin(), text.end(), [&](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && !(mayBreakLines && (c == '\n' || c == '\t'))) || byte == 0x7F;
    });
}

std::optional<Error> checkText(const Field& field, const std::string& text, bool mayBreakLines) {
    if (text.size() > static_cast<std::size_t>(field.maxLength)) {
        return errorOf(field, "spec.length",
                       "is " + std::to_string(text.size()) + " bytes long; at most " + std::to_string(field.maxLength) +
                           " are allowed");
    }
    if (!base::isValidUtf8(text)) {
        return errorOf(field, "spec.utf8", "is not text in UTF-8");
    }
    if (hasControl(text, mayBreakLines)) {
        return errorOf(field, "spec.control", "has control characters in it");
    }
    return std::nullopt;
}

std::optional<Error> checkRange(const Field& field, double value) {
    const bool low = field.minimumExclusive ? value > field.minimum : value >= field.minimum;
    if (low && value <= field.maximum) {
        return std::nullopt;
    }
    std::string allowed;
    if (std::isfinite(field.minimum)) {
        allowed = (field.minimumExclusive ? "above " : "at least ") + numberText(field.minimum);
    }
    if (std::isfinite(field.maximum)) {
        allowed += (allowed.empty() ? "" : " and ") + ("at most " + numberText(field.maximum));
    }
    const std::string unit = field.unit.empty() ? "" : " " + field.unit;
    return errorOf(field, "spec.range", "is " + numberText(value) + unit + ", but must be " + allowed + unit);
}

bool isWhole(const Json& value) {
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (value.is_number_float()) {
        const double number = value.get<double>();
        return std::abs(number) <= kExact && number == std::floor(number);
    }
    return value.is_number_integer();
}

bool isAbsent(const Json* value) { return value == nullptr || value->is_null(); }

/// Levenshtein's distance, for names of a few dozen letters.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (const char letter : a) {
        std::size_t diagonal = row[0]++;
        for (std::size_t k = 0; k < b.size(); ++k) {
            const std::size_t change = diagonal + (letter == b[k] ? 0 : 1);
            diagonal = row[k + 1];
            row[k + 1] = std::min({change, row[k] + 1, row[k + 1] + 1});
        }
    }
    return row.back();
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t bestDistance = name.size() / 3 + 2;
    for (const std::string& candidate : candidates) {
        if (const std::size_t d = distance(name, candidate); d < bestDistance) {
            bestDistance = d;
            best = candidate;
        }
    }
    return best;
}

/// Looks through what no field describes: names nobody knows, and values where an object is needed.
class StructureCheck {
public:
    StructureCheck(const std::vector<Field>& fields, const std::vector<std::string>& freePaths)
        : m_fields(fields), m_free(freePaths) {}

    void walk(const Json& object, const std::string& prefix) {
        for (const auto& [name, value] : object.items()) {
            const std::string path = prefix + name;
            if (isFree(path) || isField(path)) {
                continue;
            }
            if (!isAbove(path)) {
                const std::string meant = nearest(name, childrenOf(prefix));
                m_unknown.push_back({"spec.unknown",
                                     "\"" + path + "\" is not known" +
                                         (meant.empty() ? "." : ". Did you mean \"" + prefix + meant + "\"?"),
                                     path});
            } else if (!value.is_object()) {
                m_misplaced.push_back({"spec.type", "\"" + path + "\" must be an object.", path});
            } else {
                walk(value, path + ".");
            }
        }
    }

    const std::vector<Error>& unknown() const { return m_unknown; }
    const std::vector<Error>& misplaced() const { return m_misplaced; }

private:
    bool isField(const std::string& path) const {
        return std::any_of(m_fields.begin(), m_fields.end(), [&](const Field& f) { return f.path == path; });
    }
    bool isAbove(const std::string& path) const {
        return std::any_of(m_fields.begin(), m_fields.end(),
                           [&](const Field& f) { return f.path.starts_with(path + "."); });
    }
    bool isFree(const std::string& path) const {
        return std::any_of(m_free.begin(), m_free.end(),
                           [&](const std::string& free) { return path == free || path.starts_with(free + "."); });
    }
    std::vector<std::string> childrenOf(const std::string& prefix) const {
        std::vector<std::string> out;
        for (const Field& field : m_fields) {
            if (field.path.starts_with(prefix)) {
                out.push_back(field.path.substr(prefix.size(), field.path.find('.', prefix.size()) - prefix.size()));
            }
        }
        return out;
    }

    const std::vector<Field>& m_fields;
    const std::vector<std::string>& m_free;
    std::vector<Error> m_unknown;
    std::vector<Error> m_misplaced;
};

/// Whether a document needs the member, because the default would not do.
bool mustBePresent(const Field& field) { return field.required && checkValue(field, &field.defaultValue).has_value(); }

Json leafSchema(const Field& field) {
    Json schema = Json::object();
    schema["title"] = field.label;
    if (!field.help.empty()) {
        schema["description"] = field.help + (field.unit.empty() ? "" : " Unit: " + field.unit + ".");
    }
    const auto texts = [&] { return Json{{"type", "string"}, {"maxLength", field.maxLength}}; };
    switch (field.type) {
    case FieldType::Text:
    case FieldType::MultilineText:
    case FieldType::File:
    case FieldType::Folder:
        schema.update(texts());
        if (field.required) {
            schema["minLength"] = 1;
        }
        break;
    case FieldType::Integer:
    case FieldType::Number: {
        schema["type"] = field.type == FieldType::Integer ? "integer" : "number";
        const auto bound = [&](double value) {
            return field.type == FieldType::Integer ? Json(static_cast<std::int64_t>(value)) : Json(value);
        };
        if (std::isfinite(field.minimum)) {
            schema[field.minimumExclusive ? "exclusiveMinimum" : "minimum"] = bound(field.minimum);
        }
        if (std::isfinite(field.maximum)) {
            schema["maximum"] = bound(field.maximum);
        }
        break;
    }
    case FieldType::Boolean: schema["type"] = "boolean"; break;
    case FieldType::Choice: {
        Json values = Json::array();
        for (const Choice& choice : field.choices) {
            values.push_back(choice.value);
        }
        schema["enum"] = std::move(values);
        break;
    }
    case FieldType::TextList:
        schema["type"] = "array";
        schema["items"] = texts();
        if (field.required) {
            schema["minItems"] = 1;
        }
        break;
    case FieldType::TextMap:
        schema["type"] = "object";
        schema["additionalProperties"] = Json{{"type", Json::array({"string", "number", "boolean"})}};
        break;
    }
    if (!field.defaultValue.is_null() && !mustBePresent(field)) {
        schema["default"] = field.defaultValue;
    }
    return schema;
}

/// Puts `leaf` at a dotted path of nested "properties"; with `strict`, other members are refused on the way.
void putProperty(Json& schema, std::string_view path, Json leaf, bool strict) {
    Json* at = &schema;
    std::string_view rest = path;
    for (;;) {
        const std::size_t dot = rest.find('.');
        Json& properties = (*at)["properties"];
        Json& child = properties[std::string(rest.substr(0, dot))];
        if (dot == std::string_view::npos) {
            child = std::move(leaf);
            return;
        }
        if (strict && !child.contains("type")) {
            child["type"] = "object";
            child["additionalProperties"] = false;
        }
        at = &child;
        rest.remove_prefix(dot + 1);
    }
}

void putRequired(Json& schema, std::string_view path) {
    Json* at = &schema;
    for (const std::string& name : base::split(path, '.')) {
        Json& required = (*at)["required"];
        if (std::find(required.begin(), required.end(), Json(name)) == required.end()) {
            required.push_back(name);
        }
        at = &(*at)["properties"][name];
    }
}

/// The "if" of a list of conditions. A condition that the default fulfils holds for an absent member too.
Json conditionSchema(const std::vector<Field>& fields, const std::vector<Condition>& conditions) {
    Json schema = Json::object();
    for (const Condition& condition : conditions) {
        putProperty(schema, condition.path, Json{{"enum", condition.values}}, false);
        const auto named = std::find_if(fields.begin(), fields.end(),
                                        [&](const Field& field) { return field.path == condition.path; });
        const std::string fallback = named == fields.end() ? "" : textOf(named->defaultValue);
        if (std::find(condition.values.begin(), condition.values.end(), fallback) == condition.values.end()) {
            putRequired(schema, condition.path);
        }
    }
    return schema;
}

std::string keyOf(const std::vector<Condition>& conditions) {
    std::string key;
    for (const Condition& condition : conditions) {
        key += condition.path + "=";
        for (const std::string& value : condition.values) {
            key += value + "|";
        }
        key += "&";
    }
    return key;
}

}  // namespace

bool isElsewhere(const Field& field, std::string_view value) {
    return std::ranges::any_of(field.elsewhere,
                               [&](const std::string& beginning) { return value.starts_with(beginning); });
}

const Json* valueAt(const Json& document, std::string_view path) {
    const Json* at = &document;
    for (const std::string& name : base::split(path, '.')) {
        if (!at->is_object()) {
            return nullptr;
        }
        const auto found = at->find(name);
        if (found == at->end()) {
            return nullptr;
        }
        at = &*found;
    }
    return at;
}

void setValueAt(Json& document, std::string_view path, Json value) {
    Json* at = &document;
    for (const std::string& name : base::split(path, '.')) {
        if (!at->is_object()) {
            *at = Json::object();
        }
        at = &(*at)[name];
    }
    *at = std::move(value);
}

bool applies(const Field& field, const Json& document) {
    return std::all_of(field.onlyWhen.begin(), field.onlyWhen.end(), [&](const Condition& condition) {
        const Json* value = valueAt(document, condition.path);
        return !isAbsent(value) &&
               std::find(condition.values.begin(), condition.values.end(), textOf(*value)) != condition.values.end();
    });
}

Json withDefaults(const std::vector<Field>& fields, Json document) {
    for (const Field& field : fields) {
        if (!field.defaultValue.is_null() && applies(field, document) && isAbsent(valueAt(document, field.path))) {
            setValueAt(document, field.path, field.defaultValue);
        }
    }
    return document;
}

Json defaultsOf(const std::vector<Field>& fields) { return withDefaults(fields, Json::object()); }

const Field* fieldAt(const std::vector<Field>& fields, std::string_view path, const Json& document) {
    for (const Field& field : fields) {
        if (field.path == path && applies(field, document)) {
            return &field;
        }
    }
    return nullptr;
}

std::optional<Error> checkValue(const Field& field, const Json* value) {
    if (isAbsent(value)) {
        return field.required ? std::optional(errorOf(field, "spec.required", "is missing")) : std::nullopt;
    }
    const auto wrongType = [&](const char* wanted) {
        return errorOf(field, "spec.type", std::string("must be ") + wanted);
    };
    switch (field.type) {
    case FieldType::Text:
    case FieldType::MultilineText:
    case FieldType::File:
    case FieldType::Folder: {
        if (!value->is_string()) {
            return wrongType("text");
        }
        const auto& text = value->get_ref<const std::string&>();
        if (field.required && base::trim(text).empty()) {
            return errorOf(field, "spec.required", "is missing");
        }
        return checkText(field, text, field.type == FieldType::MultilineText);
    }
    case FieldType::Integer:
        if (!isWhole(*value)) {
            return wrongType("a whole number");
        }
        return checkRange(field, value->get<double>());
    case FieldType::Number: {
        if (!value->is_number() || !std::isfinite(value->get<double>())) {
            return wrongType("a number");
        }
        return checkRange(field, value->get<double>());
    }
    case FieldType::Boolean: return value->is_boolean() ? std::nullopt : std::optional(wrongType("true or false"));
    case FieldType::Choice: {
        if (!value->is_string()) {
            return wrongType("one of the names it knows");
        }
        std::string known;
        for (const Choice& choice : field.choices) {
            if (choice.value == value->get_ref<const std::string&>()) {
                return std::nullopt;
            }
            known += (known.empty() ? "\"" : ", \"") + choice.value + "\"";
        }
        return errorOf(field, "spec.choice",
                       "is \"" + base::stripControl(value->get_ref<const std::string&>()) + "\", but must be one of " +
                           known);
    }
    case FieldType::TextList:
        if (!value->is_array()) {
            return wrongType("a list of texts");
        }
        if (field.required && value->empty()) {
            return errorOf(field, "spec.required", "is missing");
        }
        for (const Json& item : *value) {
            if (!item.is_string()) {
                return wrongType("a list of texts");
            }
            if (auto error = checkText(field, item.get_ref<const std::string&>(), true)) {
                return error;
            }
        }
        return std::nullopt;
    case FieldType::TextMap:
        if (!value->is_object()) {
            return wrongType("an object of names and texts");
        }
        for (const auto& [name, item] : value->items()) {
            if (name.empty() || !(item.is_string() || item.is_number() || item.is_boolean())) {
                return wrongType("an object of names and texts");
            }
            if (auto error = checkText(field, name, false)) {
                return error;
            }
            if (auto error = checkText(field, textOf(item), true)) {
                return error;
            }
        }
        return std::nullopt;
    }
    return std::nullopt;
}

std::vector<Error> checkDocument(const std::vector<Field>& fields, const Json& document,
                                 const std::vector<std::string>& freePaths) {
    if (!document.is_object()) {
        return {{"spec.type", "The document must be an object.", ""}};
    }
    StructureCheck structure(fields, freePaths);
    structure.walk(document, "");
    std::vector<Error> errors = structure.misplaced();
    if (errors.empty()) {
        const Json complete = withDefaults(fields, document);
        for (const Field& field : fields) {
            if (!applies(field, complete)) {
                continue;
            }
            if (auto error = checkValue(field, valueAt(complete, field.path))) {
                errors.push_back(std::move(*error));
            }
        }
    }
    errors.insert(errors.end(), structure.unknown().begin(), structure.unknown().end());
    return errors;
}

Json jsonSchema(const std::vector<Field>& fields, std::string_view title, std::string_view id) {
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"$id", id},
                   {"title", title},
                   {"type", "object"},
                   {"additionalProperties", false},
                   {"properties", Json::object()}};
    Json rules = Json::array();
    std::map<std::string, std::size_t> ruleOf;
    for (const Field& field : fields) {
        if (field.onlyWhen.empty()) {
            putProperty(schema, field.path, leafSchema(field), true);
            if (mustBePresent(field)) {
                putRequired(schema, field.path);
            }
            continue;
        }
        // Known at all times, described only where the condition holds.
        putProperty(schema, field.path, Json(true), true);
        const auto [rule, isNew] = ruleOf.emplace(keyOf(field.onlyWhen), rules.size());
        if (isNew) {
            rules.push_back(Json{{"if", conditionSchema(fields, field.onlyWhen)}, {"then", Json::object()}});
        }
        Json& then = rules[rule->second]["then"];
        putProperty(then, field.path, leafSchema(field), false);
        if (mustBePresent(field)) {
            putRequired(then, field.path);
        }
    }
    if (!rules.empty()) {
        schema["allOf"] = std::move(rules);
    }
    return schema;
}

}  // namespace trainyard::spec
