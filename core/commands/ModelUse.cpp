// model.predict, model.evaluate, model.inspect: what a trained model says, how good it is, what it is made of.
#include "core/commands/ModelUse.h"

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>
#include <utility>

#include "core/commands/EngineServer.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/commands/UsableModel.h"
#include "core/runs/EngineCall.h"
#include "core/spec/models/LayerTable.h"

namespace trainyard::commands {
namespace {

constexpr int kEvaluateMillis = 12 * 3600 * 1000;
constexpr const char* kOwnData = "own";
constexpr std::string_view kNamedData = "dataset:";

spec::Field deviceField() {
    spec::Field device = parameter("device", "Device", spec::FieldType::Choice, "auto", "What computes.");
    device.choices = {{"auto", "A GPU where there is one"}, {"cpu", "Processor"}, {"cuda", "GPU"}};
    device.advanced = true;
    return device;
}

std::string absoluteText(const std::string& path) {
    std::error_code error;
    const base::Path absolute = std::filesystem::absolute(path, error);
    return error ? path : absolute.lexically_normal().string();
}

/// Done of all, from the engine's progress.
double shareOf(const Json& body) {
    base::ObjectReader reader(body, "");
    const double total = reader.number("total");
    return total > 0 ? reader.number("done") / total : -1.0;
}

class PredictCommand final : public UsableModelCommand {
public:
    using UsableModelCommand::UsableModelCommand;

private:
    void useModel(const UsableModel& model, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        Json files = Json::array();
        for (const std::string& file : reader.strings("files")) {
            files.push_back(absoluteText(file));
        }
        const std::string device = reader.string("device", "auto");
        Json served{{"model", model.file.string()}, {"device", device}};
        if (model.card.is_object()) {
            served["card"] = model.card;
        }
        EngineServer& server =
            EngineServer::of(session(), EngineServer::Kind::Predictions, model.file.string() + '\n' + device, served);
        server.ask({{"files", std::move(files)}, {"top", reader.integer("top", 5)}}, this,
                   ifWanted([this](const Json& body) {
                       reportProgress({shareOf(body), "Predicting", body});
                   }),
                   ifWanted([this, name = model.name](const Result<Json>& result) {
                       if (!result.ok()) {
                           finish(result.error());
                           return;
                       }
                       Json answer{{"model", name}};
                       for (const char* key : {"predictions", "failed", "device"}) {
                           answer[key] = result->at(key);
                       }
                       finish(std::move(answer));
                   }));
        m_server = &server;
        reportProgress({-1, "Loading the model", {}});
    }

    void abort() override {
        if (m_server) {
            m_server->drop(this);
        }
        UsableModelCommand::abort();
    }

    QPointer<EngineServer> m_server;
};

class EvaluateCommand final : public UsableModelCommand {
public:
    using UsableModelCommand::UsableModelCommand;

private:
    void useModel(const UsableModel& model, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_model = model;
        m_asked = reader.string("dataset");
        m_split = reader.string("split", "auto");
        m_mistakes = reader.integer("mistakes", 48);
        m_device = reader.string("device", "auto");
        std::error_code error;
        if (m_asked == kOwnData) {
            const Json* dataset = spec::valueAt(model.configuration, "task.dataset");
            if (dataset == nullptr || !dataset->is_object()) {
                finish(Error{"evaluate.own",
                             "It is not known what data " + model.name + " was trained on; name a dataset or a folder.",
                             "dataset"});
                return;
            }
            takeTask(*dataset);
        } else if (std::filesystem::is_directory(m_asked, error)) {
            takeFolder(absoluteText(m_asked));
        } else if (m_asked.find('/') != std::string::npos) {
            finish(Error{"evaluate.dataset", "There is no folder \"" + m_asked + "\".", "dataset"});
        } else {
            takeNamed(m_asked.starts_with(kNamedData) ? m_asked.substr(kNamedData.size()) : m_asked, std::nullopt);
        }
    }

