// What the index does in a second: `tests/bench/run store_index [--json] [--points N] [--runs N]`. Times are medians in
// milliseconds; everything happens in a folder of its own under TMPDIR.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>

#include <sys/resource.h>

#include "core/base/Clock.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/wire/Layout.h"

namespace {

using namespace trainyard;
using base::Json;
using base::Path;

constexpr std::int64_t kStart = 1'700'000'000'000'000;

[[noreturn]] void giveUp(const std::string& what) {
    std::fprintf(stderr, "bench_store_index: %s\n", what.c_str());
    std::exit(1);
}

template <class T>
T need(base::Result<T> result) {
    if (!result.ok()) giveUp(result.error().code + ": " + result.error().message);
    return std::move(result).value();
}

void need(base::Status status) {
    if (!status.ok()) giveUp(status.error().code + ": " + status.error().message);
}

double millis(const std::function<void()>& body) {
    const auto start = base::monotonicNanos();
    body();
    return static_cast<double>(base::monotonicNanos() - start) / 1e6;
}

double median(int times, const std::function<void()>& body) {
    std::vector<double> all;
    for (int i = 0; i < times; ++i) all.push_back(millis(body));
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
}

struct Bench {
    Path root;
    wire::WorkspaceLayout layout{root};
    store::IndexLocation location{root, layout.index(), false};

