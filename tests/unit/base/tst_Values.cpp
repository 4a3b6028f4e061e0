// Ids, hashes, clocks, texts, results and process identities: small values, one program.
#include <QtTest>
#include <climits>
#include <cmath>
#include <csignal>
#include <limits>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/base/Process.h"
#include "core/base/Text.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

using namespace trainyard::base;

class tst_Values : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void ids_areUuid7AndTellTheirTime();
    void ids_increase();
    void ids_areUniqueAcrossThreads();
    void ids_areUniqueAcrossFork();
    void ids_refused_data();
    void ids_refused();
    void ids_knownValue();
    void hash_knownValues();
    void hash_inPieces();
    void hash_fileAndCancel();
    void clock_iso();
    void clock_deadline();
    void clock_streamNeverStepsBack();
    void utf8_data();
    void utf8();
    void stripControl_data();
    void stripControl();
    void base64_rfc4648();
    void split_and_trim();
    void bytes_data();
    void bytes();
    void durations_data();
    void durations();
    void counts();
    void significant();
    void shellQuote_survivesAShell();
    void result_holdsOneOfBoth();
    void result_tryReturnsTheError();
    void process_identifiesItself();
    void process_goneAndZombie();
    void process_json();
};

void tst_Values::ids_areUuid7AndTellTheirTime() {
    const std::int64_t before = wallMicros() / 1000;
    const std::string id = newUuid7();
    QCOMPARE(id.size(), std::size_t{26});
    QVERIFY(isUuid7(id));
    QVERIFY(uuid7Millis(id) >= before);
    QVERIFY(uuid7Millis(id) <= wallMicros() / 1000 + 5);
    QVERIFY(RunId::make().isValid());
    QVERIFY(!RunId("x").isValid());
    QVERIFY(RunId().isEmpty());
}

void tst_Values::ids_increase() {
    std::string last = newUuid7();
    for (int i = 0; i < 50'000; ++i) {
        std::string next = newUuid7();
        QVERIFY2(last < next, (last + " " + next).c_str());
        last = std::move(next);
    }
}

void tst_Values::ids_areUniqueAcrossThreads() {
    constexpr int kEach = 5000;
    std::vector<std::string> a(kEach);
    std::vector<std::string> b(kEach);
    std::thread other([&] { std::generate(a.begin(), a.end(), newUuid7); });
    std::generate(b.begin(), b.end(), newUuid7);
    other.join();
    std::set<std::string> all(a.begin(), a.end());
    all.insert(b.begin(), b.end());
    QCOMPARE(all.size(), std::size_t{2 * kEach});
}

void tst_Values::ids_areUniqueAcrossFork() {
    int ends[2];
    QCOMPARE(pipe(ends), 0);
    const pid_t child = fork();
    const std::string id = newUuid7();
    if (child == 0) {
        _exit(write(ends[1], id.data(), id.size()) == 26 ? 0 : 1);
    }
    char other[26];
    QCOMPARE(read(ends[0], other, sizeof other), ssize_t{26});
    waitpid(child, nullptr, 0);
    QVERIFY(std::string(other, sizeof other) != id);
    close(ends[0]);
    close(ends[1]);
}

void tst_Values::ids_refused_data() {
    QTest::addColumn<QByteArray>("text");
    const QByteArray good = QByteArray::fromStdString(newUuid7());
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("short") << good.left(25);
    QTest::newRow("long") << good + "2";
    QTest::newRow("upper case") << good.toUpper();
    QTest::newRow("digit outside") << QByteArray(good).replace(25, 1, "1");
    QTest::newRow("beyond 128 bits") << QByteArray(good).replace(0, 1, "z");
    QTest::newRow("no version") << QByteArray(26, '2');
    QTest::newRow("path") << QByteArray("../../../../../../etc/passw");
}

void tst_Values::ids_refused() {
    QFETCH(QByteArray, text);
    QVERIFY(!isUuid7(text.toStdString()));
}

