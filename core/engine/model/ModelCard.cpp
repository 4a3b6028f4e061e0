#include "core/engine/model/ModelCard.h"

namespace trainyard::engine {

using base::Json;

Json toJson(const ModelCard& card) {
    Json channels = Json::array();
    for (const Normalization& channel : card.channels) {
        channels.push_back({{"mean", channel.mean}, {"std", channel.deviation}});
    }
    return {
        {"format", kModelCardFormat},
        {"version", kModelCardVersion},
        {"family", card.family},
        {"options", card.options},
        {"input_shape", card.inputShape},
        {"classes", card.classes},
        {"class_names", card.classNames},
        {"normalization",
         {{"mean", card.normalization.mean}, {"std", card.normalization.deviation}, {"channels", std::move(channels)}}},
        {"resize", card.resize},
        {"dataset", {{"name", card.dataset}, {"train_samples", card.trainSamples}, {"val_samples", card.valSamples}}},
        {"parameters", card.parameters},
        {"multiply_adds", card.multiplyAdds},
        {"metrics", card.metrics},
        {"training", {{"epochs", card.epochs}, {"steps", card.steps}, {"seed", card.seed}}},
        {"run", card.runId},
        {"engine", card.engineVersion},
        {"libtorch", card.libtorchVersion}};
}

base::Result<ModelCard> modelCardFromJson(const Json& json) {
    TRAINYARD_TRY(base::checkFormat(json, kModelCardFormat, kModelCardVersion));
    base::ObjectReader reader(json, "");
    ModelCard card;
    card.family = reader.string("family");
    card.options = reader.object("options");
    for (const Json& size : reader.array("input_shape")) {
        if (!size.is_number_integer() || size.get<std::int64_t>() < 1) {
            reader.fail("json.type", "input_shape", "A size in \"input_shape\" is no positive whole number.");
            break;
        }
        card.inputShape.push_back(size.get<std::int64_t>());
    }
    card.classes = reader.integer("classes");
    card.classNames = reader.strings("class_names");
    base::ObjectReader normalization(reader.object("normalization"), "normalization");
    card.normalization.mean = normalization.number("mean", 0.0);
    card.normalization.deviation = normalization.number("std", 1.0);
    for (const Json& item : normalization.array("channels")) {
        base::ObjectReader channel(item, "normalization.channels");
        card.channels.push_back({channel.number("mean", 0.0), channel.number("std", 1.0)});
        if (!(card.channels.back().deviation > 0)) {
            channel.fail("json.range", "std", "A channel's standard deviation is not above 0.");
        }
        normalization.merge(channel);
    }
    reader.merge(normalization);
    card.resize = reader.integer("resize");
    if (!(card.normalization.deviation > 0)) {
        reader.fail("json.range", "normalization", "The normalization's standard deviation is not above 0.");
    }
    base::ObjectReader dataset(reader.object("dataset"), "dataset");
    card.dataset = dataset.string("name");
    card.trainSamples = dataset.integer("train_samples");
    card.valSamples = dataset.integer("val_samples");
    reader.merge(dataset);
    card.parameters = reader.integer("parameters");
    card.multiplyAdds = reader.integer("multiply_adds");
    card.metrics = reader.object("metrics");
    base::ObjectReader training(reader.object("training"), "training");
    card.epochs = training.integer("epochs");
    card.steps = training.integer("steps");
    card.seed = training.integer("seed");
    reader.merge(training);
    card.runId = reader.string("run");
    card.engineVersion = reader.string("engine");
    card.libtorchVersion = reader.string("libtorch");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    return card;
}

base::Status writeModelCard(const ModelCard& card, const base::Path& path) {
    return base::writeFileAtomically(path, base::dumpJsonPretty(toJson(card)));
}

base::Result<ModelCard> readModelCardOf(const base::Path& model) {
    base::Path path = model;
    path.replace_extension(".json");
    auto text = base::readFile(path);
    if (!text) {
        return text.error();
    }
    auto json = base::parseJson(*text);
    if (!json) {
        return base::Error{json.error().code, "\"" + path.string() + "\": " + json.error().message};
    }
    return modelCardFromJson(*json);
}

}  // namespace trainyard::engine
