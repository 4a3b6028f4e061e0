// environment.*: define what runs find installed, look at it, compare versions, take over other programs' definitions.
#include <algorithm>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "core/commands/EnvironmentJson.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/commands/TargetJson.h"
#include "core/environments/Curated.h"
#include "core/environments/EnvironmentReader.h"
#include "core/environments/EnvironmentWriter.h"
#include "core/runs/RunService.h"
#include "core/spec/RunSpec.h"
#include "core/store/Writer.h"

namespace trainyard::commands {
namespace {

constexpr std::int64_t kMostFileBytes = 1 << 20;
constexpr const char* kLocal = "local";

using Uses = std::map<std::string, EnvironmentUse>;

EnvironmentUse useOf(const Uses& uses, const std::string& name) {
    const auto found = uses.find(name);
    return found == uses.end() ? EnvironmentUse{} : found->second;
}

/// An action on one environment, by NAME or NAME:VERSION.
class EnvironmentCommand : public Command {
public:
    using Command::Command;

protected:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        auto found = runs::readEnvironment(layout(), reader.string("environment"));
        if (!found.ok()) {
            finish(found.error());
            return;
        }
        runOn(*found, parameters);
    }
    virtual void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) = 0;

    [[nodiscard]] const wire::WorkspaceLayout& layout() const { return session().workspace().layout; }

    /// Writes the next version and tells everybody.
    void write(const spec::EnvironmentSpec& spec, bool created, Json extra = Json::object()) {
        session().write(
            nullptr,
            [layout = layout(), spec](store::Writer&) -> Result<runs::EnvironmentDefinition> {
                const auto written = runs::writeEnvironment(layout, spec);
                return written.ok() ? runs::readEnvironment(layout, spec.name) : written.error();
            },
            [&session = session(),
             tell = ifWanted([this, created, extra = std::move(extra)](const Result<runs::EnvironmentDefinition>& now) {
                 if (!now.ok()) {
                     finish(now.error());
                     return;
                 }
                 Json result = environmentJson(*now);
                 result["created"] = created;
                 result.update(extra);
                 finish(std::move(result));
             })](const Result<runs::EnvironmentDefinition>& now) {
                if (now.ok()) {
                    session.noteEnvironmentsChanged();
                }
                tell(now);
            });
    }
    /// "environment.exists" when there is one of this name, and so on for what cannot be made.
    [[nodiscard]] Status mayBeNew(const std::string& name) const {
        const auto there = runs::readEnvironment(layout(), name);
        if (there.ok()) {
            return Error{"environment.exists",
                         "There is an environment \"" + name + "\" already; edit it, or choose another name.", "name"};
        }
        return there.error().code == "environment.unknown"
                   ? Status{}
                   : Status(Error{there.error().code, there.error().message, "name"});
    }
};

class ListEnvironmentsCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json&) override {
        session().query(
            this, QStringLiteral("list"),
            [layout = session().workspace().layout](store::Reader& index) { return listed(index, layout); },
            ifWanted([this](const Result<Json>& list) { finish(list); }));
    }

    /// In a reader's thread: a small file for each of them is read.
    static Result<Json> listed(store::Reader& index, const wire::WorkspaceLayout& layout) {
        const auto uses = environmentUses(index);
        if (!uses.ok()) {
            return uses.error();
        }
        std::vector<Error> problems;
        Json environments = Json::array();
        for (const runs::EnvironmentDefinition& definition : runs::readEnvironments(layout, &problems)) {
            Json row = environmentJson(definition);
            EnvironmentUse use = useOf(*uses, definition.spec.name);
            row["runs_active"] = use.active;
            row["runs"] = use.runs;
            row["last_used"] = std::move(use.last);
            environments.push_back(std::move(row));
        }
        Json wrong = Json::array();
        for (const Error& problem : problems) {
            wrong.push_back({{"code", problem.code}, {"message", problem.message}});
        }
        return Json{{"environments", std::move(environments)}, {"problems", std::move(wrong)}};
    }
};

class ShowEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json&) override {
        m_answer = environmentJson(definition);
        m_answer["spec"] = spec::toJson(definition.spec);
        Json files = Json::array();
        for (const auto& [name, text] : environments::definitionFiles(definition.spec)) {
            files.push_back({{"name", name}, {"text", text}});
        }
        m_answer["files"] = std::move(files);
        session().query(
            this, QStringLiteral("use"),
            [name = definition.spec.name](store::Reader& index) -> Result<Json> {
                const auto uses = environmentUses(index);
                if (!uses.ok()) {
                    return uses.error();
                }
                auto realised = realisedWhere(index, name);
                if (!realised.ok()) {
                    return realised.error();
                }
                EnvironmentUse use = useOf(*uses, name);
                return Json{{"runs_active", use.active},
                            {"runs", use.runs},
                            {"last_used", std::move(use.last)},
                            {"realised", std::move(*realised)}};
            },
            ifWanted([this](const Result<Json>& use) {
                if (!use.ok()) {
                    finish(use.error());
                    return;
                }
                m_answer.update(*use);
                finish(m_answer);
            }));
    }

    Json m_answer;
};

class CreateEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void run(const Json& parameters) override {
        const auto spec = spec::environmentSpecFromJson(parameters.at("spec"));
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        // A reserved name is refused as such, whether one of that name comes with the program or not.
        const Status fresh = environments::hasCuratedName(spec->name) ? Status{} : mayBeNew(spec->name);
        if (!fresh.ok()) {
            finish(fresh.error());
            return;
        }
        write(*spec, true);
    }
    void runOn(const runs::EnvironmentDefinition&, const Json&) override {}
};

class EditEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) override {
        if (definition.curated) {
            finish(
                Error{"environment.reserved",
                      definition.spec.name + " comes with Trainyard and is not changed; clone it under another name.",
                      "environment"});
            return;
        }
        Json document = parameters.at("spec");
        document["name"] = definition.spec.name;
        const auto spec = spec::environmentSpecFromJson(document);
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        const auto newest = runs::readEnvironment(layout(), definition.spec.name);
        if (newest.ok() && spec::toJson(newest->spec) == spec::toJson(*spec)) {
            Json result = environmentJson(*newest);
            result["created"] = false;
            finish(std::move(result));
            return;
        }
        write(*spec, true);
    }
};

class CloneEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        spec::EnvironmentSpec copy = definition.spec;
        copy.name = reader.string("name");
        if (!environments::hasCuratedName(copy.name)) {
            if (const Status fresh = mayBeNew(copy.name); !fresh.ok()) {
                finish(fresh.error());
                return;
            }
        }
        // Nobody has looked at what the copy becomes.
        copy.label.clear();
        write(copy, true);
    }
};

class DeleteEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string name = reader.string("environment");
        if (name.find(':') != std::string::npos) {
            finish(Error{"environment.version",
                         "One version alone cannot be deleted: runs name it. Name the environment.", "environment"});
            return;
        }
        session().query(
            this, QStringLiteral("uses"), [](store::Reader& index) { return environmentUses(index); },
            ifWanted([this, name](const Result<Uses>& uses) {
                if (!uses.ok()) {
                    finish(uses.error());
                    return;
                }
                const EnvironmentUse use = useOf(*uses, name);
                if (use.active > 0) {
                    finish(Error{"environment.in_use",
                                 std::to_string(use.active) + (use.active == 1 ? " run uses" : " runs use") +
                                     " the environment " + name + "; wait for them or cancel them first.",
                                 "environment"});
                    return;
                }
                removeNow(name, use.runs);
            }));
    }
    void removeNow(const std::string& name, std::int64_t runs) {
        session().write(
            nullptr, [layout = layout(), name](store::Writer&) { return runs::removeEnvironment(layout, name); },
            [&session = session(),
             tell = ifWanted([this, name, runs](const Status& removed) {
                 finish(removed.ok() ? Result<Json>(Json{{"environment", name}, {"runs", runs}}) : removed.error());
             })](const Status& removed) {
                if (removed.ok()) {
                    session.noteEnvironmentsChanged();
                }
                tell(removed);
            });
    }
    void runOn(const runs::EnvironmentDefinition&, const Json&) override {}
};

class DiffEnvironmentsCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        std::string with = reader.string("with");
        // Without another one: what the version changed.
        if (with.empty()) {
            const auto at = std::ranges::find(definition.versions, definition.version);
            if (at == definition.versions.begin()) {
                finish(Error{"environment.unknown",
                             definition.pinned() + " has no version before it; name another to compare with.", "with"});
                return;
            }
            compare(definition.spec.name + ":" + std::to_string(*(at - 1)), definition.pinned());
            return;
        }
        compare(definition.pinned(), with);
    }

    void compare(const std::string& first, const std::string& second) {
        const auto left = runs::readEnvironment(layout(), first);
        const auto right = runs::readEnvironment(layout(), second);
        if (!left.ok() || !right.ok()) {
            finish(!left.ok() ? left.error() : Error{right.error().code, right.error().message, "with"});
            return;
        }
        Json leftDocument = spec::toJson(left->spec);
        Json rightDocument = spec::toJson(right->spec);
        leftDocument.erase("name");
        rightDocument.erase("name");
        Json list = Json::array();
        for (const spec::Difference& one : spec::differences(leftDocument, rightDocument)) {
            list.push_back({{"path", one.path}, {"left", one.left}, {"right", one.right}});
        }
        finish(Json{{"left", left->pinned()}, {"right", right->pinned()}, {"differences", std::move(list)}});
    }
};

class SaveEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const base::Path folder = reader.string("folder");
        const bool overwrite = reader.boolean("overwrite");
        if (!folder.is_absolute()) {
            finish(Error{"spec.path", "The folder must be an absolute path.", "folder"});
            return;
        }
        const auto files = environments::definitionFiles(definition.spec);
        std::error_code none;
        for (const auto& [name, text] : files) {
            if (!overwrite && std::filesystem::exists(folder / name, none)) {
                finish(Error{"file.exists",
                             (folder / name).string() + " is there already; choose another folder, or overwrite it.",
                             "folder"});
                return;
            }
        }
        Status status = base::makeDirs(folder);
        Json names = Json::array();
        for (const auto& [name, text] : files) {
            if (status.ok()) {
                status = base::writeFileAtomically(folder / name, text, 0644);
            }
            names.push_back(name);
        }
        if (!status.ok()) {
            finish(Error{status.error().code, status.error().message, "folder"});
            return;
        }
        finish(Json{{"environment", definition.pinned()}, {"folder", folder.string()}, {"files", std::move(names)}});
    }
};

class ImportEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string name = reader.string("name");
        const bool keep = reader.boolean("keep");
        const auto imported = read(reader, name);
        if (!imported.ok()) {
            finish(imported.error());
            return;
        }
        const auto spec = spec::environmentSpecFromJson(imported->document);
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        if (!keep) {
            finish(Json{{"spec", imported->document}, {"notes", imported->notes}});
            return;
        }
        if (const Status fresh = environments::hasCuratedName(spec->name) ? Status{} : mayBeNew(spec->name);
            !fresh.ok()) {
            finish(fresh.error());
            return;
        }
        write(*spec, true, Json{{"spec", imported->document}, {"notes", imported->notes}});
    }
    void runOn(const runs::EnvironmentDefinition&, const Json&) override {}

    static Result<environments::Imported> read(base::ObjectReader& reader, const std::string& name) {
        const std::string image = reader.string("image");
        const base::Path file = reader.string("file");
        std::string from = reader.string("from");
        std::string text = reader.string("text");
        if ((image.empty() ? 0 : 1) + (file.empty() ? 0 : 1) + (text.empty() ? 0 : 1) != 1) {
            return Error{"spec.required", "Name one of: a file, an image, a text.", "file"};
        }
        if (!image.empty()) {
            return environments::importImage(image, name);
        }
        if (!file.empty()) {
            auto bytes = base::readFile(file, kMostFileBytes);
            if (!bytes.ok()) {
                return Error{bytes.error().code, bytes.error().message, "file"};
            }
            text = std::move(*bytes);
            from = from.empty() ? environments::kindOfFile(file.string()) : from;
        }
        if (from == "conda") return environments::importConda(text, name);
        if (from == "containerfile") return environments::importContainerfile(text, name);
        if (from == "definition") return environments::importDefinition(text, name);
        if (from == "requirements") {
            return environments::importRequirements(
                text, name,
                [folder = file.parent_path(), hasFile = !file.empty()](const std::string& path) -> Result<std::string> {
                    if (!hasFile) {
                        return Error{
                            "environment.option",
                            "another file is named, and there is no folder to look for it in; import the file itself."};
                    }
                    return base::readFile(folder / path, kMostFileBytes);
                });
        }
        return Error{
            "spec.choice",
            "The file's name does not say what it is; say it: conda, requirements, containerfile or definition.",
            "from"};
    }
};

/// environment.check: a definition against what the doctor of a target found last.
class CheckEnvironmentCommand final : public EnvironmentCommand {
public:
    using EnvironmentCommand::EnvironmentCommand;

private:
    void runOn(const runs::EnvironmentDefinition& definition, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string target = reader.string("target");
        if (const auto known = runs::readTarget(layout(), target); !known.ok()) {
            finish(known.error());
            return;
        }
        const environments::TargetFacts facts = runs::targetFacts(layout(), target);
        finish(Json{{"environment", definition.pinned()},
                    {"target", target},
                    {"findings", findingsJson(environments::checkEnvironment(definition.spec, facts))},
                    {"plan", planJson(definition.spec, definition.version, facts)}});
    }
};

/// environment.validate: a definition that is being written.
class ValidateEnvironmentCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const Json& document = parameters.at("spec");
        const std::string target = reader.string("target");
        Json errors = Json::array();
        for (const Error& error : spec::validateEnvironmentSpec(document)) {
            errors.push_back({{"code", error.code}, {"message", error.message}, {"field", error.field}});
        }
        Json answer{{"errors", errors}, {"findings", Json::array()}, {"plan", nullptr}, {"files", Json::array()}};
        if (const auto spec = spec::environmentSpecFromJson(document); spec.ok()) {
            const environments::TargetFacts facts = runs::targetFacts(session().workspace().layout, target);
            answer["findings"] = findingsJson(environments::checkEnvironment(*spec, facts));
            answer["plan"] = planJson(*spec, 0, facts);
            for (const auto& [name, text] : environments::definitionFiles(*spec)) {
                answer["files"].push_back({{"name", name}, {"text", text}});
            }
        }
        finish(std::move(answer));
    }
};

