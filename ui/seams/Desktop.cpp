#include "ui/seams/Desktop.h"

#include <QDBusConnection>
#include <QDBusMessage>
#include <QDBusPendingCallWatcher>
#include <QDBusPendingReply>
#include <QDBusUnixFileDescriptor>
#include <QDBusVariant>
#include <QGuiApplication>
#include <QSystemTrayIcon>
#include <QVariantMap>

#include "ui/shell/Icons.h"

namespace trainyard::ui {
namespace {

constexpr int kAnswerMillis = 3000;

const QString& service(const char* name) {
    static QHash<QByteArray, QString> known;
    QString& text = known[QByteArray(name)];
    if (text.isEmpty()) text = QString::fromLatin1(name);
    return text;
}

QDBusMessage notificationCall(const QString& title, const QString& text) {
    QDBusMessage call = QDBusMessage::createMethodCall(
        service("org.freedesktop.Notifications"), service("/org/freedesktop/Notifications"),
        service("org.freedesktop.Notifications"), QStringLiteral("Notify"));
    // The body is markup to many servers, and run names are not ours to trust.
    QVariantMap hints;
    hints.insert(QStringLiteral("desktop-entry"), QStringLiteral("trainyard"));
    call << QStringLiteral("Trainyard") << 0U << QStringLiteral("trainyard") << title << text.toHtmlEscaped()
         << QStringList{QStringLiteral("default"), DBusDesktop::tr("Show")} << hints << -1;
    return call;
}

}  // namespace

struct DBusDesktop::Inhibitor {
    QDBusUnixFileDescriptor descriptor;
};

DBusDesktop::DBusDesktop(QObject* parent) : Desktop(parent) {}
DBusDesktop::~DBusDesktop() = default;

bool DBusDesktop::isAwake() const { return m_inhibitor != nullptr; }

void DBusDesktop::notify(const QString& title, const QString& text, std::function<void()> activated) {
    QDBusConnection bus = QDBusConnection::sessionBus();
    if (!bus.isConnected()) {
        notifyByTray(title, text, std::move(activated));
        return;
    }
    if (!m_connected) {
        m_connected = true;
        bus.connect(service("org.freedesktop.Notifications"), service("/org/freedesktop/Notifications"),
                    service("org.freedesktop.Notifications"), QStringLiteral("ActionInvoked"), this,
                    SLOT(actionInvoked(uint, QString)));
        bus.connect(service("org.freedesktop.Notifications"), service("/org/freedesktop/Notifications"),
                    service("org.freedesktop.Notifications"), QStringLiteral("NotificationClosed"), this,
                    SLOT(notificationClosed(uint, uint)));
    }
    auto* watcher = new QDBusPendingCallWatcher(bus.asyncCall(notificationCall(title, text), kAnswerMillis), this);
    connect(watcher, &QDBusPendingCallWatcher::finished, this,
            [this, title, text, activated = std::move(activated)](QDBusPendingCallWatcher* done) {
                done->deleteLater();
                const QDBusPendingReply<uint> reply = *done;
                if (reply.isError()) {
                    notifyByTray(title, text, activated);
                } else if (activated) {
                    m_waiting.insert(reply.value(), activated);
                }
            });
}

void DBusDesktop::notifyByTray(const QString& title, const QString& text, std::function<void()> activated) {
    if (!QSystemTrayIcon::isSystemTrayAvailable()) return;
    if (m_tray == nullptr) {
        m_tray = new QSystemTrayIcon(QGuiApplication::windowIcon(), this);
        m_tray->setToolTip(QStringLiteral("Trainyard"));
        m_tray->show();
    }
    disconnect(m_tray, &QSystemTrayIcon::messageClicked, this, nullptr);
    if (activated) connect(m_tray, &QSystemTrayIcon::messageClicked, this, activated);
    m_tray->showMessage(title, text);
}

void DBusDesktop::actionInvoked(uint id, const QString&) {
    if (const auto found = m_waiting.constFind(id); found != m_waiting.constEnd()) {
        const auto activated = *found;
        m_waiting.erase(found);
        activated();
    }
}

void DBusDesktop::notificationClosed(uint id, uint) { m_waiting.remove(id); }

void DBusDesktop::keepAwake(bool awake, const QString& why) {
    if (awake == m_wantAwake) return;
    m_wantAwake = awake;
    if (!awake) {
        m_inhibitor.reset();  // Closing the descriptor ends the inhibition.
        return;
    }
    QDBusConnection bus = QDBusConnection::systemBus();
    if (!bus.isConnected()) return;
    QDBusMessage call =
        QDBusMessage::createMethodCall(service("org.freedesktop.login1"), service("/org/freedesktop/login1"),
                                       service("org.freedesktop.login1.Manager"), QStringLiteral("Inhibit"));
    call << QStringLiteral("sleep:idle") << QStringLiteral("Trainyard") << why << QStringLiteral("block");
    auto* watcher = new QDBusPendingCallWatcher(bus.asyncCall(call, kAnswerMillis), this);
    connect(watcher, &QDBusPendingCallWatcher::finished, this, [this](QDBusPendingCallWatcher* done) {
        done->deleteLater();
        const QDBusPendingReply<QDBusUnixFileDescriptor> reply = *done;
        if (reply.isError() || !m_wantAwake) return;
        m_inhibitor = std::make_unique<Inhibitor>(Inhibitor{reply.value()});
    });
}

void DBusDesktop::watchScheme() {
    QDBusConnection bus = QDBusConnection::sessionBus();
    if (!bus.isConnected()) return;
    bus.connect(service("org.freedesktop.portal.Desktop"), service("/org/freedesktop/portal/desktop"),
                service("org.freedesktop.portal.Settings"), QStringLiteral("SettingChanged"), this,
                SLOT(settingChanged(QString, QString, QDBusVariant)));
    QDBusMessage call = QDBusMessage::createMethodCall(
        service("org.freedesktop.portal.Desktop"), service("/org/freedesktop/portal/desktop"),
        service("org.freedesktop.portal.Settings"), QStringLiteral("Read"));
    call << service("org.freedesktop.appearance") << QStringLiteral("color-scheme");
    auto* watcher = new QDBusPendingCallWatcher(bus.asyncCall(call, kAnswerMillis), this);
    connect(watcher, &QDBusPendingCallWatcher::finished, this, [this](QDBusPendingCallWatcher* done) {
        done->deleteLater();
        const QDBusPendingReply<QDBusVariant> reply = *done;
        if (!reply.isError()) {
            settingChanged(service("org.freedesktop.appearance"), QStringLiteral("color-scheme"), reply.value());
        }
    });
}

void DBusDesktop::settingChanged(const QString& group, const QString& key, const QDBusVariant& value) {
    if (group != service("org.freedesktop.appearance") || key != QLatin1String("color-scheme")) return;
    QVariant inner = value.variant();
    // Read() of older portals wraps the value twice.
    if (inner.userType() == qMetaTypeId<QDBusVariant>()) inner = inner.value<QDBusVariant>().variant();
    const uint scheme = inner.toUInt();  // 0 no preference, 1 dark, 2 light
    if (scheme == 1 || scheme == 2) Q_EMIT systemDarkChanged(scheme == 1);
}

void RecordingDesktop::notify(const QString& title, const QString& text, std::function<void()> activated) {
    titles << title;
    texts << text;
    activations << std::move(activated);
}

void RecordingDesktop::keepAwake(bool on, const QString&) { awake = on; }

}  // namespace trainyard::ui
