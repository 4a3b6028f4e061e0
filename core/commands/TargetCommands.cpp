// target.*: define compute targets, look at them, prepare them.
#include <QTimer>
#include <algorithm>
#include <map>
#include <utility>

#include "core/base/Clock.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/commands/TargetJson.h"
#include "core/runs/RunService.h"
#include "core/runs/TargetBook.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"

namespace trainyard::commands {
namespace {

constexpr int kWaitPauseMillis = 1000;

enum class WriteWay {
    Replace,      ///< The next version, whatever is there.
    New,          ///< "target.exists" when there is one of that name.
    GetOrCreate,  ///< What is there and equal is taken: Azure's way. "target.differs" otherwise.
};

struct Written {
    runs::TargetDefinition target;
    bool created = true;
};

Result<Written> writeNow(const wire::WorkspaceLayout& layout, const spec::TargetSpec& spec, WriteWay way) {
    if (way != WriteWay::Replace) {
        auto there = runs::readTarget(layout, spec.name);
        if (!there.ok() && there.error().code != "target.unknown") {
            return there.error();
        }
        if (there.ok() && there->version > 0) {
            spec::TargetSpec present = there->spec;
            present.disabled = spec.disabled;
            if (way == WriteWay::New) {
                return Error{"target.exists",
                             "There is a target \"" + spec.name + "\" already; edit it, or choose another name.",
                             "name"};
            }
            if (spec::toJson(present) != spec::toJson(spec)) {
                return Error{"target.differs",
                             "The target \"" + spec.name +
                                 "\" is there, but defined otherwise; edit it, or choose another name.",
                             "name"};
            }
            return Written{std::move(*there), false};
        }
    }
    if (const auto written = runs::writeTarget(layout, spec); !written.ok()) {
        return written.error();
    }
    auto now = runs::readTarget(layout, spec.name);
    return now.ok() ? Result<Written>(Written{std::move(*now), true}) : now.error();
}

/// Writes a definition in the store thread and tells everybody, also when whoever asked is gone meanwhile.
void writeDefinition(Session& session, const spec::TargetSpec& spec, WriteWay way,
                     std::function<void(const Result<Written>&)> done) {
    session.write(
        nullptr,
        [layout = session.workspace().layout, spec, way](store::Writer&) { return writeNow(layout, spec, way); },
        [&session, name = spec.name, done = std::move(done)](const Result<Written>& written) {
            if (written.ok() && written->created && session.isOpen()) {
                session.runs().targetChanged(name);
                session.noteTargetsChanged();
            }
            done(written);
        });
}

/// An action on one target, by its name.
class TargetCommand : public Command {
public:
    using Command::Command;

protected:
    void run(const Json& parameters) final {
        base::ObjectReader reader(parameters, "");
        session().query(
            this, QStringLiteral("definition"),
            [layout = session().workspace().layout, name = reader.string("target")](store::Reader&) {
                return runs::readTarget(layout, name);
            },
            ifWanted([this, parameters](const Result<runs::TargetDefinition>& found) {
                if (found.ok()) {
                    runOn(*found, parameters);
                } else {
                    finish(found.error());
                }
            }));
    }
    virtual void runOn(const runs::TargetDefinition& target, const Json& parameters) = 0;

    [[nodiscard]] runs::RunService& service() const { return session().runs(); }
    [[nodiscard]] Json shown(const runs::TargetDefinition& target) const {
        return targetJson(target, service().reach(target.spec.name));
    }

    /// Writes a definition that is different from the present one, and tells everybody.
    void write(const spec::TargetSpec& spec, WriteWay way = WriteWay::Replace) {
        writeDefinition(session(), spec, way, ifWanted([this](const Result<Written>& written) {
                            if (written.ok()) {
                                finish(shown(written->target));
                            } else {
                                finish(written.error());
                            }
                        }));
    }
};

class ListTargetsCommand final : public Command {
public:
    using Command::Command;

private:
    struct Found {
        std::vector<runs::TargetDefinition> targets;
        std::vector<Error> problems;
        std::map<std::string, std::int64_t> active;
    };

