#include <algorithm>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Hash.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/runs/RunService.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "core/targets/LocalFiles.h"
#include "core/targets/LocalOperations.h"
#include "core/wire/RunStream.h"

namespace trainyard::commands {
namespace {

constexpr std::size_t kMostNotes = 64 << 10;

class CancelCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json&) override {
        session().runs().cancel(row.id, ifWanted([this, row](const Status& told) {
                                    finish(told.ok() ? Result<Json>(runReference(row)) : told.error());
                                }));
    }
    void abort() override {}
};

/// Writes journal entries and answers with the run and what was set.
class JournalCommand : public RunCommand {
public:
    using RunCommand::RunCommand;

protected:
    void write(const store::RunRow& row, std::vector<runs::JournalEntry> entries, Json answer) {
        session().runs().edit(row.id, std::move(entries), ifWanted([this, answer](const Status& written) {
                                  finish(written.ok() ? Result<Json>(answer) : written.error());
                              }));
    }
    void abort() override {}
};

class RenameCommand final : public JournalCommand {
public:
    using JournalCommand::JournalCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string name = reader.string("name");
        Json answer = runReference(row);
        answer["name"] = name;
        write(row, {{wire::kind::kRename, Json{{"name", name}}}}, std::move(answer));
    }
};

class TagCommand final : public JournalCommand {
public:
    using JournalCommand::JournalCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        std::map<std::string, std::string> tags(row.tags.begin(), row.tags.end());
        Json values = Json::object();
        for (const auto& [name, value] : reader.stringMap("set")) {
            if (name.empty()) {
                finish(Error{"spec.required", "A tag needs a name.", "set"});
                return;
            }
            values[name] = value;
            tags[name] = value;
        }
        for (const std::string& name : reader.strings("remove")) {
            values[name] = nullptr;
            tags.erase(name);
        }
        if (values.empty()) {
            finish(Error{"spec.required", "Name a tag to set or to remove.", "set"});
            return;
        }
        Json answer = runReference(row);
        answer["tags"] = Json(tags);
        write(row, {{wire::kind::kTags, Json{{"values", std::move(values)}}}}, std::move(answer));
    }
};

class NotesCommand final : public JournalCommand {
public:
    using JournalCommand::JournalCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        write(row, {{wire::kind::kNotes, Json{{"text", reader.string("text")}}}}, runReference(row));
    }
};

class ArchiveCommand final : public JournalCommand {
public:
    using JournalCommand::JournalCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const bool archived = reader.boolean("archived", true);
        Json answer = runReference(row);
        answer["archived"] = archived;
        write(row, {{wire::kind::kArchive, Json{{"archived", archived}}}}, std::move(answer));
    }
};

class DeleteCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        const std::string rest = reader.string("target", "ask");
        const runs::RemoveWay way = rest == "later"   ? runs::RemoveWay::Remember
                                    : rest == "leave" ? runs::RemoveWay::Force
                                                      : runs::RemoveWay::Ask;
        session().runs().remove(row.id, ifWanted([this, row](const Result<std::int64_t>& freed) {
                                    if (!freed.ok()) {
                                        finish(freed.error());
                                        return;
                                    }
                                    Json answer = runReference(row);
                                    answer["freed_bytes"] = *freed;
                                    finish(std::move(answer));
                                }),
                                way);
    }
    void abort() override {}
};

class ResumeCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        if (!spec::isFinal(row.state)) {
            finish(Error{"run.running",
                         "Run " + std::to_string(row.number) + " has not ended; only then can it be resumed.", "run"});
            return;
        }
        session().query(
            this, QStringLiteral("spec"), [run = row.id](store::Reader& index) { return index.spec(run); },
            ifWanted([this, row, parameters](const Result<Json>& spec) { submit(row, parameters, spec); }));
    }

    void submit(const store::RunRow& row, const Json& parameters, const Result<Json>& spec) {
        if (!spec.ok()) {
            finish(spec.error());
            return;
        }
        base::ObjectReader reader(parameters, "");
        Json document = *spec;
        const std::string name = reader.string("name");
        document["name"] = name.empty() ? row.name + " (resumed)" : name;
        document["resume_from"] = row.id.str();
        if (const std::int64_t epochs = reader.integer("epochs"); epochs > 0) {
            spec::setValueAt(document, "task.epochs", epochs);
        }
        if (const std::int64_t more = reader.integer("more"); more > 0) {
            if (reader.integer("epochs") > 0) {
                finish(Error{"spec.exclusive", "Give the epochs in all or the epochs more, not both.", "more"});
                return;
            }
            const Json* before = spec::valueAt(document, "task.epochs");
            const bool known = before != nullptr && before->is_number_integer();
            spec::setValueAt(document, "task.epochs",
                             more + (known ? before->get<std::int64_t>() : spec::TrainTask{}.epochs));
        }
        if (const std::string span = reader.string("schedule"); !span.empty()) {
            spec::setValueAt(document, "task.schedule.span", span);
        }
        session().runs().submit(
            document, ifWanted([this](const Result<runs::Submitted>& submitted) {
                if (!submitted.ok()) {
                    finish(submitted.error());
                    return;
                }
                finish(Json{{"run", submitted->run.str()}, {"number", submitted->number}, {"name", submitted->name}});
            }));
    }
    void abort() override {}
};

