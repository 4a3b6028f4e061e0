#pragma once
#include <QObject>

#include "core/base/Files.h"
#include "ui/shell/StateFile.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {

/// What a person chose for the program as a whole, in $XDG_CONFIG_HOME/trainyard/settings.json. GUI thread.
class Settings : public QObject {
    Q_OBJECT
public:
    explicit Settings(base::Path folder, QObject* parent = nullptr);
    /// Beside $XDG_CONFIG_HOME/trainyard.
    [[nodiscard]] static base::Path defaultFolder();

    [[nodiscard]] Theme::Choice theme() const;
    void setTheme(Theme::Choice choice);
    [[nodiscard]] Theme::Density density() const;
    void setDensity(Theme::Density density);
    [[nodiscard]] bool notifications() const;
    void setNotifications(bool on);
    [[nodiscard]] bool holdOffSleep() const;
    void setHoldOffSleep(bool on);
    [[nodiscard]] bool railCollapsed() const;
    void setRailCollapsed(bool on);
    /// Where new workspaces are made; empty: the home folder.
    [[nodiscard]] QString workspaceFolder() const;
    void setWorkspaceFolder(const QString& folder);
    [[nodiscard]] StateFile& file() { return m_file; }

Q_SIGNALS:
    void changed();

private:
    [[nodiscard]] bool flag(const QString& key, bool fallback) const;
    void set(const QString& key, const base::Json& value);
    StateFile m_file;
};

}  // namespace trainyard::ui
