// dataset.*: what the workspace's data sets are and hold. Adding one is in DatasetAdd.cpp.
#include <algorithm>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/DatasetJson.h"
#include "core/commands/DatasetPreview.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/datasets/Samples.h"
#include "core/spec/RunState.h"
#include "core/store/Reader.h"
#include "core/targets/Operations.h"

namespace trainyard::commands {
namespace {

constexpr int kMostRunsLooked = 10'000;
constexpr int kMostSamplesListed = 1000;

/// Work on files in a pool thread, which ends the command.
class DatasetCommand : public Command {
public:
    using Command::Command;

protected:
    void work(std::function<Result<Json>(const wire::WorkspaceLayout&)> what, bool changes = false) {
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [layout = session().workspace().layout, what = std::move(what)](const targets::KeepGoing&) {
                return what(layout);
            },
            std::function<void(std::int64_t)>{}, ifWanted([this, changes](const Result<Json>& answer) {
                if (answer.ok() && changes) {
                    session().noteDatasetsChanged();
                }
                finish(answer);
            }));
    }
    void abort() override {
        m_work.reset();
        Command::abort();
    }

private:
    targets::OperationPtr m_work;
};

class ListDatasetsCommand final : public DatasetCommand {
public:
    using DatasetCommand::DatasetCommand;

private:
    void run(const Json&) override {
        work([](const wire::WorkspaceLayout& layout) -> Result<Json> {
            std::vector<Error> problems;
            Json rows = Json::array();
            for (const datasets::Dataset& dataset : datasets::readDatasets(layout, &problems)) {
                rows.push_back(datasetRow(dataset));
            }
            Json wrong = Json::array();
            for (const Error& problem : problems) {
                wrong.push_back({{"code", problem.code}, {"message", problem.message}});
            }
            return Json{{"datasets", std::move(rows)}, {"problems", std::move(wrong)}};
        });
    }
};

/// An action on one data set, by NAME or NAME:NUMBER.
class OneDatasetCommand : public DatasetCommand {
public:
    using DatasetCommand::DatasetCommand;

protected:
    void run(const Json& parameters) final {
        base::ObjectReader reader(parameters, "");
        const auto name = spec::parseDatasetName(reader.string("dataset"));
        if (!name.ok()) {
            finish(name.error());
            return;
        }
        runOn(*name, parameters);
    }
    virtual void runOn(const spec::DatasetName& name, const Json& parameters) = 0;
};

class ShowDatasetCommand final : public OneDatasetCommand {
public:
    using OneDatasetCommand::OneDatasetCommand;

private:
    void runOn(const spec::DatasetName& name, const Json&) override {
        work([name](const wire::WorkspaceLayout& layout) -> Result<Json> {
            const auto dataset = datasets::readDataset(layout, name);
            return dataset.ok() ? Result<Json>(datasetJson(*dataset)) : dataset.error();
        });
    }
};

class SamplesCommand final : public OneDatasetCommand {
public:
    using OneDatasetCommand::OneDatasetCommand;

private:
    void runOn(const spec::DatasetName& name, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        SampleQuery query;
        query.className = reader.string("class");
        query.split = reader.string("split");
        query.offset = reader.integer("offset");
        query.limit = reader.integer("limit", 100);
        work([name, query](const wire::WorkspaceLayout& layout) -> Result<Json> {
            const auto dataset = datasets::readDataset(layout, name);
            if (!dataset.ok()) {
                return dataset.error();
            }
            const bool known = std::ranges::any_of(
                dataset->classes, [&](const datasets::ClassCount& one) { return one.name == query.className; });
            if (!query.className.empty() && !known) {
                return Error{"dataset.class",
                             dataset->pinned() + " has no class \"" + base::stripControl(query.className) + "\".",
                             "class"};
            }
            return dataset->kind == "idx" ? idxSamples(*dataset, query) : pictures(layout, *dataset, query);
        });
    }

    static Result<Json> pictures(const wire::WorkspaceLayout& layout, const datasets::Dataset& dataset,
                                 const SampleQuery& query) {
        const auto list = datasets::samplesOf(layout, dataset);
        if (!list.ok()) {
            return list.error();
        }
        std::int64_t total = 0;
        Json samples = Json::array();
        const auto& all = (*list)->samples;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const datasets::Sample& sample = all[i];
            const std::string& label = (*list)->classes[sample.label];
            const char* split = !sample.readable ? "" : sample.validation ? "val" : "train";
            if ((!query.className.empty() && label != query.className) ||
                (!query.split.empty() && query.split != split)) {
                continue;
            }
            if (total >= query.offset && static_cast<std::int64_t>(samples.size()) < query.limit) {
                samples.push_back({{"index", i},
                                   {"path", (dataset.path / sample.path).string()},
                                   {"file", sample.path},
                                   {"label", label},
                                   {"split", *split == '\0' ? Json() : Json(split)},
                                   {"pixels", nullptr}});
            }
            ++total;
        }
        return Json{{"total", total},
                    {"channels", dataset.channels},
                    {"height", nullptr},
                    {"width", nullptr},
                    {"samples", std::move(samples)}};
    }
};

