#include <QPointer>
#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/commands/WeightsCommands.h"
#include "core/runs/EngineCall.h"
#include "core/runs/Inputs.h"
#include "core/runs/NamedData.h"
#include "core/runs/RunService.h"
#include "core/runs/Submission.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"

namespace trainyard::commands {
namespace {

constexpr int kCheckMillis = 300'000;
constexpr std::int64_t kLogPage = 10'000;
constexpr const char* kPlaceStart = "start";

template <class Row>
Json listJson(const std::vector<Row>& rows) {
    Json list = Json::array();
    for (const Row& row : rows) {
        list.push_back(toJson(row));
    }
    return list;
}

/// Everything the index has of one run.
Result<Json> showRun(store::Reader& index, const base::RunId& run) {
    const auto row = index.run(run);
    if (!row.ok()) {
        return row.error();
    }
    Json shown = toJson(*row);
    const auto add = [&](const char* key, const auto& rows) -> Status {
        if (!rows.ok()) {
            return rows.error();
        }
        shown[key] = listJson(*rows);
        return {};
    };
    TRAINYARD_TRY(add("stages", index.stages(run)));
    TRAINYARD_TRY(add("attempt_list", index.attempts(run)));
    TRAINYARD_TRY(add("ranks", index.ranks(run)));
    TRAINYARD_TRY(add("outputs", index.outputs(run)));
    TRAINYARD_TRY(add("warning_list", index.warnings(run)));
    const auto descendants = index.descendants(run);
    const auto reproduced = index.events(run, wire::kind::kReproduced, 1);
    const auto inputs = index.events(run, wire::kind::kInputs, 1);
    if (!descendants.ok() || !reproduced.ok() || !inputs.ok()) {
        return !descendants.ok() ? descendants.error() : !reproduced.ok() ? reproduced.error() : inputs.error();
    }
    Json children = Json::array();
    for (const store::DescendantRow& child : *descendants) {
        children.push_back({{"run", child.id.str()},
                            {"number", child.number},
                            {"name", child.name},
                            {"state", std::string(spec::toString(child.state))},
                            {"reproduces", child.reproduces}});
    }
    shown["descendants"] = std::move(children);
    shown["reproduced"] = reproduced->empty() ? Json() : reproduced->back().body;
    shown["data"] = inputs->empty() ? Json::array() : inputs->back().body.value("data", Json::array());
    const auto params = index.params(run);
    if (!params.ok()) {
        return params.error();
    }
    Json values = Json::object();
    for (const store::ParamRow& param : *params) {
        values[param.name] = param.value;
    }
    shown["params"] = std::move(values);
    const auto spec = index.spec(run);
    shown["spec"] = spec.ok() ? *spec : Json();
    return shown;
}

class SubmitCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        session().runs().submit(
            parameters.at("spec"), ifWanted([this](const Result<runs::Submitted>& submitted) {
                if (!submitted.ok()) {
                    finish(submitted.error());
                    return;
                }
                finish(Json{{"run", submitted->run.str()}, {"number", submitted->number}, {"name", submitted->name}});
            }),
            {}, {}, ifWanted([this](const Json& upload) { tell(upload); }));
    }
    void tell(const Json& upload) {
        base::ObjectReader reader(upload, "");
        const double total = reader.number("bytes_total");
        std::string text = reader.string("text");
        if (const std::int64_t left = reader.integer("eta_ns"); left > 0) {
            text += ", " + base::formatDuration(left) + " left";
        }
        reportProgress({total > 0 ? reader.number("bytes_done") / total : -1, std::move(text), upload});
    }
    /// A run that was accepted is canceled by run.cancel, not by forgetting that it was asked for.
    void abort() override {}
};

class CheckCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        const Result<Json> document = runs::placeDatasets(session().workspace().layout, parameters.at("spec"));
        const Result<spec::RunSpec> spec =
            document.ok() ? runs::checkForLaunch(*document) : Result<spec::RunSpec>(document.error());
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        if (spec->taskKind != spec::TaskKind::Train) {
            finish(Error{"run.check_train_only", "Only training can be tried out before it is launched.", "task.kind"});
            return;
        }
        if (runs::isDataElsewhere(spec->train.dataset)) {
            finish(Error{"run.check_elsewhere",
                         "The data do not lie on this machine, so training cannot be tried on them here.",
                         "task.dataset.folder"});
            return;
        }
        m_call = new runs::EngineCall({}, this);
        connect(m_call, &runs::EngineCall::progressed, this, [this](const Json& body) {
            base::ObjectReader reader(body, "");
            const double total = reader.number("total");
            const double fraction = total > 0 ? reader.number("done") / total : -1;
            reportProgress({fraction, reader.string("text"), body});
        });
        connect(m_call, &runs::EngineCall::done, this, [this](const Result<Json>& result) { finish(result); });
        Json checked = spec::toJson(*spec);
        if (const std::string weights = weightsHere(session().workspace().layout, spec->train.model.weights.source);
            !weights.empty()) {
            spec::setValueAt(checked, "task.model.weights.source", weights);
        }
        m_call->start("check", Json{{"spec", std::move(checked)}}, kCheckMillis);
    }
    void abort() override { m_call->cancel(); }

    runs::EngineCall* m_call = nullptr;
};

class ListCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        store::RunQuery query;
        query.filter = reader.string("filter");
        query.after = reader.string("after");
        query.limit = static_cast<int>(reader.integer("limit", 200));
        query.sort.descending = reader.boolean("descending", true);
        const std::string archived = reader.string("archived");
        query.archived = archived == "only"      ? store::Archived::Only
                         : archived == "include" ? store::Archived::Include
                                                 : store::Archived::Hide;
        setSort(query.sort, reader.string("sort"));
        session().query(
            this, QStringLiteral("list"), [query](store::Reader& index) { return index.listRuns(query); },
            ifWanted([this](const Result<store::RunPage>& page) {
                if (!page.ok()) {
                    finish(page.error());
                    return;
                }
                finish(Json{{"runs", listJson(page->rows)}, {"next", page->next.empty() ? Json() : Json(page->next)}});
            }));
    }

    static void setSort(store::RunSort& sort, const std::string& name) {
        static const std::pair<const char*, store::RunColumn> kColumns[] = {
            {"number", store::RunColumn::Number},         {"name", store::RunColumn::Name},
            {"experiment", store::RunColumn::Experiment}, {"state", store::RunColumn::State},
            {"created", store::RunColumn::Created},       {"started", store::RunColumn::Started},
            {"ended", store::RunColumn::Ended},           {"duration", store::RunColumn::Duration},
            {"target", store::RunColumn::Target},
        };
        for (const auto& [text, column] : kColumns) {
            if (name == text) {
                sort.column = column;
                return;
            }
        }
        sort.column = store::RunColumn::Metric;
        sort.metric = name;
    }
};

class ShowRunCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        session().query(
            this, QStringLiteral("show"), [run = row.id](store::Reader& index) { return showRun(index, run); },
            ifWanted([this](const Result<Json>& shown) { finish(shown); }));
    }
};

class LogsCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        store::LogFilter filter;
        filter.out = reader.string("out");
        filter.attempt = static_cast<int>(reader.integer("attempt"));
        if (const std::int64_t node = reader.integer("node", -1); node >= 0) {
            filter.node = static_cast<int>(node);
        }
        if (const std::int64_t rank = reader.integer("rank", -1); rank >= 0) {
            filter.rank = static_cast<int>(rank);
        }
        store::LogSearch search;
        search.pattern = reader.string("search");
        search.regex = reader.boolean("regex");
        search.from = reader.integer("after");
        const std::int64_t tail = reader.integer("tail");
        const bool final = spec::isFinal(row.state);
        std::optional<store::LogPlace> place;
        if (const std::string text = reader.string("place"); !text.empty()) {
            place = text == kPlaceStart ? store::LogPlace() : store::LogPlace::fromText(text);
            if (!place) {
                finish(Error{"command.value", "The place is no \"place\" of an answer.", "place"});
                return;
            }
        }
        session().query(
            this, QStringLiteral("logs"),
            [run = row.id, filter, search, tail, final, place](store::Reader& index) -> Result<Json> {
                Result<Json> found = place                    ? news(index, run, filter, *place)
                                     : search.pattern.empty() ? page(index, run, filter, search.from, tail)
                                                              : matches(index, run, filter, search);
                const auto attempts = index.attempts(run);
                if (found.ok() && attempts.ok()) {
                    int nodes = 1;
                    for (const store::AttemptRow& attempt : *attempts) {
                        nodes = std::max(nodes, attempt.nodes);
                    }
                    (*found)["nodes"] = nodes;
                    (*found)["ended"] = final;
                }
                return attempts.ok() ? found : attempts.error();
            },
            ifWanted([this](const Result<Json>& lines) { finish(lines); }));
    }

    static Result<Json> page(store::Reader& index, const base::RunId& run, const store::LogFilter& filter,
                             std::int64_t after, std::int64_t tail) {
        const auto lines = tail > 0 ? index.logTail(run, filter, tail) : index.logPage(run, filter, after, kLogPage);
        if (!lines.ok()) {
            return lines.error();
        }
        const std::int64_t next =
            lines->lines.empty() ? (tail > 0 ? lines->total : after) : lines->lines.back().index + 1;
        return Json{{"lines", listJson(lines->lines)},
                    {"next", next},
                    {"total", lines->total},
                    {"place", placeText(lines->place)}};
    }

    static Result<Json> news(store::Reader& index, const base::RunId& run, const store::LogFilter& filter,
                             const store::LogPlace& place) {
        const auto lines = index.logAfter(run, filter, place, kLogPage);
        if (!lines.ok()) {
            return lines.error();
        }
        return Json{{"lines", listJson(lines->lines)}, {"place", placeText(lines->place)}, {"more", lines->more}};
    }

    static std::string placeText(const store::LogPlace& place) {
        return place.taken.empty() ? kPlaceStart : place.text();
    }

    static Result<Json> matches(store::Reader& index, const base::RunId& run, const store::LogFilter& filter,
                                store::LogSearch search) {
        Json lines = Json::array();
        while (static_cast<std::int64_t>(lines.size()) < kLogPage) {
            const auto found = index.searchLog(run, filter, search);
            if (!found.ok()) {
                return found.error();
            }
            if (found->match) {
                lines.push_back(toJson(found->match->line));
                search.from = found->match->line.index + 1;
            } else if (found->continueAt) {
                search.from = *found->continueAt;
            } else {
                const auto end = index.logPage(run, filter, search.from, 0);
                search.from = end.ok() ? std::max(search.from, end->total) : search.from;
                break;
            }
        }
        return Json{{"lines", std::move(lines)}, {"next", search.from}};
    }
};

class WatchCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        m_run = row.id;
        connect(&session(), &Session::runsChanged, this, [this](const QList<runs::RunChange>& changes) {
            const bool ours =
                changes.isEmpty() ||
                std::any_of(changes.begin(), changes.end(), [this](const auto& change) { return change.run == m_run; });
            if (ours) {
                read();
            }
        });
        take(row);
    }

    void read() {
        session().query(
            this, QStringLiteral("watch"), [run = m_run](store::Reader& index) { return index.run(run); },
            ifWanted([this](const Result<store::RunRow>& row) {
                if (row.ok()) {
                    take(*row);
                } else if (row.error().code != "canceled") {
                    finish(row.error());
                }
            }));
    }

    void take(const store::RunRow& row) {
        const double total = row.progress ? row.progress->total : 0;
        const double steps = row.progress ? static_cast<double>(row.progress->steps) : 0;
        const double fraction = steps > 0   ? static_cast<double>(row.progress->step) / steps
                                : total > 0 ? row.progress->done / total
                                            : -1;
        reportProgress({fraction, row.progress ? row.progress->stage : std::string(), toJson(row)});
        if (!spec::isFinal(row.state)) {
            return;
        }
        session().query(
            this, QStringLiteral("show"), [run = m_run](store::Reader& index) { return showRun(index, run); },
            ifWanted([this](const Result<Json>& shown) { finish(shown); }));
    }

    base::RunId m_run;
};

class DuplicateCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        session().query(
            this, QStringLiteral("spec"), [run = row.id](store::Reader& index) { return index.spec(run); },
            ifWanted([this](const Result<Json>& spec) {
                if (!spec.ok()) {
                    finish(spec.error());
                    return;
                }
                Json document = *spec;
                // A copy gets a name of its own, and begins where the original did not end.
                document.erase("name");
                document.erase("resume_from");
                finish(Json{{"spec", std::move(document)}});
            }));
    }
};

}  // namespace

void addRunCommands(CommandTable& table) {
    using spec::FieldType;
    CommandInfo submit = commandInfo("run.submit", "Submit run", "Starts a run from a spec.", {});
    submit.documents = {"spec"};
    submit.writes = true;
    table.add<SubmitCommand>(std::move(submit));

    CommandInfo check =
        commandInfo("run.check", "Check run", "Tries a spec's real steps: memory, time, the largest batch.", {});
    check.documents = {"spec"};
    check.needsWorkspace = false;
    table.add<CheckCommand>(std::move(check));

    spec::Field archived =
        parameter("archived", "Archived", FieldType::Choice, "hide", "Whether archived runs are listed.");
    archived.choices = {{"hide", "Hide"}, {"only", "Only"}, {"include", "Include"}};
    spec::Field limit = parameter("limit", "Limit", FieldType::Integer, 200, "Most runs that are listed.");
    limit.minimum = 1;
    limit.maximum = 10'000;
    table.add<ListCommand>(commandInfo(
        "run.list", "List runs", "Runs of the workspace, newest first.",
        {parameter("filter", "Filter", FieldType::Text, "", "Words, state:failed, tag:NAME, val/accuracy>0.9, …"),
         archived,
         parameter("sort", "Sort by", FieldType::Text, "number",
                   "number, name, experiment, state, created, started, ended, duration, target, or a metric's name."),
         parameter("descending", "Descending", FieldType::Boolean, true, "Highest or newest first."), limit,
         parameter("after", "After", FieldType::Text, "", "\"next\" of the page before.")}));
    table.add<ShowRunCommand>(commandInfo("run.show", "Show run", "All that is known of a run.", {runField()}));

    spec::Field rank = parameter("rank", "Rank", FieldType::Integer, -1, "Only this rank; -1 for all.");
    rank.minimum = -1;
    spec::Field tail = parameter("tail", "Tail", FieldType::Integer, 0, "Only the last lines; 0 for all.");
    tail.minimum = 0;
    tail.maximum = static_cast<double>(kLogPage);
    spec::Field out = parameter("out", "Output", FieldType::Choice, "", "Which of the outputs.");
    out.choices = {{"", "All"},        {"stdout", "stdout"},           {"stderr", "stderr"},
                   {"agent", "Agent"}, {"environment", "Environment"}, {"logs", "Files under logs/"}};
    spec::Field after = parameter("after", "After", FieldType::Integer, 0, "\"next\" of the answer before.");
    after.minimum = 0;
    spec::Field attempt = parameter("attempt", "Attempt", FieldType::Integer, 0, "0 for the newest.");
    attempt.minimum = 0;
    spec::Field node = parameter("node", "Node", FieldType::Integer, -1, "Only this node; -1 for all, merged by time.");
    node.minimum = -1;
    table.add<LogsCommand>(commandInfo(
        "run.logs", "Show log", "Log lines of a run, 10,000 at most at once.",
        {runField(), rank, node, out, attempt, tail, after,
         parameter("place", "Place", FieldType::Text, "",
                   "\"start\", or \"place\" of the answer before: what came since, on whichever node, nothing twice."),
         parameter("search", "Search", FieldType::Text, "", "Only lines that hold this text."),
         parameter("regex", "Regular expression", FieldType::Boolean, false,
                   "The text is an ECMAScript regular expression.")}));
    table.add<WatchCommand>(
        commandInfo("run.watch", "Watch run", "Reports a run's progress until it has ended.", {runField()}));
    table.add<WatchCommand>(commandInfo("run.wait", "Wait for run",
                                        "Waits until a run has ended, whether or not it goes well.", {runField()}));
    table.add<DuplicateCommand>(
        commandInfo("run.duplicate", "Duplicate run", "The run's spec, to be changed and submitted.", {runField()}));
}

}  // namespace trainyard::commands
