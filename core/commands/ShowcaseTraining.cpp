#include "core/commands/ShowcaseTraining.h"

#include <QProcess>
#include <array>

#include "core/commands/ShowcasePictures.h"
#include "core/registry/Registry.h"
#include "core/spec/RunSpec.h"
#include "core/targets/LocalTarget.h"

namespace trainyard::commands {
namespace {

using base::Error;
using base::Json;
using base::Path;
using base::Status;

constexpr int kTrainingMillis = 60'000;
constexpr int kTrainedSide = 48;
constexpr int kEachForTraining = 24;
constexpr int kEachForValidation = 8;
/// By the numbers of drawFlower().
constexpr std::array<const char*, 5> kFlowerNames{"daisy", "poppy", "sunflower", "violet", "anemone"};

Status drawFlowers(const Path& folder) {
    unsigned variant = 5000;
    for (std::size_t kind = 0; kind < kFlowerNames.size(); ++kind) {
        for (const auto& [part, count] : {std::pair{"train", kEachForTraining}, {"val", kEachForValidation}}) {
            const Path place = folder / part / kFlowerNames[kind];
            TRAINYARD_TRY(base::makeDirs(place));
            for (int i = 0; i < count; ++i) {
                const std::string name = std::string(kFlowerNames[kind]) + ' ' + std::to_string(i + 1) + ".png";
                TRAINYARD_TRY(base::writeFileAtomically(
                    place / name, drawFlower(static_cast<int>(kind), ++variant, 2 * kTrainedSide)));
            }
        }
    }
    return {};
}

Json trainingOf(const Path& flowers) {
    Json made = spec::defaultRunSpecDocument();
    const auto set = [&made](std::string_view path, Json value) { spec::setValueAt(made, path, std::move(value)); };
    set("name", "garden-flowers");
    set("task.dataset.kind", "images");
    set("task.dataset.name", "garden-flowers");
    set("task.dataset.folder", flowers.string());
    set("task.dataset.image_size", kTrainedSide);
    set("task.dataset.resize_size", kTrainedSide);
    set("task.augmentation.crop", false);
    set("task.optimizer.kind", "adam");
    set("task.optimizer.learning_rate", 0.002);
    set("task.model.options.width", 8);
    set("task.batch_size", 16);
    set("task.epochs", 3);  // Not long enough to make no mistakes.
    set("task.threads", 1);
    return made;
}

}  // namespace

Status trainShowcaseModel(const Path& folder) {
    const Path engine = targets::LocalTarget::findProgram("trainyard-engine");
    if (engine.empty()) {
        return Error{"engine.missing",
                     "trainyard-engine was found neither beside this program nor in ../lib/trainyard."};
    }
    TRAINYARD_TRY(drawFlowers(folder / "flowers"));
    const Path spec = folder / "spec.json";
    TRAINYARD_TRY(base::writeFileAtomically(spec, base::dumpJsonPretty(trainingOf(folder / "flowers"))));
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    const auto give = [&environment](const char* name, const std::string& value) {
        environment.insert(QString::fromLatin1(name), QString::fromStdString(value));
    };
    give("RANK", "0");
    give("WORLD_SIZE", "1");
    for (const auto& [name, place] : {std::pair{"TRAINYARD_STREAM", "stream"},
                                      {"TRAINYARD_OUTPUTS", "outputs"},
                                      {"TRAINYARD_CONTROL", "control"}}) {
        TRAINYARD_TRY(base::makeDirs(folder / place));
        give(name, (folder / place).string());
    }
    give("TRAINYARD_RENDEZVOUS", (folder / "rendezvous.json").string());
    QProcess process;
    process.setProcessEnvironment(environment);
    process.start(QString::fromStdString(engine.string()),
                  {QStringLiteral("train"), QStringLiteral("--spec"), QString::fromStdString(spec.string())});
    // Where the time is up, the destructor ends it.
    if (!process.waitForFinished(kTrainingMillis) || process.exitStatus() != QProcess::NormalExit ||
        process.exitCode() != 0) {
        return Error{"engine.failed", "The engine did not train the model of the pictures: " +
                                          process.readAllStandardError().right(400).toStdString()};
    }
    return {};
}

Status addTrainedModel(const wire::WorkspaceLayout& layout, const Path& folder) {
    const auto text = base::readFile(folder / "spec.json");
    if (!text.ok()) return text.error();
    auto document = base::parseJson(*text);
    if (!document.ok()) return document.error();
    registry::NewVersion version;
    version.name = "garden-flowers-cnn";
    version.description = "Five flowers of the garden, from pictures of 48 by 48.";
    version.tags = {{"stage", "trial"}};
    version.configuration = std::move(*document);
    for (const char* file : {"model.pt", "model.safetensors", "model.json"})
        version.files.push_back({folder / "outputs" / file, file, {}});
    const auto added = registry::Registry(layout).add(version);
    if (!added.ok()) return added.error();
    return {};
}

}  // namespace trainyard::commands
