#include "ui/targets/HostsEditor.h"

#include <QHBoxLayout>
#include <QLineEdit>
#include <QStyle>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;

namespace {

void markInvalid(QWidget* widget, bool invalid) {
    if (widget->property("invalid").toBool() == invalid) return;
    widget->setProperty("invalid", invalid);
    widget->style()->unpolish(widget);
    widget->style()->polish(widget);
    widget->update();
}

}  // namespace

HostsEditor::HostsEditor(QWidget* parent) : QWidget(parent), m_shown(Json::array()) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(1));
    auto* hint = new TextLabel(
        tr("As given to ssh: an alias of your configuration, a host, or user@host. The first one leads. What is left "
           "empty is found by itself."),
        TextStyle::Secondary, Role::Muted, this);
    hint->setWordWrap(true);
    column->addWidget(hint);
    m_rowsLayout = new QVBoxLayout;
    m_rowsLayout->setSpacing(6);
    column->addLayout(m_rowsLayout);
    m_error = new TextLabel({}, TextStyle::Secondary, Role::Danger, this);
    m_error->setObjectName(QStringLiteral("hostsErrorLabel"));
    m_error->setWordWrap(true);
    m_error->hide();
    column->addWidget(m_error);
    m_add = new LinkButton(tr("Add a host"), this);
    m_add->setObjectName(QStringLiteral("addHostButton"));
    column->addWidget(m_add, 0, Qt::AlignLeft);
    connect(m_add, &LinkButton::clicked, this, [this] { addRow(Json::object(), true); });
}

void HostsEditor::addRow(const Json& host, bool focus) {
    auto* widget = new QWidget(this);
    auto* line = new QHBoxLayout(widget);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(6);
    const int number = static_cast<int>(m_rows.size()) + 1;
    const auto field = [&](const QString& placeholder, const QString& name, const QString& value, int stretch) {
        auto* edit = new QLineEdit(value, widget);
        edit->setPlaceholderText(placeholder);
        edit->setAccessibleName(tr("Host %1: %2").arg(number).arg(name));
        edit->setToolTip(name);
        edit->setMinimumWidth(56);
        line->addWidget(edit, stretch);
        connect(edit, &QLineEdit::textEdited, this, &HostsEditor::report);
        return edit;
    };
    const std::int64_t port = readInteger(host, "port");
    auto* destination =
        field(tr("user@host"), tr("destination"),
              host.is_string() ? fromUtf8(host.get<std::string>()) : readString(host, "destination"), 5);
    destination->setObjectName(QStringLiteral("hostInput%1").arg(number));
    auto* portLine = field(tr("port"), tr("port of ssh"), port > 0 ? QString::number(port) : QString(), 1);
    auto* address = field(tr("address"), tr("address for the other nodes"), readString(host, "address"), 3);
    auto* interface = field(tr("interface"), tr("network interface"), readString(host, "interface"), 2);
    auto* remove = new IconButton(QStringLiteral("close"), tr("Remove host %1").arg(number), widget);
    line->addWidget(remove);
    m_rowsLayout->addWidget(widget);
    m_rows.push_back({widget, destination, portLine, address, interface});
    connect(remove, &IconButton::clicked, this, [this, widget] { removeRow(widget); });
    if (focus) destination->setFocus(Qt::TabFocusReason);
}

void HostsEditor::removeRow(QWidget* widget) {
    std::erase_if(m_rows, [widget](const Row& row) { return row.widget == widget; });
    widget->hide();
    widget->deleteLater();
    m_add->setFocus(Qt::OtherFocusReason);
    report();
}

Json HostsEditor::typed() const {
    Json hosts = Json::array();
    for (const Row& row : m_rows) {
        const QString port = row.port->text().trimmed();
        if (row.destination->text().isEmpty() && port.isEmpty() && row.address->text().isEmpty() &&
            row.interface->text().isEmpty())
            continue;
        bool whole = false;
        const qlonglong number = port.toLongLong(&whole);
        hosts.push_back(Json{{"destination", row.destination->text().toStdString()},
                             {"port", port.isEmpty() ? Json(0)
                                      : whole        ? Json(static_cast<std::int64_t>(number))
                                                     : Json(port.toStdString())},
                             {"address", row.address->text().trimmed().toStdString()},
                             {"interface", row.interface->text().trimmed().toStdString()}});
    }
    return hosts;
}

void HostsEditor::report() {
    m_shown = typed();
    Q_EMIT edited(m_shown);
}

void HostsEditor::display(const Json& hosts) {
    if (hosts == m_shown && !m_rows.empty()) return;
    for (const Row& row : m_rows) {
        row.widget->hide();
        row.widget->deleteLater();
    }
    m_rows.clear();
    if (hosts.is_array()) {
        for (const Json& host : hosts) addRow(host, false);
    }
    if (m_rows.empty()) addRow(Json::object(), false);
    m_shown = hosts;
}

void HostsEditor::setErrors(const std::vector<Error>& errors, bool alsoMissing) {
    QString text;
    std::vector<bool> wrong(m_rows.size(), false);
    for (const Error& error : errors) {
        if (error.field != "hosts" && !error.field.starts_with("hosts.")) continue;
        const bool missing = error.code == "spec.required" || (error.code == "spec.destination" && typed().empty());
        if (missing && !alsoMissing) continue;
        if (text.isEmpty()) text = fromUtf8(error.message);
        const int row = fromUtf8(error.field).section(u'.', 1, 1).toInt();
        if (row >= 0 && row < static_cast<int>(wrong.size())) wrong[static_cast<std::size_t>(row)] = true;
    }
    for (std::size_t i = 0; i < m_rows.size(); ++i) markInvalid(m_rows[i].destination, wrong[i]);
    m_error->setText(text);
    m_error->setVisible(!text.isEmpty());
}

void HostsEditor::focusFirst() {
    if (!m_rows.empty()) m_rows.front().destination->setFocus(Qt::ShortcutFocusReason);
}

}  // namespace trainyard::ui
