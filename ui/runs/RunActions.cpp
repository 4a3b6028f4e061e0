#include "ui/runs/RunActions.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QPointer>
#include <QRegularExpression>
#include <QWidget>
#include <algorithm>
#include <memory>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/RunRef.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using base::RunId;
using store::RunRow;

QString tagsText(const store::Strings& tags) {
    QStringList parts;
    for (const auto& [name, value] : tags)
        parts << (value.empty() ? fromUtf8(name) : fromUtf8(name) + u'=' + fromUtf8(value));
    return parts.join(QStringLiteral(", "));
}

store::Strings tagsFromText(const QString& text) {
    store::Strings tags;
    const QStringList parts = text.split(u',', Qt::SkipEmptyParts);
    for (const QString& part : parts) {
        const QString name = part.section(u'=', 0, 0).trimmed();
        if (name.isEmpty()) continue;
        const std::string key = name.toStdString();
        std::erase_if(tags, [&](const auto& tag) { return tag.first == key; });
        tags.emplace_back(key, part.contains(u'=') ? part.section(u'=', 1).trimmed().toStdString() : std::string());
    }
    return tags;
}

RunActions::RunActions(Shell& shell, QWidget* page) : QObject(page), m_shell(shell), m_page(page) {}

void RunActions::start(const char* command, Json parameters, std::function<void(const Json&)> done) {
    commands::Session* session = m_shell.session();
    if (!session) return;
    session->start(command, std::move(parameters), this, [this, done = std::move(done)](const Result<Json>& result) {
        if (!result) {
            if (result.error().code != "canceled") m_shell.warn(result.error());
            return;
        }
        if (done) done(*result);
    });
}

void RunActions::trainSample() {
    commands::Session* session = m_shell.session();
    if (!session || m_launchingSample) return;
    m_launchingSample = true;
    const auto failed = [this](const base::Error& error) {
        m_launchingSample = false;
        m_shell.warn(error);
    };
    const auto launched = [this, failed](const Result<Json>& made) {
        if (!made) return failed(made.error());
        m_launchingSample = false;
        m_shell.open({QStringLiteral("run"), {readString(*made, "run")}});
    };
    const auto chosen = [this, session, failed, launched](const std::string& file, const Result<Json>& found) {
        if (!found) return failed(found.error());
        for (const Json& draft : readArray(*found, "drafts")) {
            if (readText(draft, "file") != file) continue;
            session->start("run.submit", {{"spec", readObject(draft, "spec")}}, this, launched);
            return;
        }
        failed({"sample.unreadable", file + " is not among the drafts that can be read; remove it and try again."});
    };
    session->start("workspace.sample", Json::object(), this, [this, session, failed, chosen](const Result<Json>& made) {
        if (!made) return failed(made.error());
        session->start("workspace.drafts", Json::object(), this,
                       [chosen, file = readText(*made, "draft")](const Result<Json>& found) { chosen(file, found); });
    });
}

void RunActions::startLong(const char* command, Json parameters, const QString& title,
                           std::function<void(const Json&)> done) {
    commands::Session* session = m_shell.session();
    if (!session) return;
    QPointer<commands::Command> started = session->start(command, std::move(parameters));
    const int entry = m_shell.work().begin(title, [started] {
        if (started) started->cancel();
    });
    connect(started, &commands::Command::finished, this,
            [this, entry, done = std::move(done)](const Result<Json>& result) {
                m_shell.work().finish(entry);
                if (result) {
                    done(*result);
                } else if (result.error().code != "canceled") {
                    m_shell.warn(result.error());
                }
            });
}

void RunActions::open(const RunId& run) { m_shell.open({QStringLiteral("run"), {fromUtf8(run.str())}}); }

void RunActions::duplicate(const RunId& run) {
    m_shell.open({QStringLiteral("new"), {}, QStringLiteral("from=") + fromUtf8(run.str())});
}

void RunActions::goOn(const RunId& run) {
    m_shell.open({QStringLiteral("new"), {}, QStringLiteral("after=") + fromUtf8(run.str())});
}

void RunActions::resume(const RunRow& run) {
    start("run.resume", {{"run", run.id.str()}}, [this](const Json& made) {
        if (const std::string id = readText(made, "run"); !id.empty()) open(RunId(id));
    });
}

void RunActions::checkpoint(const RunRow& run) {
    startLong("run.checkpoint", {{"run", run.id.str()}}, tr("Run #%1 writes a checkpoint").arg(run.number),
              [this, number = run.number](const Json& answer) {
                  const Json* step = member(answer, "step");
                  m_shell.notice(step && step->is_number_integer()
                                     ? tr("Run #%1 has written a checkpoint at step %2.")
                                           .arg(number)
                                           .arg(formatExact(step->get<std::int64_t>()))
                                     : tr("Run #%1 was asked for a checkpoint.").arg(number));
              });
}

