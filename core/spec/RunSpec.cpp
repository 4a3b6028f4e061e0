#include "core/spec/RunSpec.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/base/Ids.h"

namespace trainyard::spec {

namespace {

const std::vector<std::string> kFreePaths = {"format", "version"};

Json textMap(const std::vector<std::pair<std::string, std::string>>& pairs) {
    Json out = Json::object();
    for (const auto& [name, value] : pairs) {
        out[name] = value;
    }
    return out;
}

/// Reads typed members. What does not apply may hold anything, so a value of the wrong type leaves the default.
class Reading {
public:
    explicit Reading(const Json& document) : m_document(document) {}

    void get(std::string_view path, std::string& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_string()) {
            out = value->get<std::string>();
        }
    }
    void get(std::string_view path, bool& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_boolean()) {
            out = value->get<bool>();
        }
    }
    void get(std::string_view path, double& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_number()) {
            out = value->get<double>();
        }
    }
    void get(std::string_view path, std::int64_t& out) const {
        // 4.0 is a whole number too; the value has passed its range, so the cast is safe.
        const Json* value = valueAt(m_document, path);
        if (value != nullptr && value->is_number_integer()) {
            out = value->get<std::int64_t>();
        } else if (value != nullptr && value->is_number_float() && inRange(path, *value)) {
            out = static_cast<std::int64_t>(value->get<double>());
        }
    }
    void get(std::string_view path, std::vector<std::string>& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_array()) {
            for (const Json& item : *value) {
                if (item.is_string()) {
                    out.push_back(item.get<std::string>());
                }
            }
        }
    }
    void get(std::string_view path, std::vector<std::pair<std::string, std::string>>& out) const {
        if (const Json* value = valueAt(m_document, path); value != nullptr && value->is_object()) {
            for (const auto& [name, item] : value->items()) {
                out.emplace_back(name, item.is_string() ? item.get<std::string>() : base::dumpJson(item));
            }
        }
    }

private:
    static bool inRange(std::string_view path, const Json& value) {
        return std::ranges::any_of(
            runSpecFields(), [&](const Field& field) { return field.path == path && !checkValue(field, &value); });
    }

    const Json& m_document;
};

std::int64_t integerAt(const Json& document, std::string_view path) {
    std::int64_t value = 0;
    Reading(document).get(path, value);
    return value;
}

std::string textAt(const Json& document, std::string_view path) {
    std::string value;
    Reading(document).get(path, value);
    return value;
}

