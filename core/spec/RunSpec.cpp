#include "core/spec/RunSpec.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>
#include <set>

#include "core/base/Ids.h"
#include "core/base/MetricPattern.h"
#include "core/base/Text.h"
#include "core/spec/DatasetLocation.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/Reading.h"

namespace trainyard::spec {

namespace {

const std::vector<std::string> kRunFreePaths = {"format", "version"};

std::int64_t integerAt(const Json& document, std::string_view path) {
    std::int64_t value = 0;
    Reading(document, runSpecFields()).get(path, value);
    return value;
}

std::string textAt(const Json& document, std::string_view path) {
    std::string value;
    Reading(document, runSpecFields()).get(path, value);
    return value;
}

}  // namespace

bool isVariableName(std::string_view name) {
    const auto isLetter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    return !name.empty() && isLetter(name.front()) && std::ranges::all_of(name, [&](char c) {
        return isLetter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

std::vector<Error> checkVariables(const std::vector<std::pair<std::string, std::string>>& variables,
                                  const std::string& field) {
    // Set for every rank; a run that changed them would not find its other ranks or its stream, or would take GPUs that
    // were not given to it.
    static constexpr std::array kReserved = {
        "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "CUDA_VISIBLE_DEVICES"};
    std::vector<Error> errors;
    for (const auto& [name, value] : variables) {
        if (!isVariableName(name)) {
            errors.push_back({"spec.variable",
                              "\"" + base::stripControl(name) + "\" cannot be the name of an environment variable.",
                              field});
        } else if (name.starts_with("TRAINYARD_") || name.starts_with("AZ_BATCHAI_") ||
                   std::ranges::find(kReserved, name) != kReserved.end()) {
            errors.push_back({"spec.variable", name + " is set by Trainyard itself.", field});
        }
    }
    return errors;
}

bool isTargetName(const std::string& name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= 64 && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || c == '.' || c == '-' || c == '_'; });
}

namespace {

/// Relative, and no way out of the folder that it starts from.
bool staysInside(const std::string& path) {
    if (path.starts_with('/')) {
        return false;
    }
    const std::vector<std::string> parts = base::split(path, '/');
    return std::ranges::none_of(parts, [](const std::string& part) { return part == ".."; });
}

/// Rules of a script or command. A leading '-' would be an option of the interpreter.
void checkCommandTask(const Json& document, std::vector<Error>& errors) {
    std::vector<std::string> command;
    Reading(document, runSpecFields()).get("task.command", command);
    const std::string script = textAt(document, "task.script");
    const std::string source = textAt(document, "task.source_folder");
    const std::string interpreter = textAt(document, "task.interpreter");
    const std::string folder = textAt(document, "task.working_folder");
    const auto fail = [&](const char* code, std::string message, const char* field) {
        errors.push_back({code, std::move(message), field});
    };
    if (!source.empty() && source.front() != '/') {
        fail("spec.path", "Source folder must be an absolute path.", "task.source_folder");
    }
    if (script.empty() && command.empty()) {
        const bool named = !source.empty();
        fail("spec.required", named ? "Script or command is missing." : "Command is missing.",
             named ? "task.script" : "task.command");
    }
    if (!script.empty() && !command.empty()) {
        fail("spec.exclusive", "A run has a script or a command, not both.", "task.command");
    }
    if (!command.empty() && command.front().empty()) {
        fail("spec.required", "Command names no program.", "task.command");
    }
    if (!script.empty()) {
        if (source.empty()) {
            fail("spec.required", "Source folder is missing: the script lies in it.", "task.source_folder");
        }
        if (!staysInside(script) || script.front() == '-' || script.back() == '/' || script == ".") {
            fail("spec.path", "Script must be the path of a file inside the source folder, and cannot begin with '-'.",
                 "task.script");
        }
        if (interpreter.starts_with('-')) {
            fail("spec.path", "Interpreter cannot begin with '-'.", "task.interpreter");
        }
    }
    std::vector<std::string> patterns;
    Reading(document, runSpecFields()).get("task.patterns", patterns);
    for (const std::string& pattern : patterns) {
        if (const auto read = base::MetricPattern::parse(pattern); !read.ok()) {
            fail(read.error().code.c_str(), "\"" + base::stripControl(pattern) + "\": " + read.error().message,
                 "task.patterns");
        }
    }
    if (!folder.empty() && folder.front() != '/') {
        if (source.empty()) {
            fail(
                "spec.path",
                "Working folder must be an absolute path; a relative one lies in the source folder, and there is none.",
                "task.working_folder");
        } else if (!staysInside(folder)) {
            fail("spec.path", "Working folder must lie inside the source folder, or be an absolute path on the target.",
                 "task.working_folder");
        }
    }
}

/// Names become variables, so two of them must differ in more than case.
void checkInputList(const Json& document, bool trains, std::vector<Error>& errors) {
    std::vector<std::pair<std::string, std::string>> inputs;
    Reading(document, runSpecFields()).get("inputs", inputs);
    std::set<std::string> seen;
    for (const auto& [name, value] : inputs) {
        std::string upper = name;
        std::ranges::transform(upper, upper.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
        const bool plain = name.size() <= 64 && std::ranges::all_of(upper, [](char c) {
                               return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
                           });
        if (!plain) {
            errors.push_back({"spec.input",
                              "\"" + base::stripControl(name) +
                                  "\" cannot name an input: letters, digits and "
                                  "underscores, 64 at most.",
                              "inputs"});
        } else if (!seen.insert(upper).second) {
            errors.push_back({"spec.input", "Two inputs would both be $TRAINYARD_INPUT_" + upper + ".", "inputs"});
        } else if (upper == "RESUME" || (trains && (upper == "DATASET" || upper == "WEIGHTS"))) {
            errors.push_back({"spec.input",
                              "$TRAINYARD_INPUT_" + upper + " is set by Trainyard itself; choose another name.",
                              "inputs"});
        } else if (const auto location = parseInputLocation(value, "inputs"); !location.ok()) {
            errors.push_back({location.error().code, "Input " + name + ": " + location.error().message, "inputs"});
        }
    }
}

std::optional<std::int64_t> wholeNumber(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> texts(const std::vector<std::int64_t>& numbers) {
    std::vector<std::string> out;
    std::ranges::transform(numbers, std::back_inserter(out), [](std::int64_t n) { return std::to_string(n); });
    return out;
}

std::vector<std::string> texts(const std::vector<double>& numbers) {
    std::vector<std::string> out;
    std::ranges::transform(numbers, std::back_inserter(out),
                           [](double number) { return base::dumpJson(Json(number)); });
    return out;
}

/// A finite number from 0, whole text.
std::optional<double> weightOf(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool good = error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && value >= 0;
    return good ? std::optional(value) : std::nullopt;
}

std::vector<double> weightsAt(const Json& document, std::string_view path) {
    std::vector<std::string> listed;
    Reading(document, runSpecFields()).get(path, listed);
    std::vector<double> weights;
    for (const std::string& text : listed) {
        weights.push_back(weightOf(text).value_or(0));
    }
    return weights;
}

/// A list of one number for each class, where the choice at `kindPath` asks for it.
void checkWeightList(const Json& document, const char* kindPath, const char* kind, const char* listPath, bool zeroes,
                     std::vector<Error>& errors) {
    if (textAt(document, kindPath) != kind) {
        return;
    }
    std::vector<std::string> listed;
    Reading(document, runSpecFields()).get(listPath, listed);
    std::size_t positive = 0;
    for (const std::string& text : listed) {
        const auto weight = weightOf(text);
        if (!weight || (*weight == 0 && !zeroes)) {
            errors.push_back(
                {"spec.type",
                 "\"" + base::stripControl(text) + "\" is no number " + (zeroes ? "from" : "above") + " 0.", listPath});
            return;
        }
        positive += *weight > 0 ? 1 : 0;
    }
    if (listed.size() < 2 || positive == 0) {
        errors.push_back(
            {"spec.required",
             listed.size() < 2 ? "List one number for each class, one a row." : "One of them must be above 0.",
             listPath});
    }
}

/// Rules between fields. `document` is complete and every single field of it is right.
std::vector<Error> crossChecks(const Json& document) {
    std::vector<Error> errors;
    const std::int64_t processes = integerAt(document, "distribution.processes");
    const std::int64_t nodes = integerAt(document, "distribution.nodes");
    const std::int64_t ranks = processes * nodes;
    const bool trains = textAt(document, "task.kind") == "train";
    const std::string kind = textAt(document, "distribution.kind");
    const std::int64_t gpus = integerAt(document, "distribution.gpus");
    if (const auto environment = parseEnvironmentName(textAt(document, "environment")); !environment.ok()) {
        errors.push_back(environment.error());
    }
    if (kind == "none" && ranks > 1) {
        errors.push_back({"spec.distribution",
                          std::to_string(ranks) + " processes need the distribution " +
                              (trains ? "PyTorch" : "PyTorch or MPI") + "; without one there is 1.",
                          processes > 1 ? "distribution.processes" : "distribution.nodes"});
    }
    if (kind == "mpi" && trains) {
        errors.push_back({"spec.distribution",
                          "The engine works together by Gloo or NCCL; choose PyTorch. MPI is for scripts.",
                          "distribution.kind"});
    }
    if (trains && textAt(document, "task.device") == "cuda" && gpus > 0 && gpus < processes) {
        errors.push_back({"spec.gpus",
                          std::to_string(processes) + " processes on each machine need as many GPUs; " +
                              std::to_string(gpus) + (gpus == 1 ? " is" : " are") + " asked for.",
                          "distribution.gpus"});
    }
    if (trains && textAt(document, "task.device") == "cpu" && gpus > 0) {
        errors.push_back({"spec.gpus", "The device is the processor, so the run would take GPUs without using them.",
                          "distribution.gpus"});
    }
    if (!trains && kind == "pytorch" && textAt(document, "distribution.backend") == "nccl" && gpus == 0) {
        errors.push_back({"spec.backend", "NCCL works between NVIDIA GPUs only; ask for GPUs, or choose Gloo.",
                          "distribution.backend"});
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
        const std::string weights = textAt(document, "task.model.weights.source");
        if (weights.starts_with("run:") && !base::isUuid7(weights.substr(4))) {
            errors.push_back({"spec.id", "After run: the id of a run is expected.", "task.model.weights.source"});
        } else if (weights.starts_with("target:") && !weights.starts_with("target:/")) {
            errors.push_back({"spec.path", "After target: an absolute path of the target is expected.",
                              "task.model.weights.source"});
        }
        bool freeze = false;
        Reading(document, runSpecFields()).get("task.model.weights.freeze", freeze);
        if (weights.empty() && freeze) {
            errors.push_back({"spec.weights",
                              "Without weights to start from the frozen layers would stay random. Choose weights, or "
                              "train all layers.",
                              "task.model.weights.freeze"});
        }
        std::vector<std::string> milestones;
        Reading(document, runSpecFields()).get("task.schedule.milestones", milestones);
        for (const std::string& milestone : milestones) {
            if (wholeNumber(milestone).value_or(0) < 1) {
                errors.push_back(
                    {"spec.type",
                     "\"" + base::stripControl(milestone) + "\" is no epoch; write whole numbers from 1, one a row.",
                     "task.schedule.milestones"});
                break;
            }
        }
        const std::int64_t parts = integerAt(document, "task.accumulation");
        if (batch >= ranks && batch < ranks * parts) {
            errors.push_back({"spec.batch",
                              "A batch of " + std::to_string(batch) +
                                  (ranks > 1 ? " for " + std::to_string(ranks) + " processes" : std::string()) +
                                  " cannot be cut into " + std::to_string(parts) + " parts; each needs one sample" +
                                  (ranks > 1 ? " a process." : "."),
                              "task.accumulation"});
        }
        checkWeightList(document, "task.class_weights", "list", "task.class_weight_list", /*zeroes=*/false, errors);
        checkWeightList(document, "task.sampling", "weighted", "task.sampling_weights", /*zeroes=*/true, errors);
        if (textAt(document, "task.dataset.kind") == "images" &&
            integerAt(document, "task.dataset.resize_size") < integerAt(document, "task.dataset.image_size")) {
            errors.push_back({"spec.size",
                              "The image size is cut out of what was resized, so it cannot be larger than that.",
                              "task.dataset.resize_size"});
        }
        double momentum = 0;
        bool nesterov = false;
        Reading(document, runSpecFields()).get("task.optimizer.momentum", momentum);
        Reading(document, runSpecFields()).get("task.optimizer.nesterov", nesterov);
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
        checkCommandTask(document, errors);
    }
    checkInputList(document, trains, errors);
    std::vector<std::pair<std::string, std::string>> variables;
    Reading(document, runSpecFields()).get("variables", variables);
    for (Error& error : checkVariables(variables, "variables")) {
        errors.push_back(std::move(error));
    }
    if (!isTargetName(textAt(document, "target"))) {
        errors.push_back(
            {"spec.target",
             "A target's name has small letters, digits, dots, dashes and underscores; \"local\" is this machine.",
             "target"});
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

Result<InputLocation> parseInputLocation(const std::string& text, const std::string& field) {
    const auto refuse = [&](const char* why) { return Error{"spec.input", why, field}; };
    if (text.size() > 4096 || std::ranges::any_of(text, [](char c) {
            const auto byte = static_cast<unsigned char>(c);
            return byte < 0x20 || byte == 0x7F;
        })) {
        return refuse("it is too long or has control characters in it.");
    }
    constexpr std::string_view kOnTarget = "target:";
    constexpr std::string_view kHash = "#sha256=";
    InputLocation read;
    std::string rest = text;
    if (isDatasetLocation(text)) {
        // Of the workspace: a path here once it is known which version is meant.
        if (auto dataset = parseDatasetLocation(text, field); !dataset.ok()) {
            return dataset.error();
        }
        read.location = text;
        return read;
    }
    const bool address = text.starts_with("http://") || text.starts_with("https://");
    if (address || text.starts_with(kOnTarget)) {
        read.kind = address ? InputLocation::Kind::Address : InputLocation::Kind::OnTarget;
        rest = address ? text : text.substr(kOnTarget.size());
        if (const std::size_t sign = rest.rfind(kHash); sign != std::string::npos) {
            read.sha256 = rest.substr(sign + kHash.size());
            rest.erase(sign);
            if (read.sha256.size() != 64 || !std::ranges::all_of(read.sha256, [](char c) {
                    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                })) {
                return refuse("after #sha256= 64 digits 0-9 a-f are expected.");
            }
        }
    }
    read.location = rest;
    if (address) {
        const std::size_t host = rest.find("//") + 2;
        const std::string_view authority = std::string_view(rest).substr(host, rest.find_first_of("/?#", host) - host);
        if (read.sha256.empty()) {
            return refuse("an address needs #sha256=… at its end, so that what arrives can be checked.");
        }
        if (authority.empty() || authority.front() == '-' || rest.find_first_of(" \"'<>\\^`{|}") != std::string::npos) {
            return refuse("this is no http address.");
        }
        if (authority.find('@') != std::string_view::npos) {
            return refuse("an address with a password in it would be kept with the run; leave it out.");
        }
        return read;
    }
    const std::vector<std::string> parts = base::split(rest, '/');
    if (!rest.starts_with('/') || std::ranges::find(parts, "..") != parts.end()) {
        return refuse(read.kind == InputLocation::Kind::Here
                          ? "a path here must be absolute and without \"..\"; write target:/… for one on the target."
                          : "a path on the target must be absolute and without \"..\".");
    }
    return read;
}

Json defaultRunSpecDocument() {
    return withDefaults(runSpecFields(), Json{{"format", kRunSpecFormat}, {"version", kRunSpecVersion}});
}

std::vector<Error> validateRunSpec(const Json& document) {
    if (const Status format = base::checkFormat(document, kRunSpecFormat, kRunSpecVersion); !format.ok()) {
        return {format.error()};
    }
    std::vector<Error> errors = checkDocument(runSpecFields(), document, kRunFreePaths);
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
    const Reading in(complete, runSpecFields());
    RunSpec spec;
    in.get("experiment", spec.experiment);
    in.get("name", spec.name);
    in.get("description", spec.description);
    spec.taskKind = textAt(complete, "task.kind") == "command" ? TaskKind::Command : TaskKind::Train;
    if (spec.taskKind == TaskKind::Command) {
        in.get("task.source_folder", spec.command.sourceFolder);
        in.get("task.script", spec.command.script);
        in.get("task.interpreter", spec.command.interpreter);
        in.get("task.arguments", spec.command.arguments);
        in.get("task.command", spec.command.command);
        in.get("task.working_folder", spec.command.workingFolder);
        in.get("task.patterns", spec.command.patterns);
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
        in.get("task.dataset.folder", dataset.folder);
        in.get("task.dataset.val_fraction", dataset.valFraction);
        in.get("task.dataset.split_seed", dataset.splitSeed);
        in.get("task.dataset.image_size", dataset.imageSize);
        in.get("task.dataset.resize_size", dataset.resizeSize);
        in.get("task.dataset.cache_mib", dataset.cacheMiB);
        in.get("task.dataset.max_bad_fraction", dataset.maxBadFraction);
        AugmentSpec& augmentation = spec.train.augmentation;
        in.get("task.augmentation.crop", augmentation.crop);
        in.get("task.augmentation.crop_scale_min", augmentation.cropScaleMin);
        in.get("task.augmentation.crop_ratio_max", augmentation.cropRatioMax);
        in.get("task.augmentation.flip", augmentation.flip);
        in.get("task.augmentation.vertical_flip", augmentation.verticalFlip);
        in.get("task.augmentation.rotation", augmentation.rotation);
        in.get("task.augmentation.brightness", augmentation.brightness);
        in.get("task.augmentation.contrast", augmentation.contrast);
        in.get("task.augmentation.saturation", augmentation.saturation);
        in.get("task.augmentation.hue", augmentation.hue);
        in.get("task.augmentation.erase", augmentation.erase);
        WeightsSpec& weights = spec.train.model.weights;
        in.get("task.model.weights.source", weights.source);
        in.get("task.model.weights.freeze", weights.freeze);
        in.get("task.model.weights.unfreeze_epoch", weights.unfreezeEpoch);
        in.get("task.model.weights.backbone_rate", weights.backboneRate);
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
        in.get("task.schedule.warmup_epochs", schedule.warmupEpochs);
        std::vector<std::string> milestones;
        in.get("task.schedule.milestones", milestones);
        for (const std::string& milestone : milestones) {
            schedule.milestones.push_back(wholeNumber(milestone).value_or(0));
        }
        in.get("task.clip_norm", spec.train.clipNorm);
        in.get("task.decay_norms", spec.train.decayNorms);
        in.get("task.patience", spec.train.patience);
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
        in.get("task.schedule.span", schedule.span);
        in.get("task.accumulation", spec.train.accumulation);
        in.get("task.class_weights", spec.train.classWeights);
        spec.train.classWeightList = weightsAt(complete, "task.class_weight_list");
        in.get("task.sampling", spec.train.sampling);
        spec.train.samplingWeights = weightsAt(complete, "task.sampling_weights");
        in.get("task.memory_format", spec.train.memoryFormat);
        in.get("task.sync_batch_norm", spec.train.syncBatchNorm);
    }
    in.get("environment", spec.environment);
    in.get("target", spec.target);
    in.get("distribution.kind", spec.distribution.kind);
    in.get("distribution.backend", spec.distribution.backend);
    in.get("distribution.launcher", spec.distribution.launcher);
    in.get("distribution.processes", spec.distribution.processes);
    in.get("distribution.nodes", spec.distribution.nodes);
    in.get("distribution.gpus", spec.distribution.gpus);
    in.get("limits.max_seconds", spec.limits.maxSeconds);
    in.get("limits.disk_reserve_mib", spec.limits.diskReserveMiB);
    in.get("limits.grace_seconds", spec.limits.graceSeconds);
    in.get("limits.max_restarts", spec.limits.maxRestarts);
    in.get("priority", spec.priority);
    in.get("tags", spec.tags);
    in.get("variables", spec.variables);
    in.get("inputs", spec.inputs);
    in.get("resume_from", spec.resumeFrom);
    return spec;
}

Json toJson(const RunSpec& spec) {
    Json task;
    if (spec.taskKind == TaskKind::Command) {
        task = Json{{"kind", "command"},
                    {"source_folder", spec.command.sourceFolder},
                    {"script", spec.command.script},
                    {"interpreter", spec.command.interpreter},
                    {"arguments", spec.command.arguments},
                    {"command", spec.command.command},
                    {"working_folder", spec.command.workingFolder},
                    {"patterns", spec.command.patterns}};
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
                      {"class_names", train.dataset.classNames},
                      {"folder", train.dataset.folder},
                      {"val_fraction", train.dataset.valFraction},
                      {"split_seed", train.dataset.splitSeed},
                      {"image_size", train.dataset.imageSize},
                      {"resize_size", train.dataset.resizeSize},
                      {"cache_mib", train.dataset.cacheMiB},
                      {"max_bad_fraction", train.dataset.maxBadFraction}}},
                    {"augmentation",
                     {{"crop", train.augmentation.crop},
                      {"crop_scale_min", train.augmentation.cropScaleMin},
                      {"crop_ratio_max", train.augmentation.cropRatioMax},
                      {"flip", train.augmentation.flip},
                      {"vertical_flip", train.augmentation.verticalFlip},
                      {"rotation", train.augmentation.rotation},
                      {"brightness", train.augmentation.brightness},
                      {"contrast", train.augmentation.contrast},
                      {"saturation", train.augmentation.saturation},
                      {"hue", train.augmentation.hue},
                      {"erase", train.augmentation.erase}}},
                    {"model",
                     {{"family", train.model.family},
                      {"options", train.model.options},
                      {"weights",
                       {{"source", train.model.weights.source},
                        {"freeze", train.model.weights.freeze},
                        {"unfreeze_epoch", train.model.weights.unfreezeEpoch},
                        {"backbone_rate", train.model.weights.backboneRate}}}}},
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
                      {"minimum_factor", train.schedule.minimumFactor},
                      {"milestones", texts(train.schedule.milestones)},
                      {"warmup_epochs", train.schedule.warmupEpochs},
                      {"span", train.schedule.span}}},
                    {"epochs", train.epochs},
                    {"batch_size", train.batchSize},
                    {"seed", train.seed},
                    {"device", train.device},
                    {"threads", train.threads},
                    {"log_every_steps", train.logEverySteps},
                    {"checkpoint_every_epochs", train.checkpointEveryEpochs},
                    {"normalize", train.normalize},
                    {"augment", train.augment},
                    {"label_smoothing", train.labelSmoothing},
                    {"clip_norm", train.clipNorm},
                    {"decay_norms", train.decayNorms},
                    {"patience", train.patience},
                    {"accumulation", train.accumulation},
                    {"class_weights", train.classWeights},
                    {"class_weight_list", texts(train.classWeightList)},
                    {"sampling", train.sampling},
                    {"sampling_weights", texts(train.samplingWeights)},
                    {"memory_format", train.memoryFormat},
                    {"sync_batch_norm", train.syncBatchNorm}};
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
                  {"launcher", spec.distribution.launcher},
                  {"processes", spec.distribution.processes},
                  {"nodes", spec.distribution.nodes},
                  {"gpus", spec.distribution.gpus}}},
                {"limits",
                 {{"max_seconds", spec.limits.maxSeconds},
                  {"disk_reserve_mib", spec.limits.diskReserveMiB},
                  {"grace_seconds", spec.limits.graceSeconds},
                  {"max_restarts", spec.limits.maxRestarts}}},
                {"priority", spec.priority},
                {"tags", textMap(spec.tags)},
                {"variables", textMap(spec.variables)},
                {"inputs", textMap(spec.inputs)},
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
