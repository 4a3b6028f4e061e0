#include "core/base/Json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "core/base/Text.h"

namespace trainyard::base {

namespace {

constexpr std::size_t kMaxDepth = 200;
// Below this many members a linear look is faster than a set.
constexpr std::size_t kLinearMembers = 16;

std::string positionOf(std::string_view text, std::size_t position) {
    const std::string_view before = text.substr(0, std::min(position, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t lastBreak = before.rfind('\n');
    const std::size_t column = lastBreak == std::string_view::npos ? before.size() : before.size() - lastBreak - 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(std::max<std::size_t>(1, column));
}

/// Builds the value and refuses what nlohmann_json would let through: deep nesting and duplicate keys.
class Builder final : public nlohmann::json_sax<Json> {
public:
    explicit Builder(std::string_view text) : m_text(text) {}

    bool null() override { return add(Json(nullptr)); }
    bool boolean(bool value) override { return add(Json(value)); }
    bool number_integer(number_integer_t value) override { return add(Json(value)); }
    bool number_unsigned(number_unsigned_t value) override {
        if (value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
            return add(Json(static_cast<std::int64_t>(value)));
        }
        return add(Json(value));
    }
    bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
    bool string(string_t& value) override { return add(Json(std::move(value))); }
    bool binary(binary_t&) override { return false; }

    bool start_object(std::size_t) override { return open(Json::object()); }
    bool start_array(std::size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        Level& level = m_levels.back();
        if (!level.isNew(name)) {
            m_error = Error{"json.duplicate", "The key \"" + toValidUtf8(name) + "\" stands twice in one object."};
            return false;
        }
        level.key = std::move(name);
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& why) override {
        std::string_view what = why.what();
        if (const std::size_t column = what.find(", column "); column != std::string_view::npos) {
            if (const std::size_t colon = what.find(": ", column); colon != std::string_view::npos) {
                what = what.substr(colon + 2);
            }
        } else if (const std::size_t bracket = what.find("] "); bracket != std::string_view::npos) {
            what = what.substr(bracket + 2);
        }
        m_error =
            Error{"json.syntax", "Not valid JSON at " + positionOf(m_text, position) + ": " + toValidUtf8(what) + "."};
        return false;
    }

    Json& root() { return m_root; }
    const std::optional<Error>& error() const { return m_error; }

private:
    struct Level {
        Json* container = nullptr;
        std::string key;
        std::unordered_set<std::string> seen;

        bool isNew(const std::string& name) {
            const auto& members = container->get_ref<const Json::object_t&>();
            if (members.size() < kLinearMembers) {
                return members.find(name) == members.end();
            }
            if (seen.empty()) {
                for (const auto& member : members) {
                    seen.insert(member.first);
                }
            }
            return seen.insert(name).second;
        }
    };

    /// Puts the value where the open container expects it and returns its place.
    Json* place(Json value) {
        if (m_levels.empty()) {
            m_root = std::move(value);
            return &m_root;
        }
        Level& level = m_levels.back();
        if (level.container->is_array()) {
            auto& items = level.container->get_ref<Json::array_t&>();
            items.push_back(std::move(value));
            return &items.back();
        }
        // The vector below ordered_map: its own insert would search all members again.
        auto& members = level.container->get_ref<Json::object_t&>();
        members.Container::emplace_back(std::move(level.key), std::move(value));
        return &members.back().second;
    }

    bool add(Json value) {
        place(std::move(value));
        return true;
    }

    bool open(Json container) {
        if (m_levels.size() >= kMaxDepth) {
            m_error =
                Error{"json.depth", "The JSON text is nested deeper than " + std::to_string(kMaxDepth) + " levels."};
            return false;
        }
        Level level;
        level.container = place(std::move(container));
        m_levels.push_back(std::move(level));
        return true;
    }

    bool close() {
        m_levels.pop_back();
        return true;
    }

    std::string_view m_text;
    Json m_root;
    std::vector<Level> m_levels;
    std::optional<Error> m_error;
};

const char* typeName(const Json& value) {
    switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return "text";
    case Json::value_t::boolean: return "true or false";
    default: return "a number";
    }
}

std::optional<std::int64_t> asInteger(const Json& value) {
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return std::nullopt;
        }
        return static_cast<std::int64_t>(number);
    }
    if (value.is_number_integer()) {
        return value.get<std::int64_t>();
    }
    constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double no longer names one integer.
    if (value.is_number_float()) {
        const double number = value.get<double>();
        if (std::abs(number) <= kExact && number == std::floor(number)) {
            return static_cast<std::int64_t>(number);
        }
    }
    return std::nullopt;
}

}  // namespace