bool isVariableName(std::string_view name) {
    const auto isLetter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    return !name.empty() && isLetter(name.front()) && std::ranges::all_of(name, [&](char c) {
        return isLetter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

/// Set by the shim for every rank; a run that changed them would not find its other ranks or its stream.
bool isReservedVariable(std::string_view name) {
    static constexpr std::array kReserved = {"MASTER_ADDR", "MASTER_PORT", "RANK",
                                             "LOCAL_RANK",  "WORLD_SIZE",  "LOCAL_WORLD_SIZE"};
    return name.starts_with("TRAINYARD_") || name.starts_with("AZ_BATCHAI_") ||
           std::ranges::find(kReserved, name) != kReserved.end();
}

/// Rules between fields. `document` is complete and every single field of it is right.
std::vector<Error> crossChecks(const Json& document) {
    std::vector<Error> errors;
    const std::int64_t processes = integerAt(document, "distribution.processes");
    const std::int64_t nodes = integerAt(document, "distribution.nodes");
    const std::int64_t ranks = processes * nodes;
    const bool trains = textAt(document, "task.kind") == "train";
    if (textAt(document, "distribution.kind") == "none" && ranks > 1) {
        errors.push_back({"spec.distribution",
                          std::to_string(ranks) + " processes need the distribution PyTorch; without one there is 1.",
                          processes > 1 ? "distribution.processes" : "distribution.nodes"});
    }
    if (textAt(document, "target") == "local" && nodes > 1) {
        errors.push_back({"spec.nodes",
                          "This machine is one machine, so " + std::to_string(nodes) + " cannot take part.",
                          "distribution.nodes"});
    }
    if (trains) {
        const std::int64_t batch = integerAt(document, "task.batch_size");
        if (batch < ranks) {
            errors.push_back({"spec.batch",
                              "A batch of " + std::to_string(batch) + " cannot be shared by " + std::to_string(ranks) +
                                  " processes; it needs one sample for each.",
                              "task.batch_size"});
        }
        for (const char* path : {"task.dataset.train_limit", "task.dataset.val_limit"}) {
            const std::int64_t limit = integerAt(document, path);
            if (limit > 0 && limit < ranks) {
                errors.push_back(
                    {"spec.limit",
                     std::to_string(limit) + " samples cannot be shared by " + std::to_string(ranks) + " processes.",
                     path});
            }
        }
        double momentum = 0;
        bool nesterov = false;
        Reading(document).get("task.optimizer.momentum", momentum);
        Reading(document).get("task.optimizer.nesterov", nesterov);
        if (textAt(document, "task.optimizer.kind") == "sgd" && nesterov && momentum == 0) {
            errors.push_back(
                {"spec.nesterov", "Nesterov momentum needs a momentum above 0.", "task.optimizer.nesterov"});
        }
        if (textAt(document, "distribution.kind") == "pytorch" && textAt(document, "distribution.backend") == "nccl" &&
            textAt(document, "task.device") != "cuda") {
            errors.push_back({"spec.backend", "NCCL works between NVIDIA GPUs only; choose that device, or Gloo.",
                              "distribution.backend"});
        }
    } else {
        std::vector<std::string> command;
        Reading(document).get("task.command", command);
        if (!command.empty() && command.front().empty()) {
            errors.push_back({"spec.required", "Command names no program.", "task.command"});
        }
        const std::string folder = textAt(document, "task.working_folder");
        if (!folder.empty() && folder.front() != '/') {
            errors.push_back({"spec.path", "Working folder must be an absolute path.", "task.working_folder"});
        }
    }
    std::vector<std::pair<std::string, std::string>> variables;
    Reading(document).get("variables", variables);
    for (const auto& [name, value] : variables) {
        if (!isVariableName(name)) {
            errors.push_back(
                {"spec.variable", "\"" + name + "\" cannot be the name of an environment variable.", "variables"});
        } else if (isReservedVariable(name)) {
            errors.push_back({"spec.variable", name + " is set by Trainyard itself.", "variables"});
        }
    }
    const std::string resumeFrom = textAt(document, "resume_from");
    if (!resumeFrom.empty() && !base::isUuid7(resumeFrom)) {
        errors.push_back({"spec.id", "\"" + resumeFrom + "\" is not the id of a run.", "resume_from"});
    }
    return errors;
}

std::size_t fieldIndex(const std::string& path) {
    const auto& fields = runSpecFields();
    return static_cast<std::size_t>(
        std::ranges::find_if(fields, [&](const Field& field) { return field.path == path; }) - fields.begin());
}

void collectDifferences(const Json& left, const Json& right, const std::string& path, std::vector<Difference>& out) {
    if (left == right) {
        return;
    }
    if (!left.is_object() || !right.is_object()) {
        out.push_back({path, left, right});
        return;
    }
    const auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
    for (const auto& [name, value] : left.items()) {
        const auto other = right.find(name);
        collectDifferences(value, other == right.end() ? Json(nullptr) : *other, below(name), out);
    }
    for (const auto& [name, value] : right.items()) {
        if (!left.contains(name)) {
            collectDifferences(Json(nullptr), value, below(name), out);
        }
    }
}

}  // namespace

Json defaultRunSpecDocument() {
    return withDefaults(runSpecFields(), Json{{"format", kRunSpecFormat}, {"version", kRunSpecVersion}});
}

std::vector<Error> validateRunSpec(const Json& document) {
    if (const Status format = base::checkFormat(document, kRunSpecFormat, kRunSpecVersion); !format.ok()) {
        return {format.error()};
    }
    std::vector<Error> errors = checkDocument(runSpecFields(), document, kFreePaths);
    // While a field has a wrong value, rules that look at it would only say so again.
    const bool readable = std::ranges::all_of(
        errors, [](const Error& error) { return error.code == "spec.unknown" || error.code == "spec.required"; });
    if (readable) {
        for (Error& error : crossChecks(withDefaults(runSpecFields(), document))) {
            if (std::ranges::none_of(errors, [&](const Error& known) { return known.field == error.field; })) {
                errors.push_back(std::move(error));
            }
        }
    }
    std::ranges::stable_sort(errors, {}, [](const Error& error) { return fieldIndex(error.field); });
    return errors;
}

Result<RunSpec> runSpecFromJson(const Json& document) {
    if (const std::vector<Error> errors = validateRunSpec(document); !errors.empty()) {
        return errors.front();
    }
    const Json complete = withDefaults(runSpecFields(), document);
    const Reading in(complete);
    RunSpec spec;
    in.get("experiment", spec.experiment);
    in.get("name", spec.name);
    in.get("description", spec.description);
    spec.taskKind = textAt(complete, "task.kind") == "command" ? TaskKind::Command : TaskKind::Train;
    if (spec.taskKind == TaskKind::Command) {
        in.get("task.command", spec.command.command);
        in.get("task.working_folder", spec.command.workingFolder);
    } else {
        DatasetSpec& dataset = spec.train.dataset;
        in.get("task.dataset.kind", dataset.kind);
        in.get("task.dataset.name", dataset.name);
        in.get("task.dataset.train_images", dataset.trainImages);
        in.get("task.dataset.train_labels", dataset.trainLabels);
        in.get("task.dataset.val_images", dataset.valImages);
        in.get("task.dataset.val_labels", dataset.valLabels);
        in.get("task.dataset.train_limit", dataset.trainLimit);
        in.get("task.dataset.val_limit", dataset.valLimit);
        in.get("task.dataset.class_names", dataset.classNames);
        in.get("task.model.family", spec.train.model.family);
        if (const Json* options = valueAt(complete, "task.model.options"); options != nullptr && options->is_object()) {
            for (const auto& [name, value] : options->items()) {
                // Options of another family may be present; the model must not see them.
                if (fieldAt(runSpecFields(), "task.model.options." + name, complete) != nullptr) {
                    spec.train.model.options[name] = value;
                }
            }
        }
        OptimizerSpec& optimizer = spec.train.optimizer;
        in.get("task.optimizer.kind", optimizer.kind);
        in.get("task.optimizer.learning_rate", optimizer.learningRate);
        in.get("task.optimizer.momentum", optimizer.momentum);
        in.get("task.optimizer.nesterov", optimizer.nesterov);
        in.get("task.optimizer.weight_decay", optimizer.weightDecay);
        in.get("task.optimizer.beta1", optimizer.beta1);
        in.get("task.optimizer.beta2", optimizer.beta2);
        in.get("task.optimizer.epsilon", optimizer.epsilon);
        ScheduleSpec& schedule = spec.train.schedule;
        in.get("task.schedule.kind", schedule.kind);
        in.get("task.schedule.warmup_fraction", schedule.warmupFraction);
        in.get("task.schedule.step_epochs", schedule.stepEpochs);
        in.get("task.schedule.gamma", schedule.gamma);
        in.get("task.schedule.minimum_factor", schedule.minimumFactor);
        in.get("task.epochs", spec.train.epochs);
        in.get("task.batch_size", spec.train.batchSize);
        in.get("task.seed", spec.train.seed);
        in.get("task.device", spec.train.device);
        in.get("task.threads", spec.train.threads);
        in.get("task.log_every_steps", spec.train.logEverySteps);
        in.get("task.checkpoint_every_epochs", spec.train.checkpointEveryEpochs);
        in.get("task.normalize", spec.train.normalize);
        in.get("task.augment", spec.train.augment);
        in.get("task.label_smoothing", spec.train.labelSmoothing);
    }
    in.get("environment", spec.environment);
    in.get("target", spec.target);
    in.get("distribution.kind", spec.distribution.kind);
    in.get("distribution.backend", spec.distribution.backend);
    in.get("distribution.processes", spec.distribution.processes);
    in.get("distribution.nodes", spec.distribution.nodes);
    in.get("limits.max_seconds", spec.limits.maxSeconds);
    in.get("limits.disk_reserve_mib", spec.limits.diskReserveMiB);
    in.get("limits.grace_seconds", spec.limits.graceSeconds);
    in.get("priority", spec.priority);
    in.get("tags", spec.tags);
    in.get("variables", spec.variables);
    in.get("resume_from", spec.resumeFrom);
    return spec;
}

Json toJson(const RunSpec& spec) {
    Json task;
    if (spec.taskKind == TaskKind::Command) {
        task = Json{
            {"kind", "command"}, {"command", spec.command.command}, {"working_folder", spec.command.workingFolder}};
    } else {
        const TrainTask& train = spec.train;
        task = Json{{"kind", "train"},
                    {"dataset",
                     {{"kind", train.dataset.kind},
                      {"name", train.dataset.name},
                      {"train_images", train.dataset.trainImages},
                      {"train_labels", train.dataset.trainLabels},
                      {"val_images", train.dataset.valImages},
                      {"val_labels", train.dataset.valLabels},
                      {"train_limit", train.dataset.trainLimit},
                      {"val_limit", train.dataset.valLimit},
                      {"class_names", train.dataset.classNames}}},
                    {"model", {{"family", train.model.family}, {"options", train.model.options}}},
                    {"optimizer",
                     {{"kind", train.optimizer.kind},
                      {"learning_rate", train.optimizer.learningRate},
                      {"momentum", train.optimizer.momentum},
                      {"nesterov", train.optimizer.nesterov},
                      {"weight_decay", train.optimizer.weightDecay},
                      {"beta1", train.optimizer.beta1},
                      {"beta2", train.optimizer.beta2},
                      {"epsilon", train.optimizer.epsilon}}},
                    {"schedule",
                     {{"kind", train.schedule.kind},
                      {"warmup_fraction", train.schedule.warmupFraction},
                      {"step_epochs", train.schedule.stepEpochs},
                      {"gamma", train.schedule.gamma},
                      {"minimum_factor", train.schedule.minimumFactor}}},
                    {"epochs", train.epochs},
                    {"batch_size", train.batchSize},
                    {"seed", train.seed},
                    {"device", train.device},
                    {"threads", train.threads},
                    {"log_every_steps", train.logEverySteps},
                    {"checkpoint_every_epochs", train.checkpointEveryEpochs},
                    {"normalize", train.normalize},
                    {"augment", train.augment},
                    {"label_smoothing", train.labelSmoothing}};
    }
    return Json{{"format", kRunSpecFormat},
                {"version", kRunSpecVersion},
                {"experiment", spec.experiment},
                {"name", spec.name},
                {"description", spec.description},
                {"task", std::move(task)},
                {"environment", spec.environment},
                {"target", spec.target},
                {"distribution",
                 {{"kind", spec.distribution.kind},
                  {"backend", spec.distribution.backend},
                  {"processes", spec.distribution.processes},
                  {"nodes", spec.distribution.nodes}}},
                {"limits",
                 {{"max_seconds", spec.limits.maxSeconds},
                  {"disk_reserve_mib", spec.limits.diskReserveMiB},
                  {"grace_seconds", spec.limits.graceSeconds}}},
                {"priority", spec.priority},
                {"tags", textMap(spec.tags)},
                {"variables", textMap(spec.variables)},
                {"resume_from", spec.resumeFrom}};
}

Json runSpecJsonSchema() {
    Json schema = jsonSchema(runSpecFields(), "Trainyard run specification", "trainyard:run-spec:1");
    Json head = {{"format", {{"const", kRunSpecFormat}}}, {"version", {{"const", kRunSpecVersion}}}};
    head.update(schema["properties"]);
    schema["properties"] = std::move(head);
    Json required = Json::array({"format", "version"});
    for (const Json& name : schema.value("required", Json::array())) {
        required.push_back(name);
    }
    schema["required"] = std::move(required);
    return schema;
}

std::vector<Difference> differences(const Json& left, const Json& right) {
    std::vector<Difference> out;
    collectDifferences(left, right, "", out);
    return out;
}

}  // namespace trainyard::spec
