#include "core/commands/ModelCommand.h"

#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/registry/VersionKind.h"
#include "core/store/Writer.h"

namespace trainyard::commands {

spec::Field modelField() {
    return parameter("model", "Model", spec::FieldType::Text, Json(),
                     "NAME for the newest version, NAME:NUMBER or NAME:ALIAS.", true);
}

std::string modelText(const registry::ModelVersionId& id) { return id.name + ":" + std::to_string(id.number); }

Json modelJson(const registry::ModelVersionId& id) {
    return Json{{"model", modelText(id)}, {"name", id.name}, {"version", id.number}};
}

void addKind(Json& answer, const Json& card) {
    const auto text = [](const Json& object, const char* key) {
        const auto found = object.find(key);
        return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const registry::Exportability exportable = registry::exportabilityOf(card);
    // Cards of early versions tell no kind; they hold what the engine left.
    const std::string kind = card.contains("kind") ? text(card, "kind") : exportable.possible ? "torchscript" : "other";
    const std::string main = card.contains("main") ? text(card, "main") : exportable.file;
    std::string told;
    if (const auto files = card.find("files"); files != card.end() && files->is_array()) {
        for (const Json& file : *files) {
            told = file.is_object() && text(file, "path") == main ? text(file, "told") : told;
        }
    }
    answer["kind"] = kind;
    answer["kind_title"] = registry::kindTitle(kind);
    answer["told"] = told;
    answer["main"] = main;
    answer["sha256"] = card.contains("sha256") ? card.at("sha256") : Json();
    answer["export"] = Json{{"possible", exportable.possible},
                            {"file", exportable.file},
                            {"reason", exportable.reason},
                            {"instead", exportable.instead}};
}

void ModelCommand::run(const Json& parameters) {
    base::ObjectReader reader(parameters, "");
    const auto reference = registry::parseModelReference(reader.string("model"));
    if (!reference.ok()) {
        finish(reference.error());
        return;
    }
    work<registry::ModelVersionId>(
        [reference = *reference](const registry::Registry& models, const RegistryWork::Report&) {
            return models.find(reference);
        },
        [this, parameters](const registry::ModelVersionId& id) { runOn(id, parameters); });
}

void ModelCommand::abort() {
    m_work.stop();
    Command::abort();
}

const wire::WorkspaceLayout& ModelCommand::layout() const { return session().workspace().layout; }

void finishWithIndex(Session& session, QObject* context, std::vector<registry::ModelVersionId> changed, Json answer,
                     std::function<void(Json)> finish) {
    session.write(
        context,
        [changed = std::move(changed)](store::Writer& index) -> Status {
            for (const registry::ModelVersionId& id : changed) {
                TRAINYARD_TRY(index.applyModel(id.name, id.number));
            }
            return {};
        },
        [&session, answer = std::move(answer), finish = std::move(finish)](const Status& applied) mutable {
            if (!applied.ok()) {
                answer["warning"] = "The index could not be brought up to date yet: " + applied.error().message;
            }
            session.noteModelsChanged();
            finish(std::move(answer));
        });
}

}  // namespace trainyard::commands
