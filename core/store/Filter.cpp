#include "core/store/Filter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>

#include "core/base/Text.h"
#include "core/store/Fold.h"

namespace trainyard::store {
namespace {

using base::Error;

constexpr std::int64_t kSecond = 1'000'000;  // Microseconds.

struct Term {
    std::string text;
    bool negated = false;
    bool quoted = false;  ///< Began with a quote: plain text, whatever it holds.
};

Error filterError(std::string message) { return {"store.filter", std::move(message), "filter"}; }

Result<std::vector<Term>> termsOf(std::string_view text) {
    std::vector<Term> terms;
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    for (std::size_t at = 0; at < text.size();) {
        if (blank(text[at])) {
            ++at;
            continue;
        }
        Term term;
        if (text[at] == '-' && at + 1 < text.size() && !blank(text[at + 1])) {
            term.negated = true;
            ++at;
        }
        term.quoted = text[at] == '"';
        bool inside = false;
        for (; at < text.size() && (inside || !blank(text[at])); ++at) {
            if (text[at] == '"')
                inside = !inside;
            else
                term.text += text[at];
        }
        if (inside) return filterError("A quotation mark is not closed.");
        if (!term.text.empty()) terms.push_back(std::move(term));
    }
    return terms;
}

std::optional<double> numberOf(std::string_view text) {
    double factor = 1;
    if (text.ends_with('%')) {
        factor = 0.01;
        text.remove_suffix(1);
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value * factor;
}

/// "10m", "1.5h": microseconds.
std::optional<std::int64_t> durationOf(std::string_view text) {
    if (text.empty()) return std::nullopt;
    static constexpr std::pair<char, std::int64_t> kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    for (const auto& [letter, seconds] : kUnits) {
        if (text.back() != letter) continue;
        const auto value = numberOf(text.substr(0, text.size() - 1));
        if (!value || !std::isfinite(*value) || std::abs(*value) > 1e9) return std::nullopt;
        return static_cast<std::int64_t>(*value * static_cast<double>(seconds * kSecond));
    }
    return std::nullopt;
}

/// "2026-11-01": its first moment, UTC.
std::optional<std::int64_t> dateOf(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    const auto part = [&](std::size_t from, std::size_t length) {
        int value = -1;
        const auto [end, error] = std::from_chars(text.data() + from, text.data() + from + length, value);
        return error == std::errc() && end == text.data() + from + length ? value : -1;
    };
    std::tm day{};
    day.tm_year = part(0, 4) - 1900;
    day.tm_mon = part(5, 2) - 1;
    day.tm_mday = part(8, 2);
    if (day.tm_year < 70 || day.tm_mon < 0 || day.tm_mon > 11 || day.tm_mday < 1 || day.tm_mday > 31)
        return std::nullopt;
    return static_cast<std::int64_t>(::timegm(&day)) * kSecond;
}

struct Comparison {
    std::string left, sign, right;
};

std::optional<Comparison> comparisonOf(const std::string& text) {
    const std::size_t at = text.find_first_of("<>=!");
    if (at == std::string::npos || at == 0) return std::nullopt;
    std::string sign(1, text[at]);
    if (at + 1 < text.size() && text[at + 1] == '=') sign += '=';
    if (sign == "!") return std::nullopt;
    Comparison comparison{text.substr(0, at), sign == "==" ? "=" : sign, text.substr(at + sign.size())};
    return comparison.right.empty() ? std::nullopt : std::optional(comparison);
}

class Builder {
public:
    explicit Builder(std::int64_t now) : m_now(now) {}
    Status add(const Term& term);
    SqlCondition take() { return std::move(m_condition); }

private:
    void put(bool negated, const std::string& sql, std::vector<SqlValue> values) {
        m_condition.sql +=
            (m_condition.sql.empty() ? "" : " AND ") + std::string(negated ? "NOT " : "") + "(" + sql + ")";
        for (SqlValue& value : values) m_condition.values.push_back(std::move(value));
    }
    void addWord(const Term& term);
    Status addState(const Term& term, const std::string& value);
    Status addCompared(const Term& term, const Comparison& comparison);
    Status addTime(const Term& term, const Comparison& comparison, const std::string& column);
    bool addField(const Term& term, const std::string& key, const std::string& value);

    std::int64_t m_now;
    SqlCondition m_condition;
};

void Builder::addWord(const Term& term) {
    std::string sql = "instr(search, ?) > 0";
    std::vector<SqlValue> values{foldCase(term.text)};
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(term.text.data(), term.text.data() + term.text.size(), number);
    if (error == std::errc() && end == term.text.data() + term.text.size()) {
        sql += " OR number = ?";
        values.emplace_back(number);
    }
    constexpr std::size_t kShortestId = 4;
    const bool idLike = std::all_of(term.text.begin(), term.text.end(),
                                    [](char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); });
    if (idLike && term.text.size() >= kShortestId) {
        sql += " OR (id >= ? AND id < ? || '~')";
        values.emplace_back(term.text);
        values.emplace_back(term.text);
    }
    put(term.negated, sql, std::move(values));
}

Status Builder::addState(const Term& term, const std::string& value) {
    const std::string wanted = foldCase(value);
    if (wanted == "active") {
        put(term.negated, "state IN ('Preparing', 'Queued', 'Running', 'Finalizing', 'Lost')", {});
        return {};
    }
    std::string names;
    for (const char* name :
         {"Draft", "Preparing", "Queued", "Running", "Finalizing", "Completed", "Failed", "Canceled", "Lost"}) {
        if (wanted == foldCase(name)) {
            put(term.negated, "state = ?", {std::string(name)});
            return {};
        }
        names += foldCase(name) + ", ";
    }
    return filterError("\"" + value + "\" is no state. States are " + names + "and active for all that go on.");
}

Status Builder::addTime(const Term& term, const Comparison& comparison, const std::string& column) {
    const std::string known = column + " > 0 AND " + column + " ";
    if (const auto age = durationOf(comparison.right)) {
        // "created>2d" reads as "younger than two days": later than then.
        put(term.negated, known + comparison.sign + " ?", {m_now - *age});
        return {};
    }
    if (const auto date = dateOf(comparison.right)) {
        constexpr std::int64_t kDay = 86400 * kSecond;
        if (comparison.sign == "=")
            put(term.negated, known + ">= ? AND " + column + " < ?", {*date, *date + kDay});
        else
            put(term.negated, known + comparison.sign + " ?",
                {comparison.sign == ">" || comparison.sign == "<=" ? *date + kDay - 1 : *date});
        return {};
    }
    return filterError("\"" + comparison.right + "\" is neither a date like 2026-11-01 nor an age like 2d or 3h.");
}

Status Builder::addCompared(const Term& term, const Comparison& comparison) {
    const auto& [left, sign, right] = comparison;
    if (left == "created" || left == "started" || left == "ended") return addTime(term, comparison, left + "_at");
    if (left == "duration") {
        const auto wanted = durationOf(right);
        if (!wanted) return filterError("\"" + right + "\" is no duration; write 90s, 10m, 1.5h or 2d.");
        put(term.negated, "started_at > 0 AND iif(ended_at > 0, ended_at, ?) - started_at " + sign + " ?",
            {m_now, *wanted});
        return {};
    }
    const auto number = numberOf(right);
    if (left == "number") {
        if (!number) return filterError("\"" + right + "\" is no number.");
        put(term.negated, "number " + sign + " ?", {*number});
        return {};
    }
    if (left.starts_with("param.")) {
        if (number)
            put(term.negated,
                "EXISTS (SELECT 1 FROM params WHERE run = number AND params.name = ? AND "
                "json_type(params.value) IN ('integer', 'real') AND json_extract(params.value, '$') " +
                    sign + " ?)",
                {left.substr(6), *number});
        else
            put(term.negated,
                "EXISTS (SELECT 1 FROM params WHERE run = number AND params.name = ? AND "
                "CAST(json_extract(params.value, '$') AS TEXT) " +
                    sign + " ?)",
                {left.substr(6), right});
        return {};
    }
    if (!number) {
        if (sign != "=" && sign != "!=")
            return filterError("\"" + right + "\" is no number to compare " + left + " with.");
        put(term.negated != (sign == "!="),
            "EXISTS (SELECT 1 FROM tags WHERE run = number AND tags.name = ? AND tags.value = ?)", {left, right});
        return {};
    }
    std::string metric = left, column = "last";
    for (const char* value : {"first", "last", "min", "max"}) {
        if (left.ends_with(std::string(".") + value)) {
            column = value;
            metric.resize(left.size() - column.size() - 1);
        }
    }
    put(term.negated,
        "EXISTS (SELECT 1 FROM run_metrics WHERE run = number AND run_metrics.name = ? AND run_metrics." + column +
            " " + sign + " ?)",
        {metric, *number});
    return {};
}

bool Builder::addField(const Term& term, const std::string& key, const std::string& value) {
    static constexpr std::pair<const char*, const char*> kColumns[] = {
        {"experiment", "experiment"},   {"name", "name"},     {"notes", "notes"},
        {"description", "description"}, {"target", "target"}, {"environment", "environment"},
        {"model", "model_family"},      {"task", "task_kind"}};
    for (const auto& [name, column] : kColumns) {
        if (key == name) {
            put(term.negated, "instr(ty_fold(" + std::string(column) + "), ?) > 0", {foldCase(value)});
            return true;
        }
    }
    if (key == "id") {
        put(term.negated, "instr(id, ?) = 1", {value});
        return true;
    }
    return false;
}

Status Builder::add(const Term& term) {
    if (term.quoted) {
        addWord(term);
        return {};
    }
    if (term.text.size() > 1 && term.text[0] == '#') {
        std::int64_t number = 0;
        const char* last = term.text.data() + term.text.size();
        const auto [end, error] = std::from_chars(term.text.data() + 1, last, number);
        if (error != std::errc() || end != last) return filterError("\"" + term.text + "\" is no run number.");
        put(term.negated, "number = ?", {number});
        return {};
    }
    const std::size_t colon = term.text.find(':');
    const std::size_t sign = term.text.find_first_of("<>=!");
    if (colon != std::string::npos && colon > 0 && colon + 1 < term.text.size() && colon < sign) {
        const std::string key = term.text.substr(0, colon);
        const std::string value = term.text.substr(colon + 1);
        if (key == "state") return addState(term, value);
        if (addField(term, key, value)) return {};
        if (key != "tag") {
            put(term.negated,
                "EXISTS (SELECT 1 FROM tags WHERE run = number AND tags.name = ? AND instr(ty_fold(tags.value), ?) > "
                "0)",
                {key, foldCase(value)});
        } else if (const std::size_t equals = value.find('='); equals != std::string::npos && equals > 0) {
            put(term.negated, "EXISTS (SELECT 1 FROM tags WHERE run = number AND tags.name = ? AND tags.value = ?)",
                {value.substr(0, equals), value.substr(equals + 1)});
        } else {
            put(term.negated,
                "EXISTS (SELECT 1 FROM tags WHERE run = number AND tags.value IS NOT NULL AND "
                "(tags.name = ? OR tags.value = ?))",
                {value, value});
        }
        return {};
    }
    if (const auto comparison = comparisonOf(term.text)) return addCompared(term, *comparison);
    if (sign != std::string::npos && sign > 0 && sign + 1 >= term.text.size())
        return filterError("After \"" + term.text + "\" a value is missing.");
    addWord(term);
    return {};
}

}  // namespace

Result<SqlCondition> parseFilter(std::string_view text, std::int64_t now) {
    constexpr std::size_t kLongest = 4096;
    if (text.size() > kLongest) return filterError("The filter is longer than " + std::to_string(kLongest) + " bytes.");
    const auto terms = termsOf(text);
    if (!terms) return terms.error();
    Builder builder(now);
    for (const Term& term : *terms) TRAINYARD_TRY(builder.add(term));
    SqlCondition condition = builder.take();
    if (condition.sql.empty()) condition.sql = "1";
    return condition;
}

}  // namespace trainyard::store
