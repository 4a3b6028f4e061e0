#include <QtTest>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using store::test::Workspace;

namespace {

/// Runs a check as a user for whom the files are read-only, in a child: root may write whatever the mode says. The
/// child's exit status is the check's result.
template <class Check>
int asNobody(Check check) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(99);
        ::_exit(check());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Lets others look at everything up to and in the workspace, and write nothing.
void openForReading(const Path& workspace) {
    for (Path folder = workspace; folder != folder.root_path() && folder != "/tmp"; folder = folder.parent_path())
        ::chmod(folder.c_str(), 0755);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(workspace))
        ::chmod(entry.path().c_str(), entry.is_directory() ? 0755 : 0444);
    ::chmod(workspace.c_str(), 0555);
}

}  // namespace

class tst_Schema : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void golden();
    void newFile_isMadeAndPrivate();
    void reader_missing();
    void reader_emptyFile();
    void tooNew_isRefusedWithBothVersions();
    void tooOld_isUpgradedWithABackup();
    void version2_isReadAnewFromTheFiles();
    void tooOld_readerSaysSo();
    void upgradeThatFails_leavesTheOldVersion();
    void foreign_isRefused();
    void corrupt_isNamedAndRebuilt_data();
    void corrupt_isNamedAndRebuilt();
    void readOnly_canBeReadNotWritten();
    void locked_givesUpAtItsDeadline();
    void pathsWithOddCharacters();
    void replacedFile_isNoticed();
    void networkFileSystem_isToldFromLocal();
};

void tst_Schema::golden() {
    Workspace workspace;
    STORE_OK(Writer::open(workspace.location));
    SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READONLY);
    const std::string schema = dumpSchema(db);
    const Path file = trainyard::test::testData("store/schema-v" + std::to_string(schemaVersion()) + ".sql");
    if (qEnvironmentVariableIsSet("TRAINYARD_REGENERATE")) STORE_OK(base::writeFileAtomically(file, schema, 0644));
    const auto expected = base::readFile(file);
    STORE_OK(expected);
    QVERIFY2(*expected == schema,
             "The schema changed. A released version is never edited: add a migration. Then make the "
             "file anew: TRAINYARD_REGENERATE=1 build/dev/tests/store_Schema golden");
}

void tst_Schema::newFile_isMadeAndPrivate() {
    Workspace workspace;
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    QVERIFY(writer->created());
    QVERIFY(writer->takeNumber().ok());
    for (const char* suffix : {"", "-wal", "-shm"}) {
        struct stat info {};
        QCOMPARE(::stat((workspace.location.database.string() + suffix).c_str(), &info), 0);
        QCOMPARE(info.st_mode & 0777, 0600u);
    }
    auto again = Writer::open(workspace.location);
    STORE_OK(again);
    QVERIFY(!again->created());
}

void tst_Schema::reader_missing() {
    Workspace workspace;
    const auto reader = Reader::open(workspace.location);
    QVERIFY(!reader.ok());
    QCOMPARE(reader.error().code, "store.missing");
    QVERIFY(!std::filesystem::exists(workspace.location.database));
}

void tst_Schema::reader_emptyFile() {
    Workspace workspace;
    Workspace::write(workspace.location.database, "");
    QCOMPARE(Reader::open(workspace.location).error().code, "store.missing");
    STORE_OK(Writer::open(workspace.location));
    STORE_OK(Reader::open(workspace.location));
}

void tst_Schema::tooNew_isRefusedWithBothVersions() {
    Workspace workspace;
    STORE_OK(Writer::open(workspace.location));
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE);
        db.exec("PRAGMA user_version=731");
    }
    for (const base::Error& error :
         {Writer::open(workspace.location).error(), Reader::open(workspace.location).error()}) {
        QCOMPARE(error.code, "store.newer");
        QVERIFY(error.message.find("731") != std::string::npos);
        QVERIFY(error.message.find("up to " + std::to_string(schemaVersion())) != std::string::npos);
    }
}

