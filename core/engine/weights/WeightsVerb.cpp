#include "core/engine/weights/WeightsVerb.h"

#include <vector>

#include "core/engine/model/Network.h"
#include "core/engine/weights/WeightFile.h"

namespace trainyard::engine {

Result<base::Json> runWeightsVerb(const base::Json& request) {
    base::ObjectReader reader(request, "");
    reader.require("source");
    reader.require("family");
    reader.require("input_shape");
    const base::Path source = reader.string("source");
    const std::string family = reader.string("family");
    const base::Json options = reader.object("options");
    std::vector<std::int64_t> shape;
    for (const base::Json& size : reader.array("input_shape")) {
        shape.push_back(size.is_number_integer() ? size.get<std::int64_t>() : 0);
    }
    const std::int64_t classes = reader.integer("classes");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    auto table = spec::buildLayerTable(family, options, shape, classes);
    if (!table) {
        return table.error();
    }
    return guarded("comparing the weights", [&]() -> Result<base::Json> {
        auto file = readWeightFile(source);
        if (!file) {
            return file.error();
        }
        const Network network(std::move(*table));
        const auto match = matchWeights(*file, network);
        if (!match) {
            return match.error();
        }
        base::Json answer = toJson(*file, *match);
        answer["path"] = source.string();
        answer["parameters"] = network.table().parameters();
        return answer;
    });
}

}  // namespace trainyard::engine
