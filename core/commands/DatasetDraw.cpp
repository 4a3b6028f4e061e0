// dataset.preview: samples as a run's augmentation makes them, drawn by the engine.
#include <memory>
#include <system_error>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/DatasetJson.h"
#include "core/commands/EngineServer.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/datasets/Fetch.h"
#include "core/runs/NamedData.h"
#include "core/spec/RunSpec.h"
#include "core/targets/Operations.h"

namespace trainyard::commands {
namespace {

constexpr int kMostDrawn = 24;
/// Of a specification's task, all that its samples hang on.
constexpr const char* kDrawnFrom[] = {"dataset", "augmentation", "augment", "normalize", "seed"};

/// A specification that is right but for what draws the samples: whoever is still at the learning rate sees them too.
Result<Json> drawnSpec(const wire::WorkspaceLayout& layout, const Json& given, const std::string& named) {
    Json document = spec::defaultRunSpecDocument();
    Json& task = document["task"];
    const auto asked = given.find("task");
    if (asked != given.end() && asked->is_object()) {
        if (asked->value("kind", Json()) == "command") {
            return Error{"preview.task", "Only a training has samples to be shown; this run is a command.",
                         "task.kind"};
        }
        for (const char* member : kDrawnFrom) {
            if (const auto found = asked->find(member); found != asked->end()) {
                task[member] = *found;
            }
        }
    }
    if (!named.empty()) {
        const auto name = spec::parseDatasetName(named);
        if (!name.ok()) {
            return name.error();
        }
        const auto dataset = datasets::readDataset(layout, *name);
        if (!dataset.ok()) {
            return dataset.error();
        }
        if (!task["dataset"].is_object()) {
            task["dataset"] = Json::object();
        }
        task["dataset"].update(datasetJson(*dataset).at("task_dataset"));
    }
    if (const auto errors = spec::validateRunSpec(document); !errors.empty()) {
        return errors.front();
    }
    for (const char* place : {"task.dataset.folder", "task.dataset.train_images"}) {
        const Json* value = spec::valueAt(document, place);
        const std::string text = value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
        if (text.starts_with("target:")) {
            return Error{"preview.elsewhere",
                         "The data lie on the target, so they cannot be shown here. To see samples, choose a folder "
                         "here with pictures like them.",
                         place};
        }
        if (datasets::isAddress(text)) {
            return Error{"preview.elsewhere",
                         "The pictures at this address are fetched on the machine that trains, so none are here to be "
                         "shown. To see samples, add the address as a data set (page Datasets, or dataset add) and "
                         "choose that; the machine that trains still fetches its own.",
                         place};
        }
    }
    return runs::placeDatasets(layout, document);
}

class PreviewSamplesCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_request = {{"epoch", reader.integer("epoch", 1)},
                     {"count", reader.integer("count", 6)},
                     {"skip", reader.integer("skip")}};
        const std::string named = reader.string("dataset");
        const std::string out = reader.string("out");
        const bool overwrite = reader.boolean("overwrite");
        std::error_code error;
        if (!out.empty()) {
            const base::Path sheet = std::filesystem::absolute(out, error).lexically_normal();
            if (std::filesystem::exists(sheet, error) && !overwrite) {
                finish(
                    Error{"file.exists",
                          "\"" + base::stripControl(sheet.string()) + "\" is there already; --overwrite replaces it.",
                          "out"});
                return;
            }
            m_sheet = sheet.string();
        }
        m_work = std::make_unique<targets::ThreadOperation<Json>>(
            [layout = session().workspace().layout, given = parameters.at("spec"), named](const targets::KeepGoing&) {
                return drawnSpec(layout, given, named);
            },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Result<Json>& spec) {
                if (!spec.ok()) {
                    finish(spec.error());
                    return;
                }
                draw(*spec);
            }));
    }

    void draw(const Json& spec) {
        m_request["spec"] = spec;
        m_request["sheet"] = m_sheet;
        ask(true);
    }

    /// An engine that had drawn before may have been ended by others, for its memory say: then a new one is asked.
    void ask(bool mayAskAgain) {
        base::ObjectReader dataset(*spec::valueAt(m_request, "spec.task.dataset"), "");
        const std::string data =
            dataset.string("kind") + '\n' + dataset.string("folder") + '\n' + dataset.string("train_images");
        EngineServer& server = EngineServer::of(session(), EngineServer::Kind::Samples, data, Json{{"previews", true}});
        m_server = &server;
        const bool again = mayAskAgain && server.hasAnswered();
        server.ask(m_request, this, ifWanted([this](const Json& body) {
                       base::ObjectReader reader(body, "");
                       reportProgress({-1, reader.string("text"), body});
                   }),
                   ifWanted([this, again](const Result<Json>& result) {
                       if (!result.ok() && result.error().code == "engine.crashed" && again) {
                           ask(false);
                           return;
                       }
                       if (!result.ok()) {
                           finish(result.error());
                           return;
                       }
                       Json answer = *result;
                       answer.erase("stage");
                       answer.erase("id");
                       answer["file"] = m_sheet.empty() ? Json() : Json(m_sheet);
                       finish(std::move(answer));
                   }));
    }

    void abort() override {
        if (m_server) {
            m_server->drop(this);
        }
        m_work.reset();
        Command::abort();
    }

    Json m_request;
    std::string m_sheet;
    targets::OperationPtr m_work;
    QPointer<EngineServer> m_server;
};

}  // namespace

void addDatasetPreviewCommand(CommandTable& table) {
    using spec::FieldType;
    const auto number = [](const char* path, const char* label, int value, int least, int most, const char* help) {
        spec::Field field = parameter(path, label, FieldType::Integer, value, help);
        field.minimum = least;
        field.maximum = most;
        return field;
    };
    CommandInfo info = commandInfo(
        "dataset.preview", "Preview augmentation",
        "Shows training samples as the augmentation of a spec makes them, each beside its original.",
        {parameter("dataset", "Data set", FieldType::Text, "",
                   "NAME or NAME:NUMBER, instead of the data that the spec names."),
         number("epoch", "Epoch", 1, 1, 2'147'483'647, "Which epoch's draw; each has its own."),
         number("count", "Samples", 6, 1, kMostDrawn, "How many samples."),
         number("skip", "From", 0, 0, 2'147'483'647, "How many to leave out first."),
         parameter("out", "Picture", FieldType::Text, "",
                   "A PNG file that gets them all, the original on the left of each pair."),
         parameter("overwrite", "Overwrite", FieldType::Boolean, false, "Replaces the file if it is there.")});
    info.documents = {"spec"};
    table.add<PreviewSamplesCommand>(std::move(info));
}

}  // namespace trainyard::commands
