#include <QtTest>
#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/Files.h"
#include "core/base/Hash.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard::base;
using trainyard::test::Scratch;

namespace {

unsigned modeOf(const Path& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

std::size_t entries(const Path& folder) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// Files of this process cannot grow beyond `bytes` while it lives; a write fails as on a full disk (EFBIG).
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &m_before);
        rlimit limit = m_before;
        limit.rlim_cur = bytes;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &m_before); }

private:
    rlimit m_before{};
};

}  // namespace

class tst_Files : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void cleanup();
    void read_missing();
    void read_notARegularFile();
    void read_fifoDoesNotHang();
    void read_tooLarge();
    void read_ofProcWithoutSize();
    void readRange();
    void write_replacesAndSetsMode();
    void write_failureLeavesTheOldFile();
    void write_intoMissingFolder();
    void makeDirs_modes();
    void makeDirs_fileInTheWay();
    void owner();
    void copy_keepsContentAndExecutable();
    void copy_canceled();
    void removeTree_followsNoLinks();
    void diskSpace_knowsTheDisk();
    void network_localIsNot();
    void lock_excludesAnotherProcess();
    void lock_isReleasedByDeath();
    void lock_heldNamesTheHolder();
    void lock_shared();
    void lock_survivesRemoval();
    void lock_holdsWhileOthersRemoveIt();
    void xdg_followsTheVariables();
    void fd_moves();
    void errno_codes_data();
    void errno_codes();

private:
    trainyard::test::ChildGuard m_children;
};

void tst_Files::cleanup() { QVERIFY2(m_children.noneLeft(), m_children.report().c_str()); }

void tst_Files::read_missing() {
    const Scratch scratch;
    const auto read = readFile(scratch / "no");
    QCOMPARE(read.error().code, std::string("file.missing"));
    QVERIFY(read.error().message.find((scratch / "no").string()) != std::string::npos);
}

void tst_Files::read_notARegularFile() {
    const Scratch scratch;
    QCOMPARE(readFile(scratch.path()).error().code, std::string("file.kind"));
    QCOMPARE(readFile("/dev/zero").error().code, std::string("file.kind"));
    QCOMPARE(sha256File(scratch.path()).error().code, std::string("file.kind"));
}

void tst_Files::read_fifoDoesNotHang() {
    const Scratch scratch;
    QCOMPARE(mkfifo((scratch / "fifo").c_str(), 0600), 0);
    QCOMPARE(readFile(scratch / "fifo").error().code, std::string("file.kind"));
}

void tst_Files::read_tooLarge() {
    const Scratch scratch;
    const Path file = scratch.write("f", "12345");
    QCOMPARE(*readFile(file, 5), std::string("12345"));
    QCOMPARE(readFile(file, 4).error().code, std::string("file.too_large"));
}

void tst_Files::read_ofProcWithoutSize() { QVERIFY(readFile("/proc/self/maps")->size() > 1000); }

void tst_Files::readRange() {
    const Scratch scratch;
    const Path file = scratch.write("f", "0123456789");
    QCOMPARE(*readFileRange(file, 3, 4), std::string("3456"));
    QCOMPARE(*readFileRange(file, 8, 100), std::string("89"));
    QCOMPARE(*readFileRange(file, 50, 4), std::string());
    QCOMPARE(readFileRange(file, -1, 4).error().code, std::string("file.range"));
    QCOMPARE(readFileRange(scratch / "no", 0, 4).error().code, std::string("file.missing"));
}

void tst_Files::write_replacesAndSetsMode() {
    const Scratch scratch;
    const mode_t before = umask(077);
    QVERIFY(writeFileAtomically(scratch / "f", "one").ok());
    QCOMPARE(modeOf(scratch / "f"), 0600U);
    QVERIFY(writeFileAtomically(scratch / "f", "two", 0755).ok());
    umask(before);
    QCOMPARE(modeOf(scratch / "f"), 0755U);
    QCOMPARE(scratch.read("f"), std::string("two"));
    QCOMPARE(entries(scratch.path()), std::size_t{1});
}

void tst_Files::write_failureLeavesTheOldFile() {
    const Scratch scratch;
    scratch.write("f", "old");
    Status status;
    {
        const FileSizeLimit limit(10);
        status = writeFileAtomically(scratch / "f", "much longer than ten bytes");
    }
    QVERIFY(!status.ok());
    QCOMPARE(scratch.read("f"), std::string("old"));
    QCOMPARE(entries(scratch.path()), std::size_t{1});
}

void tst_Files::write_intoMissingFolder() {
    const Scratch scratch;
    QCOMPARE(writeFileAtomically(scratch / "no/f", "x").error().code, std::string("file.missing"));
}

