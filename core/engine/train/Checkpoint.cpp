#include "core/engine/train/Checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <mutex>

#include "core/engine/model/SafeTensors.h"

namespace trainyard::engine {

namespace {

using base::Json;

Json toJson(const Scores& scores) {
    return {{"loss_sum", scores.lossSum}, {"correct", scores.correct}, {"count", scores.count}};
}

Scores scoresFrom(base::ObjectReader& reader, const char* key) {
    base::ObjectReader nested(reader.object(key), reader.pathOf(key));
    Scores scores{nested.number("loss_sum"), nested.number("correct"), nested.number("count")};
    reader.merge(nested);
    return scores;
}

Json toJson(const CheckpointSubject& subject) {
    return {{"family", subject.family},   {"options", subject.options},     {"input_shape", subject.inputShape},
            {"classes", subject.classes}, {"optimizer", subject.optimizer}, {"batch_size", subject.batchSize},
            {"seed", subject.seed},       {"samples", subject.samples},     {"sampling", subject.sampling}};
}

/// The tensors whose names begin with `prefix`, without it.
NamedTensors under(const SafeTensors& content, const std::string& prefix) {
    NamedTensors part;
    for (const auto& [name, tensor] : content.tensors) {
        if (name.starts_with(prefix)) {
            part.emplace_back(name.substr(prefix.size()), tensor);
        }
    }
    return part;
}

Status checkSubject(const base::Path& path, const Json& saved, const CheckpointSubject& subject, bool midEpoch) {
    const Json wanted = toJson(subject);
    for (const char* key : {"family", "options", "input_shape", "classes"}) {
        if (!saved.contains(key) || saved[key] != wanted[key]) {
            return Error{"resume.model",
                         "The checkpoint \"" + path.string() + "\" is of another model: its " + key + " is " +
                             (saved.contains(key) ? base::dumpJson(saved[key]) : "not given") + ", here it is " +
                             base::dumpJson(wanted[key]) + ".",
                         "task.model"};
        }
    }
    if (!saved.contains("optimizer") || saved["optimizer"] != wanted["optimizer"]) {
        return Error{"resume.optimizer", "The checkpoint \"" + path.string() + "\" was made with another optimizer.",
                     "task.optimizer.kind"};
    }
    if (!midEpoch) {
        return {};
    }
    for (const char* key : {"batch_size", "seed", "samples"}) {
        if (!saved.contains(key) || saved[key] != wanted[key]) {
            return Error{"resume.data",
                         "The checkpoint \"" + path.string() +
                             "\" stands in the middle of an epoch, so the data, the seed and the batch "
                             "size must be the same: its " +
                             key + " is " + (saved.contains(key) ? base::dumpJson(saved[key]) : "not given") +
                             ", here it is " + base::dumpJson(wanted[key]) + ".",
                         std::string("task.") + key};
        }
    }
    if (saved.value("sampling", Json()) != wanted["sampling"]) {
        return Error{"resume.data",
                     "The checkpoint \"" + path.string() +
                         "\" stands in the middle of an epoch whose samples were chosen in another way.",
                     "task.sampling"};
    }
    return {};
}

}  // namespace

at::Tensor generatorState(at::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::scoped_lock lock(generator.mutex());
    return generator.get_state();
}

void setGeneratorState(at::Device device, const at::Tensor& state) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::scoped_lock lock(generator.mutex());
    generator.set_state(state);
}

Status writeCheckpoint(const base::Path& path, const CheckpointSubject& subject, const Network& network,
                       const Optimizer& optimizer, const TrainingState& state,
                       const std::vector<at::Tensor>& generators) {
    SafeTensors content;
    for (const auto& [name, tensor] : network.state()) {
        content.tensors.emplace_back("model." + name, tensor);
    }
    for (const auto& [name, tensor] : optimizer.state()) {
        content.tensors.emplace_back("optimizer." + name, tensor);
    }
    for (std::size_t rank = 0; rank < generators.size(); ++rank) {
        content.tensors.emplace_back("generator." + std::to_string(rank), generators[rank]);
    }
    const Json document = {{"format", kCheckpointFormat},
                           {"version", kCheckpointVersion},
                           {"subject", toJson(subject)},
                           {"epoch", state.epoch},
                           {"step_in_epoch", state.stepInEpoch},
                           {"step", state.step},
                           {"optimizer_steps", optimizer.steps()},
                           {"window", toJson(state.window)},
                           {"epoch_scores", toJson(state.epochScores)},
                           {"best_accuracy", state.bestAccuracy},
                           {"best_epoch", state.bestEpoch},
                           {"schedule_start", state.scheduleStart},
                           {"run", state.run},
                           {"history", state.history}};
    content.metadata.emplace_back("checkpoint", base::dumpJson(document));
    return writeSafeTensors(content, path);
}

Result<Restored> readCheckpoint(const base::Path& path, const CheckpointSubject& subject, Network& network,
                                const std::function<Optimizer&(const TrainingState&)>& optimizerFor) {
    auto content = readSafeTensors(path);
    if (!content) {
        return content.error();
    }
    const std::string* text = content->meta("checkpoint");
    if (text == nullptr) {
        return Error{"resume.format", "\"" + path.string() + "\" is not a checkpoint of Trainyard."};
    }
    auto document = base::parseJson(*text);
    if (!document) {
        return document.error();
    }
    TRAINYARD_TRY(base::checkFormat(*document, kCheckpointFormat, kCheckpointVersion));
    base::ObjectReader reader(*document, "");
    reader.require("subject");
    Restored restored;
    TrainingState& state = restored.state;
    state.epoch = reader.integer("epoch");
    state.stepInEpoch = reader.integer("step_in_epoch");
    state.step = reader.integer("step");
    state.window = scoresFrom(reader, "window");
    state.epochScores = scoresFrom(reader, "epoch_scores");
    state.bestAccuracy = reader.number("best_accuracy", -1);
    state.bestEpoch = reader.integer("best_epoch", -1);
    state.scheduleStart = reader.integer("schedule_start");
    state.run = reader.string("run");
    state.history = reader.array("history");
    const Json saved = reader.object("subject");
    const std::int64_t optimizerSteps = reader.integer("optimizer_steps");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    if (state.epoch < 0 || state.stepInEpoch < 0 || state.step < 0 || optimizerSteps < 0 || state.scheduleStart < 0 ||
        state.scheduleStart > state.step) {
        return Error{"resume.format", "\"" + path.string() + "\" holds a negative position."};
    }
    TRAINYARD_TRY(checkSubject(path, saved, subject, state.stepInEpoch > 0));
    return guarded("taking up the checkpoint \"" + path.string() + "\"", [&]() -> Result<Restored> {
        TRAINYARD_TRY(network.load(under(*content, "model.")));
        TRAINYARD_TRY(optimizerFor(restored.state).load(under(*content, "optimizer."), optimizerSteps));
        for (const auto& [rank, tensor] : under(*content, "generator.")) {
            restored.generators.push_back(tensor);
        }
        return restored;
    });
}

}  // namespace trainyard::engine
