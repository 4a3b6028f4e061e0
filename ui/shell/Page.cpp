#include "ui/shell/Page.h"

namespace trainyard::ui {

Page::Page(QString id, QWidget* parent) : QWidget(parent), m_id(std::move(id)) {
    setObjectName(m_id + QStringLiteral("Page"));
}

bool Page::openAddress(const Address& address) { return address.head == m_id && address.parts.isEmpty(); }

void Page::setPrimaryAction(QAction* action) {
    m_primary = action;
    Q_EMIT actionsChanged();
}

void Page::setContextActions(const QList<QAction*>& actions) {
    m_context = actions;
    Q_EMIT actionsChanged();
}

}  // namespace trainyard::ui
