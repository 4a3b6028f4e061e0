// What model versions were evaluated on, and how well they did: models/<name>/<number>/evaluations/<id>.json.
#include <algorithm>
#include <filesystem>

#include "core/base/Clock.h"
#include "core/base/Ids.h"
#include "core/base/Json.h"
#include "core/registry/Registry.h"

namespace trainyard::registry {

namespace {

constexpr int kEvaluationVersion = 1;

Path evaluationsFolder(const wire::WorkspaceLayout& layout, const ModelVersionId& id) {
    return layout.modelVersion(id.name, id.number) / "evaluations";
}

}  // namespace

Result<Json> Registry::addEvaluation(const ModelVersionId& id, const Json& found) const {
    auto held = lock(true);
    if (!held.ok()) {
        return held.error();
    }
    if (const auto own = card(id); !own.ok()) {
        return own.error();  // Deleted meanwhile.
    }
    Json record{{"format", kEvaluationFormat},
                {"version", kEvaluationVersion},
                {"id", base::newUuid7()},
                {"created_at", base::wallMicros()},
                {"model", id.name + ":" + std::to_string(id.number)}};
    for (const char* key :
         {"dataset", "split", "samples", "loss", "accuracy", "top5", "classes", "bad_count", "device", "seconds"}) {
        record[key] = found.contains(key) ? found.at(key) : Json();
    }
    const Path folder = evaluationsFolder(m_layout, id);
    TRAINYARD_TRY(base::makeDirs(folder));
    TRAINYARD_TRY(
        base::writeFileAtomically(folder / (base::jsonText(record, "id") + ".json"), base::dumpJsonPretty(record)));
    return record;
}

Result<std::vector<Json>> Registry::evaluations(const ModelVersionId& id) const {
    std::vector<Json> records;
    std::error_code error;
    const Path folder = evaluationsFolder(m_layout, id);
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().stem().string();
        if (entry.path().extension() != ".json" || !base::isUuid7(name)) {
            continue;
        }
        const auto bytes = base::readFile(entry.path());
        auto record = bytes.ok() ? base::parseJson(*bytes) : Result<Json>(bytes.error());
        if (record.ok() && base::checkFormat(*record, kEvaluationFormat, kEvaluationVersion).ok() &&
            base::jsonText(*record, "id") == name) {
            records.push_back(std::move(*record));
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return base::errnoError(error.value(), "reading", folder);
    }
    std::sort(records.begin(), records.end(),
              [](const Json& a, const Json& b) { return base::jsonText(a, "id") < base::jsonText(b, "id"); });
    return records;
}

}  // namespace trainyard::registry