void RunActions::pause(const RunRow& run) {
    Question question;
    question.id = QStringLiteral("run.pause");
    question.title = tr("Pause run #%1?").arg(run.number);
    question.text =
        tr("“%1” writes a checkpoint and ends, which frees what it uses. Resume goes on from there, as a new run.")
            .arg(fromUtf8(run.name));
    question.icon = QStringLiteral("pause");
    question.buttons = {{QStringLiteral("pause"), tr("Pause the run")}};
    m_shell.questions().ask(m_page, question, [this, id = run.id, number = run.number](const QString& answer) {
        if (answer != u"pause") return;
        startLong("run.pause", {{"run", id.str()}}, tr("Run #%1 writes a checkpoint and ends").arg(number),
                  [this, number](const Json& made) {
                      m_shell.notice(
                          tr("Run #%1 was paused at step %2.").arg(number).arg(formatExact(readInteger(made, "step"))));
                  });
    });
}

void RunActions::extend(const RunRow& run) {
    m_shell.questions().askText(
        m_page, tr("Train run #%1 further").arg(run.number), tr("Epochs beyond those that it was planned for"),
        QStringLiteral("5"),
        [](const QString& text) {
            bool number = false;
            const int epochs = text.trimmed().toInt(&number);
            return number && epochs >= 1 && epochs <= 100'000 ? QString() : tr("A whole number from 1 to 100,000.");
        },
        [this, id = run.id](const QString& text) {
            if (text.trimmed().isEmpty()) return;
            start("run.resume", {{"run", id.str()}, {"more", text.trimmed().toInt()}}, [this](const Json& made) {
                if (const std::string next = readText(made, "run"); !next.empty()) open(RunId(next));
            });
        });
}

void RunActions::cancel(const RunRow& run) {
    Question question;
    question.id = QStringLiteral("run.cancel");
    question.title = tr("Cancel this run?");
    question.text =
        tr("Run #%1 “%2” ends now. What it has reported and its last checkpoint are kept, so it can be resumed.")
            .arg(run.number)
            .arg(fromUtf8(run.name));
    question.buttons = {{QStringLiteral("cancel"), tr("Cancel the run"), true}};
    m_shell.questions().ask(m_page, question, [this, id = run.id](const QString& answer) {
        if (answer == u"cancel") start("run.cancel", {{"run", id.str()}});
    });
}

void RunActions::rename(const RunRow& run) {
    m_shell.questions().askText(
        m_page, tr("Rename run #%1").arg(run.number), tr("Name"), fromUtf8(run.name),
        [](const QString& text) {
            if (text.trimmed().isEmpty()) return tr("A run needs a name.");
            return text.toUtf8().size() > 200 ? tr("At most 200 bytes.") : QString();
        },
        [this, id = run.id, before = run.name](const QString& text) {
            const std::string name = text.trimmed().toStdString();
            if (name.empty() || name == before) return;
            start("run.rename", {{"run", id.str()}, {"name", name}}, [this, id, before](const Json&) {
                m_shell.notice(tr("Renamed."), [this, id, before] {
                    start("run.rename", {{"run", id.str()}, {"name", before}});
                });
            });
        });
}

void RunActions::editTags(const RunRow& run) {
    m_shell.questions().askText(
        m_page, tr("Tags of run #%1").arg(run.number), tr("Tags, separated by commas: name or name=value"),
        tagsText(run.tags), [](const QString&) { return QString(); },
        [this, run](const QString& text) {
            // Cancel answers an empty text too; the last tag is taken away on the run's page.
            if (!text.trimmed().isEmpty()) setTags(run, tagsFromText(text));
        });
}

void RunActions::setTags(const RunRow& run, const store::Strings& tags) {
    Json set = Json::object();
    Json gone = Json::array();
    for (const auto& [name, value] : tags) {
        if (std::find(run.tags.begin(), run.tags.end(), std::pair(name, value)) == run.tags.end()) set[name] = value;
    }
    for (const auto& [name, value] : run.tags) {
        if (std::none_of(tags.begin(), tags.end(), [&](const auto& tag) { return tag.first == name; }))
            gone.push_back(name);
    }
    if (set.empty() && gone.empty()) return;
    start("run.tag", {{"run", run.id.str()}, {"set", set}, {"remove", gone}});
}

void RunActions::setNotes(const RunId& run, const QString& text) {
    start("run.notes", {{"run", run.str()}, {"text", text.toStdString()}});
}

