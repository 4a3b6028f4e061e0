#include "ui/environments/EnvironmentPanels.h"

#include <QComboBox>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/spec/EnvironmentSpec.h"
#include "ui/forms/FieldEditor.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

/// A value of a definition on one line or several, as a person reads it.
QString valueText(const Json& value, const spec::Field* field) {
    if (value.is_boolean()) return value.get<bool>() ? EnvironmentFindings::tr("yes") : EnvironmentFindings::tr("no");
    if (value.is_array() || value.is_object()) {
        QStringList parts;
        for (const auto& [key, entry] : value.items()) {
            const QString text =
                entry.is_string() ? fromUtf8(entry.get<std::string>()) : fromUtf8(base::dumpJson(entry));
            parts << (value.is_object() ? fromUtf8(key) + u'=' + text : text);
        }
        return parts.join(u'\n');
    }
    QString text = value.is_null() ? QString() : numberText(value);
    if (field != nullptr) {
        for (const spec::Choice& choice : field->choices) {
            if (fromUtf8(choice.value) == text) return fromUtf8(choice.label);
        }
        if (!field->unit.empty() && !text.isEmpty()) text += u' ' + fromUtf8(field->unit);
    }
    return text;
}

const spec::Field* fieldOf(const std::string& path) {
    for (const spec::Field& field : spec::environmentSpecFields()) {
        if (field.path == path) return &field;
    }
    return nullptr;
}

}  // namespace

QString environmentKindWord(const std::string& kind) {
    if (const spec::Field* field = fieldOf("kind")) {
        for (const spec::Choice& choice : field->choices) {
            if (choice.value == kind) return fromUtf8(choice.label);
        }
    }
    return fromUtf8(kind);
}

QStringList environmentKindWords() {
    QStringList words;
    if (const spec::Field* field = fieldOf("kind")) {
        for (const spec::Choice& choice : field->choices) words << fromUtf8(choice.label);
    }
    return words;
}

EnvironmentFindings::EnvironmentFindings(QWidget* parent) : QWidget(parent) { m_lines = panelColumn(this); }

void EnvironmentFindings::clear() { emptyLayout(m_lines); }

void EnvironmentFindings::addLine(const FindingLook& look, const QString& text, const QString& more) {
    auto* line = new MarkedLine(look, this);
    line->say(text, TextStyle::Body, Role::Text);
    line->say(more, TextStyle::Secondary, Role::Muted);
    m_lines->addWidget(line);
}

void EnvironmentFindings::setAnswer(const Json& answer) {
    emptyLayout(m_lines);
    const Json findings = readArray(answer, "findings");
    for (const Json& one : findings) {
        QString text = readString(one, "message");
        if (const QString host = readString(one, "host"); !host.isEmpty()) text = tr("%1: %2").arg(host, text);
        addLine(lookOfFinding(readString(one, "finding")), text, readString(one, "remedy"));
    }
    const Json plan = readObject(answer, "plan");
    if (const QString error = readString(plan, "error"); !error.isEmpty()) {
        addLine(lookOfFinding(QStringLiteral("failure")), error, {});
        return;
    }
    if (plan.empty()) return;
    const Json steps = readArray(plan, "steps");
    const std::int64_t need = readInteger(plan, "need_bytes");
    QString built = steps.empty()
                        ? tr("Nothing is built there; what is there is used.")
                        : tr("Built once in %n step(s), then kept there.", nullptr, static_cast<int>(steps.size()));
    if (need > 0) built += u' ' + tr("%1 of disk must be free.").arg(formatBytes(need));
    if (findings.empty()) {
        addLine(lookOfFinding(QStringLiteral("ok")), tr("Nothing is missing, as far as the target was examined."),
                built);
    } else {
        addLine({QStringLiteral("info"), tr("Note"), Role::Info}, built, {});
    }
    int number = 1;
    for (const Json& step : steps) {
        QStringList words;
        for (const Json& word : readArray(step, "command")) {
            if (word.is_string()) words << fromUtf8(word.get<std::string>());
        }
        constexpr qsizetype kLongest = 400;
        QString command = words.join(u' ');
        if (command.size() > kLongest) command = command.left(kLongest) + QStringLiteral("…");
        addLine({QStringLiteral("chevron-right"), tr("Step %1").arg(number), Role::Muted},
                tr("%1. %2").arg(number).arg(readString(step, "title")), command);
        ++number;
    }
}

