#include <map>
#include <system_error>

#include "core/base/Text.h"
#include "core/commands/ModelCommand.h"
#include "core/commands/ModelUse.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/RunModels.h"
#include "core/commands/Session.h"
#include "core/commands/WeightsCommands.h"
#include "core/store/Reader.h"
#include "core/targets/LocalFiles.h"

namespace trainyard::commands {
namespace {

using registry::ModelVersionId;
using registry::Registry;

/// What the engine leaves in a run's outputs.
constexpr const char* kModelFiles[] = {"model.pt", "model.safetensors", "weights.pth", "model.json",
                                       "samples.safetensors"};

class RegisterCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    struct Found {
        std::vector<store::OutputRow> outputs;
        Json spec;
    };
    struct Registered {
        ModelVersionId id;
        Json card;
    };

    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_row = row;
        m_version.name = reader.string("name");
        m_version.description = reader.string("description");
        m_version.tags = reader.stringMap("tags");
        m_files = reader.strings("files");
        if (m_version.name.empty()) {
            m_version.name = registry::modelNameFrom(row.experiment != "default" ? row.experiment
                                                     : !row.modelFamily.empty()  ? row.modelFamily
                                                                                 : std::string("model"));
        }
        if (const Status named = registry::checkModelName(m_version.name); !named.ok()) {
            finish(named.error());
            return;
        }
        if (!spec::isFinal(row.state)) {
            finish(Error{"run.running",
                         "Run " + std::to_string(row.number) + " has not ended; its model can be registered then.",
                         "run"});
            return;
        }
        session().query(
            this, QStringLiteral("outputs"),
            [run = row.id](store::Reader& index) -> Result<Found> {
                auto outputs = index.outputs(run);
                auto spec = index.spec(run);
                if (!outputs.ok()) {
                    return outputs.error();
                }
                if (!spec.ok()) {
                    return spec.error();
                }
                return Found{std::move(*outputs), std::move(*spec)};
            },
            ifWanted([this](const Result<Found>& found) { take(found); }));
    }

    void take(const Result<Found>& found) {
        if (!found.ok()) {
            finish(found.error());
            return;
        }
        OutputHashes there;
        for (const store::OutputRow& output : found->outputs) {
            if (output.collected && targets::isSafeRelativePath(output.path)) {
                there[output.path] = output.sha256;
            }
        }
        std::vector<std::string> wanted = m_files;
        if (wanted.empty()) {
            if (!there.contains("model.pt")) {
                finish(Error{"model.files",
                             "Run " + std::to_string(m_row.number) +
                                 " left no model.pt. Name the files or folders of "
                                 "its outputs that make up the model." +
                                 exampleOf(there),
                             "files"});
                return;
            }
            for (const char* name : kModelFiles) {
                if (there.contains(name)) {
                    wanted.emplace_back(name);
                }
            }
        }
        OutputHashes chosen;
        for (const std::string& name : wanted) {
            if (!chooseOutputs(there, name, chosen)) {
                finish(Error{"run.output_unknown",
                             "Run " + std::to_string(m_row.number) + " has no collected output \"" +
                                 base::stripControl(name) + "\"." + exampleOf(there),
                             "files"});
                return;
            }
        }
        describeRun(m_version, session().workspace().layout, m_row, found->spec, chosen);
        m_work.start<Registered>(
            session().workspace().layout,
            [version = m_version](const Registry& models, const RegistryWork::Report& report) -> Result<Registered> {
                const auto id = models.add(version, report);
                if (!id.ok()) {
                    return id.error();
                }
                const auto card = models.card(*id);
                return Registered{*id, card.ok() ? *card : Json::object()};
            },
            [this](double share) {
                reportProgress({share, "Copying the model's files", {}});
            },
            ifWanted([this](const Result<Registered>& made) { tell(made); }));
    }

    static std::string exampleOf(const OutputHashes& there) {
        constexpr std::size_t kMostNamed = 5;
        std::string text;
        std::size_t named = 0;
        for (const auto& [path, output] : there) {
            if (named++ == kMostNamed) {
                return " There are " + text + " and others.";
            }
            text += (text.empty() ? "" : ", ") + base::stripControl(path);
        }
        return text.empty() ? " No output of it is here; run.collect brings them from the target."
                            : " There are " + text + ".";
    }

    void tell(const Result<Registered>& made) {
        if (!made.ok()) {
            finish(made.error());
            return;
        }
        Json answer = modelJson(made->id);
        answer["size"] = made->card.value("size", std::int64_t{0});
        addKind(answer, made->card);
        answer["run"] = m_row.id.str();
        answer["number"] = m_row.number;
        Json files = Json::array();
        for (const auto& file : m_version.files) {
            files.push_back(file.path);
        }
        answer["files"] = std::move(files);
        finishWithIndex(session(), this, {made->id}, std::move(answer),
                        ifWanted([this](Json told) { finish(std::move(told)); }));
    }

    void abort() override {
        m_work.stop();
        Command::abort();
    }