void RunActions::archive(const std::vector<RunRow>& runs, bool archived) {
    std::vector<RunId> ids;
    for (const RunRow& run : runs) {
        ids.push_back(run.id);
        start("run.archive", {{"run", run.id.str()}, {"archived", archived}});
    }
    const int count = static_cast<int>(ids.size());
    m_shell.notice(archived ? tr("%n run(s) archived.", nullptr, count)
                            : tr("%n run(s) taken out of the archive.", nullptr, count),
                   [this, ids, archived] {
                       for (const RunId& id : ids) start("run.archive", {{"run", id.str()}, {"archived", !archived}});
                   });
}

void RunActions::remove(const std::vector<RunRow>& runs) {
    if (runs.empty() || !m_shell.session()) return;
    const auto active =
        std::find_if(runs.begin(), runs.end(), [](const RunRow& run) { return !spec::isFinal(run.state); });
    if (active != runs.end()) {
        m_shell.warn({"run.active",
                      tr("Run #%1 has not ended. Cancel it before deleting it.").arg(active->number).toStdString(),
                      {}});
        return;
    }
    std::vector<RunId> ids;
    for (const RunRow& run : runs) ids.push_back(run.id);
    const QString first = tr("#%1 “%2”").arg(runs.front().number).arg(fromUtf8(runs.front().name));
    struct Weight {
        std::int64_t files = 0;
        std::int64_t bytes = 0;
    };
    m_shell.session()->query(
        this, QStringLiteral("delete.weight"),
        [ids](store::Reader& reader) -> Result<Weight> {
            Weight sum;
            for (const RunId& id : ids) {
                auto outputs = reader.outputs(id);
                if (!outputs) return outputs.error();
                for (const store::OutputRow& one : *outputs) {
                    ++sum.files;
                    sum.bytes += one.size;
                }
            }
            return sum;
        },
        [this, ids, first](Result<Weight> weight) {
            const int count = static_cast<int>(ids.size());
            Question question;
            question.id = QStringLiteral("run.delete");
            question.title = count == 1 ? tr("Delete run %1?").arg(first) : tr("Delete %n run(s)?", nullptr, count);
            const QString what = weight && weight->files > 0
                                     ? tr("Its records, log and %n output file(s) go; %1 are freed.", nullptr,
                                          static_cast<int>(weight->files))
                                           .arg(formatBytes(weight->bytes))
                                     : tr("Its records and log go. It has no output files.");
            question.text = what + u' ' + tr("Registered models keep their own files.");
            question.buttons = {{QStringLiteral("delete"), count == 1 ? tr("Delete run") : tr("Delete runs"), true}};
            m_shell.questions().ask(m_page, question, [this, ids](const QString& answer) {
                if (answer == u"delete") removeAgreed(ids, QStringLiteral("ask"));
            });
        });
}

void RunActions::removeAgreed(const std::vector<RunId>& runs, const QString& way) {
    struct Sum {
        std::int64_t bytes = 0;
        int left = 0;
        int gone = 0;
        std::vector<RunId> kept;  ///< For their rest on a target that cannot be reached.
        QString why;
    };
    auto sum = std::make_shared<Sum>();
    sum->left = static_cast<int>(runs.size());
    for (const RunId& id : runs) {
        m_shell.session()->start(
            "run.delete", {{"run", id.str()}, {"target", way.toStdString()}}, this,
            [this, id, sum](const Result<Json>& result) {
                if (result) {
                    sum->bytes += readInteger(*result, "freed_bytes");
                    ++sum->gone;
                    Q_EMIT removed(id);
                } else if (result.error().code == "run.target_unreachable") {
                    sum->kept.push_back(id);
                    sum->why = fromUtf8(result.error().message);
                } else if (result.error().code != "canceled") {
                    m_shell.warn(result.error());
                }
                if (--sum->left > 0) return;
                if (sum->gone > 0)
                    m_shell.notice(tr("%n run(s) deleted, %1 freed.", nullptr, sum->gone).arg(formatBytes(sum->bytes)));
                if (!sum->kept.empty()) askAboutRest(sum->kept, sum->why);
            });
    }
}

void RunActions::askAboutRest(const std::vector<RunId>& runs, const QString& why) {
    Question question;
    question.id = QStringLiteral("run.delete-rest");
    question.title = tr("What lies on the target cannot be removed now");
    question.text = why + u' ' +
                    tr("The run can go here at once, and its rest there as soon as the target can be reached; or its "
                       "rest stays there.");
    question.buttons = {{QStringLiteral("later"), tr("Delete, the rest later"), true},
                        {QStringLiteral("leave"), tr("Delete, leave the rest"), true}};
    m_shell.questions().ask(m_page, question, [this, runs](const QString& answer) {
        if (answer == u"later" || answer == u"leave") removeAgreed(runs, answer);
    });
}

