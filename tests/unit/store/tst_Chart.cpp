#include <QtTest>
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/unit/store/StoreFixture.h"

using namespace trainyard;
using namespace trainyard::store;
using namespace trainyard::store::test;

namespace {

struct Sample {
    std::int64_t step = 0;
    std::int64_t t = 0;
    double value = 0;
};

/// Takes samples into a run without writing them as text first.
void take(Writer& writer, const RunId& run, int attempt, int rank, const std::vector<Sample>& samples,
          const std::string& name = "loss") {
    constexpr std::size_t kARecord = 5000;
    StreamBatch batch;
    batch.run = run;
    batch.attempt = attempt;
    batch.from = *writer.cursor(run, attempt, 0);
    batch.to = batch.from;
    for (std::size_t at = 0; at < samples.size(); at += kARecord) {
        wire::SeriesPoints points{name, {}, {}, {}};
        for (std::size_t i = at; i < std::min(at + kARecord, samples.size()); ++i) {
            points.step.push_back(samples[i].step);
            points.t.push_back(samples[i].t);
            points.value.push_back(samples[i].value);
        }
        wire::StreamEntry entry;
        entry.record = metrics({points}, 1, rank);
        entry.record.seq = ++batch.to.lastSeq;
        entry.offset = batch.to.offset;
        entry.length = 100;
        batch.to.offset += 100;
        batch.entries.push_back(std::move(entry));
    }
    const Status taken = writer.ingest(batch);
    QVERIFY2(taken.ok(), taken.ok() ? "" : taken.error().message.c_str());
}

std::vector<Sample> samples(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Sample> all;
    Sample at{0, 1'700'000'000'000'000, 0};
    for (std::size_t i = 0; i < count; ++i) {
        at.value = random() % 500 == 0
                       ? std::numeric_limits<double>::quiet_NaN()
                       : std::sin(static_cast<double>(i) / 900) + static_cast<double>(random() % 1000) / 1000;
        all.push_back(at);
        at.step += static_cast<std::int64_t>(1 + random() % 3);
        at.t += static_cast<std::int64_t>(1000 + random() % 100000);
    }
    return all;
}

/// What a chart promises, against the samples themselves.
void check(const ChartSeries& series, const std::vector<Sample>& all, const std::function<double(const Sample&)>& axis,
           double from, double to, int pixels) {
    const std::size_t n = series.x.size();
    QVERIFY(series.mean.size() == n);
    QVERIFY2(n <= static_cast<std::size_t>(2 * pixels + 16), qPrintable(QString::number(n)));
    QVERIFY(std::is_sorted(series.x.begin(), series.x.end()));
    double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
    std::size_t inside = 0;
    for (const Sample& sample : all) {
        if (axis(sample) < from || axis(sample) > to) continue;
        ++inside;
        if (std::isfinite(sample.value)) {
            lowest = std::min(lowest, sample.value);
            highest = std::max(highest, sample.value);
        }
    }
    if (inside == 0) return;
    // Enough detail: raw points when few, else several buckets for each ten pixels of what is inside.
    if (inside <= static_cast<std::size_t>(pixels)) {
        QVERIFY(series.raw);
        QCOMPARE(series.pointsPerBucket, 1);
        QVERIFY(n >= inside && n <= inside + 2);
    } else if (!series.raw) {
        QVERIFY2(static_cast<int>(n) >= pixels / 4, qPrintable(QString::number(n)));
    }
    double seenLow = std::numeric_limits<double>::infinity(), seenHigh = -seenLow;
    for (std::size_t i = 0; i < n; ++i) {
        const double low = series.raw ? series.mean[i] : series.min[i];
        const double high = series.raw ? series.mean[i] : series.max[i];
        if (std::isfinite(low)) seenLow = std::min(seenLow, low);
        if (std::isfinite(high)) seenHigh = std::max(seenHigh, high);
        if (!series.raw && std::isfinite(series.min[i]))
            QVERIFY(series.min[i] <= series.mean[i] + 1e-9 && series.mean[i] <= series.max[i] + 1e-9);
    }
    // No extreme inside the range is lost. (Neighbours may add to it.)
    QVERIFY(seenLow <= lowest);
    QVERIFY(seenHigh >= highest);
}

}  // namespace

class tst_Chart : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void fewPoints_areRaw();
    void anyRange_keepsEveryExtreme_data();
    void anyRange_keepsEveryExtreme();
    void wholeRange_sumsUpToTheMean();
    void axes();
    void gap_isCrossedByItsNeighbours();
    void stepsThatGoBack_areSorted();
    void replacedPoints_areHidden();
    void ranksAndSelection();
    void nothing_isNoError();
    void canceled_andInterrupted();

private:
    std::unique_ptr<Workspace> m_workspace;
    std::unique_ptr<Writer> m_writer;
    std::unique_ptr<Reader> m_reader;
    RunId m_run;
};

