#include <QTest>

#include "core/base/Json.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::runs;

class TestWorkspace : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
    }

    void init_makesOneThatOpens() {
        const auto made = initWorkspace(*m_scratch / "w", "Clothes");
        QVERIFY2(made.ok(), made.ok() ? "" : made.error().message.c_str());
        QCOMPARE(made->name, "Clothes");
        const auto opened = openWorkspace(*m_scratch / "w/");
        QVERIFY(opened.ok());
        QCOMPARE(opened->id, made->id);
        QCOMPARE(opened->layout.root, *m_scratch / "w");
        QVERIFY(!opened->readOnly);
        QCOMPARE(initWorkspace(*m_scratch / "w", "").error().code, "workspace.exists");
    }

    void init_refusesForeignFolders() {
        m_scratch->write("full/file", "x");
        QCOMPARE(initWorkspace(*m_scratch / "full", "").error().code, "workspace.not_empty");
        QCOMPARE(initWorkspace(*m_scratch / "full/file", "").error().code, "workspace.not_folder");
        QVERIFY(!std::filesystem::exists(*m_scratch / "full/trainyard.json"));
    }

    void open_tellsWhatCannotBeRead() {
        std::filesystem::create_directories(*m_scratch / "w/trainyard.json");
        QCOMPARE(openWorkspace(*m_scratch / "w").error().code, "workspace.unreadable");
    }

    void open_tellsWhatIsWrong_data() {
        QTest::addColumn<QByteArray>("marker");
        QTest::addColumn<QByteArray>("code");
        const QByteArray id = "\"id\":\"23oc5o4rdoibdfoqruqnmzpn2m\"";
        QTest::newRow("no marker") << QByteArray() << QByteArray("workspace.none");
        QTest::newRow("no JSON") << QByteArray("hello") << QByteArray("workspace.damaged");
        QTest::newRow("cut") << QByteArray("{\"format\":\"trainyard.workspace\"") << QByteArray("workspace.damaged");
        QTest::newRow("another format") << QByteArray("{\"format\":\"x\",\"version\":1}")
                                        << QByteArray("workspace.damaged");
        QTest::newRow("newer") << "{\"format\":\"trainyard.workspace\",\"version\":99," + id + "}"
                               << QByteArray("workspace.newer");
        QTest::newRow("no id") << QByteArray("{\"format\":\"trainyard.workspace\",\"version\":1}")
                               << QByteArray("workspace.damaged");
    }
    void open_tellsWhatIsWrong() {
        QFETCH(QByteArray, marker);
        QFETCH(QByteArray, code);
        if (!marker.isEmpty()) {
            m_scratch->write("w/trainyard.json", marker.toStdString());
        }
        const auto opened = openWorkspace(*m_scratch / "w");
        QVERIFY(!opened.ok());
        QCOMPARE(opened.error().code, code.toStdString());
        QCOMPARE(opened.error().field, "folder");
    }

    void recent_newestFirstWithoutDoubles() {
        const auto one = initWorkspace(*m_scratch / "one", "").value();
        const auto two = initWorkspace(*m_scratch / "two", "").value();
        QVERIFY(readRecentWorkspaces().empty());
        QVERIFY(noteRecentWorkspace(one).ok());
        QVERIFY(noteRecentWorkspace(two).ok());
        QVERIFY(noteRecentWorkspace(one).ok());
        const auto list = readRecentWorkspaces();
        QCOMPARE(list.size(), std::size_t{2});
        QCOMPARE(list[0].root, one.layout.root);
        QCOMPARE(list[1].name, "two");
        QVERIFY(forgetRecentWorkspace(one.layout.root).ok());
        QCOMPARE(readRecentWorkspaces().size(), std::size_t{1});
    }

    void recent_damagedListIsEmpty() {
        const auto one = initWorkspace(*m_scratch / "one", "").value();
        QVERIFY(noteRecentWorkspace(one).ok());
        QVERIFY(base::writeFileAtomically(base::xdgConfigHome() / "trainyard/recent.json", "{broken").ok());
        QVERIFY(readRecentWorkspaces().empty());
        QVERIFY(noteRecentWorkspace(one).ok());
        QCOMPARE(readRecentWorkspaces().size(), std::size_t{1});
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
};

QTEST_GUILESS_MAIN(TestWorkspace)
#include "tst_Workspace.moc"
