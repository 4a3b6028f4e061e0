// The configure-time wall, tried on small projects of its own.
#include <QtTest>

#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard::test;

class tst_LinkWalls : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void configure_data();
    void configure();
};

void tst_LinkWalls::configure_data() {
    QTest::addColumn<QByteArray>("project");
    QTest::addColumn<QByteArray>("complaint");
    const auto row = [](const char* name, const char* project, const char* complaint) {
        QTest::newRow(name) << QByteArray(project) << QByteArray(complaint);
    };
    row("nothing", "", "");
    row("a room as it should be", "room(wire trainyard_base trainyard_spec trainyard_flags)", "");
    row("a room links another that it may not", "room(base trainyard_spec)", "room base may not link the room spec");
    row("a room links a library that it may not", "room(agent trainyard_base Qt6::Core)",
        "room agent may not link qt-core (Qt6::Core)");
    row("a library as a file", "room(store trainyard_base /usr/lib/libtorch_cpu.so)", "room store may not link torch");
    row("a library behind a generator", "room(runs $<LINK_ONLY:Qt6::Widgets>)", "room runs may not link qt-gui");
    row("an unknown library", "room(base boost_system)", "no library of the table");
    row("an unknown room", "room(cellar trainyard_base)", "trainyard_cellar is no room");
    row("a program as it should be", "room(base crypto)\nprogram(trainyard-agent trainyard_base)", "");
    row("a program links torch itself", "program(trainyard torch)", "program trainyard must never link torch");
    row("a program links torch by way of others",
        "add_library(glue INTERFACE)\ntarget_link_libraries(glue INTERFACE torch_cpu)\n"
        "add_library(more INTERFACE)\ntarget_link_libraries(more INTERFACE glue)\nprogram(trainyard-cli more)",
        "program trainyard-cli must never link torch");
    row("the engine links SQLite", "program(trainyard-engine SQLite::SQLite3)", "must never link sqlite");
    row("the agent links Qt", "program(trainyard-agent Qt6::Network)", "must never link qt-gui");
    row("the CLI links Qt Gui", "program(trainyard-cli Qt6::Core Qt6::Gui)", "must never link qt-gui (Qt6::Gui)");
}

void tst_LinkWalls::configure() {
    QFETCH(QByteArray, project);
    QFETCH(QByteArray, complaint);
    const Scratch scratch;
    const std::string walls = (sourceFolder() / "installer/cmake/TrainyardWalls.cmake").string();
    // Without a language: interface libraries link what is never built.
    scratch.write("CMakeLists.txt",
                  "cmake_minimum_required(VERSION 3.25)\nproject(Fixture LANGUAGES NONE)\n"
                  "function(target_of name property)\n"
                  "  add_library(${name} INTERFACE)\n"
                  "  target_link_libraries(${name} INTERFACE ${ARGN})\n"
                  "  set_property(GLOBAL APPEND PROPERTY ${property} ${name})\n"
                  "endfunction()\n"
                  "function(room name)\n  target_of(trainyard_${name} TRAINYARD_ROOMS ${ARGN})\nendfunction()\n"
                  "function(program name)\n  target_of(${name} TRAINYARD_PROGRAMS ${ARGN})\nendfunction()\n" +
                      project.toStdString() + "\ninclude(\"" + walls + "\")\n");
    const auto run = runProgram("cmake", {"-S", scratch.path().string(), "-B", (scratch / "build").string()});
    QVERIFY(run.started && !run.timedOut);
    QCOMPARE(run.exitCode == 0, complaint.isEmpty());
    // CMake breaks the lines of its messages.
    const QString said = QString::fromStdString(run.err).simplified();
    QVERIFY2(complaint.isEmpty() || said.contains(QString::fromUtf8(complaint)), qPrintable(said));
}

QTEST_GUILESS_MAIN(tst_LinkWalls)
#include "tst_LinkWalls.moc"