void tst_Chart::init() {
    m_reader.reset();
    m_writer.reset();
    m_workspace = std::make_unique<Workspace>();
    m_run = m_workspace->addRun(1, "one");
    m_writer = std::make_unique<Writer>(*Writer::open(m_workspace->location));
    STORE_OK(m_writer->followJournal(m_run));
    m_reader = std::make_unique<Reader>(*Reader::open(m_workspace->location));
}

void tst_Chart::fewPoints_areRaw() {
    take(*m_writer, m_run, 1, 0, {{0, 10, 3}, {10, 20, 1}, {20, 40, 2}});
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    const auto chart = m_reader->chart(request);
    STORE_OK(chart);
    const ChartSeries& series = chart->series.at(0);
    QVERIFY(series.raw);
    QCOMPARE(series.x, (std::vector<double>{0, 10, 20}));
    QCOMPARE(series.mean, (std::vector<double>{3, 1, 2}));
    QVERIFY(series.min.empty() && series.max.empty());
    QCOMPARE(series.points, 3);
    QCOMPARE(series.number, 1);
    QCOMPARE(series.xFirst, 0.0);
    QCOMPARE(series.xLast, 20.0);
}

void tst_Chart::anyRange_keepsEveryExtreme_data() {
    QTest::addColumn<int>("count");
    for (const int count : {1, 15, 16, 17, 255, 256, 1000, 4096, 4097, 20000, 100003})
        QTest::addRow("%d points", count) << count;
}

void tst_Chart::anyRange_keepsEveryExtreme() {
    QFETCH(int, count);
    const std::vector<Sample> all = samples(static_cast<std::size_t>(count), static_cast<std::uint64_t>(count));
    take(*m_writer, m_run, 1, 0, all);
    std::mt19937_64 random(5);
    const auto byStep = [](const Sample& s) { return static_cast<double>(s.step); };
    const auto byTime = [](const Sample& s) { return static_cast<double>(s.t) / 1000; };
    for (int i = 0; i < 120; ++i) {
        ChartRequest request;
        request.curves = {{m_run, "loss"}};
        request.pixels = std::array{64, 320, 1280}[random() % 3];
        const bool time = random() % 3 == 0;
        request.axis = time ? ChartAxis::WallTime : ChartAxis::Step;
        const auto axis = time ? std::function<double(const Sample&)>(byTime) : byStep;
        double from = -1e300, to = 1e300;
        if (i > 2) {
            const auto a = random() % all.size();
            // From a handful of points to everything.
            const auto b = std::min(all.size() - 1, a + (std::size_t{1} << (random() % 17)));
            from = axis(all[a]);
            to = axis(all[b]);
            request.from = from;
            request.to = to;
        }
        const auto chart = m_reader->chart(request);
        STORE_OK(chart);
        QCOMPARE(chart->series.size(), std::size_t{1});
        check(chart->series[0], all, axis, from, to, request.pixels);
        if (QTest::currentTestFailed()) return;
    }
}

void tst_Chart::wholeRange_sumsUpToTheMean() {
    const std::vector<Sample> all = samples(50001, 9);
    take(*m_writer, m_run, 1, 0, all);
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    request.pixels = 100;
    const auto chart = m_reader->chart(request);
    STORE_OK(chart);
    const ChartSeries& series = chart->series[0];
    QVERIFY(!series.raw);
    std::int64_t nonFinite = 0;
    for (const Sample& sample : all) nonFinite += std::isfinite(sample.value) ? 0 : 1;
    std::int64_t seen = 0;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        seen += series.nonFinite[i];
        // Each bucket against the points it stands for.
        double sum = 0, low = 1e300, high = -1e300;
        std::int64_t finite = 0;
        for (auto at = static_cast<std::int64_t>(i) * series.pointsPerBucket;
             at < std::min<std::int64_t>((static_cast<std::int64_t>(i) + 1) * series.pointsPerBucket, std::ssize(all));
             ++at) {
            const double value = all[static_cast<std::size_t>(at)].value;
            if (!std::isfinite(value)) continue;
            sum += value;
            ++finite;
            low = std::min(low, value);
            high = std::max(high, value);
        }
        QCOMPARE(series.min[i], low);
        QCOMPARE(series.max[i], high);
        QVERIFY(std::abs(series.mean[i] - sum / static_cast<double>(finite)) < 1e-9);
    }
    QCOMPARE(seen, nonFinite);
}