    void run(const Json&) override {
        session().query(
            this, QStringLiteral("targets"),
            [layout = session().workspace().layout](store::Reader& index) -> Result<Found> {
                auto active = index.activeByTarget();
                if (!active.ok()) {
                    return active.error();
                }
                Found found;
                found.active = std::move(*active);
                found.targets = runs::readTargets(layout, &found.problems);
                return found;
            },
            ifWanted([this](const Result<Found>& found) {
                if (!found.ok()) {
                    finish(found.error());
                    return;
                }
                Json targets = Json::array();
                for (const runs::TargetDefinition& target : found->targets) {
                    Json row = targetJson(target, session().runs().reach(target.spec.name));
                    const auto count = found->active.find(target.spec.name);
                    row["runs_active"] = count == found->active.end() ? 0 : count->second;
                    row.erase("spec");
                    row.erase("doctor");
                    targets.push_back(std::move(row));
                }
                Json wrong = Json::array();
                for (const Error& problem : found->problems) {
                    wrong.push_back({{"code", problem.code}, {"message", problem.message}});
                }
                finish(Json{{"targets", std::move(targets)}, {"problems", std::move(wrong)}});
            }));
    }
};

class ShowTargetCommand final : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        session().query(
            this, QStringLiteral("active"), [](store::Reader& index) { return index.activeByTarget(); },
            ifWanted([this, target](const Result<std::map<std::string, std::int64_t>>& active) {
                if (!active.ok()) {
                    finish(active.error());
                    return;
                }
                Json result = shown(target);
                const auto count = active->find(target.spec.name);
                result["runs_active"] = count == active->end() ? 0 : count->second;
                finish(std::move(result));
            }));
    }
};

/// The parts of a definition that a command line gives one by one, put into a document.
Json documentOf(const Json& parameters, Json document) {
    for (const spec::Field& field : spec::targetSpecFields()) {
        if (const Json* value = spec::valueAt(parameters, "spec." + field.path); value != nullptr) {
            spec::setValueAt(document, field.path, *value);
        }
    }
    if (const Json* hosts = spec::valueAt(parameters, "spec.hosts"); hosts != nullptr) {
        document["hosts"] = *hosts;
    }
    return document;
}

/// Azure's "get or create": what is there and equal is taken.
class AddCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const bool getOrCreate = reader.boolean("get_or_create");
        auto spec = spec::targetSpecFromJson(parameters.at("spec"));
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        writeDefinition(session(), *spec, getOrCreate ? WriteWay::GetOrCreate : WriteWay::New,
                        ifWanted([this](const Result<Written>& written) {
                            if (!written.ok()) {
                                finish(written.error());
                                return;
                            }
                            Json result =
                                targetJson(written->target, session().runs().reach(written->target.spec.name));
                            result["created"] = written->created;
                            finish(std::move(result));
                        }));
    }
};

class EditCommand final : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json& parameters) override {
        Json document = documentOf(parameters, spec::toJson(target.spec));
        document["name"] = target.spec.name;
        auto spec = spec::targetSpecFromJson(document);
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        if (target.version > 0 && spec::toJson(*spec) == spec::toJson(target.spec)) {
            finish(shown(target));
            return;
        }
        write(*spec);
    }
};

class CloneCommand final : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        spec::TargetSpec copy = target.spec;
        copy.name = reader.string("name");
        if (copy.kind == spec::TargetKind::Local) {
            finish(Error{"target.local", "This machine is one target and cannot be cloned.", "target"});
            return;
        }
        write(copy, WriteWay::New);
    }
};

class EnableCommand final : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        const bool disabled = info().id == "target.disable";
        if (target.spec.disabled == disabled) {
            finish(shown(target));
            return;
        }
        spec::TargetSpec changed = target.spec;
        changed.disabled = disabled;
        write(changed);
    }
};