    /// MNIST's four files, or pictures with a folder a class.
    void takeFolder(const base::Path& folder) {
        constexpr std::array<std::pair<const char*, const char*>, 4> kFiles{
            {{"train_images", "train-images-idx3-ubyte"},
             {"train_labels", "train-labels-idx1-ubyte"},
             {"val_images", "t10k-images-idx3-ubyte"},
             {"val_labels", "t10k-labels-idx1-ubyte"}}};
        Json dataset{{"kind", "idx"}};
        std::error_code error;
        for (const auto& [key, name] : kFiles) {
            for (const char* ending : {"", ".gz"}) {
                const base::Path file = folder / (std::string(name) + ending);
                if (std::filesystem::is_regular_file(file, error)) {
                    dataset[key] = file.string();
                }
            }
        }
        const bool held = dataset.contains("val_images") && dataset.contains("val_labels");
        if (held || (dataset.contains("train_images") && dataset.contains("train_labels"))) {
            evaluate(std::move(dataset), held ? "validation" : "training");
            return;
        }
        evaluate({{"kind", "images"}, {"folder", folder.string()}},
                 std::filesystem::is_directory(folder / "train", error) ? "validation" : "all");
    }

    /// What a run was trained on; its places may lie in a named dataset.
    void takeTask(const Json& dataset) {
        for (const auto& [key, value] : dataset.items()) {
            if (value.is_string() && value.get_ref<const std::string&>().starts_with(kNamedData)) {
                const std::string rest = value.get_ref<const std::string&>().substr(kNamedData.size());
                takeNamed(rest.substr(0, rest.find('/')), dataset);
                return;
            }
        }
        evaluate(dataset, "validation");
    }

    void takeNamed(const std::string& name, const std::optional<Json>& task) {
        session().start(
            "dataset.show", {{"dataset", name}}, this, ifWanted([this, task](const Result<Json>& shown) {
                if (!shown.ok()) {
                    finish(Error{shown.error().code, shown.error().message, "dataset"});
                    return;
                }
                base::ObjectReader reader(*shown, "");
                const base::Path path = reader.string("path");
                Json dataset = task ? *task : reader.object("task_dataset");
                for (const auto& [key, value] : dataset.items()) {
                    if (!value.is_string() || !value.get_ref<const std::string&>().starts_with(kNamedData)) {
                        continue;
                    }
                    const std::string place = value.get<std::string>();
                    const std::size_t inside = place.find('/');
                    dataset[key] = (inside == std::string::npos ? path : path / place.substr(inside + 1)).string();
                }
                evaluate(std::move(dataset), "validation");
            }));
    }

    void evaluate(Json dataset, const std::string& usualSplit) {
        const std::string split = m_split == "auto" ? usualSplit : m_split;
        Json request{{"model", m_model.file.string()}, {"card", m_model.card},
                     {"dataset", std::move(dataset)},  {"split", split},
                     {"mistakes", m_mistakes},         {"device", m_device}};
        m_call = new runs::EngineCall({}, this);
        connect(m_call, &runs::EngineCall::progressed, this, [this](const Json& body) {
            reportProgress({shareOf(body), "Evaluating", body});
        });
        connect(m_call, &runs::EngineCall::done, this, [this, split](const Result<Json>& result) {
            if (!result.ok()) {
                const Error& error = result.error();
                const bool ofData = error.field.starts_with("dataset");
                finish(Error{error.code, error.message, ofData ? "dataset" : error.field});
                return;
            }
            Json answer{{"model", m_model.name}, {"dataset", m_asked}, {"split", split}};
            answer.update(*result);
            keep(std::move(answer));
        });
        m_call->start("evaluate", request, kEvaluateMillis);
        reportProgress({-1, "Loading model and data", {}});
    }

    /// With the version, so that it is found again; what a run left has no place for it.
    void keep(Json answer) {
        answer["evaluation"] = nullptr;
        m_call = nullptr;  // It is done: what can be cancelled now is the keeping.
        if (!m_model.version) {
            finish(std::move(answer));
            return;
        }
        m_keeping.start<Json>(
            session().workspace().layout,
            [id = *m_model.version, answer](const registry::Registry& models, const RegistryWork::Report&) {
                return models.addEvaluation(id, answer);
            },
            {}, ifWanted([this, answer](const Result<Json>& kept) {
                Json whole = answer;
                if (kept.ok()) {
                    whole["evaluation"] = kept->at("id");
                } else {
                    whole["not_kept"] = kept.error().message;  // What was found counts all the same.
                }
                finish(std::move(whole));
            }));
    }

    void abort() override {
        m_keeping.stop();
        if (m_call != nullptr) {
            m_call->cancel();
        } else {
            UsableModelCommand::abort();
        }
    }

