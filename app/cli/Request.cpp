#include "app/cli/Request.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "core/base/Files.h"
#include "core/commands/Command.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/RunSpec.h"
#include "core/spec/TargetSpec.h"

namespace trainyard::cli {

using base::Error;
using base::Json;
using base::Result;
using base::Status;
using spec::Field;
using spec::FieldType;

namespace {

constexpr std::int64_t kMostSpecBytes = 16 << 20;

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 the action failed, 2 wrong command line, 3 not found, 4 invalid spec, 5 the run failed,\n"
    "6 the run was canceled, 7 trouble with the workspace, 130 interrupted; \"run wait\" ends with the run's own exit "
    "code.\n"
    "A run is named by its number, its id or the unique beginning of it, or its name.";

/// Values of one field as the command line gives them, until they are put into the parameters.
struct Given {
    const Field* field = nullptr;
    CLI::Option* option = nullptr;
    std::vector<std::string> texts;  ///< Of lists and maps.
    std::string text;
    bool flag = false;
};

struct Subcommand {
    const commands::CommandInfo* info = nullptr;
    CLI::App* app = nullptr;
    std::vector<std::unique_ptr<Given>> given;
};

std::string optionName(const Field& field) {
    std::string name = field.path;
    std::replace(name.begin(), name.end(), '_', '-');
    std::replace(name.begin(), name.end(), '.', '-');
    return name;
}

std::string helpOf(const Field& field) {
    std::string help = field.help;
    if (field.type == FieldType::Choice) {
        help += help.empty() ? "One of" : " One of";
        for (const spec::Choice& choice : field.choices) {
            help += choice.value.empty() ? "" : " " + choice.value;
        }
        help += ".";
    }
    return help;
}

/// Required fields, folders and data sets are positional; the rest are options.
void addField(Subcommand& sub, const Field& field) {
    auto given = std::make_unique<Given>();
    given->field = &field;
    const std::string name = optionName(field);
    if (field.type == FieldType::Boolean) {
        const bool usually = field.defaultValue == Json(true);
        if (field.defaultValue.is_null()) {
            // Not said is a third answer: both can be.
            given->option = sub.app->add_flag("--" + name + ",!--no-" + name, given->flag, helpOf(field));
            sub.given.push_back(std::move(given));
            return;
        }
        if (usually) {
            given->flag = true;
            given->option =
                sub.app->add_flag("--" + name + ",!--no-" + name, given->flag, helpOf(field) + " Default: yes.");
        } else {
            given->option = sub.app->add_flag("--" + name, given->flag, helpOf(field));
        }
    } else if (field.type == FieldType::TextList && field.required) {
        given->option = sub.app->add_option(name, given->texts, helpOf(field))->required();
        given->option->type_name("TEXT");
    } else if (field.type == FieldType::TextList || field.type == FieldType::TextMap) {
        given->option = sub.app->add_option("--" + name, given->texts, helpOf(field))->expected(1)->take_all();
        given->option->type_name(field.type == FieldType::TextMap ? "NAME=VALUE" : "TEXT");
    } else {
        const bool positional = field.required || field.path == "folder" || field.path == "dataset";
        given->option = sub.app->add_option(positional ? name : "--" + name, given->text, helpOf(field));
        given->option->type_name(field.type == FieldType::Integer || field.type == FieldType::Number ? "NUMBER"
                                                                                                     : "TEXT");
        if (field.required) {
            given->option->required();
        }
    }
    sub.given.push_back(std::move(given));
}

Json parsedNumber(const std::string& text) {
    const Result<Json> parsed = base::parseJson(text);
    // What is no number goes on as text: validation names the field then.
    return parsed.ok() && parsed->is_number() ? *parsed : Json(text);
}

Json valueOf(const Given& given) {
    switch (given.field->type) {
    case FieldType::Boolean: return given.flag;
    case FieldType::TextList: return Json(given.texts);
    case FieldType::TextMap: {
        Json map = Json::object();
        for (const std::string& text : given.texts) {
            const std::size_t sign = text.find('=');
            map[text.substr(0, sign)] = sign == std::string::npos ? "" : text.substr(sign + 1);
        }
        return map;
    }
    case FieldType::Integer:
    case FieldType::Number: return parsedNumber(given.text);
    default: return given.text;
    }
}

void addSpecOptions(CLI::App& app, SpecSource& source) {
    app.add_option("--file,-f", source.file, "A run-spec document; - reads standard input.")->type_name("SPEC");
    app.add_option("--draft", source.draft, "A draft of the workspace to begin with (\"fashion-mnist\").")
        ->type_name("ID");
    app.add_option("--source", source.source, "The folder that travels to the target; the script is in it.")
        ->type_name("FOLDER");
    app.add_option("--script", source.script, "Runs this file of the source folder; what follows -- are its arguments.")
        ->type_name("FILE");
    app.add_option("--target", source.target, "Where: \"local\" or a target's name.")->type_name("NAME");
    app.add_option("--set", source.sets, "Sets one field: task.epochs=8. May be repeated.")
        ->type_name("PATH=VALUE")
        ->expected(1)
        ->take_all();
    app.footer(std::string(
                   "-- PROGRAM ARGUMENT...        At the end: a program to be run as it is, instead of training.\n\n") +
               kFooter);
}

void addTargetOptions(CLI::App& app, TargetSource& source, bool isNew) {
    if (isNew) {
        app.add_option("name", source.name, "The target's name.")->type_name("NAME");
        app.add_option("--kind", source.kind, "ssh, slurm or local.")->type_name("KIND");
    }
    app.add_option("--file,-f", source.file, "A compute-target document; - reads standard input.")->type_name("FILE");
    app.add_option("--host", source.hosts, "A host as given to ssh, in the order of the nodes. May be repeated.")
        ->type_name("HOST")
        ->expected(1)
        ->take_all();
    app.add_option("--set", source.sets, "Sets one field: work_folder=/scratch/me. May be repeated.")
        ->type_name("PATH=VALUE")
        ->expected(1)
        ->take_all();
}

void addEnvironmentOptions(CLI::App& app, TargetSource& source, bool isNew) {
    if (isNew) {
        app.add_option("name", source.name, "The environment's name.")->type_name("NAME");
    }
    app.add_option("--kind", source.kind, "venv, conda, container, interpreter, setup or engine.")->type_name("KIND");
    app.add_option("--file,-f", source.file, "An environment document; - reads standard input.")->type_name("FILE");
    app.add_option("--set", source.sets, "Sets one field: venv.requirements='[\"numpy\"]'. May be repeated.")
        ->type_name("PATH=VALUE")
        ->expected(1)
        ->take_all();
}

Result<Json> readDocument(const std::string& file) {
    std::string text;
    if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
        Result<std::string> read = base::readFile(file, kMostSpecBytes);
        if (!read.ok()) {
            return Error{"spec.file", read.error().message, "file"};
        }
        text = std::move(*read);
    }
    Result<Json> parsed = base::parseJson(text);
    if (!parsed.ok()) {
        return Error{parsed.error().code, file + ": " + parsed.error().message};
    }
    return parsed;
}

Status applySets(Json& document, const std::vector<std::string>& sets, const std::vector<Field>& fields) {
    for (const std::string& set : sets) {
        const std::size_t sign = set.find('=');
        if (sign == std::string::npos || sign == 0) {
            return Error{"spec.set", "--set needs PATH=VALUE, but got \"" + set + "\"."};
        }
        const std::string path = set.substr(0, sign);
        const std::string text = set.substr(sign + 1);
        const bool isText = std::any_of(fields.begin(), fields.end(), [&](const Field& field) {
            if (field.type == FieldType::TextMap) {
                return path.starts_with(field.path + ".");  // One value of a map: "tags.quality".
            }
            return field.path == path && field.type != FieldType::Integer && field.type != FieldType::Number &&
                   field.type != FieldType::Boolean && field.type != FieldType::TextList;
        });
        const Result<Json> value = base::parseJson(text);
        spec::setValueAt(document, path, isText || !value.ok() ? Json(text) : *value);
    }
    return {};
}

/// A folder of the command line is meant from where the command line is.
void makeAbsolute(Json& document, std::string_view path) {
    const Json* value = spec::valueAt(document, path);
    if (value == nullptr || !value->is_string() || value->get_ref<const std::string&>().empty()) {
        return;
    }
    std::error_code error;
    const base::Path absolute = std::filesystem::absolute(value->get<std::string>(), error).lexically_normal();
    if (!error) {
        const std::string text = absolute.string();
        spec::setValueAt(document, path,
                         text.size() > 1 && text.back() == '/' ? text.substr(0, text.size() - 1) : text);
    }
}

}  // namespace

