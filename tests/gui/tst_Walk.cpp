#include <QProcess>
#include <QPushButton>
#include <QTabWidget>
#include <QtTest>

#include "tests/gui/WidgetWalk.h"
#include "tests/gui/WindowFixture.h"

using namespace trainyard;
using trainyard::test::BlockWatch;
using trainyard::test::WidgetWalk;
using trainyard::test::WindowFixture;

namespace {
constexpr const char* kScaled = "TRAINYARD_WALK_SCALED";
}

class TestWalk : public QObject {
    Q_OBJECT
    WindowFixture m_fixture;
    QString m_full, m_empty;

private Q_SLOTS:
    void initTestCase() {
        ui::Theme::install(*qApp);
        commands::ShowcaseOptions options;
        options.furnished = true;
        m_full = m_fixture.makeWorkspace("full", options);
        auto keep = std::move(m_fixture.showcase);
        m_empty = m_fixture.makeWorkspace("empty", std::nullopt);
        m_fixture.showcase = std::move(keep);
    }

    void walkerFindsWhatItIsFor() {
        // A walker that finds nothing must be shown to be able to find something.
        QWidget window;
        window.resize(400, 300);
        auto* clipped = new QLabel(QStringLiteral("a label much too long for its width"), &window);
        clipped->setGeometry(0, 0, 40, 20);
        auto* faint = new QLabel(QStringLiteral("hardly to be read"), &window);
        faint->setGeometry(0, 40, 300, 30);
        QPalette pale = faint->palette();
        pale.setColor(QPalette::WindowText,
                      ui::Theme::blend(ui::Theme::current().color(ui::Role::Background), Qt::gray, 0.5));
        faint->setPalette(pale);
        auto* nameless = new QToolButton(&window);
        nameless->setFocusPolicy(Qt::StrongFocus);
        nameless->setGeometry(0, 80, 30, 30);
        auto* title =
            new ui::ElidedLabel(QStringLiteral("Environments"), ui::TextStyle::Title, ui::Role::Text, &window);
        title->setObjectName(QStringLiteral("pageTitle"));
        title->setGeometry(0, 120, 60, 30);
        auto* search = new QToolButton(&window);
        search->setObjectName(QStringLiteral("searchButton"));
        search->setText(QStringLiteral("Search or jump to"));
        search->setGeometry(0, 160, 60, 30);
        auto* line = new QHBoxLayout(&window);
        auto* a = new QPushButton(QStringLiteral("a"), &window);
        auto* b = new QPushButton(QStringLiteral("b"), &window);
        line->addWidget(a);
        line->addWidget(b);
        window.show();
        b->setGeometry(a->geometry());
        b->setFocusPolicy(Qt::StrongFocus);
        const QStringList found = WidgetWalk(window).findings(false);
        const auto has = [&found](const char* what) {
            return std::any_of(found.begin(), found.end(),
                               [what](const QString& line_) { return line_.startsWith(QLatin1String(what)); });
        };
        QVERIFY2(has("clipped:") && has("faint:") && has("no accessible name:") && has("overlap:"),
                 qPrintable(found.join(QLatin1Char('\n'))));
        QVERIFY2(has("clipped: QWidget > ElidedLabel#pageTitle") && has("clipped: QWidget > QToolButton#searchButton"),
                 qPrintable(found.join(QLatin1Char('\n'))));
    }

    void walkerFindsWhatTabDoesNotReach() {
        QWidget window;
        auto* column = new QVBoxLayout(&window);
        auto* first = new QLineEdit(&window);
        auto* trap = new QPlainTextEdit(&window);
        auto* beyond = new QPushButton(QStringLiteral("beyond"), &window);
        for (QWidget* widget :
             {static_cast<QWidget*>(first), static_cast<QWidget*>(trap), static_cast<QWidget*>(beyond)}) {
            widget->setAccessibleName(QStringLiteral("named"));
            column->addWidget(widget);
        }
        window.resize(300, 300);
        window.show();
        window.activateWindow();
        first->setFocus();
        // A text edit that takes the key as a character never lets go of it.
        trap->setTabChangesFocus(false);
        const QStringList found = WidgetWalk(window).findings();
        QVERIFY2(std::any_of(found.begin(), found.end(),
                             [](const QString& line) {
                                 return line.startsWith(QLatin1String("Tab does not reach")) &&
                                        line.contains(u"beyond");
                             }),
                 qPrintable(found.join(QLatin1Char('\n'))));
        trap->setTabChangesFocus(true);
        first->setFocus();
        const QStringList mended = WidgetWalk(window).findings();
        QVERIFY2(mended.isEmpty(), qPrintable(mended.join(QLatin1Char('\n'))));
    }