void tst_Files::makeDirs_modes() {
    const Scratch scratch;
    QVERIFY(makeDirs(scratch / "a/b/c").ok());
    QCOMPARE(modeOf(scratch / "a"), 0700U);
    QCOMPARE(modeOf(scratch / "a/b/c"), 0700U);
    QVERIFY(makeDirs(scratch / "a/b/c").ok());
    std::filesystem::create_directory_symlink(scratch / "a", scratch / "link");
    QVERIFY(makeDirs(scratch / "link/d").ok());
}

void tst_Files::makeDirs_fileInTheWay() {
    const Scratch scratch;
    scratch.write("f", "");
    QCOMPARE(makeDirs(scratch / "f").error().code, std::string("file.kind"));
    QCOMPARE(makeDirs(scratch / "f/g").error().code, std::string("file.kind"));
}

void tst_Files::owner() {
    const Scratch scratch;
    QVERIFY(checkOwnedByUs(scratch / "missing").ok());
    const Path file = scratch.write("f", "");
    QVERIFY(checkOwnedByUs(file).ok());
    std::filesystem::create_symlink("nowhere", scratch / "dangling");
    QVERIFY(checkOwnedByUs(scratch / "dangling").ok());
    if (geteuid() == 0) {
        QCOMPARE(chown(file.c_str(), 12345, 12345), 0);
        QCOMPARE(checkOwnedByUs(file).error().code, std::string("file.owner"));
        std::filesystem::create_symlink(file, scratch / "link");
        QCOMPARE(checkOwnedByUs(scratch / "link").error().code, std::string("file.owner"));
    } else {
        QCOMPARE(checkOwnedByUs("/etc/passwd").error().code, std::string("file.owner"));
    }
}

void tst_Files::copy_keepsContentAndExecutable() {
    const Scratch scratch;
    std::string bytes(9 << 20, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(i * 31 >> 3);
    }
    scratch.write("from", bytes);
    chmod((scratch / "from").c_str(), 0755);
    std::vector<std::int64_t> progress;
    QVERIFY(copyFile(scratch / "from", scratch / "to", [&](std::int64_t done) {
                progress.push_back(done);
                return true;
            }).ok());
    QCOMPARE(*sha256File(scratch / "to"), sha256Hex(bytes));
    QCOMPARE(modeOf(scratch / "to"), 0700U);
    QVERIFY(progress.size() >= 2);
    QCOMPARE(progress.back(), static_cast<std::int64_t>(bytes.size()));

    // From another file system and from one that tells no size.
    QVERIFY(copyFile("/proc/self/status", scratch / "status").ok());
    QVERIFY(scratch.read("status").starts_with("Name:"));
    scratch.write("empty", "");
    QVERIFY(copyFile(scratch / "empty", scratch / "empty2").ok());
    QCOMPARE(scratch.read("empty2"), std::string());
}

void tst_Files::copy_canceled() {
    const Scratch scratch;
    scratch.write("from", "bytes");
    QCOMPARE(copyFile(scratch / "from", scratch / "to", [](std::int64_t) { return false; }).error().code,
             std::string("canceled"));
    QCOMPARE(entries(scratch.path()), std::size_t{1});
}

void tst_Files::removeTree_followsNoLinks() {
    const Scratch scratch;
    scratch.write("keep/file", "x");
    scratch.write("gone/deep/er/file", "x");
    std::filesystem::create_directory_symlink(scratch / "keep", scratch / "gone/link");
    QVERIFY(removeTree(scratch / "gone").ok());
    QVERIFY(!std::filesystem::exists(scratch / "gone"));
    QCOMPARE(scratch.read("keep/file"), std::string("x"));
    QVERIFY(removeTree(scratch / "gone").ok());
}

void tst_Files::diskSpace_knowsTheDisk() {
    const Scratch scratch;
    const auto space = diskSpace(scratch.path());
    QVERIFY(space.ok());
    QVERIFY(space->totalBytes > 0 && space->freeBytes >= 0 && space->freeBytes <= space->totalBytes);
    QVERIFY(!diskSpace(scratch / "no").ok());
}

void tst_Files::network_localIsNot() {
    QVERIFY(!isNetworkFileSystem("/proc"));
    QVERIFY(!isNetworkFileSystem("/proc/not/there/yet"));
}

