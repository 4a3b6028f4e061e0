#include "ui/runs/EnvironmentTab.h"

#include <QHBoxLayout>
#include <QLineEdit>
#include <QScrollArea>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/FieldEditor.h"
#include "ui/forms/JsonRead.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {

/// Members that every record of a stream has, and those that the title says.
bool isFrame(const std::string& name) {
    return name == "v" || name == "seq" || name == "t" || name == "kind" || name == "rank" || name == "src";
}

/// One line a value; lists of plain values one a line below each other, objects by their members.
void addValues(KeyValueGrid* grid, const QString& name, const Json& value) {
    if (value.is_object()) {
        for (const auto& [key, entry] : value.items())
            addValues(grid, name.isEmpty() ? fromUtf8(key) : name + QStringLiteral(" · ") + fromUtf8(key), entry);
        return;
    }
    if (value.is_null() || value == "") return;
    QStringList lines;
    if (value.is_array()) {
        for (const Json& entry : value)
            lines << (entry.is_structured() ? fromUtf8(base::dumpJson(entry)) : numberText(entry));
        if (lines.isEmpty()) return;
    } else if (value.is_boolean()) {
        lines << (value.get<bool>() ? EnvironmentTab::tr("yes") : EnvironmentTab::tr("no"));
    } else if (name.endsWith(u"_ns") && value.is_number()) {
        lines << formatDuration(value.get<std::int64_t>());
    } else {
        lines << numberText(value);
    }
    QString shown = name;
    if (shown.endsWith(u"_ns")) shown.chop(3);
    grid->add(shown.replace(u'_', u' '), lines.join(u'\n'), {}, value.is_string() && lines.first().size() > 40);
}

constexpr qsizetype kMostDifferences = 40;

QString sideText(const Json& value) {
    if (value.is_null()) return EnvironmentTab::tr("nothing");
    return value.is_structured() ? fromUtf8(base::dumpJson(value)) : numberText(value);
}

/// Entries of one list that the other has not, one a line.
QString onlyIn(const Json& list, const Json& other, const QString& where) {
    QStringList lines;
    for (const Json& one : list) {
        if (std::find(other.begin(), other.end(), one) == other.end()) lines << where.arg(sideText(one));
    }
    if (lines.size() > kMostDifferences) {
        const auto more = static_cast<int>(lines.size() - kMostDifferences);
        lines.resize(kMostDifferences);
        lines << EnvironmentTab::tr("and %n more", nullptr, more);
    }
    return lines.join(u'\n');
}

/// What this run (right) had, and the other (left).
QString differenceText(const Json& left, const Json& right) {
    // What is not known of one run is an empty list of it.
    if ((left.is_array() || left.is_null()) && (right.is_array() || right.is_null())) {
        QStringList both{onlyIn(right, left, EnvironmentTab::tr("%1 only here")),
                         onlyIn(left, right, EnvironmentTab::tr("%1 only there"))};
        both.removeAll(QString());
        if (!both.isEmpty()) return both.join(u'\n');
    }
    return EnvironmentTab::tr("%1 here, %2 there").arg(sideText(right), sideText(left));
}

}  // namespace

EnvironmentTab::EnvironmentTab(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_asked = new TextLabel({}, TextStyle::Body, Role::Muted, content);
    m_asked->setObjectName(QStringLiteral("environmentAskedLabel"));
    m_asked->setWordWrap(true);
    column->addWidget(m_asked);
    auto* line = new QHBoxLayout;
    m_with = new QLineEdit(content);
    m_with->setObjectName(QStringLiteral("environmentCompareLine"));
    m_with->setPlaceholderText(tr("Compare with run, such as #12, then Enter"));
    m_with->setAccessibleName(tr("Run to compare the environment with"));
    m_with->setMaximumWidth(theme.scaled(320));
    m_compared = new TextLabel({}, TextStyle::Secondary, Role::Muted, content);
    m_compared->setObjectName(QStringLiteral("environmentComparedLabel"));
    m_compared->setWordWrap(true);
    line->addWidget(m_with, 1);
    line->addWidget(m_compared, 1);
    column->addLayout(line);
    m_different = new KeyValueGrid(content);
    m_different->setObjectName(QStringLiteral("environmentDifferences"));
    m_different->hide();
    column->addWidget(m_different);
    m_blocks = new QWidget(content);
    m_column = new QVBoxLayout(m_blocks);
    m_column->setContentsMargins(0, 0, 0, 0);
    m_column->setSpacing(theme.space(2));
    column->addWidget(m_blocks);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1100, this));
    connect(m_with, &QLineEdit::returnPressed, this, &EnvironmentTab::compare);
}

void EnvironmentTab::compare() {
    const QString with = m_with->text().trimmed();
    if (with.isEmpty()) return;
    m_session.start(
        "run.compare", {{"run", with.toStdString()}, {"with", m_run.str()}}, this,
        [this, with, run = m_run](const base::Result<Json>& found) {
            if (run != m_run || with != m_with->text().trimmed()) return;
            m_different->clear();
            m_different->hide();
            if (!found) return m_compared->setText(fromUtf8(found.error().message));
            const Json same = readObject(*found, "same");
            const Json different = readArray(*found, "environment");
            if (different.empty()) {
                return m_compared->setText(readFlag(same, "environment")
                                               ? tr("The same as that of run %1.").arg(with)
                                               : tr("Of run %1 it is not known what it ran in.").arg(with));
            }
            m_compared->setText(
                tr("%n thing(s) differ from run %1.", nullptr, static_cast<int>(different.size())).arg(with));
            for (const Json& one : different) {
                const Json* left = member(one, "left");
                const Json* right = member(one, "right");
                const QString text = differenceText(left ? *left : Json(), right ? *right : Json());
                m_different->add(readString(one, "name").replace(u'_', u' '), text, {}, text.contains(u'\n'));
            }
            m_different->show();
        });
}

bool EnvironmentTab::setDetail(const RunDetail& detail, int attempt) {
    const int wanted = attempt > 0 ? attempt : detail.row.attempts;
    Json shown = Json::array();
    for (const store::ItemRow& one : detail.environments) {
        if (one.attempt != wanted) continue;
        QString title = tr("Node %1").arg(one.node);
        for (const store::AttemptRow& node : detail.attempts) {
            if (node.attempt == wanted && node.node == one.node && !node.host.empty())
                title = tr("Node %1 · %2").arg(one.node).arg(fromUtf8(node.host));
        }
        shown.push_back({{"title", title.toStdString()}, {"body", one.body}});
    }
    const QString key = fromUtf8(detail.row.id.str()) + fromUtf8(base::dumpJson(shown));
    if (key == m_shown) return !shown.empty();
    m_shown = key;
    if (m_run != detail.row.id) {
        m_run = detail.row.id;
        m_with->clear();
        m_compared->clear();
        m_different->clear();
        m_different->hide();
    }
    m_asked->setText(tr("Asked for: %1. Below is what was found there when the processes started.")
                         .arg(fromUtf8(detail.row.environment)));
    while (QLayoutItem* item = m_column->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    for (const Json& one : shown) {
        auto* card = new Card(readString(one, "title"), m_blocks);
        auto* grid = new KeyValueGrid(card);
        Json body = readObject(one, "body");
        for (const auto& [name, value] : body.items()) {
            if (!isFrame(name)) addValues(grid, name == "facts" ? QString() : fromUtf8(name), value);
        }
        card->body()->addWidget(grid);
        m_column->addWidget(card);
    }
    return !shown.empty();
}

}  // namespace trainyard::ui