    store::RunRow m_row;
    registry::NewVersion m_version;
    std::vector<std::string> m_files;
    RegistryWork m_work;
};

Json rowJson(const store::ModelVersionRow& row) {
    Json tags = Json::object();
    for (const auto& [key, value] : row.tags) {
        tags[key] = value;
    }
    Json out{{"model", row.name + ":" + std::to_string(row.version)},
             {"name", row.name},
             {"version", row.version},
             {"created_at", timeToJson(row.createdAt)},
             {"description", row.description},
             {"tags", std::move(tags)},
             {"aliases", row.aliases},
             {"archived", row.archived},
             {"size", row.size},
             {"run", row.run.empty() ? Json() : Json(row.run)}};
    for (const char* key : {"run_number", "run_name", "experiment", "metrics", "exports"}) {
        out[key] = row.card.contains(key) ? row.card.at(key) : Json();
    }
    addKind(out, row.card);
    return out;
}

class ListModelCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string name = reader.string("name");
        const bool archived = reader.boolean("archived");
        session().query(
            this, QStringLiteral("models"),
            [name, archived](store::Reader& index) -> Result<Json> {
                Json models = Json::array();
                if (!name.empty()) {
                    auto versions = index.modelVersions(name);
                    if (!versions.ok()) {
                        return versions.error();
                    }
                    if (versions->empty()) {
                        return Error{"model.unknown", "There is no model \"" + name + "\".", "name"};
                    }
                    for (const store::ModelVersionRow& row : *versions) {
                        if (archived || !row.archived) {
                            models.push_back(rowJson(row));
                        }
                    }
                    return models;
                }
                auto all = index.models();
                if (!all.ok()) {
                    return all.error();
                }
                for (const store::ModelRow& row : *all) {
                    if (archived || !row.latest.archived) {
                        Json one = rowJson(row.latest);
                        one["versions"] = row.versions;
                        models.push_back(std::move(one));
                    }
                }
                return models;
            },
            ifWanted([this](const Result<Json>& models) {
                finish(models.ok() ? Result<Json>(Json{{"models", *models}}) : Result<Json>(models.error()));
            }));
    }
};

class ShowModelCommand final : public ModelCommand {
public:
    using ModelCommand::ModelCommand;

private:
    void runOn(const ModelVersionId& id, const Json&) override {
        work<Json>(
            [id](const Registry& models, const RegistryWork::Report&) -> Result<Json> {
                auto card = models.card(id);
                if (!card.ok()) {
                    return card.error();
                }
                auto exports = models.exports(id);
                if (!exports.ok()) {
                    return exports.error();
                }
                Json answer = modelJson(id);
                answer["versions"] = models.versions(id.name);
                for (const auto& [key, value] : card->items()) {
                    if (key != "format" && key != "version" && key != "number" && key != "name" && key != "exports") {
                        answer[key == "model" ? "card" : key] = value;
                    }
                }
                addKind(answer, *card);
                answer["created_at"] = timeToJson(card->value("created_at", std::int64_t{0}));
                Json records = Json::array();
                for (Json& record : *exports) {
                    record.erase("format");
                    record.erase("version");
                    record["created_at"] = timeToJson(record.value("created_at", std::int64_t{0}));
                    records.push_back(std::move(record));
                }
                answer["exports"] = std::move(records);
                auto evaluations = models.evaluations(id);
                if (!evaluations.ok()) {
                    return evaluations.error();
                }
                Json evaluated = Json::array();
                for (Json& record : *evaluations) {
                    record.erase("format");
                    record.erase("version");
                    record["created_at"] = timeToJson(record.value("created_at", std::int64_t{0}));
                    evaluated.push_back(std::move(record));
                }
                answer["evaluations"] = std::move(evaluated);
                return answer;
            },
            [this](Json answer) { finish(std::move(answer)); });
    }
};

class EditModelCommand final : public ModelCommand {
public:
    using ModelCommand::ModelCommand;

private:
    void runOn(const ModelVersionId& id, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        registry::CardChange change;
        if (reader.has("description")) {
            change.description = reader.string("description");
        }
        change.setTags = reader.stringMap("set");
        change.removeTags = reader.strings("remove");
        if (reader.has("aliases")) {
            change.aliases = reader.strings("aliases");
        }
        if (reader.has("archived")) {
            change.archived = reader.boolean("archived");
        }
        using Changed = std::vector<ModelVersionId>;
        work<Changed>(
            [id, change](const Registry& models, const RegistryWork::Report&) { return models.edit(id, change); },
            [this, id](Changed changed) {
                finishWithIndex(session(), this, std::move(changed), modelJson(id),
                                ifWanted([this](Json told) { finish(std::move(told)); }));
            });
    }
};