void tst_Schema::tooOld_isUpgradedWithABackup() {
    Workspace workspace;
    const Path file = workspace.location.database;
    const char* const first = "CREATE TABLE kept (x); INSERT INTO kept VALUES (42);";
    const char* const second = "ALTER TABLE kept ADD COLUMN y DEFAULT 7;";
    const char* const third = "CREATE TABLE more (z);";
    {
        SQLite::Database db(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        const auto made = prepareForWriting(db, file, std::span(&first, 1));
        STORE_OK(made);
        QVERIFY(*made);
    }
    SQLite::Database db(file.string(), SQLite::OPEN_READWRITE);
    const char* const all[] = {first, second, third};
    const auto upgraded = prepareForWriting(db, file, all);
    STORE_OK(upgraded);
    QVERIFY(!*upgraded);
    QCOMPARE(db.execAndGet("PRAGMA user_version").getInt(), 3);
    QCOMPARE(db.execAndGet("SELECT x + y FROM kept").getInt(), 49);
    QCOMPARE(db.execAndGet("SELECT count(*) FROM more").getInt(), 0);

    SQLite::Database backup(file.string() + ".v1.backup", SQLite::OPEN_READONLY);
    QCOMPARE(backup.execAndGet("PRAGMA user_version").getInt(), 1);
    QCOMPARE(backup.execAndGet("PRAGMA application_id").getInt(), kApplicationId);
    QCOMPARE(backup.execAndGet("SELECT x FROM kept").getInt(), 42);
    QVERIFY(!std::filesystem::exists(file.string() + ".v1.backup.tmp"));
}

/// What version 3 keeps of log lines is in no older index: the upgrade empties it, and the files fill it again.
void tst_Schema::version2_isReadAnewFromTheFiles() {
    Workspace workspace;
    const base::RunId run = workspace.addRun(7, "seven");
    workspace.stream(run, {store::test::log({"one", "two"}, 5)});
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        STORE_OK(prepareForWriting(db, workspace.location.database, migrations().first(2)));
        db.exec("INSERT INTO counters VALUES ('last_number', 40)");
        db.exec("INSERT INTO cursors VALUES (7, 0, 0, 1, 100, 1)");
        db.exec("INSERT INTO log_blocks VALUES (7, 1, 0, 0, 0, 2, 1, 0, 10, x'000102')");
    }
    QCOMPARE(Reader::open(workspace.location).error().code, "store.outdated");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    QVERIFY(writer->created());
    STORE_OK(writer->catchUp());
    QVERIFY(!writer->created());
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    QCOMPARE(reader->run(run)->number, 7);
    QCOMPARE(reader->logPage(run, {}, 0, 10)->lines.at(1).text, "two");
    QCOMPARE(*writer->takeNumber(), 41);
    QVERIFY(std::filesystem::exists(workspace.location.database.string() + ".v2.backup"));
}

void tst_Schema::tooOld_readerSaysSo() {
    Workspace workspace;
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        db.exec("CREATE TABLE t (x); PRAGMA user_version=0; PRAGMA application_id=" + std::to_string(kApplicationId));
    }
    QCOMPARE(Reader::open(workspace.location).error().code, "store.outdated");
}