void tst_Chart::axes() {
    m_workspace->stream(m_run, {state("Running", 5'000'000)});
    STORE_OK(m_writer->followStream(m_run, 1, 0));
    take(*m_writer, m_run, 1, 0, {{0, 6'000'000, 1}, {10, 7'500'000, 2}});
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    request.axis = ChartAxis::RelativeTime;
    QCOMPARE(m_reader->chart(request)->series[0].x, (std::vector<double>{1, 2.5}));
    request.axis = ChartAxis::WallTime;
    QCOMPARE(m_reader->chart(request)->series[0].x, (std::vector<double>{6000, 7500}));
    QCOMPARE(m_reader->chart(request)->series[0].xLast, 7500.0);
    // Never Running: time counts from the first point.
    const RunId other = m_workspace->addRun(2, "two");
    STORE_OK(m_writer->followJournal(other));
    take(*m_writer, other, 1, 0, {{0, 9'000'000, 1}, {1, 9'250'000, 1}});
    request.axis = ChartAxis::RelativeTime;
    request.curves = {{m_run, "loss"}, {other, "loss"}};
    const auto both = m_reader->chart(request);
    QCOMPARE(both->series.size(), std::size_t{2});
    QCOMPARE(both->series[1].x, (std::vector<double>{0, 0.25}));
    QCOMPARE(both->series[1].number, 2);
}

void tst_Chart::gap_isCrossedByItsNeighbours() {
    std::vector<Sample> all = samples(3000, 4);
    for (std::size_t i = 1500; i < all.size(); ++i) all[i].step += 1'000'000;
    take(*m_writer, m_run, 1, 0, all);
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    request.from = 300'000.0;
    request.to = 400'000.0;
    const auto chart = m_reader->chart(request);
    STORE_OK(chart);
    QCOMPARE(chart->series[0].x,
             (std::vector<double>{static_cast<double>(all[1499].step), static_cast<double>(all[1500].step)}));
    // Beyond both ends the last point is all there is.
    request.from = 1e12;
    request.to = 2e12;
    QCOMPARE(m_reader->chart(request)->series[0].x, (std::vector<double>{static_cast<double>(all.back().step)}));
    request.from = -100.0;
    request.to = -50.0;
    QCOMPARE(m_reader->chart(request)->series[0].x, (std::vector<double>{static_cast<double>(all.front().step)}));
}

void tst_Chart::stepsThatGoBack_areSorted() {
    std::vector<Sample> all = samples(30000, 8);
    std::mt19937_64 random(2);
    for (std::size_t i = 0; i < all.size(); i += 100)
        std::shuffle(all.begin() + static_cast<std::ptrdiff_t>(i), all.begin() + static_cast<std::ptrdiff_t>(i + 100),
                     random);
    for (std::size_t i = 100; i < 200; ++i) all[i].step = 777;  // One step a hundred times.
    take(*m_writer, m_run, 1, 0, all);
    const auto axis = [](const Sample& s) { return static_cast<double>(s.step); };
    for (const auto& [from, to] : {std::pair(-1e300, 1e300), {1000.0, 1200.0}, {20000.0, 40000.0}, {777.0, 777.0}}) {
        ChartRequest request;
        request.curves = {{m_run, "loss"}};
        request.from = from;
        request.to = to;
        request.pixels = 200;
        const auto chart = m_reader->chart(request);
        STORE_OK(chart);
        const ChartSeries& series = chart->series[0];
        QVERIFY(std::is_sorted(series.x.begin(), series.x.end()));
        QVERIFY(!series.x.empty());
        double highest = -1e300, seen = -1e300;
        for (const Sample& sample : all) {
            if (axis(sample) >= from && axis(sample) <= to && std::isfinite(sample.value))
                highest = std::max(highest, sample.value);
        }
        for (std::size_t i = 0; i < series.x.size(); ++i)
            seen = std::fmax(seen, series.raw ? series.mean[i] : series.max[i]);
        QVERIFY(seen >= highest);
    }
}

