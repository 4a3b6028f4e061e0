#include "ui/shell/Settings.h"

namespace trainyard::ui {

Settings::Settings(base::Path folder, QObject* parent)
    : QObject(parent), m_file(folder / "settings.json", QStringLiteral("trainyard.settings")) {}

base::Path Settings::defaultFolder() { return base::xdgConfigHome() / "trainyard"; }

bool Settings::flag(const QString& key, bool fallback) const {
    const base::Json value = m_file.value(key);
    return value.is_boolean() ? value.get<bool>() : fallback;
}

void Settings::set(const QString& key, const base::Json& value) {
    if (m_file.value(key) == value) return;
    m_file.setValue(key, value);
    Q_EMIT changed();
}

Theme::Choice Settings::theme() const {
    const base::Json value = m_file.value(QStringLiteral("theme"));
    if (value == "light") return Theme::Choice::Light;
    if (value == "dark") return Theme::Choice::Dark;
    return Theme::Choice::System;
}

void Settings::setTheme(Theme::Choice choice) {
    set(QStringLiteral("theme"), choice == Theme::Choice::Light  ? "light"
                                 : choice == Theme::Choice::Dark ? "dark"
                                                                 : "system");
}

Theme::Density Settings::density() const {
    return m_file.value(QStringLiteral("density")) == "compact" ? Theme::Density::Compact : Theme::Density::Comfortable;
}

void Settings::setDensity(Theme::Density density) {
    set(QStringLiteral("density"), density == Theme::Density::Compact ? "compact" : "comfortable");
}

bool Settings::notifications() const { return flag(QStringLiteral("notifications"), true); }
void Settings::setNotifications(bool on) { set(QStringLiteral("notifications"), on); }
bool Settings::holdOffSleep() const { return flag(QStringLiteral("hold_off_sleep"), true); }
void Settings::setHoldOffSleep(bool on) { set(QStringLiteral("hold_off_sleep"), on); }
bool Settings::railCollapsed() const { return flag(QStringLiteral("rail_collapsed"), false); }
void Settings::setRailCollapsed(bool on) { set(QStringLiteral("rail_collapsed"), on); }

QString Settings::workspaceFolder() const {
    const base::Json value = m_file.value(QStringLiteral("workspace_folder"));
    return value.is_string() ? QString::fromStdString(value.get<std::string>()) : QString();
}

void Settings::setWorkspaceFolder(const QString& folder) {
    set(QStringLiteral("workspace_folder"), folder.toStdString());
}

}  // namespace trainyard::ui
