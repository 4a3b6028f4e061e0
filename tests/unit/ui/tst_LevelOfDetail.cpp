#include <QtTest>

#include <cmath>
#include <limits>
#include <random>

#include "ui/charts/LevelOfDetail.h"

using namespace trainyard::ui;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Points {
    std::vector<double> x, y;
};

Points makePoints(std::size_t n, unsigned seed, bool gaps) {
    std::mt19937 random(seed);
    std::normal_distribution<double> step(0, 1);
    Points points;
    double x = 0, y = 0;
    for (std::size_t i = 0; i < n; ++i) {
        x += 0.5 + static_cast<double>(random() % 4);
        y += step(random);
        points.x.push_back(x);
        points.y.push_back(gaps && random() % 37 == 0 ? kNaN : y);
    }
    return points;
}

/// What slice() promises, by looking at every point.
Slice bruteForce(const Points& points, double from, double to, std::size_t buckets) {
    Slice slice;
    std::size_t first = 0, last = points.x.size();
    while (first < points.x.size() && points.x[first] < from) ++first;
    while (last > 0 && points.x[last - 1] > to) --last;
    if (first > 0) --first;
    if (last < points.x.size()) ++last;
    if (last - first <= buckets) {
        for (std::size_t i = first; i < last; ++i) slice.push(points.x[i], points.y[i], points.y[i], points.y[i], 1);
        slice.raw = true;
        return slice;
    }
    const std::size_t width = LevelOfDetail::bucketSize(last - first, buckets);
    for (std::size_t start = first / width * width; start < last; start += width) {
        const std::size_t end = std::min(start + width, points.x.size());
        double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
        int finite = 0;
        for (std::size_t i = start; i < end; ++i) {
            if (!std::isfinite(points.y[i])) continue;
            low = std::min(low, points.y[i]);
            high = std::max(high, points.y[i]);
            sum += points.y[i];
            ++finite;
        }
        const double x = (points.x[start] + points.x[end - 1]) / 2;
        const auto n = static_cast<std::uint32_t>(end - start);
        if (finite > 0) {
            slice.push(x, low, high, sum / finite, n);
        } else {
            slice.push(x, kNaN, kNaN, kNaN, n);
        }
    }
    return slice;
}

bool same(double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-9 * (1 + std::abs(a));
}

void compare(const Slice& a, const Slice& b) {
    QCOMPARE(a.size(), b.size());
    QCOMPARE(a.raw, b.raw);
    for (std::size_t i = 0; i < a.size(); ++i) {
        QVERIFY2(same(a.x[i], b.x[i]) && same(a.min[i], b.min[i]) && same(a.max[i], b.max[i]) &&
                     same(a.mean[i], b.mean[i]) && a.count[i] == b.count[i],
                 qPrintable(QStringLiteral("entry %1 of %2").arg(i).arg(a.size())));
    }
}

}  // namespace