class DownloadModelCommand final : public ModelCommand {
public:
    using ModelCommand::ModelCommand;

private:
    void runOn(const ModelVersionId& id, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string to = reader.string("to");
        if (to.empty()) {
            finish(Error{"spec.required", "Say which folder the files go to.", "to"});
            return;
        }
        std::error_code error;
        const base::Path folder = std::filesystem::absolute(base::Path(to), error);
        const std::vector<std::string> paths = reader.strings("paths");
        const bool overwrite = reader.boolean("overwrite");
        const bool onnx = reader.boolean("onnx");
        work<Registry::Download>(
            [=](const Registry& models, const RegistryWork::Report& report) -> Result<Registry::Download> {
                auto files = models.download(id, folder, paths, overwrite, report);
                if (!files.ok() || !onnx) {
                    return files;
                }
                auto exported = models.downloadExport(id, {}, folder / "model.onnx", overwrite, report);
                if (!exported.ok()) {
                    return exported;
                }
                files->files.push_back("model.onnx");
                files->bytes += exported->bytes;
                return files;
            },
            [this, id, folder](const Registry::Download& download) {
                Json answer = modelJson(id);
                answer["folder"] = folder.string();
                answer["files"] = download.files;
                answer["bytes"] = download.bytes;
                finish(std::move(answer));
            },
            0.0, 1.0, "Copying");
    }
};

class DeleteModelCommand final : public ModelCommand {
public:
    using ModelCommand::ModelCommand;

private:
    void runOn(const ModelVersionId& id, const Json&) override {
        work<std::int64_t>([id](const Registry& models, const RegistryWork::Report&) { return models.remove(id); },
                           [this, id](std::int64_t freed) {
                               Json answer = modelJson(id);
                               answer["freed_bytes"] = freed;
                               finishWithIndex(session(), this, {id}, std::move(answer),
                                               ifWanted([this](Json told) { finish(std::move(told)); }));
                           });
    }
};

CommandInfo modelInfo(std::string id, std::string title, std::string help, std::vector<spec::Field> parameters,
                      bool writes) {
    CommandInfo out = commandInfo(std::move(id), std::move(title), std::move(help), std::move(parameters));
    out.writes = writes;
    return out;
}

}  // namespace

void addModelCommands(CommandTable& table) {
    using spec::FieldType;
    const auto text = [](const char* path, const char* label, const char* help, FieldType type = FieldType::Text) {
        return parameter(path, label, type, "", help);
    };
    const auto map = [](const char* path, const char* label, const char* help) {
        return parameter(path, label, FieldType::TextMap, Json::object(), help);
    };
    const auto list = [](const char* path, const char* label, const char* help) {
        return parameter(path, label, FieldType::TextList, Json::array(), help);
    };
    const auto flag = [](const char* path, const char* label, const char* help) {
        return parameter(path, label, FieldType::Boolean, false, help);
    };
    table.add<RegisterCommand>(
        modelInfo("model.register", "Register model",
                  "Keeps outputs of a finished run as a model's next version, whatever kind of model they are.",
                  {runField(), text("name", "Name", "Empty: made from the run's experiment."),
                   text("description", "Description", "What the model is for.", FieldType::MultilineText),
                   map("tags", "Tags", "Tags and their values."),
                   list("files", "Files",
                        "Files or folders of the run's outputs; \".\" is all of them, none is what the engine left.")},
                  true));
    table.add<ListModelCommand>(modelInfo("model.list", "List models", "Lists the models, or one model's versions.",
                                          {text("name", "Name", "Only the versions of this model."),
                                           flag("archived", "Archived", "Also those that were archived.")},
                                          false));
    table.add<ShowModelCommand>(modelInfo("model.show", "Show model",
                                          "Shows one version with its files, exports and where it came from.",
                                          {modelField()}, false));
    table.add<EditModelCommand>(
        modelInfo("model.edit", "Edit model", "Changes a version's description, tags or aliases.",
                  {modelField(),
                   parameter("description", "Description", FieldType::MultilineText, Json(), "What the model is for."),
                   map("set", "Set tags", "Tags and their values."), list("remove", "Remove tags", "Names of tags."),
                   parameter("aliases", "Aliases", FieldType::TextList, Json(),
                             "All names of this version beside its number; each is taken "
                             "from other versions."),
                   parameter("archived", "Archived", FieldType::Boolean, Json(),
                             "Takes it out of the lists, or back into them.")},
                  true));
    table.add<DownloadModelCommand>(
        modelInfo("model.download", "Copy model", "Copies a version's files to a folder and checks them.",
                  {modelField(), text("to", "Folder", "Where they go.", FieldType::Folder),
                   list("paths", "Files", "Files or folders of the version; empty: all of them."),
                   flag("onnx", "ONNX", "Also the newest export, as model.onnx."),
                   flag("overwrite", "Overwrite", "Replaces files that are there with other content.")},
                  false));
    addModelExportCommand(table);
    addModelUseCommands(table);
    addWeightsCommands(table);
    CommandInfo remove =
        modelInfo("model.delete", "Delete model version", "Removes a version with its exports.", {modelField()}, true);
    remove.destructive = true;
    table.add<DeleteModelCommand>(std::move(remove));
}

}  // namespace trainyard::commands
