#include "ui/shell/WindowShell.h"

#include "core/commands/Session.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/NoticeBar.h"
#include "ui/shell/Palette.h"
#include "ui/shell/Rail.h"
#include "ui/shell/Settings.h"
#include "ui/shell/WorkList.h"

namespace trainyard::ui {

commands::Session* MainWindow::WindowShell::session() const {
    return m_window.m_parts.session.isOpen() ? &m_window.m_parts.session : nullptr;
}

bool MainWindow::WindowShell::open(const Address& address) { return m_window.openAddress(address, true); }

void MainWindow::WindowShell::notice(const QString& text, const std::function<void()>& undo) {
    m_window.m_notices->showNotice(text, undo);
}

void MainWindow::WindowShell::warn(const base::Error& error) {
    if (error.code != "canceled") m_window.m_notices->showError(error);
}

WorkList& MainWindow::WindowShell::work() { return *m_window.m_work; }
Questions& MainWindow::WindowShell::questions() { return m_window.m_parts.questions; }

base::Json MainWindow::WindowShell::stored(const QString& key) const {
    return m_window.m_state ? m_window.m_state->value(QStringLiteral("stored.") + key) : base::Json();
}

void MainWindow::WindowShell::store(const QString& key, const base::Json& value) {
    if (m_window.m_state) m_window.m_state->setValue(QStringLiteral("stored.") + key, value);
}

void MainWindow::WindowShell::notifyDesktop(const QString& title, const QString& text, const Address& address) {
    if (!m_window.m_parts.settings.notifications() || m_window.isActiveWindow()) return;
    m_window.m_parts.desktop.notify(title, text, [window = QPointer<MainWindow>(&m_window), address] {
        if (!window) return;
        window->show();
        window->raise();
        window->activateWindow();
        window->openAddress(address, true);
    });
}

void MainWindow::WindowShell::addPaletteSource(PaletteSource source) {
    m_window.m_palette->addSource(std::move(source));
}
void MainWindow::WindowShell::setBadge(const QString& pageId, int count) { m_window.m_rail->setBadge(pageId, count); }

}  // namespace trainyard::ui