Result<Json> parseJson(std::string_view text) {
    Builder builder(text);
    if (!Json::sax_parse(text, &builder)) {
        return builder.error().value_or(Error{"json.syntax", "Not valid JSON."});
    }
    return std::move(builder.root());
}

std::string dumpJson(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string dumpJsonPretty(const Json& value) {
    return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json numberToJson(double value) {
    if (std::isfinite(value)) {
        return value;
    }
    if (std::isnan(value)) {
        return "NaN";
    }
    return value > 0 ? "Infinity" : "-Infinity";
}

std::string jsonText(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t jsonInteger(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::optional<double> jsonToNumber(const Json& value) {
    if (value.is_number()) {
        return value.get<double>();
    }
    if (!value.is_string()) {
        return std::nullopt;
    }
    std::string_view text = trim(value.get_ref<const std::string&>());
    if (text.size() > 1 && text.front() == '+' && text[1] != '-') {
        text.remove_prefix(1);
    }
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

ObjectReader::ObjectReader(const Json& object, std::string path) : m_path(std::move(path)) {
    if (object.is_object()) {
        m_object = object;
    } else {
        m_object = Json::object();
        m_errors.push_back(
            {"json.type", "An object is expected here, not " + std::string(typeName(object)) + ".", m_path});
    }
}

std::string ObjectReader::pathOf(std::string_view key) const {
    return m_path.empty() ? std::string(key) : m_path + "." + std::string(key);
}

bool ObjectReader::has(std::string_view key) const {
    const auto found = m_object.find(std::string(key));
    return found != m_object.end() && !found->is_null();
}

const Json* ObjectReader::find(std::string_view key) {
    m_known.emplace_back(key);
    const auto found = m_object.find(m_known.back());
    return found == m_object.end() || found->is_null() ? nullptr : &*found;
}

std::string ObjectReader::string(std::string_view key, std::string fallback) {
    const Json* value = find(key);
    if (value == nullptr) {
        return fallback;
    }
    if (!value->is_string()) {
        fail("json.type", key, pathOf(key) + " must be text, not " + typeName(*value) + ".");
        return fallback;
    }
    return value->get<std::string>();
}

std::int64_t ObjectReader::integer(std::string_view key, std::int64_t fallback) {
    const Json* value = find(key);
    if (value == nullptr) {
        return fallback;
    }
    const std::optional<std::int64_t> number = asInteger(*value);
    if (!number) {
        fail("json.type", key,
             pathOf(key) + " must be a whole number" +
                 (value->is_number() ? " of 64 bits." : ", not " + std::string(typeName(*value)) + "."));
        return fallback;
    }
    return *number;
}

double ObjectReader::number(std::string_view key, double fallback) {
    const Json* value = find(key);
    if (value == nullptr) {
        return fallback;
    }
    const bool spelled = value->is_string() && (*value == "NaN" || *value == "Infinity" || *value == "-Infinity");
    if (!value->is_number() && !spelled) {
        fail("json.type", key, pathOf(key) + " must be a number, not " + typeName(*value) + ".");
        return fallback;
    }
    return jsonToNumber(*value).value_or(fallback);
}

bool ObjectReader::boolean(std::string_view key, bool fallback) {
    const Json* value = find(key);
    if (value == nullptr) {
        return fallback;
    }
    if (!value->is_boolean()) {
        fail("json.type", key, pathOf(key) + " must be true or false, not " + typeName(*value) + ".");
        return fallback;
    }
    return value->get<bool>();
}

std::vector<std::string> ObjectReader::strings(std::string_view key) {
    std::vector<std::string> out;
    for (const Json& item : array(key)) {
        if (!item.is_string()) {
            fail("json.type", key, pathOf(key) + " must be a list of texts; one item is " + typeName(item) + ".");
            return {};
        }
        out.push_back(item.get<std::string>());
    }
    return out;
}

std::vector<std::pair<std::string, std::string>> ObjectReader::stringMap(std::string_view key) {
    std::vector<std::pair<std::string, std::string>> out;
    const Json members = object(key);
    for (const auto& [name, value] : members.items()) {
        if (value.is_string()) {
            out.emplace_back(name, value.get<std::string>());
        } else if (value.is_number() || value.is_boolean()) {
            out.emplace_back(name, dumpJson(value));
        } else {
            fail("json.type", std::string(key) + "." + name,
                 pathOf(key) + "." + name + " must be text, not " + typeName(value) + ".");
        }
    }
    return out;
}

Json ObjectReader::raw(std::string_view key) {
    const Json* value = find(key);
    return value == nullptr ? Json(nullptr) : *value;
}

Json ObjectReader::object(std::string_view key) {
    const Json* value = find(key);
    if (value == nullptr) {
        return Json::object();
    }
    if (!value->is_object()) {
        fail("json.type", key, pathOf(key) + " must be an object, not " + typeName(*value) + ".");
        return Json::object();
    }
    return *value;
}

Json ObjectReader::array(std::string_view key) {
    const Json* value = find(key);
    if (value == nullptr) {
        return Json::array();
    }
    if (!value->is_array()) {
        fail("json.type", key, pathOf(key) + " must be a list, not " + typeName(*value) + ".");
        return Json::array();
    }
    return *value;
}

void ObjectReader::require(std::string_view key) {
    if (find(key) == nullptr) {
        fail("json.missing", key, pathOf(key) + " is missing.");
    }
}

void ObjectReader::fail(std::string code, std::string_view key, std::string message) {
    m_errors.push_back({std::move(code), std::move(message), pathOf(key)});
}

void ObjectReader::merge(const ObjectReader& nested) {
    const std::vector<Error> errors = nested.errors();
    m_errors.insert(m_errors.end(), errors.begin(), errors.end());
}

std::vector<Error> ObjectReader::errors(bool rejectUnknown) const {
    std::vector<Error> all = m_errors;
    if (rejectUnknown) {
        for (const auto& [name, value] : m_object.items()) {
            if (std::find(m_known.begin(), m_known.end(), name) == m_known.end()) {
                all.push_back({"json.unknown", pathOf(name) + " is not known here.", pathOf(name)});
            }
        }
    }
    return all;
}

Status ObjectReader::status(bool rejectUnknown) const {
    const std::vector<Error> all = errors(rejectUnknown);
    if (all.empty()) {
        return {};
    }
    return all.front();
}

Status checkFormat(const Json& document, std::string_view format, int supportedVersion) {
    const auto wrong = [&](const std::string& found) {
        return Error{"format.wrong",
                     "A file of format \"" + std::string(format) + "\" is expected, but " + found + "."};
    };
    if (!document.is_object()) {
        return wrong("this is " + std::string(typeName(document)));
    }
    const auto name = document.find("format");
    if (name == document.end() || !name->is_string()) {
        return wrong("it names no format");
    }
    if (name->get_ref<const std::string&>() != format) {
        return wrong("this one is \"" + name->get<std::string>() + "\"");
    }
    const auto versionMember = document.find("version");
    const std::optional<std::int64_t> version =
        versionMember == document.end() ? std::nullopt : asInteger(*versionMember);
    if (!version || *version < 1) {
        return wrong("it names no version");
    }
    if (*version > supportedVersion) {
        return Error{"format.newer", "The file has version " + std::to_string(*version) + " of " + std::string(format) +
                                         ", but this program reads up to version " + std::to_string(supportedVersion) +
                                         ". Use a newer Trainyard."};
    }
    return {};
}

}  // namespace trainyard::base