class DownloadCommand final : public RunCommand {
public:
    using RunCommand::RunCommand;

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_row = row;
        std::error_code error;
        m_to = std::filesystem::absolute(base::Path(reader.string("to")), error);
        const std::vector<std::string> paths = reader.strings("paths");
        m_chosen.insert(paths.begin(), paths.end());
        if (!spec::isFinal(row.state)) {
            m_ticket = session().runs().listRemoteOutputs(
                row.id, ifWanted([this](const Result<targets::OutputList>& list) { chooseLive(list); }));
            return;
        }
        session().query(
            this, QStringLiteral("outputs"), [run = row.id](store::Reader& index) { return index.outputs(run); },
            ifWanted([this](const Result<std::vector<store::OutputRow>>& outputs) { copy(outputs); }));
    }

    void copy(const Result<std::vector<store::OutputRow>>& outputs) {
        if (!outputs.ok()) {
            finish(outputs.error());
            return;
        }
        std::vector<store::OutputRow> wanted;
        std::int64_t total = 0;
        for (const store::OutputRow& output : *outputs) {
            if (!output.collected || (!m_chosen.empty() && m_chosen.erase(output.path) == 0)) {
                continue;
            }
            wanted.push_back(output);
            total += output.size;
        }
        if (!m_chosen.empty()) {
            finish(Error{"run.output_unknown", "The run has no collected output " + *m_chosen.begin() + ".", "paths"});
            return;
        }
        if (wanted.empty()) {
            finish(Error{"run.no_outputs", "Run " + std::to_string(m_row.number) + " has no outputs to copy.", "run"});
            return;
        }
        Json files = Json::array();
        for (const store::OutputRow& output : wanted) {
            files.push_back(output.path);
        }
        m_work = std::make_unique<targets::ThreadOperation<void>>(
            [from = session().workspace().layout.outputs(m_row.id), to = m_to,
             wanted](const targets::KeepGoing& report) { return copyAll(from, to, wanted, report); },
            [this, total](std::int64_t done) {
                reportProgress({total > 0 ? static_cast<double>(done) / static_cast<double>(total) : -1, {}, {}});
            },
            ifWanted([this, files, total](const Status& copied) {
                if (!copied.ok()) {
                    finish(copied.error());
                    return;
                }
                Json answer = runReference(m_row);
                answer["folder"] = m_to.string();
                answer["files"] = files;
                answer["bytes"] = total;
                finish(std::move(answer));
            }));
    }

    /// While the run goes on its files come from the target, as they are now.
    void chooseLive(const Result<targets::OutputList>& list) {
        m_ticket.reset();
        if (!list.ok()) {
            finish(list.error());
            return;
        }
        m_silent = list->silent;
        for (const targets::OutputFile& file : list->files) {
            if (m_chosen.empty() || m_chosen.contains(file.path)) {
                m_live.push_back(file);
            }
        }
        for (const std::string& path : m_chosen) {
            if (std::none_of(m_live.begin(), m_live.end(),
                             [&](const targets::OutputFile& file) { return file.path == path; })) {
                finish(m_silent.empty()
                           ? Error{"run.output_unknown", "The run has no output " + path + " now.", "paths"}
                           : Error{"target.unreachable",
                                   path + " is on none of the hosts that answer. " + targets::textOf(m_silent),
                                   "paths"});
                return;
            }
        }
        if (m_live.empty()) {
            finish(m_silent.empty()
                       ? Error{"run.no_outputs", "Run " + std::to_string(m_row.number) + " has no outputs yet.", "run"}
                       : Error{"target.unreachable",
                               "There are no outputs on the hosts that answer. " + targets::textOf(m_silent)});
            return;
        }
        fetchNext();
    }

    void fetchNext() {
        if (m_fetched == m_live.size()) {
            Json files = Json::array();
            std::int64_t total = 0;
            for (const targets::OutputFile& file : m_live) {
                files.push_back(file.path);
                total += file.size;
            }
            Json answer = runReference(m_row);
            answer["folder"] = m_to.string();
            answer["files"] = std::move(files);
            answer["bytes"] = total;
            addSilent(answer, m_silent);
            finish(std::move(answer));
            return;
        }
        const targets::OutputFile& file = m_live[m_fetched];
        m_ticket = session().runs().fetchFile(
            m_row.id, file.path, ifWanted([this, size = file.size](std::int64_t done) {
                reportProgress({size > 0 ? static_cast<double>(done) / static_cast<double>(size) : -1, {}, {}});
            }),
            ifWanted([this, path = file.path](const Result<base::Path>& here) {
                m_ticket.reset();
                if (!here.ok()) {
                    finish(here.error());
                    return;
                }
                copyLive(*here, path);
            }));
    }

    void copyLive(const base::Path& here, const std::string& path) {
        if (!targets::isSafeRelativePath(path)) {
            finish(Error{"target.path", "An output is named \"" + path + "\", which leads out of the folder."});
            return;
        }
        m_work = std::make_unique<targets::ThreadOperation<void>>(
            [here, to = m_to / path](const targets::KeepGoing& report) -> Status {
                TRAINYARD_TRY(base::makeDirs(to.parent_path()));
                return base::copyFile(here, to, [&](std::int64_t bytes) { return report(bytes); });
            },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Status& copied) {
                if (!copied.ok()) {
                    finish(copied.error());
                    return;
                }
                ++m_fetched;
                fetchNext();
            }));
    }

    /// Each copy is hashed against what was recorded when the run ended.
    static Status copyAll(const base::Path& from, const base::Path& to, const std::vector<store::OutputRow>& files,
                          const targets::KeepGoing& report) {
        std::int64_t done = 0;
        for (const store::OutputRow& file : files) {
            if (!targets::isSafeRelativePath(file.path)) {
                return Error{"target.path", "An output is named \"" + file.path + "\", which leads out of the folder."};
            }
            const base::Path target = to / file.path;
            const auto within = [&](std::int64_t bytes) { return report(done + bytes); };
            TRAINYARD_TRY(base::makeDirs(target.parent_path()));
            TRAINYARD_TRY(base::copyFile(from / file.path, target, within));
            const Result<std::string> hash = base::sha256File(target, within);
            if (!hash.ok()) {
                return hash.error();
            }
            if (*hash != file.sha256) {
                return Error{"run.output_damaged",
                             "The output " + file.path + " is not what the run had made: its SHA-256 is another."};
            }
            done += file.size;
        }
        return {};
    }

    void abort() override {
        m_work.reset();
        if (m_ticket) {
            session().runs().stop(*m_ticket);
        }
        Command::abort();
    }

    store::RunRow m_row;
    base::Path m_to;
    std::set<std::string> m_chosen;
    std::vector<targets::OutputFile> m_live;
    std::vector<targets::SilentHost> m_silent;
    std::size_t m_fetched = 0;
    std::optional<runs::Ticket> m_ticket;
    targets::OperationPtr m_work;
};

