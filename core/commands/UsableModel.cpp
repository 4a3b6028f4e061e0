#include "core/commands/UsableModel.h"

#include <system_error>

#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/registry/VersionKind.h"
#include "core/store/Reader.h"

namespace trainyard::commands {
namespace {

constexpr std::string_view kOfRun = "run:";
constexpr std::int64_t kMostCardBytes = 16 << 20;

struct OfRun {
    store::RunRow row;
    Json spec;
};

}  // namespace

spec::Field usableModelField() {
    return parameter(
        "model", "Model", spec::FieldType::Text, Json(),
        "NAME, NAME:NUMBER or NAME:ALIAS of a registered model, or run:NUMBER for what a finished run left.", true);
}

void UsableModelCommand::run(const Json& parameters) {
    base::ObjectReader reader(parameters, "");
    const std::string text = reader.string("model");
    if (text.starts_with(kOfRun)) {
        findOfRun(text.substr(kOfRun.size()), parameters);
    } else {
        findRegistered(text, parameters);
    }
}

void UsableModelCommand::findRegistered(const std::string& text, const Json& parameters) {
    const auto reference = registry::parseModelReference(text);
    if (!reference.ok()) {
        finish(reference.error());
        return;
    }
    m_work.start<UsableModel>(
        session().workspace().layout,
        [reference = *reference](const registry::Registry& models,
                                 const RegistryWork::Report& report) -> Result<UsableModel> {
            const auto id = models.find(reference);
            if (!id.ok()) {
                return id.error();
            }
            const auto card = models.card(*id);
            if (!card.ok()) {
                return card.error();
            }
            const Json own = card->contains("model") ? card->at("model") : Json();
            const registry::Exportability script = registry::exportabilityOf(*card);
            if (!own.is_object() || !script.possible) {
                Json kind = Json::object();
                addKind(kind, *card);
                return Error{
                    "model.kind",
                    modelText(*id) + " (" + kind["kind_title"].get<std::string>() +
                        ") cannot be tried here: only models that Trainyard trained carry a card that says how a "
                        "picture becomes their input.",
                    "model"};
            }
            auto file = models.verifiedFile(*id, script.file, report);
            if (!file.ok()) {
                return file.error();
            }
            return UsableModel{*file, own, card->contains("configuration") ? card->at("configuration") : Json(),
                               modelText(*id), *id};
        },
        {}, ifWanted([this, parameters](const Result<UsableModel>& model) {
            if (model.ok()) {
                useModel(*model, parameters);
            } else {
                finish(model.error());
            }
        }));
}

void UsableModelCommand::findOfRun(const std::string& run, const Json& parameters) {
    session().query(
        this, QStringLiteral("usable"),
        [run](store::Reader& index) -> Result<OfRun> {
            auto row = index.findRun(run);
            if (!row.ok()) {
                return Error{row.error().code, row.error().message, "model"};
            }
            auto spec = index.spec(row->id);
            if (!spec.ok()) {
                return spec.error();
            }
            return OfRun{std::move(*row), std::move(*spec)};
        },
        ifWanted([this, parameters](const Result<OfRun>& found) {
            if (!found.ok()) {
                finish(found.error());
                return;
            }
            const base::Path outputs = session().workspace().layout.outputs(found->row.id);
            const std::string name = "run:" + std::to_string(found->row.number);
            std::error_code error;
            const auto card = base::readFile(outputs / "model.json", kMostCardBytes);
            const auto json = card.ok() ? base::parseJson(*card) : Result<Json>(card.error());
            if (!json.ok() || !std::filesystem::is_regular_file(outputs / "model.pt", error)) {
                finish(Error{"run.no_model",
                             "Run " + std::to_string(found->row.number) +
                                 (spec::isFinal(found->row.state)
                                      ? " left no model that can be tried: model.pt and model.json."
                                      : " has not ended; its model can be tried then."),
                             "model"});
                return;
            }
            useModel({outputs / "model.pt", *json, found->spec, name}, parameters);
        }));
}

void UsableModelCommand::abort() {
    m_work.stop();
    Command::abort();
}

}  // namespace trainyard::commands
