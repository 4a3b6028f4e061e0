#include "core/commands/RunModels.h"

#include <optional>
#include <set>
#include <utility>

#include "core/base/Text.h"
#include "core/commands/RunJson.h"
#include "core/store/Reader.h"
#include "core/targets/LocalFiles.h"
#include "core/wire/RunStream.h"

namespace trainyard::commands {

using base::Error;
using base::Json;
using base::Result;
using registry::ModelVersionId;

namespace {

/// Texts of a record's member as they stand, other values as JSON.
void addTags(registry::Strings& tags, const Json& body, const char* member, const std::string& prefix) {
    const auto found = body.find(member);
    if (found == body.end() || !found->is_object()) {
        return;
    }
    for (const auto& [name, value] : found->items()) {
        tags.emplace_back(prefix + name, value.is_string() ? value.get<std::string>() : base::dumpJson(value));
    }
}

/// A version that an earlier try had registered before it could be written down.
std::optional<ModelVersionId> findMade(const registry::Registry& models, const std::string& name,
                                       const std::string& run, const std::string& path) {
    for (const int number : models.versions(name)) {
        const auto card = models.card({name, number});
        if (card.ok() && base::jsonText(*card, "run") == run && base::jsonText(*card, "asked") == path) {
            return ModelVersionId{name, number};
        }
    }
    return std::nullopt;
}

/// One registration that a run's record asks for.
Result<ModelVersionId> registerOne(const wire::WorkspaceLayout& layout, const store::RunRow& row, const Json& spec,
                                   const OutputHashes& there, const store::ItemRow& item,
                                   const targets::KeepGoing& report) {
    registry::NewVersion version;
    version.name = base::jsonText(item.body, "name");
    version.asked = base::jsonText(item.body, "path");
    version.description = base::jsonText(item.body, "description");
    TRAINYARD_TRY(registry::checkModelName(version.name));
    const registry::Registry models(layout);
    if (const auto made = findMade(models, version.name, row.id.str(), version.asked)) {
        return *made;
    }
    OutputHashes chosen;
    const bool found =
        chooseOutputs(there, version.asked, chosen) ||
        (item.node > 0 && chooseOutputs(there, "node-" + std::to_string(item.node) + "/" + version.asked, chosen));
    if (!found) {
        return Error{"run.output_unknown",
                     "The run left no file or folder \"" + base::stripControl(version.asked) + "\" in its outputs."};
    }
    addTags(version.tags, item.body, "tags", "");
    addTags(version.tags, item.body, "properties", "properties.");
    for (const char* one : {"framework", "framework_version"}) {
        if (const std::string text = base::jsonText(item.body, one); !text.empty()) {
            version.tags.emplace_back(one, text);
        }
    }
    describeRun(version, layout, row, spec, chosen);
    return models.add(version, [&report](std::int64_t done, std::int64_t) { return report(done); });
}

}  // namespace

bool chooseOutputs(const OutputHashes& there, const std::string& name, OutputHashes& chosen) {
    std::string folder = name;
    while (!folder.empty() && folder.back() == '/') {
        folder.pop_back();
    }
    const bool all = folder == ".";
    bool found = false;
    for (const auto& [path, hash] : there) {
        if (all || path == name || path.compare(0, folder.size() + 1, folder + "/") == 0) {
            chosen[path] = hash;
            found = true;
        }
    }
    return found;
}

void describeRun(registry::NewVersion& version, const wire::WorkspaceLayout& layout, const store::RunRow& run,
                 Json spec, const OutputHashes& chosen) {
    version.root = layout.outputs(run.id);
    for (const auto& [path, hash] : chosen) {
        version.files.push_back({version.root / path, path, hash});
    }
    version.run = run.id.str();
    version.runNumber = run.number;
    version.runName = run.name;
    version.experiment = run.experiment;
    version.configuration = std::move(spec);
    for (const store::MetricSummary& metric : run.metrics) {
        version.metrics.push_back(toJson(metric));
    }
}

runs::RegisterModels registerModelsOf(const wire::WorkspaceLayout& layout, const store::IndexLocation& index) {
    return [layout, index](const base::RunId& run, const std::vector<targets::OutputFile>& here,
                           const targets::KeepGoing& report) {
        std::vector<runs::JournalEntry> done;
        const auto warn = [&done](const std::string& what, const Error& error) {
            done.push_back({wire::kind::kWarning, Json{{"code", "model.not_registered"},
                                                       {"message", what + " was not registered: " + error.message}}});
        };
        const auto reader = store::Reader::open(index);
        const auto row = reader.ok() ? reader->run(run) : Result<store::RunRow>(reader.error());
        const auto spec = row.ok() ? reader->spec(run) : Result<Json>(row.error());
        const auto asked =
            spec.ok() ? reader->items(run, wire::kind::kModel) : Result<std::vector<store::ItemRow>>(spec.error());
        const auto before = asked.ok() ? reader->events(run, wire::kind::kRegistered)
                                       : Result<std::vector<store::EventRow>>(asked.error());
        if (!before.ok()) {
            warn("What the run wanted as a model", before.error());
            return done;
        }
        std::set<std::pair<std::string, std::string>> known;
        for (const store::EventRow& event : *before) {
            known.emplace(base::jsonText(event.body, "model"), base::jsonText(event.body, "path"));
        }
        OutputHashes there;
        for (const targets::OutputFile& file : here) {
            if (targets::isSafeRelativePath(file.path)) {
                there[file.path] = file.sha256;
            }
        }
        // Every rank says the same; a name and a path make one version.
        for (const store::ItemRow& item : *asked) {
            const std::string name = base::jsonText(item.body, "name");
            const std::string path = base::jsonText(item.body, "path");
            if (!known.emplace(name, path).second) {
                continue;
            }
            const auto made = registerOne(layout, *row, *spec, there, item, report);
            if (made.ok()) {
                done.push_back(
                    {wire::kind::kRegistered, Json{{"model", made->name}, {"number", made->number}, {"path", path}}});
            } else {
                warn("The model \"" + base::stripControl(name) + "\"", made.error());
            }
        }
        return done;
    };
}

}  // namespace trainyard::commands