TargetChoice::TargetChoice(Shell& shell, const QString& label, const QString& objectName, QWidget* parent)
    : QWidget(parent), m_shell(shell) {
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->addWidget(new TextLabel(label, TextStyle::Body, Role::Muted, this));
    m_box = new QComboBox(this);
    m_box->setObjectName(objectName);
    m_box->setAccessibleName(label);
    m_box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_box->setMinimumContentsLength(18);
    m_box->addItem(tr("This machine"), QStringLiteral("local"));
    line->addWidget(m_box);
    line->addStretch(1);
    connect(m_box, &QComboBox::activated, this, [this] { Q_EMIT chosen(target()); });
}

QString TargetChoice::target() const { return m_box->currentData().toString(); }

void TargetChoice::read() {
    m_shell.session()->start("target.list", Json::object(), this, [this](const Result<Json>& found) {
        if (!found) return;
        const QString before = target();
        m_box->clear();
        m_box->addItem(tr("This machine"), QStringLiteral("local"));
        for (const Json& one : readArray(*found, "targets")) {
            const QString name = readString(one, "target");
            if (name != u"local") m_box->addItem(name, name);
        }
        const int at = m_box->findData(before);
        m_box->setCurrentIndex(std::max(0, at));
        if (at < 0) Q_EMIT chosen(target());
    });
}

ContentPanel::ContentPanel(QWidget* parent) : QWidget(parent) {
    auto* column = panelColumn(this);
    m_fields = new KeyValueGrid(this);
    column->addWidget(m_fields);
    m_files = new QVBoxLayout;
    m_files->setSpacing(Theme::current().space(1));
    column->addLayout(m_files);
}

void ContentPanel::setEnvironment(const Json& detail) {
    const Json shown{{"spec", readObject(detail, "spec")}, {"files", readArray(detail, "files")}};
    if (shown == m_shown) return;
    m_shown = shown;
    m_fields->clear();
    emptyLayout(m_files);
    const Json& spec = m_shown["spec"];
    for (const spec::Field& field : spec::environmentSpecFields()) {
        if (field.path == "name" || field.path == "kind" || field.path == "description" || field.path == "label")
            continue;
        if (!spec::applies(field, spec)) continue;
        const Json* value = spec::valueAt(spec, field.path);
        if (value == nullptr || *value == field.defaultValue) continue;
        // A text of many lines stands below as the file that it becomes.
        if (field.type == spec::FieldType::MultilineText) continue;
        m_fields->add(fromUtf8(field.label), valueText(*value, &field), fromUtf8(field.help));
    }
    for (const Json& file : m_shown["files"]) {
        const QString name = readString(file, "name");
        m_files->addWidget(new TextLabel(name, TextStyle::BodyStrong, Role::Text, this));
        auto* text = new CopyField(name, this);
        text->setMultiline(true);
        text->setText(readString(file, "text"));
        m_files->addWidget(text);
    }
}

RealisedPanel::RealisedPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell), m_rows(Json::array()) {
    auto* column = panelColumn(this);
    m_none =
        new TextLabel(tr("Never. The first run that uses it makes it ready on its target; its log shows each step."),
                      TextStyle::Body, Role::Muted, this);
    m_none->setObjectName(QStringLiteral("neverRealisedLabel"));
    m_none->setWordWrap(true);
    column->addWidget(m_none);
    m_table = panelTable({{tr("When"), 120},
                          {tr("Target"), 190},
                          {tr("Version"), 72, true},
                          {tr("Run"), 72, true},
                          {tr("What was found")}},
                         tr("Where it was realised"), "realisedTable", this);
    column->addWidget(m_table);
    connect(m_table, &QTableWidget::cellActivated, this, [this](int row) {
        if (row < static_cast<int>(m_rows.size()))
            m_shell.open({QStringLiteral("run"), {readString(m_rows[static_cast<std::size_t>(row)], "run")}});
    });
}

