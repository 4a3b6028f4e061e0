#pragma once
#include <QDBusVariant>
#include <QHash>
#include <QObject>
#include <QString>

#include <functional>
#include <memory>

class QSystemTrayIcon;

namespace trainyard::ui {

/// What the desktop can do for us: notifications, no sleep while a run works, light or dark. Every part may be absent
/// (a container, a bare X server); then nothing happens and nothing fails. GUI thread; nothing here waits.
class Desktop : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;
    /// `activated` is called when the person clicks the notification.
    virtual void notify(const QString& title, const QString& text, std::function<void()> activated) = 0;
    /// Holds off sleep while `awake`.
    virtual void keepAwake(bool awake, const QString& why) = 0;
    /// Asks for the preferred scheme and watches it; answers by systemDarkChanged.
    virtual void watchScheme() = 0;

Q_SIGNALS:
    void systemDarkChanged(bool dark);
};

/// By D-Bus: org.freedesktop.Notifications, org.freedesktop.login1, org.freedesktop.portal.Settings; a tray icon stands
/// in for the first where there is no notification service.
class DBusDesktop final : public Desktop {
    Q_OBJECT
public:
    explicit DBusDesktop(QObject* parent = nullptr);
    ~DBusDesktop() override;
    void notify(const QString& title, const QString& text, std::function<void()> activated) override;
    void keepAwake(bool awake, const QString& why) override;
    void watchScheme() override;
    [[nodiscard]] bool isAwake() const;

private Q_SLOTS:
    void actionInvoked(uint id, const QString& action);
    void notificationClosed(uint id, uint reason);
    void settingChanged(const QString& group, const QString& key, const QDBusVariant& value);

private:
    void notifyByTray(const QString& title, const QString& text, std::function<void()> activated);
    struct Inhibitor;
    std::unique_ptr<Inhibitor> m_inhibitor;
    QHash<uint, std::function<void()>> m_waiting;
    QSystemTrayIcon* m_tray = nullptr;
    bool m_wantAwake = false;
    bool m_connected = false;
};

/// Remembers what it was asked, for tests.
class RecordingDesktop final : public Desktop {
    Q_OBJECT
public:
    using Desktop::Desktop;
    void notify(const QString& title, const QString& text, std::function<void()> activated) override;
    void keepAwake(bool awake, const QString& why) override;
    void watchScheme() override {}

    QStringList titles;
    QStringList texts;
    QList<std::function<void()>> activations;
    bool awake = false;
};

}  // namespace trainyard::ui
