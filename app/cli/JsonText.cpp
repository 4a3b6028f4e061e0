#include "app/cli/JsonText.h"

#include <algorithm>

#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

/// Width on a terminal, near enough: one column a UTF-8 character.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string clipText(const std::string& text, std::size_t columns) {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++seen > columns) {
            return text.substr(0, i);
        }
    }
    return text;
}

std::string textOf(const Json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) {
        return {};
    }
    return base::stripControl(found->is_string() ? found->get<std::string>() : base::dumpJson(*found));
}

std::int64_t integerOf(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

std::optional<double> numberOf(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() ? std::nullopt : base::jsonToNumber(*found);
}

const Json& memberOf(const Json& object, const char* key) {
    static const Json kNone;
    const auto found = object.find(key);
    return found == object.end() ? kNone : *found;
}

std::string metricOf(const Json& run, const std::string& name, const char* which) {
    for (const Json& one : memberOf(run, "metrics")) {
        if (textOf(one, "name") == name) {
            const std::optional<double> value = numberOf(one, which);
            return value ? base::formatSignificant(*value) : std::string();
        }
    }
    return {};
}

std::string tableText(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
    std::vector<std::size_t> widths(right.size(), 0);
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string pad(widths[i] - width(row[i]), ' ');
            line += (right[i] ? pad + row[i] : row[i] + pad) + (i + 1 < row.size() ? "  " : "");
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string tagsOf(const Json& tags) {
    std::string text;
    for (const auto& [name, value] : tags.items()) {
        const std::string of = value.is_string() ? value.get<std::string>() : base::dumpJson(value);
        text += (text.empty() ? "" : ", ") + base::stripControl(of.empty() ? name : name + "=" + of);
    }
    return text;
}

std::string shortTime(const std::string& iso) {
    return iso.substr(0, 10) + " " + iso.substr(std::min<std::size_t>(11, iso.size()), 8);
}

}  // namespace trainyard::cli