    UsableModel m_model;
    std::string m_asked;
    std::string m_split;
    std::string m_device;
    std::int64_t m_mistakes = 0;
    runs::EngineCall* m_call = nullptr;
    RegistryWork m_keeping;
};

const char* kindOf(spec::LayerOp op) {
    using spec::LayerOp;
    switch (op) {
    case LayerOp::Input: return "Input";
    case LayerOp::Conv2d: return "Conv2d";
    case LayerOp::BatchNorm2d: return "BatchNorm2d";
    case LayerOp::ReLU: return "ReLU";
    case LayerOp::Hardswish: return "Hardswish";
    case LayerOp::Hardsigmoid: return "Hardsigmoid";
    case LayerOp::MaxPool2d: return "MaxPool2d";
    case LayerOp::GlobalAvgPool2d: return "GlobalAvgPool2d";
    case LayerOp::Flatten: return "Flatten";
    case LayerOp::Linear: return "Linear";
    case LayerOp::Dropout: return "Dropout";
    case LayerOp::Add: return "Add";
    case LayerOp::Multiply: return "Multiply";
    }
    return "";
}

class InspectCommand final : public UsableModelCommand {
public:
    using UsableModelCommand::UsableModelCommand;

private:
    void useModel(const UsableModel& model, const Json&) override {
        constexpr std::int64_t kFloat = 4;
        base::ObjectReader card(model.card, "");
        std::vector<std::int64_t> shape;
        for (const Json& size : card.array("input_shape")) {
            shape.push_back(size.is_number_integer() ? size.get<std::int64_t>() : 0);
        }
        const auto table =
            spec::buildLayerTable(card.string("family"), card.object("options"), shape, card.integer("classes"));
        if (!table.ok()) {
            finish(Error{table.error().code, "The model's card cannot be followed: " + table.error().message, "model"});
            return;
        }
        Json layers = Json::array();
        std::int64_t largest = 0;
        for (const spec::Layer& layer : table->layers) {
            std::int64_t elements = 1;
            for (const std::int64_t size : layer.outShape) {
                elements *= size;
            }
            largest = std::max(largest, elements);
            layers.push_back({{"name", layer.name},
                              {"kind", kindOf(layer.op)},
                              {"shape", layer.outShape},
                              {"parameters", layer.parameters},
                              {"multiply_adds", layer.multiplyAdds},
                              {"bytes", elements * kFloat}});
        }
        finish(Json{{"model", model.name},
                    {"family", table->family},
                    {"input_shape", table->inputShape},
                    {"classes", table->classes},
                    {"class_names", card.array("class_names")},
                    {"parameters", table->parameters()},
                    {"multiply_adds", table->multiplyAdds()},
                    {"weights_bytes", table->parameters() * kFloat},
                    {"activation_bytes", table->activations() * kFloat},
                    {"largest_bytes", largest * kFloat},
                    {"layers", std::move(layers)}});
    }
};

}  // namespace

void addModelUseCommands(CommandTable& table) {
    using spec::FieldType;
    spec::Field files =
        parameter("files", "Pictures", FieldType::TextList, Json(), "JPEG or PNG files, or folders of them.", true);
    spec::Field top =
        parameter("top", "Classes", FieldType::Integer, 5, "How many of the most probable classes are told.");
    top.minimum = 1;
    top.maximum = 1000;
    table.add<PredictCommand>(commandInfo("model.predict", "Try a model",
                                          "Says what a trained model sees in pictures, with probabilities.",
                                          {usableModelField(), files, top, deviceField()}));

    spec::Field split = parameter("split", "Part", FieldType::Choice, "auto", "Which samples of the data.");
    split.choices = {{"auto", "What was held back, or all of another folder"},
                     {"validation", "What was held back"},
                     {"training", "What was trained on"},
                     {"all", "All"}};
    spec::Field mistakes =
        parameter("mistakes", "Mistakes", FieldType::Integer, 48, "How many of the worst mistakes are told.");
    mistakes.minimum = 0;
    mistakes.maximum = 1000;
    table.add<EvaluateCommand>(commandInfo(
        "model.evaluate", "Evaluate a model", "Counts what a trained model gets right and wrong on a data set.",
        {usableModelField(),
         parameter(
             "dataset", "Data", FieldType::Text, Json(),
             "A dataset's NAME or NAME:NUMBER, a folder (a folder a class, or MNIST's files), or \"own\": what it was "
             "trained with.",
             true),
         split, mistakes, deviceField()}));
    table.add<InspectCommand>(commandInfo(
        "model.inspect", "Inspect a model",
        "Lists a model's layers with their shapes, parameters, multiply-adds and memory.", {usableModelField()}));
}

}  // namespace trainyard::commands
