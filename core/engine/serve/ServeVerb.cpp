#include "core/engine/serve/ServeVerb.h"

#include <functional>
#include <iostream>
#include <string>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/data/KeptData.h"
#include "core/engine/data/PreviewVerb.h"
#include "core/engine/serve/PredictVerb.h"
#include "core/engine/serve/ServedModel.h"

namespace trainyard::engine {

namespace {

using base::Json;

/// Answers each line of the standard input by a progress of this stage, until the input ends.
Json answerLines(const char* stage, const VerbProgress& progress,
                 const std::function<Result<Json>(const Json& request)>& answerTo) {
    std::int64_t served = 0;
    for (std::string line; std::getline(std::cin, line);) {
        if (base::trim(line).empty()) {
            continue;
        }
        const auto asked = base::parseJson(line);
        Json said{{"stage", stage}, {"id", asked && asked->is_object() ? asked->value("id", Json()) : Json()}};
        const auto answer =
            asked ? guarded("answering", [&] { return answerTo(*asked); }) : Result<Json>(asked.error());
        if (answer) {
            said.update(*answer);
            ++served;
        } else {
            said["error"] = {
                {"code", answer.error().code}, {"message", answer.error().message}, {"field", answer.error().field}};
        }
        progress(said);
    }
    return Json{{"served", served}};
}

}  // namespace

Result<Json> runServeVerb(const Json& request, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    if (reader.boolean("previews")) {
        TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
        progress(Json{{"stage", "ready"}});
        KeptData data;
        return answerLines("samples", progress, [&](const Json& asked) { return drawPreview(asked, data, progress); });
    }
    const ModelChoice choice = modelChoiceFrom(reader);
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const std::int64_t begin = base::monotonicNanos();
    auto model = ServedModel::open(choice);
    if (!model) {
        return model.error();
    }
    progress({{"stage", "ready"},
              {"device", model->device().str()},
              {"load_seconds", static_cast<double>(base::monotonicNanos() - begin) * 1e-9}});
    return answerLines("predictions", progress,
                       [&](const Json& asked) { return predictWith(*model, asked, progress); });
}

}  // namespace trainyard::engine