void RealisedPanel::setEnvironment(const Json& detail) {
    m_rows = readArray(detail, "realised");
    m_none->setVisible(m_rows.empty());
    m_table->setRowCount(static_cast<int>(m_rows.size()));
    int row = 0;
    for (const Json& one : m_rows) {
        const std::int64_t at = readTime(one, "at");
        QString where = readString(one, "target") == u"local" ? tr("This machine") : readString(one, "target");
        if (const QString host = readString(one, "host"); !host.isEmpty()) where += QStringLiteral(" · ") + host;
        const Json facts = readObject(one, "facts");
        QStringList found;
        for (const char* key : {"python", "torch", "libtorch", "cuda", "driver", "image"}) {
            const Json* value = member(facts, key);
            if (value && value->is_object()) value = member(*value, "version");
            if (value && (value->is_string() || value->is_number()))
                found << QStringLiteral("%1 %2").arg(QLatin1String(key), valueText(*value, nullptr));
        }
        if (const QString image = readString(one, "image"); !image.isEmpty())
            found << tr("image %1").arg(image.left(19));
        putCell(m_table, row, 0, at > 0 ? formatAgo(at) : QString(), at > 0 ? formatTime(at) : QString());
        putCell(m_table, row, 1, where);
        // Runs name the engine that comes with the program without a number.
        const std::int64_t version = readInteger(one, "version");
        putCell(m_table, row, 2, version > 0 ? QString::number(version) : QString());
        putCell(m_table, row, 3, QStringLiteral("#%1").arg(readInteger(one, "number")), tr("Open the run with Enter"));
        putCell(m_table, row, 4, found.isEmpty() ? tr("ready, nothing else told") : found.join(QStringLiteral(" · ")));
        ++row;
    }
    fitRows(m_table);
}

CheckPanel::CheckPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    auto* column = panelColumn(this);
    m_target = new TargetChoice(shell, tr("On the target"), QStringLiteral("checkTargetBox"), this);
    column->addWidget(m_target);
    m_error = new InlineError(this);
    m_error->clear();
    column->addWidget(m_error);
    m_findings = new EnvironmentFindings(this);
    column->addWidget(m_findings);
    connect(m_target, &TargetChoice::chosen, this, &CheckPanel::check);
}

void CheckPanel::setEnvironment(const QString& pinned) {
    if (pinned != m_pinned) m_findings->clear();
    m_pinned = pinned;
    m_target->read();
    check();
}

void CheckPanel::check() {
    if (m_pinned.isEmpty()) return;
    if (m_command) m_command->cancel();
    m_command = m_shell.session()->start(
        "environment.check", {{"environment", m_pinned.toStdString()}, {"target", m_target->target().toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& answer) {
        if (m_command != mine) return;
        m_command = nullptr;
        m_error->clear();
        if (answer) return m_findings->setAnswer(*answer);
        m_findings->clear();
        if (answer.error().code != "canceled") m_error->setError(answer.error());
    });
}

DiffPanel::DiffPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    auto* column = panelColumn(this);
    auto* head = new QHBoxLayout;
    head->addWidget(new TextLabel(tr("With"), TextStyle::Body, Role::Muted, this));
    m_with = new QComboBox(this);
    m_with->setObjectName(QStringLiteral("diffWithBox"));
    m_with->setAccessibleName(tr("Compare with"));
    m_with->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_with->setMinimumContentsLength(24);
    head->addWidget(m_with);
    head->addStretch(1);
    column->addLayout(head);
    m_error = new InlineError(this);
    m_error->clear();
    column->addWidget(m_error);
    m_same = new TextLabel(tr("No difference."), TextStyle::Body, Role::Muted, this);
    m_same->setObjectName(QStringLiteral("sameLabel"));
    m_same->hide();
    column->addWidget(m_same);
    m_table = panelTable({{tr("What"), 190}, {tr("There"), 290}, {tr("Here")}}, tr("Differences"), "diffTable", this);
    m_table->setWordWrap(false);
    column->addWidget(m_table);
    connect(m_with, &QComboBox::activated, this, &DiffPanel::compare);
}

void DiffPanel::setEnvironment(const QString& pinned, const QStringList& others, const QString& first) {
    const QString before = m_pinned == pinned ? m_with->currentText() : QString();
    m_pinned = pinned;
    m_with->clear();
    m_with->addItems(others);
    m_with->setCurrentIndex(
        std::max<int>(0, static_cast<int>(others.indexOf(others.contains(before) ? before : first))));
    compare();
}