bool takesRunSpec(const std::string& action) {
    return action == "run.submit" || action == "run.check" || action == "run.estimate" || action == "weights.match" ||
           action == "dataset.preview";
}

bool definesEnvironment(const std::string& action) {
    return action == "environment.create" || action == "environment.edit" || action == "environment.validate";
}

bool asksFirst(const std::string& action) {
    const commands::CommandInfo* info = commands::allCommands().find(action);
    return info != nullptr && info->destructive && action != "run.cancel";
}

namespace {

void addExtras(const std::string& id, CLI::App& app, Request& request) {
    if (takesRunSpec(id)) {
        addSpecOptions(app, request.spec);
    }
    if (id == "target.add" || id == "target.edit") {
        addTargetOptions(app, request.targetSource, id == "target.add");
    }
    if (definesEnvironment(id)) {
        addEnvironmentOptions(app, request.targetSource, id != "environment.edit");
    }
    if (id == "run.submit" || id == "run.resume" || id == "run.reproduce" || id == "run.cancel") {
        app.add_flag("--wait", request.wait, "Returns when the run has ended, with its outcome as exit code.");
    }
    if (id == "run.submit" || id == "run.resume" || id == "run.reproduce") {
        app.add_flag("--watch", request.log, "Like --wait, and prints the run's log as it is written.");
    }
    if (id == "run.watch") {
        app.add_flag("--log", request.log, "Prints the run's log as it is written.");
    }
    if (id == "run.logs") {
        app.add_flag("--follow", request.follow, "Goes on until the run has ended.");
    }
    if (asksFirst(id)) {
        app.add_flag("--yes,-y", request.yes, "Does not ask.");
    }
}

/// CLI11 says of an unknown word only that a subcommand is missing.
std::optional<std::string> unknownWord(const CLI::App& app, const std::vector<std::string>& words) {
    const CLI::App* at = &app;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--workspace" || word == "-w") {
            ++i;
            continue;
        }
        if (word.empty() || word.front() == '-') {
            continue;
        }
        const auto below = at->get_subcommands([](const CLI::App*) { return true; });
        const auto found =
            std::find_if(below.begin(), below.end(), [&](const CLI::App* sub) { return sub->get_name() == word; });
        if (found == below.end()) {
            return below.empty() ? std::nullopt : std::optional<std::string>(word);
        }
        at = *found;
    }
    return std::nullopt;
}

