#include "ui/runs/EnvironmentTab.h"

#include <QScrollArea>
#include <QVBoxLayout>

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

}  // namespace

EnvironmentTab::EnvironmentTab(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_asked = new TextLabel({}, TextStyle::Body, Role::Muted, content);
    m_asked->setObjectName(QStringLiteral("environmentAskedLabel"));
    m_asked->setWordWrap(true);
    column->addWidget(m_asked);
    m_blocks = new QWidget(content);
    m_column = new QVBoxLayout(m_blocks);
    m_column->setContentsMargins(0, 0, 0, 0);
    m_column->setSpacing(theme.space(2));
    column->addWidget(m_blocks);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1100, this));
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
