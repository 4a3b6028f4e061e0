#include "core/engine/train/Outputs.h"

#include <torch/version.h>

#include "core/engine/model/ModelCard.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "core/engine/weights/StateDict.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;

constexpr std::int64_t kSampleImages = 32;

}  // namespace

Status writeOutputs(Session& session, const TrainingState& state, const std::string& runId, const Path& folder) {
    const LoadedData& data = session.data();
    Network& network = session.network();
    network.train(false);
    TRAINYARD_TRY(saveTorchScript(network, folder / "model.pt"));
    TRAINYARD_TRY(writeSafeTensors({network.state(), {{"format", "pt"}}}, folder / "model.safetensors"));
    TRAINYARD_TRY(writeStateDict(network.state(), folder / "weights.pth"));

    const Batch batch = session.validationSamples(kSampleImages);
    TRAINYARD_TRY(
        writeSafeTensors({{{"images", batch.images}, {"labels", batch.labels}}, {}}, folder / "samples.safetensors"));

    ModelCard card;
    card.family = network.table().family;
    card.options = network.table().options;
    card.inputShape = network.table().inputShape;
    card.classes = data.classes;
    card.classNames = data.classNames;
    card.normalization = data.normalization;
    if (data.folder) {
        card.channels.assign(data.channels.begin(), data.channels.end());
        card.resize = session.task().dataset.resizeSize;
    }
    card.dataset = session.task().dataset.name;
    card.trainSamples = data.trainingCount();
    card.valSamples = data.validationCount();
    card.parameters = network.table().parameters();
    card.multiplyAdds = network.table().multiplyAdds();
    card.metrics = {{"last", state.history.empty() ? Json::object() : state.history.back()}, {"best", Json::object()}};
    for (const Json& entry : state.history) {
        if (entry.value("epoch", std::int64_t{0}) == state.bestEpoch) {
            card.metrics["best"] = entry;
        }
    }
    card.epochs = state.epoch;
    card.steps = state.step;
    card.seed = session.task().seed;
    card.runId = runId;
    card.engineVersion = TRAINYARD_VERSION;
    card.libtorchVersion = TORCH_VERSION;
    return writeModelCard(card, folder / "model.json");
}

}  // namespace trainyard::engine