class TestLevelOfDetail : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void slice_equalsBruteForce_data() {
        QTest::addColumn<int>("points");
        QTest::addColumn<bool>("gaps");
        for (const int n : {0, 1, 2, 15, 16, 17, 63, 64, 255, 1000, 4097, 20000}) {
            QTest::addRow("%d points", n) << n << false;
            QTest::addRow("%d points with gaps", n) << n << true;
        }
    }
    void slice_equalsBruteForce() {
        QFETCH(int, points);
        QFETCH(bool, gaps);
        const Points all = makePoints(static_cast<std::size_t>(points), 11U + static_cast<unsigned>(points), gaps);
        LevelOfDetail pyramid;
        QCOMPARE(pyramid.append(all.x, all.y), all.x.size());
        std::mt19937 random(5);
        const double end = all.x.empty() ? 1 : all.x.back();
        for (int round = 0; round < 40; ++round) {
            double from = end * (static_cast<double>(random() % 1200) / 1000.0 - 0.1),
                   to = end * (static_cast<double>(random() % 1200) / 1000.0 - 0.1);
            if (from > to) std::swap(from, to);
            if (round == 0) from = -1, to = end + 1;
            const std::size_t buckets = 1 + random() % 700;
            if (all.x.empty()) {
                QCOMPARE(pyramid.slice(from, to, buckets).size(), std::size_t(0));
            } else {
                compare(pyramid.slice(from, to, buckets), bruteForce(all, from, to, buckets));
            }
        }
    }

    void append_inPiecesEqualsAtOnce() {
        const Points all = makePoints(9000, 3, true);
        LevelOfDetail whole, pieces;
        whole.append(all.x, all.y);
        std::mt19937 random(9);
        for (std::size_t at = 0; at < all.x.size();) {
            const std::size_t n = std::min<std::size_t>(1 + random() % 300, all.x.size() - at);
            pieces.append(std::span(all.x).subspan(at, n), std::span(all.y).subspan(at, n));
            at += n;
        }
        compare(pieces.slice(0, 1e9, 300), whole.slice(0, 1e9, 300));
    }

    void append_dropsWhatDoesNotAscend() {
        LevelOfDetail pyramid;
        const std::vector<double> x = {1, 2, 2, 1.5, kNaN, 3}, y = {1, 2, 9, 9, 9, 3};
        QCOMPARE(pyramid.append(x, y), std::size_t(3));
        const Slice slice = pyramid.slice(0, 10, 10);
        QCOMPARE(slice.x, std::vector<double>({1, 2, 3}));
        QCOMPARE(slice.mean, std::vector<double>({1, 2, 3}));
    }

    void slice_bordersStayWhilePointsArrive() {
        const Points all = makePoints(6000, 21, false);
        LevelOfDetail pyramid;
        pyramid.append(std::span(all.x).first(5000), std::span(all.y).first(5000));
        const Slice before = pyramid.slice(0, 1e9, 500);
        pyramid.append(std::span(all.x).subspan(5000, 3), std::span(all.y).subspan(5000, 3));
        const Slice after = pyramid.slice(0, 1e9, 500);
        for (std::size_t i = 0; i + 1 < before.size(); ++i) QCOMPARE(after.mean[i], before.mean[i]);
    }

    void bucketSize_fitsTheBuckets() {
        for (const std::size_t points : {std::size_t(1), std::size_t(100), std::size_t(12345), std::size_t(1000000)}) {
            for (const std::size_t buckets : {std::size_t(1), std::size_t(7), std::size_t(640), std::size_t(2560)}) {
                const std::size_t width = LevelOfDetail::bucketSize(points, buckets);
                QVERIFY((points + width - 1) / width <= buckets);
                QVERIFY((width & (width - 1)) == 0);
            }
        }
    }

    void smooth_equalsTheRecurrence() {
        Slice slice;
        slice.raw = true;
        const std::vector<double> values = {4, 2, kNaN, 8, 1};
        for (std::size_t i = 0; i < values.size(); ++i)
            slice.push(static_cast<double>(i), values[i], values[i], values[i], 1);
        const std::vector<double> got = smooth(slice, 0.5);
        // Unbiased: v = a v + (1-a) y, divided by 1 - a^n.
        QCOMPARE(got[0], 4.0);
        QVERIFY(same(got[1], (0.5 * (0.5 * 4) + 0.5 * 2) / 0.75));
        QVERIFY(std::isnan(got[2]));
        const double third = 0.5 * (0.5 * (0.5 * 4) + 0.5 * 2) + 0.5 * 8;
        QVERIFY(same(got[3], third / 0.875));
        QCOMPARE(smooth(slice, 0)[1], 2.0);
    }

    void valueRange_takesOnlyWhatIsSeen() {
        Slice slice;
        slice.push(0, -5, 9, 1, 4);
        slice.push(1, 2, 3, 2.5, 4);
        slice.push(2, kNaN, kNaN, kNaN, 4);
        slice.push(3, -1, 50, 4, 4);
        QCOMPARE(valueRange(slice, 0.5, 2.5, false).value(), (std::pair<double, double>(2, 3)));
        QCOMPARE(valueRange(slice, 0, 3, false).value(), (std::pair<double, double>(-5, 50)));
        QCOMPARE(valueRange(slice, 0, 3, true).value(), (std::pair<double, double>(1, 50)));
        QVERIFY(!valueRange(slice, 1.5, 2.5, false));
    }

    void nearestIndex_picksTheCloser() {
        Slice slice;
        QVERIFY(!nearestIndex(slice, 1));
        for (const double x : {0.0, 10.0, 11.0}) slice.push(x, 0, 0, 0, 1);
        QCOMPARE(nearestIndex(slice, -5).value(), std::size_t(0));
        QCOMPARE(nearestIndex(slice, 4.9).value(), std::size_t(0));
        QCOMPARE(nearestIndex(slice, 5.1).value(), std::size_t(1));
        QCOMPARE(nearestIndex(slice, 99).value(), std::size_t(2));
    }
};

QTEST_GUILESS_MAIN(TestLevelOfDetail)
#include "tst_LevelOfDetail.moc"