void tst_Values::ids_knownValue() {
    // 017f22e2-79b0-7cc3-98c4-dc0c0c07398f, the example of RFC 9562, made at 1645557742000 ms.
    __extension__ unsigned __int128 bits = 0;
    for (const char* c = "017f22e279b07cc398c4dc0c0c07398f"; *c != '\0'; ++c) {
        bits = (bits << 4) | static_cast<unsigned>(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    }
    std::string text(26, ' ');
    for (std::size_t i = 26; i-- > 0; bits >>= 5) {
        text[i] = "234567abcdefghijklmnopqrstuvwxyz"[static_cast<std::size_t>(bits & 31)];
    }
    QVERIFY(isUuid7(text));
    QCOMPARE(uuid7Millis(text), std::int64_t{1645557742000});
}

void tst_Values::hash_knownValues() {
    QCOMPARE(sha256Hex(""), std::string("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    QCOMPARE(sha256Hex("abc"), std::string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    QCOMPARE(sha256Hex(std::string(1'000'000, 'a')),
             std::string("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

void tst_Values::hash_inPieces() {
    Sha256 hash;
    hash.add("a");
    Sha256 moved(std::move(hash));
    moved.add("");
    moved.add("bc");
    QCOMPARE(moved.hex(), sha256Hex("abc"));
}

void tst_Values::hash_fileAndCancel() {
    const trainyard::test::Scratch scratch;
    const Path file = scratch.write("f", std::string(3 << 20, 'x'));
    std::int64_t seen = 0;
    QCOMPARE(*sha256File(file, [&](std::int64_t done) { return seen = done, true; }),
             sha256Hex(std::string(3 << 20, 'x')));
    QCOMPARE(seen, std::int64_t{3 << 20});
    QCOMPARE(sha256File(file, [](std::int64_t) { return false; }).error().code, std::string("canceled"));
    QCOMPARE(sha256File(scratch / "no").error().code, std::string("file.missing"));
}

void tst_Values::clock_iso() {
    QCOMPARE(isoTime(0), std::string("1970-01-01T00:00:00.000000Z"));
    QCOMPARE(isoTime(1795415619000123), std::string("2026-11-23T06:33:39.000123Z"));
    QCOMPARE(isoTime(-1), std::string("1969-12-31T23:59:59.999999Z"));
}

void tst_Values::clock_deadline() {
    const Deadline later = Deadline::inMillis(60'000);
    QVERIFY(!later.passed());
    QVERIFY(later.millisLeft() > 59'000 && later.millisLeft() <= 60'000);
    const Deadline now = Deadline::inMillis(0);
    QVERIFY(now.passed());
    QCOMPARE(now.millisLeft(), std::int64_t{0});
}

void tst_Values::clock_streamNeverStepsBack() {
    const StreamClock clock;
    std::int64_t last = clock.micros();
    QVERIFY(std::abs(last - wallMicros()) < 1'000'000);
    for (int i = 0; i < 10'000; ++i) {
        const std::int64_t now = clock.micros();
        QVERIFY(now >= last);
        last = now;
    }
}

void tst_Values::utf8_data() {
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QByteArray>("valid");
    const QByteArray mark("\xEF\xBF\xBD");
    QTest::newRow("ascii") << QByteArray("abc") << QByteArray("abc");
    QTest::newRow("letters") << QByteArray("aé€😀") << QByteArray("aé€😀");
    QTest::newRow("lone continuation") << QByteArray("a\x80") << "a" + mark;
    QTest::newRow("torn at the end") << QByteArray("a\xE2\x82") << "a" + mark + mark;
    QTest::newRow("torn before a letter") << QByteArray("\xE2\x82x") << mark + mark + "x";
    QTest::newRow("overlong") << QByteArray("\xC0\xAF") << mark + mark;
    QTest::newRow("overlong of three") << QByteArray("\xE0\x80\xAF") << mark + mark + mark;
    QTest::newRow("surrogate") << QByteArray("\xED\xA0\x80") << mark + mark + mark;
    QTest::newRow("beyond Unicode") << QByteArray("\xF4\x90\x80\x80") << mark + mark + mark + mark;
    QTest::newRow("zero byte") << QByteArray("a\0b", 3) << QByteArray("a\0b", 3);
}

void tst_Values::utf8() {
    QFETCH(QByteArray, bytes);
    QFETCH(QByteArray, valid);
    QCOMPARE(isValidUtf8(bytes.toStdString()), bytes == valid);
    QCOMPARE(QByteArray::fromStdString(toValidUtf8(bytes.toStdString())), valid);
    QVERIFY(isValidUtf8(valid.toStdString()));
}

void tst_Values::stripControl_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("plain");
    QTest::newRow("plain") << QByteArray("a\tb é") << QByteArray("a\tb é");
    QTest::newRow("colour") << QByteArray("\x1b[1;31mred\x1b[0m!") << QByteArray("red!");
    QTest::newRow("title by BEL") << QByteArray("\x1b]0;title\x07x") << QByteArray("x");
    QTest::newRow("link by ST") << QByteArray("\x1b]8;;http://a\x1b\\text\x1b]8;;\x1b\\") << QByteArray("text");
    QTest::newRow("charset") << QByteArray("\x1b(Bx") << QByteArray("x");
    QTest::newRow("unfinished") << QByteArray("x\x1b[12") << QByteArray("x");
    QTest::newRow("escape before a letter of two bytes") << QByteArray("x\x1bé") << QByteArray("xé");
    QTest::newRow("lone escape") << QByteArray("x\x1b") << QByteArray("x");
    QTest::newRow("controls") << QByteArray("a\r\n\x00\x7f"
                                            "b",
                                            6)
                              << QByteArray("ab");
    QTest::newRow("C1") << QByteArray("a\xC2\x9B"
                                      "b\xC2\xA0")
                        << QByteArray("ab\xC2\xA0");
    // A name must not be shown as another: "abc\u202Egnp.exe" would read "abcexe.png".
    QTest::newRow("override") << QByteArray("abc\u202Egnp.exe") << QByteArray("abcgnp.exe");
    QTest::newRow("embeddings") << QByteArray("a\u202A\u202B\u202C\u202Db") << QByteArray("ab");
    QTest::newRow("isolates") << QByteArray("a\u2066\u2067\u2068\u2069b") << QByteArray("ab");
    QTest::newRow("marks") << QByteArray("a\u200E\u200F\u061Cb") << QByteArray("ab");
    QTest::newRow("neighbours stay") << QByteArray("\u200D\u2010\u2029\u202F\u2065\u206A\u061B\u061D")
                                     << QByteArray("\u200D\u2010\u2029\u202F\u2065\u206A\u061B\u061D");
    QTest::newRow("torn") << QByteArray("a\xE2\x80") << QByteArray("a\xE2\x80");
}

void tst_Values::stripControl() {
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, plain);
    QCOMPARE(QByteArray::fromStdString(trainyard::base::stripControl(text.toStdString())), plain);
}

void tst_Values::base64_rfc4648() {
    for (const char* text : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\x00"}) {
        QCOMPARE(QByteArray::fromStdString(base64(text)), QByteArray(text).toBase64());
    }
}

void tst_Values::split_and_trim() {
    QCOMPARE(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
    QCOMPARE(split("", ','), (std::vector<std::string>{""}));
    QCOMPARE(std::string(trim(" \t a b\r\n")), std::string("a b"));
    QCOMPARE(std::string(trim(" \n ")), std::string());
}

void tst_Values::bytes_data() {
    QTest::addColumn<qint64>("count");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("0") << qint64{0} << QByteArray("0 B");
    QTest::newRow("950") << qint64{950} << QByteArray("950 B");
    QTest::newRow("1023") << qint64{1023} << QByteArray("1023 B");
    QTest::newRow("1.2 KiB") << qint64{1229} << QByteArray("1.2 KiB");
    QTest::newRow("carry") << qint64{1024 * 1024 - 1} << QByteArray("1.0 MiB");
    QTest::newRow("64 MiB") << qint64{64 << 20} << QByteArray("64.0 MiB");
    QTest::newRow("negative") << qint64{-2048} << QByteArray("-2.0 KiB");
    QTest::newRow("most") << std::numeric_limits<qint64>::max() << QByteArray("8.0 EiB");
    QTest::newRow("least") << std::numeric_limits<qint64>::min() << QByteArray("-8.0 EiB");
}

void tst_Values::bytes() {
    QFETCH(qint64, count);
    QFETCH(QByteArray, text);
    QCOMPARE(QByteArray::fromStdString(formatBytes(count)), text);
}

void tst_Values::durations_data() {
    QTest::addColumn<qint64>("nanos");
    QTest::addColumn<QByteArray>("text");
    constexpr qint64 kMilli = 1'000'000;
    constexpr qint64 kSecond = 1000 * kMilli;
    const auto row = [](qint64 nanos, const char* text) { QTest::newRow(text) << nanos << QByteArray(text); };
    row(0, "0 s");
    row(50'000, "0.05 ms");
    row(4 * kMilli + 200'000, "4.2 ms");
    row(420 * kMilli, "0.42 s");
    row(999 * kMilli, "1.0 s");
    row(4200 * kMilli, "4.2 s");
    row(12 * kSecond, "12 s");
    row(59'600 * kMilli, "1 min 00 s");
    row(192 * kSecond, "3 min 12 s");
    row(3599 * kSecond + 900 * kMilli, "1 h 00 min");
    row(7500 * kSecond, "2 h 05 min");
    row(273'600 * kSecond, "3 d 4 h");
    row(-192 * kSecond, "-3 min 12 s");
    QTest::newRow("least") << std::numeric_limits<qint64>::min() << QByteArray("-106751 d 23 h");
}

void tst_Values::durations() {
    QFETCH(qint64, nanos);
    QFETCH(QByteArray, text);
    QCOMPARE(QByteArray::fromStdString(formatDuration(nanos)), text);
}

void tst_Values::counts() {
    QCOMPARE(formatCount(950), std::string("950"));
    QCOMPARE(formatCount(1200), std::string("1.2 k"));
    QCOMPARE(formatCount(999'950), std::string("1.0 M"));
    QCOMPARE(formatCount(3'400'000'000), std::string("3.4 G"));
    QCOMPARE(formatCount(-1200), std::string("-1.2 k"));
}

void tst_Values::significant() {
    QCOMPARE(formatSignificant(0.38214), std::string("0.3821"));
    QCOMPARE(formatSignificant(1.23449e-5), std::string("1.234e-05"));
    QCOMPARE(formatSignificant(std::nan("")), std::string("NaN"));
    QCOMPARE(formatSignificant(-std::numeric_limits<double>::infinity()), std::string("-Infinity"));
    QCOMPARE(formatSignificant(1234567, 3), std::string("1.23e+06"));
    std::setlocale(LC_ALL, "de_DE.UTF-8");
    QCOMPARE(formatSignificant(0.5), std::string("0.5"));
}

void tst_Values::shellQuote_survivesAShell() {
    for (const char* text :
         {"", "plain", "two words", "it's", "$(touch /tmp/no) `id` \"x\" \\ ; & | * ? ~ !", "-n", "a\nb", "é'''"}) {
        const std::string command = "printf '%s.' " + shellQuote(text);
        FILE* shell = popen(command.c_str(), "r");
        QVERIFY(shell != nullptr);
        char buffer[256] = {};
        const std::size_t got = fread(buffer, 1, sizeof buffer, shell);
        pclose(shell);
        QCOMPARE(std::string(buffer, got), std::string(text) + ".");
    }
}

void tst_Values::result_holdsOneOfBoth() {
    const Result<int> good = 4;
    const Result<int> bad = Error{"x.y", "Message."};
    QVERIFY(good.ok() && !bad.ok());
    QCOMPARE(*good, 4);
    QCOMPARE(bad.valueOr(7), 7);
    QCOMPARE(bad.error().code, std::string("x.y"));
    QVERIFY(Status().ok());
}

void tst_Values::result_tryReturnsTheError() {
    const auto step = [](bool fail) -> Status { return fail ? Status(Error{"step", "It failed."}) : Status(); };
    const auto both = [&](bool first, bool second) -> Result<int> {
        TRAINYARD_TRY(step(first));
        TRAINYARD_TRY(step(second));
        return 3;
    };
    QCOMPARE(*both(false, false), 3);
    QCOMPARE(both(false, true).error().code, std::string("step"));
}

void tst_Values::process_identifiesItself() {
    const auto self = identify(getpid());
    QVERIFY(self.has_value());
    QCOMPARE(self->pid, static_cast<std::int64_t>(getpid()));
    QVERIFY(self->startTicks > 0);
    QCOMPARE(self->bootId.size(), std::size_t{36});
    QVERIFY(liveness(*self) == Liveness::Alive);
    ProcessIdentity reused = *self;
    reused.startTicks -= 1;
    QVERIFY2(liveness(reused) == Liveness::Gone, "the same pid, another process");
    ProcessIdentity otherBoot = *self;
    otherBoot.bootId = "before";
    QVERIFY(liveness(otherBoot) == Liveness::OtherBoot);
    QVERIFY(!identify(0) && !identify(-1) && !identify(INT_MAX));
}

void tst_Values::process_goneAndZombie() {
    const pid_t child = fork();
    if (child == 0) {
        // A name that would mislead a reader which splits at blanks.
        FILE* name = fopen("/proc/self/comm", "w");
        if (name != nullptr) {
            fputs("a) R 1 (", name);
            fclose(name);
        }
        for (;;) {
            pause();
        }
    }
    QVERIFY(trainyard::test::waitFor(
        [&] { return readFile("/proc/" + std::to_string(child) + "/comm").valueOr({}) == "a) R 1 (\n"; }));
    const auto identity = identify(child);
    QVERIFY(identity.has_value());
    QVERIFY(liveness(*identity) == Liveness::Alive);
    kill(child, SIGKILL);
    siginfo_t info{};
    QCOMPARE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
    QVERIFY2(liveness(*identity) == Liveness::Gone, "a zombie is gone");
    waitpid(child, nullptr, 0);
    QVERIFY(liveness(*identity) == Liveness::Gone);
}

void tst_Values::process_json() {
    const auto self = identify(getpid());
    const auto back = processIdentityFromJson(toJson(*self));
    QVERIFY(back.ok());
    QCOMPARE(*back, *self);
    QCOMPARE(processIdentityFromJson(Json{{"pid", 1}}).error().code, std::string("json.missing"));
    QCOMPARE(processIdentityFromJson(Json::array()).error().code, std::string("json.type"));
}

QTEST_GUILESS_MAIN(tst_Values)
#include "tst_Values.moc"
