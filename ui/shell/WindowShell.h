#pragma once
#include "ui/shell/MainWindow.h"

namespace trainyard::ui {

/// The window as its pages see it.
class MainWindow::WindowShell final : public Shell {
    Q_OBJECT
public:
    explicit WindowShell(MainWindow& window) : m_window(window) {}
    [[nodiscard]] commands::Session* session() const override;
    bool open(const Address& address) override;
    void notice(const QString& text, const std::function<void()>& undo = {}) override;
    void warn(const base::Error& error) override;
    [[nodiscard]] WorkList& work() override;
    [[nodiscard]] Questions& questions() override;
    [[nodiscard]] base::Json stored(const QString& key) const override;
    void store(const QString& key, const base::Json& value) override;
    void notifyDesktop(const QString& title, const QString& text, const Address& address) override;
    void addPaletteSource(PaletteSource source) override;
    void setBadge(const QString& pageId, int count) override;

private:
    MainWindow& m_window;
};

}  // namespace trainyard::ui