class DeleteTargetCommand final : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        const std::string name = target.spec.name;
        if (target.version == 0) {
            finish(Error{"target.local", "This machine is always there and cannot be deleted.", "target"});
            return;
        }
        session().query(
            this, QStringLiteral("active"), [](store::Reader& index) { return index.activeByTarget(); },
            ifWanted([this, name](const Result<std::map<std::string, std::int64_t>>& active) {
                if (!active.ok()) {
                    finish(active.error());
                    return;
                }
                if (const auto count = active->find(name); count != active->end()) {
                    finish(Error{"target.in_use",
                                 std::to_string(count->second) + (count->second == 1 ? " run uses" : " runs use") +
                                     " the target " + name + "; wait for them or cancel them first.",
                                 "target"});
                    return;
                }
                removeNow(name);
            }));
    }
    void removeNow(const std::string& name) {
        session().write(
            nullptr,
            [layout = session().workspace().layout, name](store::Writer&) { return runs::removeTarget(layout, name); },
            [&session = session(), name,
             tell = ifWanted([this, name](const Status& removed) {
                 finish(removed.ok() ? Result<Json>(Json{{"target", name}}) : removed.error());
             })](const Status& removed) {
                if (removed.ok() && session.isOpen()) {
                    session.runs().targetChanged(name);
                    session.noteTargetsChanged();
                }
                tell(removed);
            });
    }
};

/// An action that the store thread carries out on a target and that can be stopped.
class TicketCommand : public TargetCommand {
public:
    using TargetCommand::TargetCommand;

protected:
    void begun(runs::Ticket ticket) { m_ticket = ticket; }
    void ended() { m_ticket.reset(); }
    void abort() override {
        if (m_ticket) {
            service().stop(*m_ticket);
        } else {
            finish(Error{"canceled", "Canceled."});
        }
    }
    template <class T, class F>
    auto answer(F toJson) {
        return ifWanted([this, toJson](const Result<T>& result) {
            m_ticket.reset();
            if (result.ok()) {
                finish(toJson(*result));
            } else {
                finish(result.error());
            }
        });
    }

private:
    std::optional<runs::Ticket> m_ticket;
};

/// Connects, again and again until it is ready or the time is over: Azure's wait_for_completion.
class WaitCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_target = target.spec.name;
        m_deadline = base::Deadline::inMillis(reader.integer("seconds") * 1000);
        tryNow();
    }
    void tryNow() {
        begun(service().connectTarget(
            m_target, ifWanted([this](const Status& connected) {
                if (connected.ok()) {
                    finish(Json{{"target", m_target}, {"reach", reachJson(service().reach(m_target))}});
                    return;
                }
                const bool mayGetBetter =
                    connected.error().code == "target.unreachable" || connected.error().code == "target.deadline";
                if (!mayGetBetter || m_deadline.passed()) {
                    finish(connected.error());
                    return;
                }
                reportProgress({-1, connected.error().message, {}});
                QTimer::singleShot(kWaitPauseMillis, this, ifWanted([this] { tryNow(); }));
            })));
    }
    void abort() override { finish(Error{"canceled", "Waiting was canceled."}); }

    std::string m_target;
    base::Deadline m_deadline = base::Deadline::inMillis(0);
};

class DoctorCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        const std::string name = target.spec.name;
        begun(service().doctor(name, ifWanted([this](const targets::DoctorLine& line) {
                                   reportProgress({-1, line.title, doctorLineJson(line)});
                               }),
                               ifWanted([this, name](const Result<std::vector<targets::DoctorLine>>& lines) {
                                   ended();
                                   if (lines.ok()) {
                                       keep(name, *lines);
                                   } else {
                                       finish(lines.error());
                                   }
                               })));
    }

    /// What was found is kept with the definition; that it cannot be is part of the answer.
    void keep(const std::string& name, const std::vector<targets::DoctorLine>& lines) {
        Json list = Json::array();
        for (const targets::DoctorLine& line : lines) {
            list.push_back(doctorLineJson(line));
        }
        const Json found{{"t", base::wallMicros()}, {"lines", std::move(list)}};
        Json result = found;
        const Json counts = doctorSummary(found);
        const auto any = [&](const char* finding) { return counts[finding].get<std::int64_t>() > 0; };
        result["target"] = name;
        result["worst"] = any("failure") ? "failure" : any("warning") ? "warning" : any("unknown") ? "unknown" : "ok";
        if (session().workspace().readOnly) {
            finish(std::move(result));
            return;
        }
        session().write(
            nullptr,
            [layout = session().workspace().layout, name, found](store::Writer&) {
                return runs::writeTargetDoctor(layout, name, found);
            },
            [&session = session(), tell = ifWanted([this, result](const Status& kept) {
                                       Json told = result;
                                       if (!kept.ok()) {
                                           told["not_kept"] = kept.error().message;
                                       }
                                       finish(std::move(told));
                                   })](const Status& kept) {
                session.noteTargetsChanged();
                tell(kept);
            });
    }
};

class LoadCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        begun(service().load(target.spec.name, answer<Json>([](const Json& load) { return load; })));
    }
};

class CacheCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        begun(service().cache(target.spec.name, answer<std::vector<targets::CacheEntry>>(
                                                    [](const std::vector<targets::CacheEntry>& entries) {
                                                        Json list = Json::array();
                                                        std::int64_t bytes = 0;
                                                        for (const targets::CacheEntry& entry : entries) {
                                                            list.push_back(cacheEntryJson(entry));
                                                            bytes += entry.bytes;
                                                        }
                                                        return Json{{"entries", std::move(list)}, {"bytes", bytes}};
                                                    })));
    }
};

class ClearCacheCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_name = target.spec.name;
        m_kinds = reader.strings("kinds");
        m_keys = reader.strings("keys");
        begun(service().cache(
            m_name, ifWanted([this](const Result<std::vector<targets::CacheEntry>>& entries) {
                if (!entries.ok()) {
                    finish(entries.error());
                    return;
                }
                std::vector<targets::CacheEntry> chosen;
                for (const targets::CacheEntry& entry : *entries) {
                    const bool wanted = (m_kinds.empty() || std::ranges::find(m_kinds, entry.kind) != m_kinds.end()) &&
                                        (m_keys.empty() || std::ranges::find(m_keys, entry.key) != m_keys.end());
                    if (wanted && !entry.inUse && entry.kind != "agent") {
                        chosen.push_back(entry);
                    }
                }
                if (chosen.empty()) {
                    finish(Json{{"entries", 0}, {"freed_bytes", 0}});
                    return;
                }
                const std::size_t count = chosen.size();
                begun(service().clearCache(m_name, std::move(chosen), answer<std::int64_t>([count](std::int64_t bytes) {
                                               return Json{{"entries", count}, {"freed_bytes", bytes}};
                                           })));
            })));
    }

    std::string m_name;
    std::vector<std::string> m_kinds;
    std::vector<std::string> m_keys;
};

class BuildEngineCommand final : public TicketCommand {
public:
    using TicketCommand::TicketCommand;

private:
    void runOn(const runs::TargetDefinition& target, const Json&) override {
        begun(service().buildEngine(target.spec.name, ifWanted([this](const std::string& line) {
                                        reportProgress({-1, line, Json{{"line", line}}});
                                    }),
                                    answer<Json>([](const Json& built) { return built; })));
    }
};

class AnswerCommand final : public Command {
public:
    using Command::Command;

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::int64_t question = reader.integer("question");
        const Json text = reader.raw("text");
        session().runs().answer(question, text.is_string() && !text.get<std::string>().empty()
                                              ? std::optional(text.get<std::string>())
                                              : std::nullopt);
        finish(Json{{"question", question}});
    }
};