/// environment.cache and environment.clear: what a target has built.
class EnvironmentCacheCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_target = reader.string("target");
        m_keys = reader.strings("keys");
        const bool clears = info().id == "environment.clear";
        m_ticket = session().runs().cache(
            m_target, ifWanted([this, clears](const Result<std::vector<targets::CacheEntry>>& entries) {
                m_ticket.reset();
                if (!entries.ok()) {
                    finish(entries.error());
                    return;
                }
                std::vector<targets::CacheEntry> ours;
                std::ranges::copy_if(*entries, std::back_inserter(ours),
                                     [](const targets::CacheEntry& entry) { return entry.kind == "environment"; });
                if (clears) {
                    clear(std::move(ours));
                } else {
                    list(ours);
                }
            }));
    }

    void list(const std::vector<targets::CacheEntry>& entries) {
        session().query(
            this, QStringLiteral("names"),
            [layout = session().workspace().layout, target = m_target](
                store::Reader&) -> Result<std::map<std::string, std::string>> { return namesOfBuilds(layout, target); },
            ifWanted([this, entries](const Result<std::map<std::string, std::string>>& names) {
                if (!names.ok()) {
                    finish(names.error());
                    return;
                }
                Json list = Json::array();
                std::int64_t bytes = 0;
                for (const targets::CacheEntry& entry : entries) {
                    Json one = cacheEntryJson(entry);
                    const auto name = names->find(entry.key);
                    one["environment"] = name == names->end() ? Json() : Json(name->second);
                    list.push_back(std::move(one));
                    bytes += entry.bytes;
                }
                finish(Json{{"target", m_target}, {"entries", std::move(list)}, {"bytes", bytes}});
            }));
    }

    /// By hash: what the definitions here would build there. In a reader's thread.
    static std::map<std::string, std::string> namesOfBuilds(const wire::WorkspaceLayout& layout,
                                                            const std::string& target) {
        std::map<std::string, std::string> names;
        const environments::TargetFacts facts = runs::targetFacts(layout, target);
        for (const runs::EnvironmentDefinition& definition : runs::readEnvironments(layout)) {
            for (const int version : definition.versions) {
                const std::string pinned = definition.spec.name + ":" + std::to_string(version);
                const auto one = runs::readEnvironment(layout, pinned);
                const auto plan = one.ok() ? environments::planEnvironment(one->spec, version, facts)
                                           : Result<wire::PlanEnvironment>(one.error());
                if (plan.ok() && !plan->hash.empty()) {
                    names[plan->hash] = pinned;
                }
            }
        }
        return names;
    }

    void clear(std::vector<targets::CacheEntry> entries) {
        std::erase_if(entries, [this](const targets::CacheEntry& entry) {
            return entry.inUse || (!m_keys.empty() && std::ranges::find(m_keys, entry.key) == m_keys.end());
        });
        const std::size_t count = entries.size();
        if (count == 0) {
            finish(Json{{"target", m_target}, {"entries", 0}, {"freed_bytes", 0}});
            return;
        }
        m_ticket = session().runs().clearCache(
            m_target, std::move(entries), ifWanted([this, count](const Result<std::int64_t>& freed) {
                m_ticket.reset();
                finish(freed.ok()
                           ? Result<Json>(Json{{"target", m_target}, {"entries", count}, {"freed_bytes", *freed}})
                           : freed.error());
            }));
    }

    void abort() override {
        if (m_ticket) {
            session().runs().stop(*m_ticket);
        } else {
            Command::abort();
        }
    }

    std::string m_target;
    std::vector<std::string> m_keys;
    std::optional<runs::Ticket> m_ticket;
};

spec::Field environmentField() {
    return parameter("environment", "Environment", spec::FieldType::Text, Json(),
                     "Its name; NAME:VERSION for one that is not the newest.", true);
}

CommandInfo environmentInfo(const char* id, const char* title, const char* help, std::vector<spec::Field> parameters,
                            bool writes) {
    CommandInfo made;
    made.id = id;
    made.title = title;
    made.help = help;
    made.parameters = std::move(parameters);
    made.writes = writes;
    return made;
}

}  // namespace

