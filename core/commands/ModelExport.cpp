// model.export: the engine converts, the engine in a second process proves, the registry keeps both.
#include <system_error>

#include "core/base/Ids.h"
#include "core/base/Text.h"
#include "core/commands/ModelCommand.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/registry/VersionKind.h"
#include "core/runs/EngineCall.h"

namespace trainyard::commands {
namespace {

using registry::ModelVersionId;
using registry::Registry;

constexpr int kExportMillis = 600'000;
constexpr int kVerifyMillis = 900'000;
constexpr int kRuntimeMillis = 600'000;
constexpr std::size_t kMostDimensions = 7;

struct Sources {
    base::Path model;
    base::Path samples;  ///< Empty when the version has none.
    Json card;           ///< The model's own card (model.json), or null.
};

/// "1,28,28" or "1x28x28"; empty for an empty text, "model.input_shape" for anything else.
Result<std::vector<std::int64_t>> parseShape(const std::string& text) {
    std::vector<std::int64_t> sizes;
    std::string rest;
    for (const char c : text) {
        if (c != ' ') {
            rest += c == 'x' || c == 'X' ? ',' : c;
        }
    }
    if (rest.empty()) {
        return sizes;
    }
    for (const std::string& part : base::split(rest, ',')) {
        const bool digits = !part.empty() && part.size() <= 7 &&
                            std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!digits || std::stoll(part) < 1 || sizes.size() >= kMostDimensions) {
            return Error{"model.input_shape",
                         "The input shape is written like 1,28,28: 1 to 7 sizes of one sample, without the batch.",
                         "input_shape"};
        }
        sizes.push_back(std::stoll(part));
    }
    return sizes;
}

std::vector<std::int64_t> shapeOfCard(const Json& card) {
    std::vector<std::int64_t> sizes;
    if (card.is_object() && card.contains("input_shape") && card["input_shape"].is_array()) {
        for (const Json& size : card["input_shape"]) {
            if (size.is_number_integer()) {
                sizes.push_back(size.get<std::int64_t>());
            }
        }
    }
    return sizes;
}

/// What a user of the ONNX file has to know to feed it and to read its answers.
Json metadataOf(const ModelVersionId& id, const Json& card) {
    Json metadata{{"trainyard.model", modelText(id)}};
    if (card.is_object()) {
        for (const char* key : {"run", "normalization", "class_names", "family", "metrics"}) {
            if (card.contains(key) && !card[key].is_null()) {
                metadata[std::string("trainyard.") + key] =
                    card[key].is_string() ? card[key].get<std::string>() : base::dumpJson(card[key]);
            }
        }
    }
    return metadata;
}

class ExportCommand final : public ModelCommand {
public:
    using ModelCommand::ModelCommand;
    ~ExportCommand() override { removeTemp(); }

private:
    void runOn(const ModelVersionId& id, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_id = id;
        m_opset = reader.integer("opset");
        m_dynamicBatch = reader.boolean("dynamic_batch", true);
        m_batch = reader.integer("batch", 1);
        m_runtime = reader.string("runtime", "auto");
        m_overwrite = reader.boolean("overwrite");
        std::error_code error;
        const std::string out = reader.string("out");
        m_out = out.empty() ? base::Path() : std::filesystem::absolute(base::Path(out), error);
        const auto shape = parseShape(reader.string("input_shape"));
        if (!shape.ok()) {
            finish(shape.error());
            return;
        }
        m_shape = *shape;
        work<Sources>(
            [id](const Registry& models, const RegistryWork::Report& report) -> Result<Sources> {
                Sources sources;
                auto card = models.card(id);
                if (!card.ok()) {
                    return card.error();
                }
                const registry::Exportability exportable = registry::exportabilityOf(*card);
                if (!exportable.possible) {
                    return Error{"model.kind",
                                 modelText(id) + " cannot be exported to ONNX. " + exportable.reason +
                                     (exportable.instead.empty() ? "" : " " + exportable.instead),
                                 "model"};
                }
                sources.card = card->contains("model") ? card->at("model") : Json();
                auto model = models.verifiedFile(id, exportable.file, report);
                if (!model.ok()) {
                    return model.error();
                }
                sources.model = *model;
                auto samples = models.verifiedFile(id, "samples.safetensors");
                if (samples.ok()) {
                    sources.samples = *samples;
                } else if (samples.error().code != "model.file_unknown") {
                    return samples.error();
                }
                return sources;
            },
            [this](Sources sources) {
                m_sources = std::move(sources);
                convert();
            },
            0.0, 0.05, "Checking the model's files");
    }