void tst_Files::lock_excludesAnotherProcess() {
    const Scratch scratch;
    auto held = FileLock::tryExclusive(scratch / "lock");
    QVERIFY(held.ok());
    const auto other = [&] {
        const pid_t child = fork();
        if (child == 0) {
            _exit(FileLock::tryExclusive(scratch / "lock").ok() ? 1 : 0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return WEXITSTATUS(status) == 1;
    };
    QVERIFY(!other());
    held->release();
    QVERIFY(other());
}

void tst_Files::lock_isReleasedByDeath() {
    const Scratch scratch;
    int ready[2];
    QCOMPARE(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        const auto lock = FileLock::tryExclusive(scratch / "lock");
        const char byte = lock.ok() ? '1' : '0';
        if (write(ready[1], &byte, 1) == 1) {
            for (;;) {
                pause();
            }
        }
        _exit(1);
    }
    char byte = 0;
    QCOMPARE(read(ready[0], &byte, 1), ssize_t{1});
    QCOMPARE(byte, '1');
    QCOMPARE(FileLock::tryExclusive(scratch / "lock").error().code, std::string("lock.held"));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    QVERIFY(FileLock::tryExclusive(scratch / "lock").ok());
    close(ready[0]);
    close(ready[1]);
}

void tst_Files::lock_heldNamesTheHolder() {
    const Scratch scratch;
    const auto held = FileLock::tryExclusive(scratch / "lock", "workbench, process 4711");
    QVERIFY(held.ok());
    const auto second = FileLock::tryExclusive(scratch / "lock", "another");
    QVERIFY(!second.ok());
    QVERIFY(second.error().message.find("workbench, process 4711") != std::string::npos);
    QCOMPARE(modeOf(scratch / "lock"), 0600U);
}

void tst_Files::lock_shared() {
    const Scratch scratch;
    auto one = FileLock::tryShared(scratch / "lock");
    auto two = FileLock::tryShared(scratch / "lock");
    QVERIFY(one.ok() && two.ok());
    QVERIFY(!FileLock::tryExclusive(scratch / "lock").ok());
    one->release();
    two->release();
    QVERIFY(FileLock::tryExclusive(scratch / "lock").ok());
}

void tst_Files::lock_survivesRemoval() {
    const Scratch scratch;
    const auto first = FileLock::tryExclusive(scratch / "lock");
    std::filesystem::remove(scratch / "lock");
    const auto second = FileLock::tryExclusive(scratch / "lock");
    QVERIFY2(second.ok(), "the name leads to a new file");
    QVERIFY(!FileLock::tryExclusive(scratch / "lock").ok());
}

void tst_Files::lock_holdsWhileOthersRemoveIt() {
    // Each holder removes the file before it lets go; nobody may hold a file that has lost its name.
    const Scratch scratch;
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            int violations = 0;
            for (int k = 0; k < 4000; ++k) {
                auto lock = FileLock::tryExclusive(scratch / "lock");
                if (!lock.ok()) {
                    continue;
                }
                const int marker = open((scratch / "inside").c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
                violations += marker < 0 ? 1 : 0;
                close(marker);
                unlink((scratch / "inside").c_str());
                unlink((scratch / "lock").c_str());
            }
            _exit(violations > 0 ? 1 : 0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        QCOMPARE(status, 0);
    }
}

void tst_Files::xdg_followsTheVariables() {
    qputenv("HOME", "/home/somebody");
    qunsetenv("XDG_DATA_HOME");
    qputenv("XDG_CONFIG_HOME", "/elsewhere");
    qputenv("XDG_CACHE_HOME", "relative/is/ignored");
    QCOMPARE(xdgDataHome(), Path("/home/somebody/.local/share"));
    QCOMPARE(xdgConfigHome(), Path("/elsewhere"));
    QCOMPARE(xdgCacheHome(), Path("/home/somebody/.cache"));
    qunsetenv("HOME");
    QVERIFY(xdgDataHome().is_absolute());
    QVERIFY(std::filesystem::exists(executableFolder() / "base_Files"));
}

void tst_Files::fd_moves() {
    const Scratch scratch;
    UniqueFd fd(open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int number = fd.get();
    UniqueFd other(std::move(fd));
    QCOMPARE(other.get(), number);
    other = UniqueFd();
    QVERIFY2(fcntl(number, F_GETFD) == -1, "the descriptor is closed");
}

void tst_Files::errno_codes_data() {
    QTest::addColumn<int>("error");
    QTest::addColumn<QByteArray>("code");
    QTest::newRow("missing") << ENOENT << QByteArray("file.missing");
    QTest::newRow("denied") << EACCES << QByteArray("file.denied");
    QTest::newRow("read-only") << EROFS << QByteArray("file.denied");
    QTest::newRow("full") << ENOSPC << QByteArray("file.full");
    QTest::newRow("quota") << EDQUOT << QByteArray("file.full");
    QTest::newRow("exists") << EEXIST << QByteArray("file.exists");
    QTest::newRow("other") << EIO << QByteArray("file.io");
}

void tst_Files::errno_codes() {
    QFETCH(int, error);
    QFETCH(QByteArray, code);
    const Error made = errnoError(error, "open", "/x/y");
    QCOMPARE(QByteArray::fromStdString(made.code), code);
    QVERIFY(made.message.starts_with("Cannot open /x/y: "));
}

QTEST_GUILESS_MAIN(tst_Files)
#include "tst_Files.moc"
