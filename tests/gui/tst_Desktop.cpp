// The D-Bus seam against a bus of its own with made-up services, and without any bus.
#include <QDBusAbstractAdaptor>
#include <QDBusConnection>
#include <QDBusMessage>
#include <QDBusUnixFileDescriptor>
#include <QDBusVariant>
#include <QProcess>
#include <QStandardPaths>
#include <QtTest>

#include <fcntl.h>
#include <unistd.h>

#include "tests/helpers/Wait.h"
#include "tests/helpers/Skip.h"
#include "ui/seams/Desktop.h"

using namespace trainyard::ui;
using trainyard::test::waitFor;

class Notifications : public QObject {
    Q_OBJECT
    Q_CLASSINFO("D-Bus Interface", "org.freedesktop.Notifications")
public:
    QStringList summaries, bodies;

public Q_SLOTS:
    uint Notify(const QString&, uint, const QString&, const QString& summary, const QString& body, const QStringList&,
                const QVariantMap&, int) {
        summaries << summary;
        bodies << body;
        return 7;
    }

Q_SIGNALS:
    void ActionInvoked(uint id, const QString& action);
    void NotificationClosed(uint id, uint reason);
};

class Login : public QObject {
    Q_OBJECT
    Q_CLASSINFO("D-Bus Interface", "org.freedesktop.login1.Manager")
public:
    int read = -1;
    QString what;

public Q_SLOTS:
    QDBusUnixFileDescriptor Inhibit(const QString& kind, const QString&, const QString&, const QString&) {
        what = kind;
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return QDBusUnixFileDescriptor();
        read = ends[0];
        QDBusUnixFileDescriptor given(ends[1]);  // Keeps a copy of its own.
        ::close(ends[1]);
        return given;
    }
    /// All copies of the other end are closed.
    [[nodiscard]] bool released() const {
        char byte = 0;
        return ::read(read, &byte, 1) == 0;
    }
};

class Portal : public QObject {
    Q_OBJECT
    Q_CLASSINFO("D-Bus Interface", "org.freedesktop.portal.Settings")
public Q_SLOTS:
    QDBusVariant Read(const QString&, const QString&) { return QDBusVariant(QVariant::fromValue(QDBusVariant(1U))); }
Q_SIGNALS:
    void SettingChanged(const QString& group, const QString& key, const QDBusVariant& value);
};

class TestDesktop : public QObject {
    Q_OBJECT
    QProcess m_daemon;
    Notifications m_notifications;
    Login m_login;
    Portal m_portal;
    bool m_bus = false;

private Q_SLOTS:
    void initTestCase() {
        const QString program = QStandardPaths::findExecutable(QStringLiteral("dbus-daemon"));
        if (program.isEmpty()) return;
        m_daemon.start(program,
                       {QStringLiteral("--session"), QStringLiteral("--nofork"), QStringLiteral("--print-address")});
        QVERIFY(m_daemon.waitForReadyRead(5000));
        const QByteArray address = m_daemon.readLine().trimmed();
        qputenv("DBUS_SESSION_BUS_ADDRESS", address);
        qputenv("DBUS_SYSTEM_BUS_ADDRESS", address);
        QDBusConnection bus = QDBusConnection::sessionBus();
        QVERIFY(bus.isConnected());
        const auto options = QDBusConnection::ExportAllSlots | QDBusConnection::ExportAllSignals;
        QVERIFY(bus.registerObject(QStringLiteral("/org/freedesktop/Notifications"), &m_notifications, options));
        QVERIFY(bus.registerObject(QStringLiteral("/org/freedesktop/login1"), &m_login, options));
        QVERIFY(bus.registerObject(QStringLiteral("/org/freedesktop/portal/desktop"), &m_portal, options));
        for (const char* name :
             {"org.freedesktop.Notifications", "org.freedesktop.login1", "org.freedesktop.portal.Desktop"}) {
            QVERIFY(bus.registerService(QString::fromLatin1(name)));
        }
        m_bus = true;
    }
    void cleanupTestCase() {
        m_daemon.kill();
        m_daemon.waitForFinished(3000);
    }

    void notify_isShownAndAnswersAClick() {
        if (!m_bus) TRAINYARD_SKIP("There is no dbus-daemon here.");
        DBusDesktop desktop;
        int clicks = 0;
        desktop.notify(QStringLiteral("Run failed"), QStringLiteral("#3 <b>cnn</b>"), [&clicks] { ++clicks; });
        QVERIFY(waitFor([&] { return !m_notifications.summaries.isEmpty(); }));
        QCOMPARE(m_notifications.summaries.last(), QStringLiteral("Run failed"));
        QCOMPARE(m_notifications.bodies.last(), QStringLiteral("#3 &lt;b&gt;cnn&lt;/b&gt;"));
        // The answer with the id needs a turn to arrive.
        QTest::qWait(100);
        Q_EMIT m_notifications.ActionInvoked(99, QStringLiteral("default"));
        QTest::qWait(50);
        QCOMPARE(clicks, 0);
        Q_EMIT m_notifications.ActionInvoked(7, QStringLiteral("default"));
        QVERIFY(waitFor([&] { return clicks == 1; }));
    }

    void keepAwake_holdsAndReleases() {
        if (!m_bus) TRAINYARD_SKIP("There is no dbus-daemon here.");
        DBusDesktop desktop;
        desktop.keepAwake(true, QStringLiteral("Runs are training"));
        QVERIFY(waitFor([&] { return desktop.isAwake(); }));
        QCOMPARE(m_login.what, QStringLiteral("sleep:idle"));
        desktop.keepAwake(false, {});
        QVERIFY(!desktop.isAwake());
        QVERIFY(waitFor([&] { return m_login.released(); }));
    }

    void scheme_isReadAndWatched() {
        if (!m_bus) TRAINYARD_SKIP("There is no dbus-daemon here.");
        DBusDesktop desktop;
        QSignalSpy spy(&desktop, &Desktop::systemDarkChanged);
        desktop.watchScheme();
        QVERIFY(waitFor([&] { return spy.count() == 1; }));
        QCOMPARE(spy[0][0].toBool(), true);
        Q_EMIT m_portal.SettingChanged(QStringLiteral("org.freedesktop.appearance"), QStringLiteral("color-scheme"),
                                       QDBusVariant(2U));
        QVERIFY(waitFor([&] { return spy.count() == 2; }));
        QCOMPARE(spy[1][0].toBool(), false);
        Q_EMIT m_portal.SettingChanged(QStringLiteral("org.freedesktop.appearance"), QStringLiteral("accent-color"),
                                       QDBusVariant(1U));
        QTest::qWait(50);
        QCOMPARE(spy.count(), 2);
    }

    void withoutAnyService_nothingFails() {
        if (m_bus) {
            QDBusConnection bus = QDBusConnection::sessionBus();
            for (const char* name :
                 {"org.freedesktop.Notifications", "org.freedesktop.login1", "org.freedesktop.portal.Desktop"}) {
                bus.unregisterService(QString::fromLatin1(name));
            }
        }
        DBusDesktop desktop;
        QSignalSpy spy(&desktop, &Desktop::systemDarkChanged);
        desktop.notify(QStringLiteral("a"), QStringLiteral("b"), {});
        desktop.keepAwake(true, QStringLiteral("c"));
        desktop.watchScheme();
        QTest::qWait(300);
        QVERIFY(!desktop.isAwake());
        QCOMPARE(spy.count(), 0);
        desktop.keepAwake(false, {});
    }
};

QTEST_MAIN(TestDesktop)
#include "tst_Desktop.moc"
