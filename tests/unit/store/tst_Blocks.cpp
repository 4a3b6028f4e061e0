#include <QtTest>
#include <cmath>
#include <random>

#include "core/store/Blocks.h"
#include "core/store/SeriesStore.h"
#include "tests/unit/store/StoreFixture.h"

using namespace trainyard::store;

namespace {

bool same(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

std::string_view view(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Points as bad as a script can report them.
std::vector<Point> wildPoints(std::size_t count, std::mt19937_64& random) {
    std::vector<Point> points;
    Point at{0, 1'700'000'000'000'000, 0};
    for (std::size_t i = 0; i < count; ++i) {
        const auto dice = random() % 40;
        at.step = dice == 0 ? static_cast<std::int64_t>(random()) : dice == 1 ? at.step : at.step + 10;
        at.t += dice == 2 ? -5'000'000 : static_cast<std::int64_t>(random() % 100'000);
        at.value = dice == 3   ? std::numeric_limits<double>::quiet_NaN()
                   : dice == 4 ? std::numeric_limits<double>::infinity()
                   : dice == 5 ? -std::numeric_limits<double>::infinity()
                   : dice == 6 ? 1e300
                               : static_cast<double>(random() % 100000) / 7.0 - 5000;
        points.push_back(at);
    }
    return points;
}

Bucket bruteForce(const std::vector<Point>& points, std::size_t begin, std::size_t end) {
    Bucket bucket;
    bucket.stepLow = bucket.timeLow = std::numeric_limits<std::int64_t>::max();
    bucket.stepHigh = bucket.timeHigh = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = begin; i < end; ++i) {
        bucket.stepLow = std::min(bucket.stepLow, points[i].step);
        bucket.stepHigh = std::max(bucket.stepHigh, points[i].step);
        bucket.timeLow = std::min(bucket.timeLow, points[i].t);
        bucket.timeHigh = std::max(bucket.timeHigh, points[i].t);
        ++bucket.count;
        if (!std::isfinite(points[i].value)) continue;
        bucket.min = bucket.finite == 0 ? points[i].value : std::min(bucket.min, points[i].value);
        bucket.max = bucket.finite == 0 ? points[i].value : std::max(bucket.max, points[i].value);
        bucket.sum += points[i].value;
        ++bucket.finite;
    }
    return bucket;
}

}  // namespace

class tst_Blocks : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void points_surviveTheRoundTrip();
    void singles_takeFourBytes();
    void damagedBytes_areRefused();
    void pyramid_equalsBruteForce_data();
    void pyramid_equalsBruteForce();
};

void tst_Blocks::points_surviveTheRoundTrip() {
    std::mt19937_64 random(7);
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{255}, std::size_t{4096}}) {
        std::vector<Point> points = wildPoints(count, random);
        if (count > 1) {
            points[0].step = std::numeric_limits<std::int64_t>::min();
            points[1].step = std::numeric_limits<std::int64_t>::max();
        }
        const auto decoded = decodePoints(view(encodePoints(points.data(), count)), count);
        QVERIFY(decoded.has_value());
        QCOMPARE(decoded->size(), count);
        for (std::size_t i = 0; i < count; ++i) {
            QCOMPARE((*decoded)[i].step, points[i].step);
            QCOMPARE((*decoded)[i].t, points[i].t);
            QVERIFY(same((*decoded)[i].value, points[i].value));
        }
    }
}

void tst_Blocks::singles_takeFourBytes() {
    std::vector<Point> points(4096);
    for (std::size_t i = 0; i < points.size(); ++i)
        points[i] = {static_cast<std::int64_t>(i) * 10, static_cast<std::int64_t>(i) * 20'000,
                     static_cast<double>(0.1f * static_cast<float>(i))};
    const std::size_t singles = encodePoints(points.data(), points.size()).size();
    QVERIFY2(singles < points.size() * 6 + 64, qPrintable(QString::number(singles)));
    points[77].value = 0.1;  // Not a float: all eight bytes of every value are needed.
    const Bytes doubles = encodePoints(points.data(), points.size());
    QVERIFY(doubles.size() > singles + 4 * points.size() - 64);
    QCOMPARE((*decodePoints(view(doubles), points.size()))[77].value, 0.1);
}

