#include <QtTest>

#include <QAbstractItemModelTester>
#include <QThreadPool>

#include "core/base/Files.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/shell/Address.h"
#include "ui/shell/Fuzzy.h"
#include "ui/shell/Navigator.h"
#include "ui/shell/Palette.h"
#include "ui/shell/Settings.h"
#include "ui/shell/StateFile.h"
#include "ui/shell/StatusBar.h"
#include "ui/shell/TargetWatch.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Format.h"

using namespace trainyard;
using namespace trainyard::ui;
using trainyard::test::Scratch;
using trainyard::test::waitFor;

class TestShellParts : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void address_roundTrip_data() {
        QTest::addColumn<QString>("head");
        QTest::addColumn<QStringList>("parts");
        QTest::addColumn<QString>("query");
        QTest::newRow("page") << QStringLiteral("runs") << QStringList() << QString();
        QTest::newRow("object") << QStringLiteral("run") << QStringList{QStringLiteral("12"), QStringLiteral("log")}
                                << QString();
        QTest::newRow("query") << QStringLiteral("runs") << QStringList()
                               << QStringLiteral("state:failed tag:\"a b\" val/loss<0.3 ü&?=#");
        QTest::newRow("odd names") << QStringLiteral("models")
                                   << QStringList{QStringLiteral("a/b c?q=ä#1"), QStringLiteral("3")} << QString();
    }
    void address_roundTrip() {
        QFETCH(QString, head);
        QFETCH(QStringList, parts);
        QFETCH(QString, query);
        const Address address{head, parts, query};
        const auto back = Address::fromString(address.toString());
        QVERIFY(back);
        QCOMPARE(back->head, head);
        QCOMPARE(back->parts, parts);
        QCOMPARE(back->query, query);
    }
    /// As a person types them: not percent-encoded.
    void address_takesLettersOfAnyLanguage() {
        const auto address = Address::fromString(QStringLiteral("trainyard://environments/größe%20日本?q=naïve"));
        QVERIFY(address);
        QCOMPARE(address->parts, QStringList{QStringLiteral("größe 日本")});
        QCOMPARE(address->query, QStringLiteral("naïve"));
    }
    void address_refusesOthers() {
        QVERIFY(!Address::fromString(QStringLiteral("https://run/12")));
        QVERIFY(!Address::fromString(QStringLiteral("trainyard://")));
        QVERIFY(!Address::fromString({}));
    }

    void navigator_goesBackAndForward() {
        Navigator navigator;
        QVERIFY(!navigator.goBack());
        const Address a{QStringLiteral("a")}, b{QStringLiteral("b")}, c{QStringLiteral("c")};
        navigator.visit(a);
        navigator.visit(b);
        navigator.visit(b);
        navigator.visit(c);
        QCOMPARE(navigator.goBack().value(), b);
        QCOMPARE(navigator.goBack().value(), a);
        QVERIFY(!navigator.canGoBack());
        QCOMPARE(navigator.goForward().value(), b);
        navigator.visit(a);
        QVERIFY(!navigator.canGoForward());
        for (int i = 0; i < 500; ++i) navigator.visit(Address{QString::number(i)});
        int steps = 0;
        while (navigator.goBack()) ++steps;
        QCOMPARE(steps, 199);
    }

    void fuzzy_ordersAsAPersonExpects() {
        const auto score = [](const char* query, const char* text) {
            const auto match = fuzzyMatch(QString::fromUtf8(query), QString::fromUtf8(text));
            return match ? match->score : -1;
        };
        QVERIFY(score("nr", "New run") > score("nr", "Open the guide in browser"));
        QVERIFY(score("run", "Runs") > score("run", "A truncated one"));
        QVERIFY(score("set", "Settings") > score("set", "Close dataset"));
        QCOMPARE(score("xyz", "Settings"), -1);
        QCOMPARE(score("", "anything"), 0);
        QVERIFY(score("open work", "Open workspace…") > 0);
        QVERIFY(score("work open", "Open workspace…") > 0);
        QCOMPARE(score("work shut", "Open workspace…"), -1);
        QCOMPARE(fuzzyMatch(QStringLiteral("ow"), QStringLiteral("Open workspace"))->positions, QList<int>({0, 5}));
    }
    void fuzzy_survivesAnyText() {
        const QStringList odd = {QString(), QStringLiteral("ß"), QStringLiteral("İstanbul"),
                                 QString(3000, QLatin1Char('a')), QStringLiteral("名前 🚂")};
        for (const QString& query : odd) {
            for (const QString& text : odd) {
                const auto match = fuzzyMatch(query, text);
                if (!match) continue;
                for (const int position : match->positions) QVERIFY(position >= 0 && position < text.size());
            }
        }
    }

    void palette_modelIsSound() {
        PaletteModel model;
        QAbstractItemModelTester tester(&model);
        std::vector<PaletteHit> hits;
        for (int i = 0; i < 5; ++i) {
            PaletteHit hit;
            hit.item.title = QString::number(i);
            hit.item.section = i < 2 ? QStringLiteral("A") : QStringLiteral("B");
            hits.push_back(std::move(hit));
        }
        model.setHits(hits);
        QCOMPARE(model.rowCount(), 5);
        QCOMPARE(model.index(0).data(PaletteModel::FirstOfSectionRole).toBool(), true);
        QCOMPARE(model.index(1).data(PaletteModel::FirstOfSectionRole).toBool(), false);
        QCOMPARE(model.index(2).data(PaletteModel::FirstOfSectionRole).toBool(), true);
        model.setHits({});
        QCOMPARE(model.rowCount(), 0);
    }

    void stateFile_isOnDiskWithinASecond() {
        const Scratch scratch;
        const base::Path path = scratch / "views/window.json";
        StateFile file(path, QStringLiteral("trainyard.window"));
        QElapsedTimer clock;
        clock.start();
        file.setValue(QStringLiteral("stored.draft.name"), "half a na");
        // No flush: what kill -9 finds must come by itself.
        QVERIFY(waitFor([&] { return base::readFile(path).ok(); }, 1000));
        QVERIFY(clock.elapsed() < 1000);
        StateFile again(path, QStringLiteral("trainyard.window"));
        QCOMPARE(again.value(QStringLiteral("stored.draft.name")).get<std::string>(), std::string("half a na"));
        QVERIFY(again.value(QStringLiteral("stored.nothing")).is_null());
    }
    void stateFile_constantTypingIsKeptToo() {
        const Scratch scratch;
        const base::Path path = scratch / "window.json";
        StateFile file(path, QStringLiteral("trainyard.window"));
        int count = 0;
        const bool seen = waitFor(
            [&] {
                file.setValue(QStringLiteral("n"), ++count);
                return base::readFile(path).ok();
            },
            1500);
        QVERIFY(seen);
    }
    void stateFile_leavesForeignFilesAlone() {
        const Scratch scratch;
        for (const char* text :
             {R"({"format":"trainyard.window","version":7,"values":{"a":1}})", R"({"format":"other","version":1})"}) {
            const base::Path path = scratch.write("window.json", text);
            StateFile file(path, QStringLiteral("trainyard.window"));
            QVERIFY(file.value(QStringLiteral("a")).is_null());
            file.setValue(QStringLiteral("a"), 2);
            QVERIFY(file.flush());
            QCOMPARE(scratch.read("window.json"), std::string(text));
        }
    }
    void stateFile_replacesADamagedOne() {
        const Scratch scratch;
        const base::Path path = scratch.write("window.json", "{\"format\":\"trainyard.win");
        StateFile file(path, QStringLiteral("trainyard.window"));
        file.setValue(QStringLiteral("a"), 2);
        QVERIFY(file.flush());
        StateFile again(path, QStringLiteral("trainyard.window"));
        QCOMPARE(again.value(QStringLiteral("a")).get<int>(), 2);
    }

    void settings_areKept() {
        const Scratch scratch;
        {
            Settings settings(scratch.path());
            QCOMPARE(settings.theme(), Theme::Choice::System);
            QVERIFY(settings.notifications() && settings.holdOffSleep());
            QSignalSpy spy(&settings, &Settings::changed);
            settings.setTheme(Theme::Choice::Dark);
            settings.setTheme(Theme::Choice::Dark);
            QCOMPARE(spy.count(), 1);
            settings.setDensity(Theme::Density::Compact);
            settings.setNotifications(false);
            settings.setWorkspaceFolder(QStringLiteral("/tmp/ä b"));
        }
        Settings again(scratch.path());
        QCOMPARE(again.theme(), Theme::Choice::Dark);
        QCOMPARE(again.density(), Theme::Density::Compact);
        QVERIFY(!again.notifications());
        QCOMPARE(again.workspaceFolder(), QStringLiteral("/tmp/ä b"));
    }

    void workList_measuresTheTimeLeft() {
        WorkList work;
        QSignalSpy spy(&work, &WorkList::changed);
        bool canceled = false;
        const int id = work.begin(QStringLiteral("Copying"), [&canceled] { canceled = true; });
        QCOMPARE(work.entries().size(), std::size_t(1));
        QVERIFY(!work.entries()[0].fraction);
        work.progress(id, 0.25, 3'000'000'000);
        QCOMPARE(work.entries()[0].fraction.value(), 0.25);
        QCOMPARE(work.entries()[0].etaNanos.value(), std::int64_t(3'000'000'000));
        work.progress(id, -1);
        QVERIFY(!work.entries()[0].fraction);
        work.progress(99, 0.5);
        work.entries()[0].cancel();
        QVERIFY(canceled);
        work.finish(id);
        work.finish(id);
        QVERIFY(work.entries().empty());
        QCOMPARE(spy.count(), 4);
    }

    void machineLoad_isPlausible() {
        MachineLoad load;
        QVERIFY(load.sample().cpu < 0);
        QTest::qWait(120);
        const auto second = load.sample();
        QVERIFY(second.cpu >= 0 && second.cpu <= 1);
        QVERIFY(second.memoryTotal > second.memoryUsed && second.memoryUsed > 0);
    }

    void targets_summaryTellsReachAndLoad() {
        using State = targets::Reach::State;
        QVERIFY(summariseTargets({}).text.isEmpty());
        const auto target = [](const char* name, State state, base::Json load = {}) {
            WatchedTarget made;
            made.name = QLatin1String(name);
            made.reach.state = state;
            made.load = std::move(load);
            return made;
        };
        const auto load = [](int cores, int busy, std::vector<double> gpus) {
            base::Json host{{"host", "h"}, {"cores", cores}, {"cores_busy", busy}, {"gpus", base::Json::array()}};
            for (const double percent : gpus) host["gpus"].push_back({{"utilization_percent", percent}});
            return base::Json{{"hosts", base::Json::array({host})}};
        };
        const TargetSummary untried = summariseTargets({target("a", State::Unknown), target("b", State::Unknown)});
        QVERIFY(untried.text.contains(u'2') && !untried.trouble);
        const TargetSummary mixed = summariseTargets({target("rig", State::Connected, load(16, 4, {80, 40})),
                                                      target("box", State::Connected, load(8, 8, {})),
                                                      target("gone", State::Unreachable, load(64, 64, {100}))});
        QVERIFY2(mixed.text.contains(u"12 of 24 cores busy") && mixed.text.contains(u"GPUs 60 %") &&
                     mixed.text.contains(u"1 unreachable"),
                 qPrintable(mixed.text));
        QVERIFY(mixed.trouble);
        QCOMPARE(mixed.detail.count(u'\n'), 2);
        WatchedTarget off = target("off", State::Unreachable);
        off.disabled = true;
        QVERIFY(!summariseTargets({off}).trouble);
        QVERIFY(summariseTargets({off}).detail.contains(u"disabled"));
    }

    void format_readsAsPeopleRead() {
        QLocale::setDefault(QLocale::c());
        QCOMPARE(formatPercent(0.94321), QStringLiteral("94.3\u00a0%"));
        QCOMPARE(formatPercent(0.9996), QStringLiteral("99.96\u00a0%"));
        QCOMPARE(formatPercent(1), QStringLiteral("100.0\u00a0%"));
        QCOMPARE(formatMetric("val/accuracy", 0.5), QStringLiteral("50.0\u00a0%"));
        QCOMPARE(formatMetric("val/loss", 0.38214), QStringLiteral("0.3821"));
        QCOMPARE(exactNumber(0.1), QStringLiteral("0.1"));
        const std::int64_t now = 1'700'000'000'000'000;
        QCOMPARE(formatAgo(now - 5'000'000, now), QStringLiteral("just now"));
        QCOMPARE(formatAgo(now - 4 * 60'000'000LL, now), QStringLiteral("4 min ago"));
        QCOMPARE(formatAgo(0, now), QStringLiteral("–"));
        QCOMPARE(metricTitle("val/loss"), QStringLiteral("Validation loss"));
        QCOMPARE(metricTitle("my/own"), QStringLiteral("my/own"));
    }
};

QTEST_MAIN(TestShellParts)
#include "tst_ShellParts.moc"
