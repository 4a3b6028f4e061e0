// weights.list, weights.fetch, weights.match: published weights, and what of a file fits the model that is to be
// trained.
#include "core/commands/WeightsCommands.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/Ids.h"
#include "core/commands/DatasetPreview.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/runs/EngineCall.h"
#include "core/runs/PretrainedWeights.h"
#include "core/spec/RunSpec.h"
#include "core/targets/Operations.h"

namespace trainyard::commands {
namespace {

constexpr int kMatchMillis = 120'000;
constexpr const char* kSourceField = "task.model.weights.source";

class WeightsListCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [](const targets::KeepGoing& keepGoing) -> Result<Json> {
                Json rows = Json::array();
                Error problem;
                for (const runs::PretrainedWeights& one : runs::pretrainedWeights(&problem)) {
                    Json row = one.entry;
                    const auto hash =
                        runs::checkPretrained(one, [&](std::int64_t done, std::int64_t) { return keepGoing(done); });
                    std::error_code error;
                    const auto size = std::filesystem::file_size(one.file(), error);
                    row["source"] = one.source();
                    row["file"] = one.file().string();
                    row["fetched"] = hash.ok();
                    row["sha256"] = hash.ok() ? Json(*hash) : Json();
                    row["bytes"] = error ? Json() : Json(static_cast<std::int64_t>(size));
                    row["problem"] =
                        hash.ok() || hash.error().code == "weights.absent" ? Json() : Json(hash.error().message);
                    rows.push_back(std::move(row));
                }
                return Json{{"weights", std::move(rows)},
                            {"problem", problem.code.empty() ? Json() : Json(problem.message)}};
            },
            nullptr, ifWanted([this](Result<Json> result) { finish(std::move(result)); }));
    }
    void abort() override {
        m_work.reset();
        Command::abort();
    }

    targets::OperationPtr m_work;
};

class WeightsFetchCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        auto weights = runs::findPretrained(reader.string("weights"), "weights");
        if (!weights.ok()) {
            finish(weights.error());
            return;
        }
        std::error_code error;
        const std::string by = reader.string("file");
        const base::Path file = by.empty() ? base::Path() : std::filesystem::absolute(by, error);
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [weights = *weights, file](const targets::KeepGoing& keepGoing) -> Result<Json> {
                const bool before = file.empty() && runs::checkPretrained(weights, [&](std::int64_t, std::int64_t) {
                                                        return keepGoing(0);
                                                    }).ok();
                // The bar counts in thousandths where the whole is known, and bytes below zero where it is not.
                const runs::WeightsReport report = [&](std::int64_t done, std::int64_t total) {
                    return keepGoing(total > 0 ? std::min<std::int64_t>(1000, done * 1000 / total) : -done);
                };
                auto kept =
                    file.empty() ? runs::fetchPretrained(weights, report) : runs::takePretrained(weights, file, report);
                if (!kept.ok()) {
                    const bool ofFile = !file.empty() && kept.error().field.empty();
                    return Error{kept.error().code, kept.error().message, ofFile ? "file" : kept.error().field};
                }
                const auto hash =
                    runs::checkPretrained(weights, [&](std::int64_t, std::int64_t) { return keepGoing(1000); });
                if (!hash.ok()) {
                    return hash.error();
                }
                std::error_code gone;
                return Json{{"weights", weights.id},
                            {"file", kept->string()},
                            {"bytes", static_cast<std::int64_t>(std::filesystem::file_size(*kept, gone))},
                            {"sha256", *hash},
                            {"already", before}};
            },
            [this, id = weights->id](std::int64_t permille) {
                reportProgress({permille < 0 ? -1 : static_cast<double>(permille) / 1000, "Fetching " + id, {}});
            },
            ifWanted([this](Result<Json> result) { finish(std::move(result)); }));
    }
    void abort() override {
        m_work.reset();
        Command::abort();
    }

    targets::OperationPtr m_work;
};

class WeightsMatchCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        const Json& document = parameters.at("spec");
        const auto read = spec::runSpecFromJson(document);
        if (!read.ok()) {
            finish(read.error());
            return;
        }
        m_model = read->train.model;
        m_named = read->train.dataset.kind == "idx" ? static_cast<int>(read->train.dataset.classNames.size()) : 0;
        if (read->taskKind != spec::TaskKind::Train || m_model.weights.source.empty()) {
            finish(Error{"weights.none", "This run starts from no weights.", kSourceField});
            return;
        }
        const std::string file = weightsHere(session().workspace().layout, m_model.weights.source);
        if (file.empty()) {
            const auto published = runs::findPretrained(m_model.weights.source, kSourceField);
            finish(m_model.weights.source.starts_with(runs::kPretrainedPrefix)
                       ? published.error()
                       : Error{"weights.elsewhere",
                               "The weights lie on the target; they are compared when the run begins.", kSourceField});
            return;
        }
        std::error_code error;
        if (!std::filesystem::exists(file, error)) {
            const bool published = m_model.weights.source.starts_with(runs::kPretrainedPrefix);
            finish(Error{published ? "weights.absent" : "file.missing",
                         published
                             ? "These weights have not been fetched yet. They are when the run is launched, or now."
                             : file + " is not there.",
                         kSourceField});
            return;
        }
        m_work = std::make_unique<targets::ThreadOperation<DatasetPreview>>(
            [dataset = document.at("task").value("dataset", Json::object()),
             root = session().workspace().layout.root](const targets::KeepGoing&) -> Result<DatasetPreview> {
                std::vector<Error> problems;
                return previewDataset(dataset, problems, root);
            },
            nullptr, ifWanted([this, file](const Result<DatasetPreview>& preview) { compare(file, preview); }));
    }

    void compare(const std::string& file, const Result<DatasetPreview>& preview) {
        if (!preview.ok()) {
            finish(preview.error());
            return;
        }
        const int classes = m_named > 0 ? m_named : preview->classes;
        m_call = new runs::EngineCall({}, this);
        connect(m_call, &runs::EngineCall::done, this, [this, classes](const Result<Json>& result) {
            if (!result.ok()) {
                const Error& error = result.error();
                const bool ofModel = error.field == "family" || error.field.starts_with("options.");
                finish(Error{error.code, error.message, ofModel ? "task.model." + error.field : kSourceField});
                return;
            }
            Json answer{{"source", m_model.weights.source}, {"family", m_model.family}, {"classes", classes}};
            answer.update(*result);
            finish(std::move(answer));
        });
        m_call->start("weights",
                      {{"source", file},
                       {"family", m_model.family},
                       {"options", m_model.options},
                       {"input_shape", {preview->channels, preview->height, preview->width}},
                       {"classes", classes}},
                      kMatchMillis);
    }

    void abort() override {
        if (m_call != nullptr) {
            m_call->cancel();
            return;
        }
        m_work.reset();
        Command::abort();
    }

    spec::ModelSpec m_model;
    int m_named = 0;  ///< Classes that the specification names; 0: as many as the data have.
    targets::OperationPtr m_work;
    runs::EngineCall* m_call = nullptr;
};

}  // namespace

std::string weightsHere(const wire::WorkspaceLayout& layout, const std::string& source) {
    constexpr std::string_view kRunPrefix = "run:";
    if (source.starts_with(kRunPrefix)) {
        const std::string id = source.substr(kRunPrefix.size());
        return base::isUuid7(id) ? (layout.outputs(base::RunId(id)) / "model.safetensors").string() : std::string();
    }
    if (source.starts_with(runs::kPretrainedPrefix)) {
        const auto published = runs::findPretrained(source, "");
        return published.ok() ? published->file().string() : std::string();
    }
    return source.starts_with("target:") ? std::string() : source;
}

void addWeightsCommands(CommandTable& table) {
    using spec::FieldType;
    CommandInfo list = commandInfo("weights.list", "List pretrained weights",
                                   "Lists published weights that a training can start from.");
    list.needsWorkspace = false;
    table.add<WeightsListCommand>(std::move(list));
    CommandInfo fetch = commandInfo(
        "weights.fetch", "Fetch pretrained weights", "Brings published weights here, checks and keeps them.",
        {parameter("weights", "Weights", FieldType::Text, Json(), "Their name, as weights.list tells it.", true),
         parameter("file", "File", FieldType::File, "", "Takes this file, brought by hand, instead of fetching it.")});
    fetch.needsWorkspace = false;
    table.add<WeightsFetchCommand>(std::move(fetch));
    CommandInfo match =
        commandInfo("weights.match", "Compare weights",
                    "Says which tensors of the weights that a run starts from fit its model, and which begin anew.");
    match.documents = {"spec"};
    table.add<WeightsMatchCommand>(std::move(match));
}

}  // namespace trainyard::commands