std::pair<std::string, std::string> splitId(const std::string& id) {
    const std::size_t dot = id.find('.');
    return {id.substr(0, dot), dot == std::string::npos ? "" : id.substr(dot + 1)};
}

/// Actions of the window alone, or of no use when every call opens the workspace anew.
bool isOffered(const std::string& id) { return id != "workspace.close" && id != "target.answer"; }

}  // namespace

std::variant<Request, Answer> parseCommandLine(int argc, const char* const* argv) {
    Request request;
    // What follows -- is the user's program and none of our options' business.
    std::vector<std::string> words(argv + 1, argv + argc);
    const auto dashes = std::find(words.begin(), words.end(), "--");
    const bool hasCommand = dashes != words.end();
    if (hasCommand) {
        request.spec.command.assign(dashes + 1, words.end());
        words.erase(dashes, words.end());
    }
    CLI::App app("Trainyard's actions on the command line.", "trainyard-cli");
    app.set_version_flag("--version", std::string("trainyard-cli " TRAINYARD_VERSION));
    app.footer(kFooter);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--workspace,-w", request.workspace,
                   "The workspace's folder; else $TRAINYARD_WORKSPACE, else the one opened last.");
    app.add_flag("--json", request.json, "Prints one JSON document instead of text.");
    app.add_flag("--quiet,-q", request.quiet, "Prints no progress and no hints.");

    std::map<std::string, CLI::App*> groups;
    std::vector<Subcommand> subcommands;
    for (const commands::CommandInfo* info : commands::allCommands().all()) {
        if (!isOffered(info->id)) {
            continue;
        }
        const auto [group, verb] = splitId(info->id);
        CLI::App*& parent = groups[group];
        if (parent == nullptr) {
            parent = app.add_subcommand(group, group == "run"           ? "Runs: start, look at, change."
                                               : group == "workspace"   ? "Workspaces: make, open, look at."
                                               : group == "target"      ? "Compute targets: define, examine, prepare."
                                               : group == "environment" ? "Environments: define, look at, take over."
                                               : group == "dataset"     ? "Data sets: add, look at, remove."
                                               : group == "weights"     ? "Pretrained weights: list, fetch, compare."
                                                                        : "Models: register, look at, export.");
            parent->require_subcommand(1);
            parent->fallthrough();
        }
        Subcommand sub;
        sub.info = info;
        sub.app = parent->add_subcommand(verb, info->help);
        sub.app->fallthrough();
        for (const Field& field : info->parameters) {
            addField(sub, field);
        }
        addExtras(info->id, *sub.app, request);
        subcommands.push_back(std::move(sub));
    }

    try {
        // CLI11 takes the words from the back.
        app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const CLI::ParseError& error) {
        if (const auto word = unknownWord(app, words); word && error.get_exit_code() != 0) {
            return Answer{kUsage, "", "There is no \"" + *word + "\" here.\nRun with --help for more information.\n"};
        }
        std::ostringstream out;
        std::ostringstream err;
        const int code = app.exit(error, out, err);
        return Answer{code == 0 ? kOk : kUsage, out.str(), err.str()};
    }
    for (const Subcommand& sub : subcommands) {
        if (!sub.app->parsed()) {
            continue;
        }
        request.action = sub.info->id;
        for (const auto& given : sub.given) {
            if (given->option->count() > 0) {
                spec::setValueAt(request.parameters, given->field->path, valueOf(*given));
            }
        }
    }
    if (request.action == "environment.save" || request.action == "environment.import") {
        makeAbsolute(request.parameters, "folder");
        makeAbsolute(request.parameters, "file");
    }
    if (request.action == "dataset.add" &&
        request.parameters.value("source", std::string()).find("://") == std::string::npos) {
        makeAbsolute(request.parameters, "source");
    }
    if (request.action == "dataset.preview") {
        makeAbsolute(request.parameters, "out");
    }
    if (hasCommand && (request.spec.command.empty() || !takesRunSpec(request.action))) {
        return Answer{kUsage, "",
                      request.spec.command.empty() ? "After -- a program is expected.\n"
                                                   : "Only \"run submit\" takes a program after --.\n"};
    }
    request.wait = request.wait || (request.log && request.action != "run.watch");
    request.log = request.log || (request.action == "run.wait" && !request.quiet);
    return request;
}