spec::Field targetField() {
    return parameter("target", "Target", spec::FieldType::Text, Json(), "The target's name.", true);
}

}  // namespace

void addTargetCommands(CommandTable& table) {
    const auto info = [](std::string id, std::string title, std::string help, std::vector<spec::Field> parameters,
                         bool writes) {
        CommandInfo made;
        made.id = std::move(id);
        made.title = std::move(title);
        made.help = std::move(help);
        made.parameters = std::move(parameters);
        made.writes = writes;
        return made;
    };
    using spec::FieldType;
    table.add<ListTargetsCommand>(
        info("target.list", "List targets", "Lists the compute targets of the workspace.", {}, false));
    table.add<ShowTargetCommand>(info("target.show", "Show target",
                                      "Shows one target with its definition and what the doctor found last.",
                                      {targetField()}, false));
    CommandInfo add = info("target.add", "Add target", "Defines a compute target.",
                           {parameter("get_or_create", "Get or create", FieldType::Boolean, false,
                                      "Takes the target of this name when it is there and equal.")},
                           true);
    add.documents = {"spec"};
    table.add<AddCommand>(std::move(add));
    CommandInfo edit = info("target.edit", "Edit target",
                            "Changes a target's definition; runs that are there keep theirs.", {targetField()}, true);
    edit.documents = {"spec"};
    table.add<EditCommand>(std::move(edit));
    table.add<CloneCommand>(
        info("target.clone", "Clone target", "Copies a definition under a new name.",
             {targetField(), parameter("name", "New name", FieldType::Text, Json(), "The copy's name.", true)}, true));
    table.add<EnableCommand>(
        info("target.enable", "Enable target", "Lets a disabled target take runs again.", {targetField()}, true));
    table.add<EnableCommand>(info("target.disable", "Disable target",
                                  "Lets a target take no more runs; those that are there go on.", {targetField()},
                                  true));
    CommandInfo remove = info("target.delete", "Delete target",
                              "Removes a target's definition; refused while runs use it.", {targetField()}, true);
    remove.destructive = true;
    table.add<DeleteTargetCommand>(std::move(remove));
    spec::Field seconds = parameter("seconds", "Time limit", FieldType::Integer, 60, "For how long to try.");
    seconds.unit = "s";
    seconds.minimum = 0;
    seconds.maximum = 86'400;
    table.add<WaitCommand>(info("target.wait", "Wait for target", "Connects to a target, trying until it answers.",
                                {targetField(), seconds}, false));
    table.add<DoctorCommand>(info("target.doctor", "Examine target",
                                  "Looks at all that a run needs of a target; says what is wrong and what to do.",
                                  {targetField()}, false));
    table.add<LoadCommand>(
        info("target.load", "Show load", "Shows what a target's machines are doing now.", {targetField()}, false));
    table.add<CacheCommand>(
        info("target.cache", "Show cache", "Lists what is cached on a target.", {targetField()}, false));
    CommandInfo clear =
        info("target.clear-cache", "Clear cache", "Removes from a target's cache what no run uses.",
             {targetField(),
              parameter("kinds", "Kinds", FieldType::TextList, Json::array(),
                        "Of engine, data, objects and environment; empty: all."),
              parameter("keys", "Keys", FieldType::TextList, Json::array(), "Only entries of these hashes.")},
             true);
    clear.destructive = true;
    table.add<ClearCacheCommand>(std::move(clear));
    table.add<BuildEngineCommand>(info("target.build-engine", "Build engine",
                                       "Builds the engine on a target against the libtorch found there.",
                                       {targetField()}, true));
    table.add<AnswerCommand>(info("target.answer", "Answer question",
                                  "Answers what a connection asks: whether a host's key is right, a password.",
                                  {parameter("question", "Question", FieldType::Integer, Json(), "Its number.", true),
                                   parameter("text", "Answer", FieldType::Text, nullptr, "Empty means no.")},
                                  false));
}

}  // namespace trainyard::commands