void DiffPanel::compare() {
    if (m_command) m_command->cancel();
    if (m_pinned.isEmpty() || m_with->currentText().isEmpty()) return;
    m_command = m_shell.session()->start(
        "environment.diff", {{"environment", m_with->currentText().toStdString()}, {"with", m_pinned.toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& answer) {
        if (m_command != mine) return;
        m_command = nullptr;
        m_error->clear();
        const Json rows = answer ? readArray(*answer, "differences") : Json::array();
        m_same->setVisible(answer && rows.empty());
        m_table->setRowCount(static_cast<int>(rows.size()));
        int row = 0;
        for (const Json& one : rows) {
            const std::string path = readText(one, "path");
            const spec::Field* field = fieldOf(path);
            const Json* left = member(one, "left");
            const Json* right = member(one, "right");
            putCell(m_table, row, 0, field ? fromUtf8(field->label) : fromUtf8(path), fromUtf8(path));
            int column = 1;
            for (const Json* side : {left, right}) {
                const QString text = side == nullptr || side->is_null() ? tr("–") : valueText(*side, field);
                putCell(m_table, row, column++, QString(text).replace(u'\n', QStringLiteral(", ")), text);
            }
            ++row;
        }
        fitRows(m_table);
        if (!answer && answer.error().code != "canceled") m_error->setError(answer.error());
    });
}

BuiltPanel::BuiltPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    m_target = new TargetChoice(shell, tr("On the target"), QStringLiteral("builtTargetBox"), this);
    m_kept = new KeptTable(QStringLiteral("built"), tr("What the target has built"),
                           tr("An environment is built once on a target and kept there by the hash of its definition."),
                           false, m_target, this);
    panelColumn(this)->addWidget(m_kept);
    connect(m_target, &TargetChoice::chosen, this, [this] {
        if (m_command) m_command->cancel();
        m_command = nullptr;
        m_kept->setEntries(Json());
    });
    connect(m_kept, &KeptTable::listWanted, this, &BuiltPanel::list);
    connect(m_kept, &KeptTable::clearWanted, this, &BuiltPanel::clear);
}

void BuiltPanel::readTargets() { m_target->read(); }

void BuiltPanel::list() {
    if (m_command) return;
    m_kept->setBusy(tr("Looking…"));
    m_command = m_shell.session()->start("environment.cache", {{"target", m_target->target().toStdString()}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& answer) {
        if (m_command != mine) return;
        m_command = nullptr;
        if (answer) return m_kept->setEntries(readArray(*answer, "entries"));
        m_kept->setEntries(Json());
        if (answer.error().code != "canceled") m_kept->setError(answer.error());
    });
}

void BuiltPanel::clear(const std::vector<KeptTable::Entry>& entries, std::int64_t bytes) {
    Json keys = Json::array();
    for (const KeptTable::Entry& entry : entries) keys.push_back(entry.key);
    const QString target = m_target->target();
    Question question;
    question.id = QStringLiteral("environment.clear");
    question.title = tr("Remove %n built environment(s)?", nullptr, static_cast<int>(keys.size()));
    question.text = tr("%1 are freed on %2. Definitions stay; the next run that needs one builds it again.")
                        .arg(formatBytes(bytes), target == u"local" ? tr("this machine") : target);
    question.buttons = {{QStringLiteral("clear"), tr("Remove"), true}};
    m_shell.questions().ask(this, question, [this, target, keys](const QString& answer) {
        if (answer != u"clear" || target != m_target->target() || m_command) return;
        m_kept->setBusy(tr("Clearing…"));
        m_command = m_shell.session()->start("environment.clear", {{"target", target.toStdString()}, {"keys", keys}});
        commands::Command* mine = m_command;
        connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& done) {
            if (m_command != mine) return;
            m_command = nullptr;
            if (!done) return m_kept->setError(done.error());
            m_shell.notice(tr("%1 freed.").arg(formatBytes(readInteger(*done, "freed_bytes"))));
            list();
        });
    });
}

}  // namespace trainyard::ui
