#include "core/wire/ClientLine.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fcntl.h>
#include <limits>
#include <unistd.h>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/wire/Plan.h"

namespace trainyard::wire {

namespace {

Error clientError(const std::string& why) { return Error{"client.line", "A line that a rank reported " + why + "."}; }

/// What only the agent or the workspace's side may say.
bool isForbidden(std::string_view kind) {
    static constexpr std::array kForbidden = {
        kind::kState, kind::kLog,     kind::kSystem,    kind::kEnded, kind::kAttempt, kind::kSubmit,     kind::kRename,
        kind::kNotes, kind::kArchive, kind::kCollected, kind::kClock, kind::kStarted, kind::kEnvironment};
    return std::find(kForbidden.begin(), kForbidden.end(), kind) != kForbidden.end();
}

/// A whole number, also as text or as 3.0.
std::optional<std::int64_t> wholeNumber(const Json& value) {
    if (value.is_number_integer() && !value.is_number_unsigned()) {
        return value.get<std::int64_t>();
    }
    const std::optional<double> number = base::jsonToNumber(value);
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (!number || !(std::abs(*number) <= kExact) || *number != std::floor(*number)) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(*number);
}

bool absent(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null();
}

}  // namespace

ClientWriter ClientWriter::fromEnvironment() {
    const char* file = std::getenv(variable::kStream);
    return ClientWriter(file == nullptr ? Path() : Path(file));
}

ClientWriter::ClientWriter(const Path& file) {
    if (!file.empty()) {
        m_fd.reset(open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    }
}

void ClientWriter::write(std::string_view kind, Json body) {
    if (!m_fd.valid()) {
        return;
    }
    Json line = {{"kind", kind}};
    if (body.is_object()) {
        for (auto& [name, value] : body.items()) {
            if (name != "kind") {
                line[name] = std::move(value);
            }
        }
    }
    if (absent(line, "t")) {
        line["t"] = base::wallMicros();
    }
    // A line that a full disk tore is ended first, so that this one stays whole.
    const bool lineOpen = m_counters->lineOpen.exchange(false);
    const std::string bytes = (lineOpen ? "\n" : "") + base::dumpJson(line) + "\n";
    ssize_t put = 0;
    do {
        put = ::write(m_fd.get(), bytes.data(), bytes.size());
    } while (put < 0 && errno == EINTR);
    if (put != static_cast<ssize_t>(bytes.size())) {
        ++m_counters->dropped;
        m_counters->lineOpen = put > 0 ? bytes[static_cast<std::size_t>(put) - 1] != '\n' : lineOpen;
    }
}

void ClientWriter::metrics(const std::vector<SeriesPoints>& series) {
    const std::int64_t now = base::wallMicros();
    Json body = metricsBody(series, now);
    body["t"] = now;
    write(kind::kMetrics, std::move(body));
}

void ClientWriter::metric(std::string_view name, double value, std::int64_t step) {
    write("metric", Json{{"name", name}, {"value", base::numberToJson(value)}, {"step", step}});
}

void ClientWriter::params(const Json& values) { write(kind::kParams, Json{{"values", values}}); }

void ClientWriter::progress(const Json& body) { write(kind::kProgress, body); }

void ClientWriter::warning(std::string_view code, std::string_view message) {
    write(kind::kWarning, Json{{"code", code}, {"message", message}});
}

void ClientWriter::failure(std::string_view code, std::string_view message) {
    write(kind::kWarning, Json{{"code", code}, {"message", message}, {"fatal", true}});
}

void ClientWriter::conclusion(std::string_view message) { write(kind::kConclusion, Json{{"message", message}}); }

void ClientWriter::text(std::string_view name, std::string_view text) {
    write(kind::kText, Json{{"name", name}, {"text", text}});
}

void ClientWriter::artifact(std::string_view path) { write(kind::kArtifact, Json{{"path", path}}); }

void ClientLineTranslator::noteStep(int rank, const std::string& name, std::int64_t step) {
    std::int64_t& next = m_nextStep[{rank, name}];
    if (step < std::numeric_limits<std::int64_t>::max()) {
        next = std::max(next, step + 1);
    }
}

std::int64_t ClientLineTranslator::nextStep(int rank, const std::string& name) const {
    const auto found = m_nextStep.find({rank, name});
    return found == m_nextStep.end() ? 0 : found->second;
}

bool ClientLineTranslator::admits(int rank, const std::string& name) const {
    return name.size() <= kMaxNameBytes && (m_nextStep.size() < kMaxNames || m_nextStep.contains({rank, name}));
}

Result<Record> ClientLineTranslator::translate(int rank, std::string_view line, std::int64_t now) {
    Result<Json> parsed = base::parseJson(line);
    if (!parsed.ok()) {
        return clientError("is no JSON: " + parsed.error().message);
    }
    return translateParsed(rank, *parsed, now);
}

Result<Record> ClientLineTranslator::translateParsed(int rank, const Json& object, std::int64_t now) {
    if (!object.is_object() || !object.contains("kind") || !object["kind"].is_string() ||
        object["kind"].get_ref<const std::string&>().empty()) {
        return clientError("is no JSON object with a \"kind\"");
    }
    Record record;
    record.rank = rank;
    record.kind = object["kind"].get<std::string>();
    record.t = now;
    if (isForbidden(record.kind)) {
        return clientError("has the kind \"" + record.kind + "\", which is not for ranks to say");
    }
    if (!absent(object, "t")) {
        const std::optional<std::int64_t> t = wholeNumber(object["t"]);
        if (!t) {
            return clientError("has a time \"t\" that is no whole number of microseconds");
        }
        record.t = *t;
    }
    if (record.kind != "metric" && record.kind != kind::kMetrics) {
        for (const auto& [name, value] : object.items()) {
            if (name != "v" && name != "seq" && name != "t" && name != "rank" && name != "kind") {
                record.body[name] = value;
            }
        }
        if ((record.kind == kind::kParams || record.kind == kind::kTags) &&
            (absent(object, "values") || !object["values"].is_object())) {
            return clientError("of kind \"" + record.kind + "\" has no object \"values\"");
        }
        return record;
    }

    // All forms of metrics become one list of series, steps still missing where none was given.
    std::vector<std::pair<SeriesPoints, std::vector<bool>>> found;
    const auto addPoint = [&](const std::string& name, const Json& value, const Json* step) -> Status {
        const std::optional<double> number = base::jsonToNumber(value);
        const std::optional<std::int64_t> whole = step == nullptr ? std::optional<std::int64_t>(0) : wholeNumber(*step);
        if (name.empty() || !number || !whole) {
            return clientError("has a metric \"" + name + "\" whose name, value or step cannot be read");
        }
        SeriesPoints points{name, {*whole}, {*number}, {record.t}};
        found.emplace_back(std::move(points), std::vector<bool>{step != nullptr});
        return {};
    };
    const Json* step = absent(object, "step") ? nullptr : &object["step"];
    if (record.kind == "metric") {
        if (absent(object, "name") || !object["name"].is_string() || absent(object, "value")) {
            return clientError("of kind \"metric\" needs \"name\" and \"value\"");
        }
        TRAINYARD_TRY(addPoint(object["name"].get<std::string>(), object["value"], step));
    } else if (!absent(object, "values") && object["values"].is_object()) {
        for (const auto& [name, value] : object["values"].items()) {
            TRAINYARD_TRY(addPoint(name, value, step));
        }
    } else if (!absent(object, "series") && object["series"].is_array()) {
        for (const Json& item : object["series"]) {
            const bool usable = item.is_object() && !absent(item, "name") && item["name"].is_string() &&
                                !item["name"].get_ref<const std::string&>().empty() && !absent(item, "value") &&
                                item["value"].is_array();
            if (!usable) {
                return clientError("has a series without a name or without a list of values");
            }
            SeriesPoints points;
            points.name = item["name"].get<std::string>();
            const std::size_t count = item["value"].size();
            std::vector<bool> given(count, !absent(item, "step"));
            const auto numbersOf = [&](const char* member, std::int64_t fallback, std::vector<std::int64_t>& out) {
                out.assign(count, fallback);
                if (absent(item, member)) {
                    return true;
                }
                const Json& list = item[member];
                if (!list.is_array() || list.size() != count) {
                    return false;
                }
                for (std::size_t i = 0; i < count; ++i) {
                    const std::optional<std::int64_t> whole = wholeNumber(list[i]);
                    if (!whole) {
                        return false;
                    }
                    out[i] = *whole;
                }
                return true;
            };
            if (!numbersOf("step", 0, points.step) || !numbersOf("t", record.t, points.t)) {
                return clientError("has steps or times of \"" + points.name + "\" that do not fit its values");
            }
            for (const Json& value : item["value"]) {
                const std::optional<double> number = base::jsonToNumber(value);
                if (!number) {
                    return clientError("has a value of \"" + points.name + "\" that is no number");
                }
                points.value.push_back(*number);
            }
            found.emplace_back(std::move(points), std::move(given));
        }
    } else {
        return clientError("of kind \"metrics\" has neither \"values\" nor \"series\"");
    }

    for (const auto& [points, given] : found) {
        if (points.name.size() > kMaxNameBytes) {
            return clientError("names a metric with " + std::to_string(points.name.size()) +
                               " bytes, beginning with \"" + base::toValidUtf8(points.name.substr(0, 40)) + "\"; " +
                               std::to_string(kMaxNameBytes) + " are the most");
        }
        if (!admits(rank, points.name)) {
            return clientError(
                "names the metric \"" + points.name + "\", and there are " + std::to_string(kMaxNames) +
                " other names already; a value that changes belongs into the step or the value, not into the name");
        }
    }
    std::vector<SeriesPoints> series;
    for (auto& [points, given] : found) {
        for (std::size_t i = 0; i < points.step.size(); ++i) {
            if (!given[i]) {
                points.step[i] = m_nextStep[{rank, points.name}];
            }
            noteStep(rank, points.name, points.step[i]);
        }
        series.push_back(std::move(points));
    }
    record.kind = kind::kMetrics;
    record.body = metricsBody(series, record.t);
    return record;
}

}  // namespace trainyard::wire