class RemoveDatasetCommand final : public OneDatasetCommand {
public:
    using OneDatasetCommand::OneDatasetCommand;

private:
    void runOn(const spec::DatasetName& name, const Json&) override {
        session().query(
            this, QStringLiteral("uses"), [name](store::Reader& index) { return activeRunOf(index, name); },
            ifWanted([this, name](const Result<std::int64_t>& run) {
                if (!run.ok()) {
                    finish(run.error());
                    return;
                }
                if (*run > 0) {
                    finish(Error{"dataset.in_use",
                                 "Run " + std::to_string(*run) + " uses the data set " + name.text() +
                                     "; wait for it or cancel it first.",
                                 "dataset"});
                    return;
                }
                work(
                    [name](const wire::WorkspaceLayout& layout) -> Result<Json> {
                        const auto removed = datasets::removeDataset(layout, name);
                        if (!removed.ok()) {
                            return removed.error();
                        }
                        return Json{{"dataset", name.text()},
                                    {"removed", removed->versions},
                                    {"freed_bytes", removed->freedBytes}};
                    },
                    true);
            }));
    }

    /// The number of a run that has not ended and names it, or 0.
    static Result<std::int64_t> activeRunOf(const store::Reader& index, const spec::DatasetName& name) {
        store::RunQuery query;
        query.archived = store::Archived::Include;
        query.limit = kMostRunsLooked;
        query.withMetrics = false;
        const auto page = index.listRuns(query);
        if (!page.ok()) {
            return page.error();
        }
        for (const store::RunRow& row : page->rows) {
            if (spec::isFinal(row.state)) {
                continue;
            }
            const auto document = index.spec(row.id);
            if (document.ok() && names(*document, name)) {
                return row.number;
            }
        }
        return std::int64_t{0};
    }

    static bool names(const Json& value, const spec::DatasetName& name) {
        if (value.is_structured()) {
            return std::any_of(value.begin(), value.end(), [&](const Json& member) { return names(member, name); });
        }
        if (!value.is_string() || !spec::isDatasetLocation(value.get_ref<const std::string&>())) {
            return false;
        }
        const auto location = spec::parseDatasetLocation(value.get<std::string>(), "");
        return location.ok() && location->dataset.name == name.name &&
               (name.version == 0 || location->dataset.version == name.version);
    }
};

}  // namespace

void addDatasetCommands(CommandTable& table) {
    using spec::FieldType;
    addDatasetAddCommand(table);
    table.add<ListDatasetsCommand>(commandInfo("dataset.list", "List data sets", "Lists the workspace's data sets."));
    table.add<ShowDatasetCommand>(
        commandInfo("dataset.show", "Show data set",
                    "Tells a data set's classes, sizes, statistics and what is wrong with it.", {datasetField()}));
    spec::Field split = parameter("split", "Split", FieldType::Choice, "", "Only samples of this split.");
    split.choices = {{"", "Both"}, {"train", "Training"}, {"val", "Validation"}};
    spec::Field offset = parameter("offset", "From", FieldType::Integer, 0, "How many to leave out first.");
    offset.minimum = 0;
    spec::Field limit = parameter("limit", "At most", FieldType::Integer, 100, "How many samples.");
    limit.minimum = 1;
    limit.maximum = kMostSamplesListed;
    table.add<SamplesCommand>(
        commandInfo("dataset.samples", "List samples", "Lists samples of a data set with their classes and splits.",
                    {datasetField(), parameter("class", "Class", FieldType::Text, "", "Only samples of this class."),
                     split, offset, limit}));
    addDatasetPreviewCommand(table);
    CommandInfo remove = commandInfo("dataset.remove", "Remove data set",
                                     "Forgets a version, or all where only a name is given; what was unpacked for it "
                                     "is deleted, a folder of yours stays.",
                                     {datasetField()});
    remove.writes = true;
    remove.destructive = true;
    table.add<RemoveDatasetCommand>(std::move(remove));
}

}  // namespace trainyard::commands
