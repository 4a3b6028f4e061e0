#include <QtTest>

#include "tests/helpers/Scratch.h"
#include "tests/helpers/Walls.h"

using namespace trainyard::test;

namespace {

Walls table() { return Walls::fromTable(sourceFolder() / "tests/contract/rooms.json"); }

}  // namespace

class tst_Includes : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void houseStands();
    void brokenWall_isSeen_data();
    void brokenWall_isSeen();
    void allowed_isNotReported();
};

void tst_Includes::houseStands() {
    const auto wrong = table().checkIncludes(sourceFolder());
    std::string all;
    for (const std::string& line : wrong) {
        all += "\n" + line;
    }
    QVERIFY2(wrong.empty(), all.c_str());
}

void tst_Includes::brokenWall_isSeen_data() {
    QTest::addColumn<QByteArray>("file");
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("word");
    const auto row = [](const char* name, const char* file, const char* text, const char* word) {
        QTest::newRow(name) << QByteArray(file) << QByteArray(text) << QByteArray(word);
    };
    row("base includes a room", "core/base/X.cpp", "#include \"core/spec/Field.h\"\n", "may not include the room spec");
    row("spec includes torch", "core/spec/X.cpp", "#include <torch/torch.h>\n", "may not include torch");
    row("agent includes Qt", "core/agent/X.h", "#include <QString>\n", "may not include qt-core");
    row("agent includes spec", "core/agent/X.cpp", "# include \"core/spec/RunSpec.h\"\n",
        "may not include the room spec");
    row("engine includes SQLite", "core/engine/data/X.cpp", "#include <sqlite3.h>\n", "may not include sqlite");
    row("runs includes widgets", "core/runs/X.cpp", "#include <QWidget>\n", "may not include qt-gui");
    row("runs includes ui", "core/runs/X.cpp", "#include \"ui/shell/Shell.h\"\n", "may not include the room ui");
    row("commands includes the engine", "core/commands/X.cpp", "#include \"core/engine/Runtime.h\"\n",
        "may not include the room engine");
    row("ui includes SQLite", "ui/runs/X.cpp", "#include <sqlite3.h>\n", "may not include sqlite");
    row("ui starts processes", "ui/runs/X.cpp", "#include <QProcess>\n", "must not include this");
    row("ui includes the store's writer", "ui/runs/X.cpp", "#include \"core/store/Writer.h\"\n", "only some headers");
    row("ui includes the runs", "ui/runs/X.cpp", "#include \"core/runs/RunService.h\"\n",
        "may not include the room runs");
    row("ui reaches SQLite", "ui/runs/X.cpp", "#include \"core/store/Types.h\"\n", "reaches sqlite");
    row("anyone includes app", "ui/shell/X.cpp", "#include \"app/workbench/Main.h\"\n", "which nothing may");
    row("unknown library", "core/base/X.cpp", "#include <boost/any.hpp>\n", "no library in the table");
    row("unknown room", "core/cellar/X.cpp", "#include <vector>\n", "stands in no room");
    row("not from the root", "core/store/X.cpp", "#include \"Types.h\"\n", "from the root");
}

void tst_Includes::brokenWall_isSeen() {
    QFETCH(QByteArray, file);
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, word);
    const Scratch scratch;
    scratch.write("core/store/Types.h", "#include <SQLiteCpp/Database.h>\n");
    const auto before = table().checkIncludes(scratch.path());
    QVERIFY(before.empty());
    scratch.write(file.toStdString(), "#pragma once\n" + text.toStdString());
    const auto wrong = table().checkIncludes(scratch.path());
    QCOMPARE(wrong.size(), std::size_t{1});
    QVERIFY2(wrong[0].find(word.toStdString()) != std::string::npos, wrong[0].c_str());
    QVERIFY2(wrong[0].starts_with(file.toStdString() + ":"), wrong[0].c_str());
}

void tst_Includes::allowed_isNotReported() {
    const Scratch scratch;
    scratch.write("core/wire/X.cpp", "#include \"core/wire/X.h\"\n#include <sys/stat.h>\n#include <vector>\n"
                                     "#include \"core/base/Json.h\"\n// #include <torch/torch.h>\n");
    scratch.write("ui/runs/X.cpp",
                  "#include <QWidget>\n#include <QtCharts/QChart>\n#include \"core/store/Reader.h\"\n");
    scratch.write("core/engine/X.cpp", "#include <ATen/ATen.h>\n#include <zlib.h>\n");
    QCOMPARE(table().checkIncludes(scratch.path()), std::vector<std::string>());
}

QTEST_GUILESS_MAIN(tst_Includes)
#include "tst_Includes.moc"