void addEnvironmentCommands(CommandTable& table) {
    using spec::FieldType;
    const spec::Field target =
        parameter("target", "Target", FieldType::Text, kLocal, "What the doctor found there last counts.");
    const spec::Field cacheTarget = parameter("target", "Target", FieldType::Text, Json(), "The target's name.", true);
    table.add<ListEnvironmentsCommand>(environmentInfo(
        "environment.list", "List environments", "Lists what runs can find installed, with its last use.", {}, false));
    table.add<ShowEnvironmentCommand>(environmentInfo(
        "environment.show", "Show environment", "Shows what is in an environment, and where it was realised last.",
        {environmentField()}, false));
    CommandInfo create =
        environmentInfo("environment.create", "Create environment", "Defines an environment.", {}, true);
    create.documents = {"spec"};
    table.add<CreateEnvironmentCommand>(std::move(create));
    CommandInfo edit = environmentInfo("environment.edit", "Edit environment",
                                       "Makes a new version of an environment; runs keep the version that they used.",
                                       {environmentField()}, true);
    edit.documents = {"spec"};
    table.add<EditEnvironmentCommand>(std::move(edit));
    table.add<CloneEnvironmentCommand>(environmentInfo(
        "environment.clone", "Clone environment", "Copies an environment under a new name, to change it.",
        {environmentField(), parameter("name", "New name", FieldType::Text, Json(), "The copy's name.", true)}, true));
    CommandInfo remove = environmentInfo("environment.delete", "Delete environment",
                                         "Removes an environment with all its versions; refused while runs use it.",
                                         {environmentField()}, true);
    remove.destructive = true;
    table.add<DeleteEnvironmentCommand>(std::move(remove));
    table.add<DiffEnvironmentsCommand>(environmentInfo(
        "environment.diff", "Compare environments", "What differs between two versions or two environments.",
        {environmentField(), parameter("with", "With", FieldType::Text, "", "Another one; empty: the version before.")},
        false));
    spec::Field folder = parameter("folder", "Folder", FieldType::Text, Json(), "Where its files are written.", true);
    table.add<SaveEnvironmentCommand>(environmentInfo(
        "environment.save", "Save to folder",
        "Writes an environment's definition: JSON and conda YAML, requirements or Containerfile.",
        {environmentField(), folder,
         parameter("overwrite", "Overwrite", FieldType::Boolean, false, "Replaces files that are there.")},
        false));
    spec::Field from =
        parameter("from", "Kind of file", FieldType::Choice, "", "What the file is; empty: by its name.");
    from.choices = {{"", "By its name"},
                    {"conda", "Conda YAML"},
                    {"requirements", "requirements.txt"},
                    {"containerfile", "Containerfile"},
                    {"definition", "Trainyard's JSON"}};
    spec::Field text =
        parameter("text", "Text", FieldType::MultilineText, "", "The file's content, instead of a file.");
    text.maxLength = static_cast<int>(kMostFileBytes);
    table.add<ImportEnvironmentCommand>(environmentInfo(
        "environment.import", "Import environment",
        "Makes an environment from another program's file, or from an image's name.",
        {parameter("name", "Name", FieldType::Text, "", "Empty: the file's own, where it has one."),
         parameter("file", "File", FieldType::Text, "",
                   "environment.yml, requirements.txt, Containerfile, or Trainyard's JSON."),
         from, parameter("image", "Image", FieldType::Text, "", "A container image's name, instead of a file."), text,
         parameter("keep", "Keep", FieldType::Boolean, true, "No only shows what it would become.")},
        true));
    table.add<CheckEnvironmentCommand>(environmentInfo(
        "environment.check", "Check environment",
        "What an environment lacks on a target, and what would be built there.", {environmentField(), target}, false));
    CommandInfo validate = environmentInfo("environment.validate", "Validate environment",
                                           "What is wrong with a definition, before it is kept.", {target}, false);
    validate.documents = {"spec"};
    table.add<ValidateEnvironmentCommand>(std::move(validate));
    table.add<EnvironmentCacheCommand>(environmentInfo("environment.cache", "Show built environments",
                                                       "Lists what a target has built, with size and last use.",
                                                       {cacheTarget}, false));
    CommandInfo clear = environmentInfo(
        "environment.clear", "Clear built environments", "Removes from a target what it has built and no run uses.",
        {cacheTarget, parameter("keys", "Keys", FieldType::TextList, Json::array(), "Only those of these hashes.")},
        true);
    clear.destructive = true;
    table.add<EnvironmentCacheCommand>(std::move(clear));
}

}  // namespace trainyard::commands
