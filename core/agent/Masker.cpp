#include "core/agent/Masker.h"

#include <algorithm>
#include <unordered_set>

#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

/// A line of a key or certificate; shorter ones are seldom secret ("}", "true").
constexpr std::size_t kLeastLine = 8;
constexpr std::size_t kLongestMember = 16;

/// "value", "bin_counts": how the protocol calls its members.
bool isPlainMember(const std::string& name) {
    return name.size() <= kLongestMember && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
}

}  // namespace

void Masker::insert(std::string secret) {
    if (std::find(m_secrets.begin(), m_secrets.end(), secret) != m_secrets.end()) return;
    m_secrets.push_back(std::move(secret));
    std::stable_sort(m_secrets.begin(), m_secrets.end(),
                     [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

bool Masker::add(const std::string& secret) {
    if (secret.size() < kLeast) return false;
    insert(secret);
    const std::string json = base::dumpJson(base::Json(base::toValidUtf8(secret)));
    insert(json.substr(1, json.size() - 2));
    if (secret.find('\n') == std::string::npos) return true;
    for (const std::string& line : base::split(secret, '\n')) {
        const std::string text(base::trim(line));
        if (text.size() >= kLeastLine) insert(text);
    }
    return true;
}

std::optional<std::pair<std::size_t, std::size_t>> Masker::find(std::string_view text, std::size_t from) const {
    std::optional<std::pair<std::size_t, std::size_t>> first;
    for (const std::string& secret : m_secrets) {
        const std::size_t at = text.find(secret, from);
        if (at != std::string_view::npos && (!first || at < first->first)) first = {at, secret.size()};
    }
    return first;
}

std::size_t Masker::undecided(std::string_view text) const {
    std::size_t most = 0;
    for (const std::string& secret : m_secrets) {
        for (std::size_t length = std::min(secret.size() - 1, text.size()); length > most; --length) {
            if (text.ends_with(std::string_view(secret).substr(0, length))) most = length;
        }
    }
    return most;
}

std::string Masker::mask(std::string_view text) const {
    std::string shown;
    std::size_t at = 0;
    while (const auto found = find(text, at)) {
        shown += text.substr(at, found->first - at);
        shown += kMask;
        at = found->first + found->second;
    }
    return shown += text.substr(at);
}

void Masker::maskAll(base::Json& json) const {
    if (json.is_string()) {
        json = mask(json.get_ref<const std::string&>());
    } else if (json.is_object()) {
        maskMembers(json, true);
    } else if (json.is_array()) {
        for (base::Json& entry : json) maskAll(entry);
    }
}

void Masker::maskMembers(base::Json& object, bool ownNames) const {
    for (auto& [name, value] : object.get_ref<base::Json::object_t&>()) maskAll(value);
    renameMembers(object, ownNames);
}

void Masker::renameMembers(base::Json& object, bool ownNames) const {
    base::Json masked = base::Json::object();
    // As a vector: its own insert searches all members, and a line may have hundreds of thousands.
    auto& members = masked.get_ref<base::Json::object_t&>();
    std::unordered_set<std::string> names;
    for (auto& [name, value] : object.get_ref<base::Json::object_t&>()) {
        std::string shown = ownNames || !isPlainMember(name) ? mask(name) : name;
        // Of names that are one when they are masked, the first stays.
        if (names.insert(shown).second) members.Container::emplace_back(std::move(shown), std::move(value));
    }
    object = std::move(masked);
}

void Masker::maskLine(base::Json& line) const {
    if (!line.is_object()) return;
    const base::Json kind = line.value("kind", base::Json());
    const base::Json data = kind == "image" ? line.value("data", base::Json()) : base::Json();
    for (auto& [name, value] : line.items()) {
        // Names below "values" are the script's; those of a series, a table and the like are the protocol's.
        if (name == "series" && value.is_array()) {
            for (base::Json& series : value) {
                if (series.is_object()) maskMembers(series, false);
            }
        } else if (name == "values" && kind == "params" && value.is_object()) {
            for (auto& [param, number] : value.items()) {
                // A secret of digits that was given as a number.
                if (number.is_number() &&
                    std::find(m_secrets.begin(), m_secrets.end(), number.dump()) != m_secrets.end())
                    number = std::string(kMask);
            }
            maskAll(value);
        } else {
            maskAll(value);
        }
    }
    line["kind"] = kind;
    if (!data.is_null()) line["data"] = data;
    renameMembers(line, false);
}

}  // namespace trainyard::agent