void RunActions::registerModel(const RunId& run) {
    m_shell.open({QStringLiteral("models"), {}, QStringLiteral("register=") + fromUtf8(run.str())});
}

void RunActions::registerFiles(const RunRow& run, const QStringList& paths) {
    if (paths.isEmpty()) return;
    const QString what = paths.size() == 1 ? tr("Register %1").arg(paths.first())
                                           : tr("Register %n things", nullptr, static_cast<int>(paths.size()));
    // A model's name has what a run's experiment may not have.
    QString suggested = fromUtf8(run.experiment).toLower();
    suggested.replace(QRegularExpression(QStringLiteral("[^a-z0-9._-]+")), QStringLiteral("-"));
    m_shell.questions().askText(
        m_page, what, tr("Name of the model; its versions count up"), suggested,
        [](const QString& text) { return text.trimmed().isEmpty() ? tr("A model needs a name.") : QString(); },
        [this, id = run.id, paths](const QString& name) {
            if (name.trimmed().isEmpty()) return;
            Json files = Json::array();
            for (const QString& path : paths) files.push_back(path.toStdString());
            start("model.register", {{"run", id.str()}, {"name", name.trimmed().toStdString()}, {"files", files}},
                  [this](const Json& made) {
                      const QString model = readString(made, "model");
                      m_shell.notice(tr("Registered as %1.").arg(model));
                      m_shell.open({QStringLiteral("models"),
                                    {readString(made, "name"), QString::number(readInteger(made, "version"))}});
                  });
        });
}

void RunActions::giveUp(const RunRow& run) {
    Question question;
    question.id = QStringLiteral("run.give-up");
    question.title = tr("Give run #%1 up?").arg(run.number);
    question.text = tr("“%1” ends here as canceled, and nobody looks for it on %2 any more. Whatever it still does "
                       "there goes on unseen; what was "
                       "reported so far is kept.")
                        .arg(fromUtf8(run.name), fromUtf8(run.target));
    question.buttons = {{QStringLiteral("give-up"), tr("Give the run up"), true}};
    m_shell.questions().ask(m_page, question, [this, id = run.id](const QString& answer) {
        if (answer == u"give-up") start("run.give-up", {{"run", id.str()}});
    });
}

void RunActions::download(const RunId& run, const QStringList& paths) {
    m_shell.questions().chooseFolder(
        m_page, tr("Copy outputs to"), QString(), [this, run, paths](const QString& folder) {
            commands::Session* session = m_shell.session();
            if (folder.isEmpty() || !session) return;
            Json list = Json::array();
            for (const QString& path : paths) list.push_back(path.toStdString());
            commands::Command* command =
                session->start("run.download", {{"run", run.str()}, {"to", folder.toStdString()}, {"paths", list}});
            QPointer<commands::Command> guard = command;
            WorkList& work = m_shell.work();
            const int entry = work.begin(tr("Copying outputs to %1").arg(folder), [guard] {
                if (guard) guard->cancel();
            });
            connect(command, &commands::Command::progressed, &work,
                    [&work, entry](const commands::CommandProgress& progress) {
                        if (progress.fraction >= 0) work.progress(entry, progress.fraction);
                    });
            connect(command, &commands::Command::finished, this, [this, entry](const Result<Json>& result) {
                m_shell.work().finish(entry);
                if (!result) {
                    if (result.error().code != "canceled") m_shell.warn(result.error());
                    return;
                }
                const Json& made = *result;
                m_shell.notice(
                    tr("Copied %1 to %2.").arg(formatBytes(readInteger(made, "bytes")), readString(made, "folder")));
            });
        });
}

void RunActions::reproduce(const RunId& run) {
    start("run.reproduce", {{"run", run.str()}}, [this](const Json& made) {
        m_shell.open({QStringLiteral("run"), {readString(made, "run")}});
    });
}

void RunActions::collect(const RunId& run) {
    m_shell.notice(tr("The target is asked for what was left there."));
    start("run.collect", {{"run", run.str()}}, [this](const Json&) { m_shell.notice(tr("All outputs are here.")); });
}

void RunActions::copyAddress(const RunId& run) {
    QGuiApplication::clipboard()->setText(Address{QStringLiteral("run"), {fromUtf8(run.str())}}.toString());
    m_shell.notice(tr("Address copied."));
}

}  // namespace trainyard::ui