Result<Json> makeDocument(const SpecSource& source, const Json& base) {
    Json document = base.is_object() ? base : spec::defaultRunSpecDocument();
    if (!source.file.empty()) {
        Result<Json> read = readDocument(source.file);
        if (!read.ok()) {
            return read;
        }
        document = std::move(*read);
    }
    const bool isScript = !source.script.empty();
    if (isScript || !source.command.empty()) {
        if (source.file.empty()) {
            document = Json{{"format", spec::kRunSpecFormat}, {"version", spec::kRunSpecVersion}};
        }
        document["task"] = isScript
                               ? Json{{"kind", "command"}, {"script", source.script}, {"arguments", source.command}}
                               : Json{{"kind", "command"}, {"command", source.command}};
    }
    if (!source.source.empty() || isScript) {
        spec::setValueAt(document, "task.source_folder", source.source.empty() ? std::string(".") : source.source);
    }
    if (!source.target.empty()) {
        document["target"] = source.target;
    }
    TRAINYARD_TRY(applySets(document, source.sets, spec::runSpecFields()));
    makeAbsolute(document, "task.source_folder");
    return document;
}

namespace {

/// What the parts of a definition's source make together; `format` and `version` of an empty one.
Result<Json> defined(const TargetSource& source, const Json& base, const char* format, int version,
                     const std::vector<Field>& fields) {
    Json document = base.is_object() ? base : Json{{"format", format}, {"version", version}};
    if (!source.file.empty()) {
        Result<Json> read = readDocument(source.file);
        if (!read.ok()) {
            return read;
        }
        document = std::move(*read);
    }
    if (!document.is_object()) {
        return Error{"spec.type", "The document must be an object."};
    }
    if (!source.name.empty()) {
        document["name"] = source.name;
    }
    if (!source.kind.empty()) {
        document["kind"] = source.kind;
    }
    if (!source.hosts.empty()) {
        document["hosts"] = source.hosts;
    }
    TRAINYARD_TRY(applySets(document, source.sets, fields));
    return document;
}

}  // namespace

Result<Json> makeTargetDocument(const TargetSource& source, const Json& base) {
    return defined(source, base, spec::kTargetSpecFormat, spec::kTargetSpecVersion, spec::targetSpecFields());
}

Result<Json> makeEnvironmentDocument(const TargetSource& source, const Json& base) {
    return defined(source, base, spec::kEnvironmentSpecFormat, spec::kEnvironmentSpecVersion,
                   spec::environmentSpecFields());
}

int exitCodeOf(const Error& error) {
    const std::string& code = error.code;
    const auto begins = [&](const char* prefix) { return code.rfind(prefix, 0) == 0; };
    if (code == "store.run_unknown" || code == "store.run_ambiguous" || code == "store.model_unknown" ||
        code == "run.unknown" || code == "model.unknown" || code == "weights.unknown" || code == "run.no_model" ||
        code == "run.output_unknown" || code == "target.unknown" || code == "environment.unknown" ||
        code == "dataset.unknown" || code == "snapshot.none") {
        return kNotFound;
    }
    // What is wrong with a definition names its field; the rest of environment.* is an action that failed.
    const bool definition = begins("environment.") && !error.field.empty() && code != "environment.exists" &&
                            code != "environment.in_use" && code != "environment.reserved";
    if (begins("spec.") || begins("format.") || begins("json.") || definition) {
        return kInvalidSpec;
    }
    if (begins("workspace.") || begins("store.")) {
        return code == "store.filter" || code == "store.regex" || code == "store.page" ? kUsage : kWorkspaceTrouble;
    }
    return code == "command.unknown" ? kUsage : kActionFailed;
}

}  // namespace trainyard::cli