void tst_Schema::upgradeThatFails_leavesTheOldVersion() {
    Workspace workspace;
    const Path file = workspace.location.database;
    SQLite::Database db(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    const char* const first = "CREATE TABLE kept (x);";
    STORE_OK(prepareForWriting(db, file, std::span(&first, 1)));
    const char* const broken[] = {first, "CREATE TABLE half (x); SELECT nonsense();"};
    QVERIFY_THROWS_EXCEPTION(SQLite::Exception, static_cast<void>(prepareForWriting(db, file, broken)));
    QCOMPARE(db.execAndGet("PRAGMA user_version").getInt(), 1);
    QVERIFY(!db.tableExists("half"));
}

void tst_Schema::foreign_isRefused() {
    Workspace workspace;
    {
        SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        db.exec("CREATE TABLE urls (u); PRAGMA user_version=1; PRAGMA application_id=12345");
    }
    QCOMPARE(Writer::open(workspace.location).error().code, "store.foreign");
    QCOMPARE(Reader::open(workspace.location).error().code, "store.foreign");
    SQLite::Database db(workspace.location.database.string(), SQLite::OPEN_READONLY);
    QVERIFY(db.tableExists("urls"));
    QVERIFY(!db.tableExists("runs"));
}

void tst_Schema::corrupt_isNamedAndRebuilt_data() {
    QTest::addColumn<int>("from");
    QTest::addColumn<int>("length");
    QTest::newRow("first page") << 0 << 4096;
    QTest::newRow("every page but the header") << 100 << 10'000'000;
}

void tst_Schema::corrupt_isNamedAndRebuilt() {
    QFETCH(int, from);
    QFETCH(int, length);
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    std::string before;
    {
        auto writer = Writer::open(workspace.location);
        STORE_OK(writer);
        STORE_OK(writer->followJournal(run));
    }
    before = workspace.dump();
    std::string bytes = *base::readFile(workspace.location.database);
    for (std::size_t i = static_cast<std::size_t>(from);
         i < bytes.size() && i < static_cast<std::size_t>(from + length); ++i)
        bytes[i] = static_cast<char>(i * 7 + 3);
    Workspace::write(workspace.location.database, bytes);

    const auto reader = Reader::open(workspace.location);
    const base::Error error = reader.ok() ? reader->listRuns({}).error() : reader.error();
    QCOMPARE(error.code, "store.corrupt");
    QVERIFY(error.message.find("Rebuild") != std::string::npos);
    const auto rebuilt = Writer::rebuild(workspace.location);
    STORE_OK(rebuilt);
    QCOMPARE(rebuilt->runs, 1);
    QVERIFY(rebuilt->problems.empty());
    QCOMPARE(workspace.dump(), before);
    QCOMPARE(*base::readFile(workspace.location.database.string() + ".old"), bytes);
}

void tst_Schema::readOnly_canBeReadNotWritten() {
    Workspace workspace;
    const RunId run = workspace.addRun(1, "one");
    {
        auto writer = Writer::open(workspace.location);
        STORE_OK(writer);
        STORE_OK(writer->followJournal(run));
    }
    QVERIFY(!std::filesystem::exists(workspace.location.database.string() + "-wal"));
    openForReading(workspace.layout.root);
    const int status = asNobody([&] {
        const auto writer = Writer::open(workspace.location);
        if (writer.ok() || writer.error().code != "store.readonly") return 1;
        auto reader = Reader::open(workspace.location);
        if (!reader.ok()) return 2;
        const auto row = reader->findRun("one");
        return row.ok() && row->number == 1 ? 0 : 3;
    });
    ::chmod(workspace.layout.root.c_str(), 0700);
    QCOMPARE(status, 0);
}

void tst_Schema::locked_givesUpAtItsDeadline() {
    Workspace workspace;
    OpenOptions options;
    options.lockMillis = 200;
    auto writer = Writer::open(workspace.location, options);
    STORE_OK(writer);
    const RunId run = workspace.addRun(1, "one");
    SQLite::Database other(workspace.location.database.string(), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    QElapsedTimer timer;
    timer.start();
    const auto refused = writer->followJournal(run);
    QVERIFY(timer.elapsed() >= 150 && timer.elapsed() < 5000);
    QVERIFY(!refused.ok());
    QCOMPARE(refused.error().code, "store.locked");
    // A reader is not held up by it.
    auto reader = Reader::open(workspace.location, options);
    STORE_OK(reader);
    STORE_OK(reader->listRuns({}));
    other.exec("ROLLBACK");
    STORE_OK(writer->followJournal(run));
}

void tst_Schema::pathsWithOddCharacters() {
    trainyard::test::Scratch scratch;
    const Path folder = scratch / "a?b#c%20 d'e\"f";
    std::filesystem::create_directories(folder / "runs");
    const IndexLocation location{folder, folder / "history.sqlite", false};
    STORE_OK(Writer::open(location));
    STORE_OK(Reader::open(location));
    openForReading(folder);
    const int status = asNobody([&] { return Reader::open(location).ok() ? 0 : 1; });
    ::chmod(folder.c_str(), 0700);
    QCOMPARE(status, 0);
}

void tst_Schema::replacedFile_isNoticed() {
    Workspace workspace;
    const RunId one = workspace.addRun(1, "one");
    auto writer = Writer::open(workspace.location);
    STORE_OK(writer);
    STORE_OK(writer->followJournal(one));
    auto reader = Reader::open(workspace.location);
    STORE_OK(reader);
    const auto versionBefore = reader->dataVersion();
    STORE_OK(versionBefore);
    QCOMPARE(reader->listRuns({})->rows.size(), std::size_t{1});

    const RunId two = workspace.addRun(2, "two");
    for (const char* suffix : {"", "-wal", "-shm"})
        std::filesystem::rename(workspace.location.database.string() + suffix,
                                workspace.location.database.string() + ".moved" + suffix);
    STORE_OK(Writer::rebuild(workspace.location));
    QVERIFY(*reader->dataVersion() != *versionBefore);
    QCOMPARE(reader->listRuns({})->rows.size(), std::size_t{2});
    // The writer that was open all the while goes on in the new file.
    workspace.journal(two, {store::test::record(wire::kind::kNotes, base::Json{{"text", "hello"}}, 5)});
    STORE_OK(writer->followJournal(two));
    QCOMPARE(reader->run(two)->notes, "hello");

    // Thrown away altogether: a stream brings its run back.
    for (const char* suffix : {"", "-wal", "-shm"})
        std::filesystem::remove(workspace.location.database.string() + suffix);
    workspace.stream(two, {store::test::state("Running", 10)});
    STORE_OK(writer->followStream(two, 1, 0));
    QVERIFY(writer->created());
    QCOMPARE(reader->run(two)->notes, "hello");
    STORE_OK(writer->catchUp());
    QVERIFY(!writer->created());
    QCOMPARE(reader->listRuns({})->rows.size(), std::size_t{2});
}

void tst_Schema::networkFileSystem_isToldFromLocal() {
    trainyard::test::Scratch scratch;
    const IndexLocation here = IndexLocation::of(scratch.path());
    QVERIFY(!here.cached);
    QCOMPARE(here.database.filename().string(), std::string("history.sqlite"));
    QCOMPARE(here.database.parent_path(), here.workspace);
}

QTEST_APPLESS_MAIN(tst_Schema)
#include "tst_Schema.moc"