void tst_Chart::replacedPoints_areHidden() {
    // The first attempt came to step 9,999; the second goes on from the checkpoint at 6,000.
    std::vector<Sample> first, second;
    for (std::int64_t i = 0; i < 10000; ++i) first.push_back({i, 1000 * i, 1.0});
    for (std::int64_t i = 6000; i < 12000; ++i) second.push_back({i, 10'000'000 + 1000 * i, 2.0});
    take(*m_writer, m_run, 1, 0, first);
    take(*m_writer, m_run, 2, 0, second);
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    request.pixels = 5000;
    auto chart = m_reader->chart(request);
    STORE_OK(chart);
    QCOMPARE(chart->series.size(), std::size_t{2});
    QCOMPARE(chart->series[0].attempt, 1);
    QCOMPARE(chart->series[0].x.size(), std::size_t{6000});
    QCOMPARE(chart->series[0].x.back(), 5999.0);
    QCOMPARE(chart->series[0].xLast, 5999.0);
    QCOMPARE(chart->series[0].points, 10000);
    QCOMPARE(chart->series[1].x.front(), 6000.0);
    request.pixels = 100;  // By buckets, whose last one ends at the cut.
    chart = m_reader->chart(request);
    QVERIFY(!chart->series[0].raw);
    QVERIFY(chart->series[0].x.back() <= 5999.0);
    request.axis = ChartAxis::WallTime;
    QCOMPARE(m_reader->chart(request)->series[0].xLast, 5999.0);
    request.axis = ChartAxis::Step;
    request.showReplaced = true;
    chart = m_reader->chart(request);
    QCOMPARE(chart->series[0].xLast, 9999.0);
    request.showReplaced = false;
    request.curves[0].attempt = 1;  // Asked for by name, it is shown whole.
    QCOMPARE(m_reader->chart(request)->series[0].xLast, 9999.0);
    // An attempt that began anew hides the one before altogether.
    take(*m_writer, m_run, 3, 0, {{0, 99'000'000, 5}});
    request.curves[0].attempt.reset();
    chart = m_reader->chart(request);
    QCOMPARE(chart->series.size(), std::size_t{1});
    QCOMPARE(chart->series[0].attempt, 3);
}

void tst_Chart::ranksAndSelection() {
    for (int rank = 0; rank < 3; ++rank) take(*m_writer, m_run, 1, rank, {{0, 1, static_cast<double>(rank)}});
    ChartRequest request;
    request.curves = {{m_run, "loss"}};
    auto chart = m_reader->chart(request);
    QCOMPARE(chart->series.size(), std::size_t{3});
    QCOMPARE(chart->series[2].rank, 2);
    request.curves[0].rank = 1;
    chart = m_reader->chart(request);
    QCOMPARE(chart->series.size(), std::size_t{1});
    QCOMPARE(chart->series[0].mean[0], 1.0);
    request.curves[0].node = 7;
    QVERIFY(m_reader->chart(request)->series.empty());
}

void tst_Chart::nothing_isNoError() {
    ChartRequest request;
    request.curves = {{m_run, "no such metric"}, {RunId::make(), "loss"}};
    const auto chart = m_reader->chart(request);
    STORE_OK(chart);
    QVERIFY(chart->series.empty());
    QVERIFY(m_reader->chart({})->series.empty());
    take(*m_writer, m_run, 1, 0, samples(100, 1));
    request.curves = {{m_run, "loss"}};
    request.pixels = -5;
    request.from = std::numeric_limits<double>::quiet_NaN();
    request.to = -std::numeric_limits<double>::infinity();
    STORE_OK(m_reader->chart(request));
}

void tst_Chart::canceled_andInterrupted() {
    take(*m_writer, m_run, 1, 0, samples(1000, 1));
    ChartRequest request;
    request.curves.assign(50, ChartCurve{m_run, "loss"});
    CancelToken token;
    m_reader->setCancelToken(token);
    STORE_OK(m_reader->chart(request));
    token.cancel();
    QCOMPARE(m_reader->chart(request).error().code, "canceled");
    QCOMPARE(m_reader->listRuns({}).error().code, "canceled");
    m_reader->setCancelToken({});
    STORE_OK(m_reader->chart(request));
    // Nothing runs now: the next query is not its business.
    m_reader->interrupt();
    STORE_OK(m_reader->chart(request));
}

QTEST_APPLESS_MAIN(tst_Chart)
#include "tst_Chart.moc"