void tst_Blocks::damagedBytes_areRefused() {
    std::mt19937_64 random(3);
    const std::vector<Point> points = wildPoints(300, random);
    const Bytes bytes = encodePoints(points.data(), points.size());
    for (std::size_t length = 0; length < bytes.size(); ++length)
        QVERIFY(!decodePoints(view(bytes).substr(0, length), points.size()));
    Bytes longer = bytes;
    longer.push_back(0);
    QVERIFY(!decodePoints(view(longer), points.size()));
    QVERIFY(!decodePoints(view(bytes), 1'000'000'000));
    // Any byte changed: refused or other points, never a read beyond the end (the sanitizer build sees that).
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Bytes changed = bytes;
        changed[i] ^= 0xff;
        const auto decoded = decodePoints(view(changed), points.size());
        QVERIFY(!decoded || decoded->size() == points.size());
    }
}

void tst_Blocks::pyramid_equalsBruteForce_data() {
    QTest::addColumn<int>("total");
    QTest::addColumn<int>("largestBatch");
    QTest::newRow("a point at a time") << 700 << 1;
    QTest::newRow("small batches") << 9000 << 37;
    QTest::newRow("batches around a block") << 30000 << 9000;
    QTest::newRow("all at once") << 70000 << 70000;
}

void tst_Blocks::pyramid_equalsBruteForce() {
    QFETCH(int, total);
    QFETCH(int, largestBatch);
    trainyard::test::Scratch scratch;
    auto opened = Connection::open(scratch / "history.sqlite", Connection::Mode::Write, {});
    STORE_OK(opened);
    Connection& connection = **opened;
    std::mt19937_64 random(static_cast<std::uint64_t>(total));
    const std::vector<Point> points = wildPoints(static_cast<std::size_t>(total), random);
    const SeriesKey key{5, SeriesKind::Metric, "train/loss", 1, 0, 0};
    SQLite::Transaction transaction(connection.db());
    for (std::size_t at = 0; at < points.size();) {
        const std::size_t count = std::min(points.size() - at, 1 + random() % static_cast<std::size_t>(largestBatch));
        appendPoints(connection, key,
                     {points.begin() + static_cast<std::ptrdiff_t>(at),
                      points.begin() + static_cast<std::ptrdiff_t>(at + count)});
        at += count;
    }
    transaction.commit();

    const std::int64_t id = connection.db().execAndGet("SELECT id FROM series").getInt64();
    const auto stored = loadPoints(connection, id, 0, total + 100);
    QCOMPARE(stored.size(), points.size());
    for (std::size_t i = 0; i < points.size(); ++i)
        QVERIFY(stored[i].step == points[i].step && stored[i].t == points[i].t &&
                same(stored[i].value, points[i].value));
    int levels = 0;
    for (int level = 1; pointsPerItem(level) <= total; ++level, ++levels) {
        const auto size = static_cast<std::size_t>(pointsPerItem(level));
        const auto buckets = loadBuckets(connection, id, level, 0, total);
        QCOMPARE(buckets.size(), points.size() / size);
        for (std::size_t i = 0; i < buckets.size(); ++i) {
            const Bucket expected = bruteForce(points, i * size, (i + 1) * size);
            const Bucket& bucket = buckets[i];
            QCOMPARE(bucket.stepLow, expected.stepLow);
            QCOMPARE(bucket.stepHigh, expected.stepHigh);
            QCOMPARE(bucket.timeLow, expected.timeLow);
            QCOMPARE(bucket.timeHigh, expected.timeHigh);
            QCOMPARE(bucket.count, expected.count);
            QCOMPARE(bucket.finite, expected.finite);
            QVERIFY(same(bucket.min, expected.min));
            QVERIFY(same(bucket.max, expected.max));
            QVERIFY(std::abs(bucket.sum - expected.sum) <= 1e-9 * std::max(1.0, std::abs(expected.sum)));
        }
    }
    QVERIFY(levels >= 3);
    // Ranges that begin and end inside blocks.
    for (int i = 0; i < 50; ++i) {
        const auto begin = static_cast<std::int64_t>(random() % points.size());
        const auto end =
            begin + static_cast<std::int64_t>(random() % (points.size() - static_cast<std::size_t>(begin)));
        const auto some = loadPoints(connection, id, begin, end);
        QCOMPARE(static_cast<std::int64_t>(some.size()), end - begin);
        if (!some.empty()) QCOMPARE(some.front().t, points[static_cast<std::size_t>(begin)].t);
    }
    // What is not there yet is not written twice either: pieces and blocks cover each point once.
    QCOMPARE(connection.db().execAndGet("SELECT sum(count) FROM blocks WHERE level = 0").getInt64(),
             std::int64_t{total});
    QVERIFY(connection.db().execAndGet("SELECT count(*) FROM blocks WHERE level = 0").getInt64() <= total / 4096 + 17);
}

QTEST_APPLESS_MAIN(tst_Blocks)
#include "tst_Blocks.moc"