    void convert() {
        if (m_shape.empty()) {
            m_shape = shapeOfCard(m_sources.card);
        }
        if (m_shape.empty()) {
            finish(Error{"model.input_shape", "The model does not say what shape its input has; give one.",
                         "input_shape"});
            return;
        }
        // A folder of this name is swept when the workspace is opened, should this program die on the way.
        m_temp = layout().trash() / ("new-" + base::newUuid7());
        if (const Status made = base::makeDirs(m_temp); !made.ok()) {
            finish(made.error());
            return;
        }
        Json request{{"model", m_sources.model.string()},
                     {"output", onnx().string()},
                     {"opset", m_opset},
                     {"input_shape", m_shape},
                     {"dynamic_batch", m_dynamicBatch},
                     {"batch", m_batch},
                     {"description", "Exported by Trainyard from " + modelText(m_id)},
                     {"metadata", metadataOf(m_id, m_sources.card)}};
        call("export", request, kExportMillis, 0.05, 0.3, "Converting", [this](const Json& exported) {
            m_exported = exported;
            prove();
        });
    }

    void prove() {
        Json request{{"model", m_sources.model.string()},
                     {"onnx", onnx().string()},
                     {"opset", m_opset},
                     {"input_shape", m_shape},
                     {"dynamic_batch", m_dynamicBatch},
                     {"runtime", m_runtime},
                     {"deadline_ms", kRuntimeMillis}};
        if (!m_sources.samples.empty()) {
            request["samples"] = m_sources.samples.string();
        }
        call("verify", request, kVerifyMillis, 0.3, 0.9, "Proving", [this](const Json& proof) {
            m_proof = proof;
            keep();
        });
    }

    void keep() {
        if (!m_proof.value("passed", false)) {
            std::string reasons;
            if (m_proof.contains("reasons") && m_proof["reasons"].is_array()) {
                for (const Json& reason : m_proof["reasons"]) {
                    reasons += " " + reason.value("message", std::string());
                }
            }
            finish(
                Error{"model.proof_failed",
                      "The exported model does not compute the same as the original, so it was not kept." + reasons});
            return;
        }
        const Json settings{{"opset", m_opset},
                            {"input_shape", m_shape},
                            {"dynamic_batch", m_dynamicBatch},
                            {"batch", m_dynamicBatch ? Json() : Json(m_batch)},
                            {"nodes", m_exported.value("nodes", 0)},
                            {"export_seconds", m_exported.value("seconds", 0.0)}};
        m_keeping = true;
        reportProgress({0.9, "Keeping the export", {}});
        work<Json>(
            [id = m_id, file = onnx(), settings, proof = m_proof](const Registry& models,
                                                                  const RegistryWork::Report& report) {
                return models.addExport(id, file, settings, proof, report);
            },
            [this](Json record) {
                m_record = std::move(record);
                finishWithIndex(session(), this, {m_id}, Json::object(), ifWanted([this](const Json& told) {
                                    m_warning = told.value("warning", std::string());
                                    copyOut();
                                }));
            });
    }

    void copyOut() {
        if (m_out.empty()) {
            finish(answer(layout().object(m_record["file"].value("sha256", std::string()))));
            return;
        }
        work<Registry::Download>(
            [id = m_id, exportId = m_record.value("id", std::string()), out = m_out,
             overwrite = m_overwrite](const Registry& models, const RegistryWork::Report& report) {
                return models.downloadExport(id, exportId, out, overwrite, report);
            },
            [this](const Registry::Download&) { finish(answer(m_out)); }, 0.95, 1.0, "Copying");
    }