    base::RunId addRun(std::int64_t number) const {
        const base::RunId run = base::RunId::make();
        need(base::makeDirs(layout.run(run)));
        need(base::writeFileAtomically(layout.spec(run),
                                       base::dumpJson(Json{{"experiment", "bench"}, {"target", "local"}})));
        auto journal = need(wire::StreamWriter::openFile(layout.journal(run)));
        static_cast<void>(need(journal.append(kStart, wire::kNoRank, wire::kind::kSubmit,
                                              Json{{"number", number}, {"name", "run " + std::to_string(number)}})));
        return run;
    }
};

/// Points of four series as an engine reports them: ten points a series and record.
std::vector<store::StreamBatch> batches(const base::RunId& run, std::int64_t points) {
    std::mt19937 random(1);
    std::vector<store::StreamBatch> all;
    wire::StreamCursor at;
    for (std::int64_t step = 0; step < points / 4;) {
        store::StreamBatch batch;
        batch.run = run;
        batch.from = at;
        for (int record = 0; record < 1000 && step < points / 4; ++record) {
            std::vector<wire::SeriesPoints> series;
            for (const char* name :
                 {"train/loss", "train/accuracy", "train/learning_rate", "train/samples_per_second"}) {
                wire::SeriesPoints one{name, {}, {}, {}};
                for (int i = 0; i < 10; ++i) {
                    one.step.push_back(step + i);
                    one.t.push_back(kStart + (step + i) * 2500 + static_cast<std::int64_t>(random() % 400));
                    one.value.push_back(
                        static_cast<double>(static_cast<float>(2.3 * std::exp(-static_cast<double>(step) / 1e5)) +
                                            static_cast<float>(random() % 1000) * 1e-4f));
                }
                series.push_back(std::move(one));
            }
            wire::StreamEntry entry;
            entry.record = {++at.lastSeq, kStart + step * 2500, 0, wire::kind::kMetrics, wire::metricsBody(series, 0)};
            entry.offset = at.offset;
            entry.length = 1000;
            at.offset += entry.length;
            batch.entries.push_back(std::move(entry));
            step += 10;
        }
        batch.to = at;
        all.push_back(std::move(batch));
    }
    return all;
}

Json benchPoints(const Bench& bench, store::Writer& writer, std::int64_t points) {
    const base::RunId run = bench.addRun(1);
    static_cast<void>(need(writer.followJournal(run)));
    double taken = 0;
    constexpr std::int64_t kPart = 400'000;  // Held in memory at a time.
    std::int64_t done = 0;
    std::vector<double> steady;
    for (auto& batch : batches(run, std::min(points, kPart))) {
        taken += millis([&] { need(writer.ingest(batch)); });
        done += 40'000;
    }
    // The live case: one small record a time, into series that are long already.
    auto small = batches(run, 8'000);
    auto cursor = need(writer.cursor(run, 1, 0));
    for (auto& entry : small.front().entries) {
        store::StreamBatch one;
        one.run = run;
        one.from = cursor;
        entry.record.seq = ++cursor.lastSeq;
        cursor.offset += entry.length;
        one.to = cursor;
        one.entries.push_back(std::move(entry));
        steady.push_back(millis([&] { need(writer.ingest(one)); }));
    }
    std::sort(steady.begin(), steady.end());
    return Json{{"points", std::min(points, kPart)},
                {"points_per_second", std::llround(static_cast<double>(std::min(points, kPart)) / taken * 1000)},
                {"live_record_ms", steady[steady.size() / 2]},
                {"live_record_p99_ms", steady[steady.size() * 99 / 100]}};
}

Json benchChart(const Bench& bench, store::Writer& writer, std::int64_t points) {
    const base::RunId run = bench.addRun(2);
    static_cast<void>(need(writer.followJournal(run)));
    std::mt19937 random(2);
    wire::StreamCursor at;
    double taken = 0;
    for (std::int64_t step = 0; step < points;) {
        store::StreamBatch batch;
        batch.run = run;
        batch.from = at;
        wire::SeriesPoints one{"train/loss", {}, {}, {}};
        for (int i = 0; i < 200'000 && step < points; ++i, ++step) {
            one.step.push_back(step);
            one.t.push_back(kStart + step * 2500 + static_cast<std::int64_t>(random() % 400));
            one.value.push_back(static_cast<double>(static_cast<float>(random() % 10000) * 1e-3f));
        }
        wire::StreamEntry entry;
        entry.record = {++at.lastSeq, kStart, 0, wire::kind::kMetrics, wire::metricsBody({one}, 0)};
        entry.length = 1000;
        entry.offset = at.offset;
        at.offset += entry.length;
        batch.entries.push_back(std::move(entry));
        batch.to = at;
        taken += millis([&] { need(writer.ingest(batch)); });
    }
    store::ChartRequest request;
    request.curves = {{run, "train/loss"}};
    auto reader = need(store::Reader::open(bench.location));
    std::size_t entries = 0;
    const auto chart = [&] { entries = need(reader.chart(request)).series.at(0).x.size(); };
    const double cold = millis(chart);
    const double whole = median(51, chart);
    const std::size_t wholeEntries = entries;
    std::mt19937_64 where(3);
    const double zoomed = median(101, [&] {
        const auto width = std::int64_t{1} << (8 + where() % 14);
        request.from =
            static_cast<double>(where() % static_cast<std::uint64_t>(std::max<std::int64_t>(1, points - width)));
        request.to = *request.from + static_cast<double>(width);
        chart();
    });
    request.axis = store::ChartAxis::RelativeTime;
    request.from.reset();
    request.to.reset();
    const double byTime = median(51, chart);
    return Json{{"points", points},
                {"ingest_points_per_second", std::llround(static_cast<double>(points) / taken * 1000)},
                {"pixels", request.pixels},
                {"entries", wholeEntries},
                {"first_ms", cold},
                {"whole_ms", whole},
                {"zoomed_ms", zoomed},
                {"by_time_ms", byTime}};
}

Json benchList(const Path& folder, std::int64_t runs) {
    const Bench bench{folder};
    need(base::makeDirs(bench.layout.runs()));
    auto writer = need(store::Writer::open(bench.location));
    // Journals as batches, without the files of so many runs; the missing spec costs a warning a run.
    const double made = millis([&] {
        for (std::int64_t number = 1; number <= runs; ++number) {
            store::StreamBatch batch;
            batch.run = base::RunId::make();
            batch.attempt = store::kJournalAttempt;
            for (const auto& [kind, body] :
                 {std::pair{wire::kind::kSubmit, Json{{"number", number},
                                                      {"experiment", "e" + std::to_string(number % 50)},
                                                      {"name", "run " + std::to_string(number)}}},
                  {wire::kind::kState, Json{{"state", number % 3 == 0 ? "Failed" : "Completed"}}}}) {
                wire::StreamEntry entry;
                entry.record = {++batch.to.lastSeq, kStart + number, wire::kNoRank, kind, body};
                entry.offset = batch.to.offset;
                entry.length = 100;
                batch.to.offset += entry.length;
                batch.entries.push_back(std::move(entry));
            }
            need(writer.applyJournal(batch));
            store::StreamBatch stream;
            stream.run = batch.run;
            std::vector<wire::SeriesPoints> series;
            for (const char* name : {"train/loss", "train/accuracy", "val/loss", "val/accuracy"})
                series.push_back(
                    {name, {0, 100}, {1, static_cast<double>(number * 7919 % 100003) / 100003}, {kStart, kStart + 1}});
            wire::StreamEntry entry;
            entry.record = {1, kStart, 0, wire::kind::kMetrics, wire::metricsBody(series, 0)};
            entry.length = 100;
            stream.entries.push_back(std::move(entry));
            stream.to = {1, 100, 1};
            need(writer.ingest(stream));
        }
    });
    auto reader = need(store::Reader::open(bench.location));
    const auto time = [&](const store::RunQuery& query) {
        return median(15, [&] { static_cast<void>(need(reader.listRuns(query))); });
    };
    store::RunQuery query;
    const double cold = millis([&] { static_cast<void>(need(reader.listRuns(query))); });
    const double first = time(query);
    query.sort = {store::RunColumn::Metric, true, "val/accuracy", store::MetricValue::Last};
    const double byMetric = time(query);
    query.sort = {};
    query.filter = "state:failed val/accuracy>0.9";
    const double filtered = time(query);
    query.filter = "no such text";
    const double noMatch = time(query);
    const double counts = median(15, [&] { static_cast<void>(need(reader.counts())); });
    return Json{{"runs", runs},
                {"runs_made_per_second", std::llround(static_cast<double>(runs) / made * 1000)},
                {"rows", 200},
                {"first_page_cold_ms", cold},
                {"first_page_ms", first},
                {"by_metric_ms", byMetric},
                {"filtered_ms", filtered},
                {"no_match_ms", noMatch},
                {"counts_ms", counts}};
}

}  // namespace

int main(int argc, char** argv) {
    std::int64_t points = 10'000'000, runs = 100'000;
    bool json = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--json")
            json = true;
        else if (word == "--points" && i + 1 < argc)
            points = std::max(100'000LL, std::atoll(argv[++i]));
        else if (word == "--runs" && i + 1 < argc)
            runs = std::max(1LL, std::atoll(argv[++i]));
        else
            giveUp("usage: bench_store_index [--json] [--points N] [--runs N]");
    }
    std::string folder = (std::filesystem::temp_directory_path() / "trainyard-bench-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) giveUp("no temporary folder can be made");
    const Bench bench{Path(folder) / "points"};
    need(base::makeDirs(bench.layout.runs()));
    Json report{{"bench", "store"}};
    {
        auto writer = need(store::Writer::open(bench.location));
        report["ingest"] = benchPoints(bench, writer, points);
        report["chart"] = benchChart(bench, writer, points);
    }
    report["index_bytes_per_point"] = static_cast<double>(std::filesystem::file_size(bench.location.database)) /
                                      static_cast<double>(points + std::min<std::int64_t>(points, 400'000));
    report["list"] = benchList(Path(folder) / "list", runs);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    report["peak_memory_bytes"] = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
    std::fputs(json ? (base::dumpJson(report) + "\n").c_str() : base::dumpJsonPretty(report).c_str(), stdout);
    need(base::removeTree(folder));
    return 0;
}
