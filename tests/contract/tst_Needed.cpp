#include <QtTest>

#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Walls.h"

using namespace trainyard::test;

namespace {

Walls table() { return Walls::fromTable(sourceFolder() / "tests/contract/rooms.json"); }

}  // namespace

class tst_Needed : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void programs_data();
    void programs();
    void brokenWall_isSeen_data();
    void brokenWall_isSeen();
    void readelf_seesADynamicProgram();
};

void tst_Needed::programs_data() {
    QTest::addColumn<QByteArray>("program");
    for (const std::string& program : table().programs()) {
        QTest::newRow(program.c_str()) << QByteArray::fromStdString(program);
    }
}

void tst_Needed::programs() {
    QFETCH(QByteArray, program);
    const trainyard::base::Path path = builtProgram(program.toStdString());
    if (!std::filesystem::exists(path)) {
        TRAINYARD_SKIP("This build does not have it.");
    }
    const auto wrong = table().checkBinary(program.toStdString(), readBinary(path));
    QVERIFY2(wrong.empty(), wrong.empty() ? "" : wrong.front().c_str());
}

void tst_Needed::brokenWall_isSeen_data() {
    QTest::addColumn<QByteArray>("program");
    QTest::addColumn<QByteArray>("needed");
    QTest::addColumn<bool>("interpreter");
    QTest::addColumn<qint64>("bytes");
    QTest::addColumn<int>("errors");
    const auto row = [](const char* program, const char* needed, int errors, bool interpreter = true,
                        qint64 bytes = 1000) {
        QTest::addRow("%s %s %d %lld", program, needed, interpreter, bytes)
            << QByteArray(program) << QByteArray(needed) << interpreter << bytes << errors;
    };
    row("trainyard", "libtorch_cpu.so.1.13", 1);
    row("trainyard", "libc10.so.1.13", 1);
    row("trainyard", "libQt6Charts.so.6", 0);
    row("trainyard-cli", "libQt6Gui.so.6", 1);
    row("trainyard-cli", "libQt6Core.so.6", 0);
    row("trainyard-cli", "libsqlite3.so.0", 0);
    row("trainyard-cli", "libtorch.so.2.6", 1);
    row("trainyard-engine", "libQt6Core.so.6", 1);
    row("trainyard-engine", "libsqlite3.so.0", 1);
    row("trainyard-engine", "libtorch.so.1.13", 0);
    row("trainyard-agent", "", 0, false);
    row("trainyard-agent", "", 1, true);
    row("trainyard-agent", "libc.so.6", 1, true);
    row("trainyard-agent", "", 1, false, 6 << 20);
}

void tst_Needed::brokenWall_isSeen() {
    QFETCH(QByteArray, program);
    QFETCH(QByteArray, needed);
    QFETCH(bool, interpreter);
    QFETCH(qint64, bytes);
    QFETCH(int, errors);
    Walls::Binary binary;
    if (!needed.isEmpty()) {
        binary.needed = {"libstdc++.so.6", needed.toStdString()};
    }
    binary.hasInterpreter = interpreter;
    binary.bytes = bytes;
    QCOMPARE(static_cast<int>(table().checkBinary(program.toStdString(), binary).size()), errors);
}

void tst_Needed::readelf_seesADynamicProgram() {
    const Walls::Binary self = readBinary(trainyard::base::executableFolder() / "contract_Needed");
    QVERIFY(self.hasInterpreter);
    QVERIFY(self.bytes > 10'000);
    QVERIFY(
        std::ranges::any_of(self.needed, [](const std::string& name) { return name.starts_with("libQt6Core.so"); }));
    QVERIFY(!table().checkBinary("trainyard-engine", self).empty());
}

QTEST_GUILESS_MAIN(tst_Needed)
#include "tst_Needed.moc"