CommandInfo editInfo(const char* id, const char* title, const char* help, std::vector<spec::Field> parameters) {
    parameters.insert(parameters.begin(), runField());
    CommandInfo made = commandInfo(id, title, help, std::move(parameters));
    made.writes = true;
    return made;
}

}  // namespace

void addRunEditCommands(CommandTable& table) {
    using spec::FieldType;
    CommandInfo cancel = editInfo("run.cancel", "Cancel run", "Ends a run; what it has made so far is kept.", {});
    cancel.destructive = true;
    table.add<CancelCommand>(std::move(cancel));
    addRunControlCommands(table);

    spec::Field epochs =
        parameter("epochs", "Epochs", FieldType::Integer, 0, "Epochs in all; 0 for the run's own number.");
    epochs.minimum = 0;
    spec::Field more =
        parameter("more", "More epochs", FieldType::Integer, 0, "Instead of epochs: so many beyond those of the run.");
    more.minimum = 0;
    spec::Field span = parameter("schedule", "Schedule", FieldType::Choice, "",
                                 "What the learning rate does; empty: as the run's task.schedule.span says.");
    span.choices = {
        {"", "As the run says"}, {"all", "As if planned so from the start"}, {"rest", "Anew over the rest"}};
    table.add<ResumeCommand>(editInfo(
        "run.resume", "Resume run", "Goes on from a run's last checkpoint as a new run.",
        {parameter("name", "Name", FieldType::Text, "", "Empty: made from the run's name."), epochs, more, span}));

    spec::Field name = parameter("name", "Name", FieldType::Text, Json(), "The run's new name.", true);
    name.maxLength = 256;
    table.add<RenameCommand>(editInfo("run.rename", "Rename run", "Gives a run another name.", {name}));
    table.add<TagCommand>(
        editInfo("run.tag", "Tag run", "Sets and removes tags.",
                 {parameter("set", "Set", FieldType::TextMap, Json::object(), "Tags and their values."),
                  parameter("remove", "Remove", FieldType::TextList, Json::array(), "Names of tags.")}));
    spec::Field notes =
        parameter("text", "Notes", FieldType::MultilineText, "", "The run's notes; empty removes them.");
    notes.maxLength = kMostNotes;
    table.add<NotesCommand>(editInfo("run.notes", "Edit notes", "Writes a run's notes.", {notes}));
    table.add<ArchiveCommand>(
        editInfo("run.archive", "Archive run", "Takes a run out of the lists, or back into them.",
                 {parameter("archived", "Archived", FieldType::Boolean, true, "The run is kept out of the lists.")}));
    spec::Field rest = parameter("target", "On the target", FieldType::Choice, "ask",
                                 "What becomes of its rest on a target that cannot be reached.");
    rest.choices = {{"ask", "Delete nothing"}, {"later", "Remove it later"}, {"leave", "Leave it there"}};
    CommandInfo remove = editInfo("run.delete", "Delete run", "Removes a run and all its files.", {rest});
    remove.destructive = true;
    table.add<DeleteCommand>(std::move(remove));

    CommandInfo download =
        editInfo("run.download", "Copy outputs", "Copies a run's outputs to a folder and checks them.",
                 {parameter("to", "Folder", FieldType::Folder, Json(), "Where they go.", true),
                  parameter("paths", "Files", FieldType::TextList, Json::array(), "Empty: all of them.")});
    download.writes = false;
    table.add<DownloadCommand>(std::move(download));
}

}  // namespace trainyard::commands