    void watchBlamesWorkAndNotWaiting() {
        auto* application = static_cast<BlockWatch*>(qApp);
        application->blocks.clear();
        QTimer::singleShot(0, qApp, [] { QTest::qSleep(400); });
        QTest::qWait(10);
        QVERIFY2(application->blocks.isEmpty(), qPrintable(application->blocks.join(QLatin1Char('\n'))));
        QTimer::singleShot(0, qApp, [] {
            for (int i = 0; i < 30; ++i) (void) BlockWatch::slowness();
        });
        QTest::qWait(10);
        QVERIFY(!application->blocks.isEmpty());
        application->blocks.clear();
    }

    void everyPage_data() {
        QTest::addColumn<bool>("dark");
        QTest::addColumn<QSize>("size");
        QTest::addColumn<double>("text");
        QTest::addColumn<bool>("mirrored");
        QTest::newRow("light 1280x720") << false << QSize(1280, 720) << 1.0 << false;
        QTest::newRow("dark 1280x720") << true << QSize(1280, 720) << 1.0 << false;
        if (qEnvironmentVariableIsSet(kScaled)) return;
        QTest::newRow("light 2560x1440") << false << QSize(2560, 1440) << 1.0 << false;
        QTest::newRow("dark 2560x1440") << true << QSize(2560, 1440) << 1.0 << false;
        QTest::newRow("larger text, from right to left") << false << QSize(1280, 720) << 1.4 << true;
    }
    void everyPage() {
        QFETCH(bool, dark);
        QFETCH(QSize, size);
        QFETCH(double, text);
        QFETCH(bool, mirrored);
        ui::Theme::current().setTextScale(text);
        QApplication::setLayoutDirection(mirrored ? Qt::RightToLeft : Qt::LeftToRight);
        const auto upright = qScopeGuard([] {
            ui::Theme::current().setTextScale(1);
            QApplication::setLayoutDirection(Qt::LeftToRight);
        });
        ui::Theme::current().setChoice(dark ? ui::Theme::Choice::Dark : ui::Theme::Choice::Light);
        ui::MainWindow& window = m_fixture.openWindow(size);
        m_fixture.settings->setTheme(dark ? ui::Theme::Choice::Dark : ui::Theme::Choice::Light);
        auto* application = static_cast<BlockWatch*>(qApp);
        QStringList all;
        const auto walk = [&](const QString& name) {
            m_fixture.settle(200);
            // What is wrong has to stay wrong: a page may just have got its data.
            for (int look = 0; look < 2; ++look) {
                WidgetWalk walker(window);
                const QStringList found = walker.findings();
                QVERIFY2(walker.looked > 10, qPrintable(name));
                if (found.isEmpty()) return;
                if (look == 0) {
                    m_fixture.settle();
                    continue;
                }
                for (const QString& finding : found) all << name + QStringLiteral(" | ") + finding;
            }
        };
        walk(QStringLiteral("welcome"));
        QVERIFY(m_fixture.openWorkspace(m_empty));
        for (const char* page : {"home", "runs", "models", "data", "environments", "targets"}) {
            QVERIFY(window.shell().open(ui::Address{QString::fromLatin1(page)}));
            walk(QStringLiteral("empty ") + QLatin1String(page));
        }
        QVERIFY(m_fixture.openWorkspace(m_full));
        application->blocks.clear();
        for (const char* page : {"home", "runs", "new", "models", "data", "targets", "settings"}) {
            QVERIFY2(window.shell().open(ui::Address{QString::fromLatin1(page)}), page);
            walk(QLatin1String(page));
        }
        const std::pair<const char*, ui::Address> states[] = {
            {"new target", {QStringLiteral("targets"), {}, QStringLiteral("new")}},
            {"target with findings", {QStringLiteral("targets"), {QStringLiteral("two-gpu-rig")}}},
            {"cluster", {QStringLiteral("targets"), {QStringLiteral("university-cluster")}}},
            {"target with a long name",
             {QStringLiteral("targets"),
              {QStringLiteral("a-machine-with-a-very-long-name-in-the-basement-of-the-old-house")}}},
            {"try it", {QStringLiteral("try"), {QStringLiteral("fashion-cnn:3")}}},
            {"exported model", {QStringLiteral("models"), {QStringLiteral("fashion-cnn"), QStringLiteral("3")}}},
            {"model with a long name",
             {QStringLiteral("models"),
              {QStringLiteral("a-name-as-long-as-names-may-be-for-the-comparison-of-schedules-1"),
               QStringLiteral("1")}}},
            {"register", {QStringLiteral("models"), {}, QStringLiteral("register=3")}},
            {"guide", {QStringLiteral("help")}},
            {"curated environment", {QStringLiteral("environments"), {QStringLiteral("trainyard-python-torch")}}},
            {"environment with versions", {QStringLiteral("environments"), {QStringLiteral("vision")}}},
            {"environment with long names",
             {QStringLiteral("environments"),
              {QStringLiteral("an-environment-with-a-name-as-long-as-a-name-may-be-for-pictures")}}},
            {"dataset with problems",
             {QStringLiteral("data"),
              {QStringLiteral("a-data-set-with-a-name-as-long-as-the-names-of-data-sets-may-be")}}},
            {"pictures of a dataset",
             {QStringLiteral("data"), {QStringLiteral("garden-flowers")}, QStringLiteral("samples")}},
            {"new dataset", {QStringLiteral("data"), {}, QStringLiteral("add")}},
            {"new environment", {QStringLiteral("environments"), {}, QStringLiteral("new")}},
            {"new container", {QStringLiteral("environments"), {}, QStringLiteral("new=container")}},
        };
        for (const auto& [name, address] : states) {
            QVERIFY2(window.shell().open(address), name);
            walk(QLatin1String(name));
        }
        for (const int run : {4, 10, 12, 13, 14, 15}) {
            QVERIFY(window.shell().open(ui::Address{QStringLiteral("run"), {QString::number(run)}}));
            m_fixture.settle();
            auto* tabs = window.page()->findChild<QTabWidget*>();
            const int count = tabs == nullptr ? 1 : tabs->count();
            for (int tab = 0; tab < count; ++tab) {
                if (tabs != nullptr) {
                    if (run != 4 && tab > 0) break;
                    tabs->setCurrentIndex(tab);
                }
                walk(QStringLiteral("run %1 tab %2").arg(run).arg(tab));
            }
        }
        QVERIFY2(all.isEmpty(), qPrintable(QLatin1Char('\n') + all.join(QLatin1Char('\n'))));
        QVERIFY2(application->blocks.isEmpty(), qPrintable(application->blocks.join(QLatin1Char('\n'))));
    }

    void at200Percent() {
        if (qEnvironmentVariableIsSet(kScaled)) QSKIP("This is the scaled process.");
        QProcess scaled;
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QString::fromLatin1(kScaled), QStringLiteral("1"));
        environment.insert(QStringLiteral("QT_SCALE_FACTOR"), QStringLiteral("2"));
        scaled.setProcessEnvironment(environment);
        scaled.start(QCoreApplication::applicationFilePath(), {});
        QVERIFY(scaled.waitForFinished(400'000));
        QVERIFY2(scaled.exitCode() == 0, scaled.readAllStandardOutput().constData());
    }
};

int main(int argc, char** argv) {
    BlockWatch application(argc, argv);
    TestWalk test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_Walk.moc"
