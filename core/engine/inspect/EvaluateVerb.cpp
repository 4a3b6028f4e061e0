#include "core/engine/inspect/EvaluateVerb.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/base/Clock.h"
#include "core/engine/Runtime.h"
#include "core/engine/model/ModelCard.h"
#include "core/engine/model/TorchScript.h"
#include "core/engine/train/Evaluate.h"

namespace trainyard::engine {

namespace {

using base::Json;

Json classRows(const std::vector<std::int64_t>& confusion, std::int64_t classes, const std::vector<std::string>& names) {
    Json rows = Json::array();
    for (std::int64_t label = 0; label < classes; ++label) {
        std::int64_t samples = 0;
        for (std::int64_t predicted = 0; predicted < classes; ++predicted) {
            samples += confusion[static_cast<std::size_t>(label * classes + predicted)];
        }
        const bool named = label < static_cast<std::int64_t>(names.size());
        rows.push_back({{"label", label},
                        {"name", named ? names[static_cast<std::size_t>(label)] : std::to_string(label)},
                        {"samples", samples},
                        {"correct", confusion[static_cast<std::size_t>(label * classes + label)]}});
    }
    return rows;
}

}  // namespace

Result<Json> runEvaluateVerb(const Json& request) {
    base::ObjectReader reader(request, "");
    reader.require("model");
    reader.require("dataset");
    const base::Path model = reader.string("model");
    const std::int64_t batchSize = std::clamp<std::int64_t>(reader.integer("batch_size", 256), 1, 65536);
    const std::int64_t threads = reader.integer("threads");
    base::ObjectReader dataset(reader.object("dataset"), "dataset");
    spec::DatasetSpec spec;
    spec.valImages = dataset.string("val_images");
    spec.valLabels = dataset.string("val_labels");
    spec.valLimit = dataset.integer("val_limit");
    reader.merge(dataset);
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));

    const std::int64_t planned = planThreads(threads, 1).threads;
    setThreads(planned, planned);
    const auto card = readModelCardOf(model);
    if (!card) {
        return Error{card.error().code, "The model has no card to say how images are normalised: " + card.error().message,
                     "model"};
    }
    auto set = loadValidationSet(spec);
    if (!set) {
        return set.error();
    }
    if (set->sampleShape() != card->inputShape) {
        return Error{"evaluate.shape", "The images are " + std::to_string(set->width) + " × " +
                                           std::to_string(set->height) + " pixels, the model takes others.",
                     "dataset.val_images"};
    }
    const std::int64_t classes = card->classes;
    if (std::ranges::any_of(set->labels, [classes](std::uint8_t label) { return label >= classes; })) {
        return Error{"data.label", "\"" + spec.valLabels + "\" has labels that the model has no class for.",
                     "dataset.val_labels"};
    }
    auto loaded = ScriptedModel::load(model);
    if (!loaded) {
        return loaded.error();
    }
    return guarded("evaluating the model", [&]() -> Result<Json> {
        const std::int64_t begin = base::monotonicNanos();
        BatchCutter cutter(*set, card->normalization, at::kCPU);
        std::vector<std::int64_t> confusion(static_cast<std::size_t>(classes * classes), 0);
        EvaluateOptions options;
        options.end = set->count;
        options.batchSize = batchSize;
        options.confusion = &confusion;
        const Scores scores =
            evaluate([&](const at::Tensor& images) { return loaded->forward(images); },
                     [&](std::int64_t first, std::int64_t last) -> const Batch& { return cutter.cutRange(first, last); }, options);
        Json matrix = Json::array();
        for (std::int64_t label = 0; label < classes; ++label) {
            const auto row = confusion.begin() + label * classes;
            matrix.push_back(std::vector<std::int64_t>(row, row + classes));
        }
        return Json{{"samples", set->count},
                    {"loss", base::numberToJson(scores.loss())},
                    {"accuracy", scores.accuracy()},
                    {"classes", classRows(confusion, classes, card->classNames)},
                    {"confusion", std::move(matrix)},
                    {"seconds", static_cast<double>(base::monotonicNanos() - begin) * 1e-9}};
    });
}

}  // namespace trainyard::engine