    [[nodiscard]] Json answer(const base::Path& file) const {
        Json out = modelJson(m_id);
        out["export"] = m_record.value("id", std::string());
        out["onnx"] = file.string();
        out["size"] = m_record["file"].value("size", std::int64_t{0});
        out["sha256"] = m_record["file"].value("sha256", std::string());
        for (const char* key : {"opset", "input_shape", "dynamic_batch", "batch", "nodes", "export_seconds", "proof"}) {
            out[key] = m_record.contains(key) ? m_record.at(key) : Json();
        }
        if (!m_warning.empty()) {
            out["warning"] = m_warning;
        }
        return out;
    }

    /// One engine process; its failure ends the command.
    void call(const char* verb, const Json& request, int deadlineMillis, double from, double to, const char* text,
              std::function<void(const Json&)> then) {
        m_call = new runs::EngineCall({}, this);
        connect(m_call, &runs::EngineCall::progressed, this, [this, from, to, text](const Json& body) {
            base::ObjectReader reader(body, "");
            const double total = reader.number("total");
            const double share = total > 0 ? reader.number("done") / total : 0.0;
            reportProgress({from + (to - from) * share, text, body});
        });
        connect(m_call, &runs::EngineCall::done, this, [this, then = std::move(then)](const Result<Json>& result) {
            m_call->deleteLater();
            m_call = nullptr;
            if (!result.ok()) {
                finish(result.error());
                return;
            }
            then(*result);
        });
        m_call->start(verb, request, deadlineMillis);
        // Last, for whoever hears it may cancel.
        reportProgress({from, text, {}});
    }

    void abort() override {
        if (m_call != nullptr) {
            m_call->cancel();
        } else if (!m_keeping) {
            ModelCommand::abort();
        }
    }

    [[nodiscard]] base::Path onnx() const { return m_temp / "model.onnx"; }

    void removeTemp() {
        if (!m_temp.empty()) {
            // What cannot be removed now is swept when the workspace is opened the next time.
            [[maybe_unused]] const Status removed = base::removeTree(m_temp);
        }
    }

    ModelVersionId m_id;
    Sources m_sources;
    std::vector<std::int64_t> m_shape;
    std::int64_t m_opset = 0;
    bool m_dynamicBatch = true;
    std::int64_t m_batch = 1;
    std::string m_runtime;
    bool m_overwrite = false;
    base::Path m_out;
    base::Path m_temp;
    Json m_exported;
    Json m_proof;
    Json m_record;
    std::string m_warning;
    runs::EngineCall* m_call = nullptr;
    bool m_keeping = false;  ///< The proof stands and the export is being kept: too late to cancel.
};

}  // namespace

void addModelExportCommand(CommandTable& table) {
    using spec::FieldType;
    CommandInfo info;
    info.id = "model.export";
    info.title = "Export model to ONNX";
    info.help =
        "Writes a version as ONNX and keeps it once an independent runtime has proved that it computes the same.";
    info.writes = true;
    spec::Field opset = parameter("opset", "Opset", FieldType::Integer, 17,
                                  "Version of the ONNX operators; older runtimes need a lower one.");
    opset.minimum = 11;
    opset.maximum = 17;
    spec::Field batch =
        parameter("batch", "Batch", FieldType::Integer, 1, "The only batch size that a fixed export takes.");
    batch.minimum = 1;
    batch.maximum = 65536;
    batch.onlyWhen = {{"dynamic_batch", {"false"}}};
    spec::Field runtime =
        parameter("runtime", "Runtime", FieldType::Choice, "auto", "Which runtime proves the export.");
    runtime.choices = {{"auto", "The best one installed"},
                       {"onnxruntime-node", "ONNX Runtime (Node.js)"},
                       {"onnxruntime", "ONNX Runtime (C++)"},
                       {"opencv", "OpenCV"}};
    runtime.advanced = true;
    info.parameters = {modelField(),
                       parameter("out", "File", FieldType::File, "", "Also copies the ONNX file here."),
                       opset,
                       parameter("input_shape", "Input shape", FieldType::Text, "",
                                 "Of one sample, like 1,28,28. Empty: as the model was trained."),
                       parameter("dynamic_batch", "Any batch size", FieldType::Boolean, true,
                                 "The exported model takes any number of samples."),
                       batch,
                       runtime,
                       parameter("overwrite", "Overwrite", FieldType::Boolean, false,
                                 "Replaces a file that is there with other content.")};
    table.add<ExportCommand>(std::move(info));
}

}  // namespace trainyard::commands
