#include "core/commands/ModelCommand.h"

#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/store/Writer.h"

namespace trainyard::commands {

spec::Field modelField() {
    return parameter("model", "Model", spec::FieldType::Text, Json(),
                     "NAME for the newest version, NAME:NUMBER or NAME:ALIAS.", true);
}

std::string modelText(const registry::ModelVersionId& id) {
    return id.name + ":" + std::to_string(id.number);
}

Json modelJson(const registry::ModelVersionId& id) {
    return Json{{"model", modelText(id)}, {"name", id.name}, {"version", id.number}};
}

void ModelCommand::run(const Json& parameters) {
    base::ObjectReader reader(parameters, "");
    const auto reference = registry::parseModelReference(reader.string("model"));
    if (!reference.ok()) {
        finish(reference.error());
        return;
    }
    work<registry::ModelVersionId>(
        [reference = *reference](const registry::Registry& models, const RegistryWork::Report&) { return models.find(reference); },
        [this, parameters](const registry::ModelVersionId& id) { runOn(id, parameters); });
}

void ModelCommand::abort() {
    m_work.stop();
    Command::abort();
}

const wire::WorkspaceLayout& ModelCommand::layout() const {
    return session().workspace().layout;
}

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
