#include "ui/widgets/Focus.h"

#include <QApplication>
#include <QWidget>

namespace trainyard::ui {

void handFocus(const QWidget* from, QWidget* to) {
    const QWidget* now = QApplication::focusWidget();
    if (!now || !from || !to || (now != from && !from->isAncestorOf(now))) return;
    QList<QWidget*> parts = to->findChildren<QWidget*>();
    parts.prepend(to);
    for (QWidget* part : std::as_const(parts)) {
        if (!part->isEnabled() || !part->isVisible() || !(part->focusPolicy() & Qt::TabFocus)) continue;
        return part->setFocus(Qt::OtherFocusReason);
    }
}

}  // namespace trainyard::ui
