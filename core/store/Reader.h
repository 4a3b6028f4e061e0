#pragma once
// Reads the index. One Reader a thread; each sees committed data only and never blocks a writer.
#include <functional>
#include <memory>

#include "core/store/ChartTypes.h"
#include "core/store/Types.h"

namespace trainyard::store {

/// All queries may fail with "store.locked" (deadline of OpenOptions), "store.corrupt" (remedy: Writer::rebuild),
/// "store.io", "canceled". A Reader notices that the file was replaced (a rebuild elsewhere) and opens the new one.
/// Not thread-safe except interrupt(). No exception leaves it.
class Reader {
public:
    /// "store.missing", "store.foreign" (not an index of ours), "store.newer" (both versions named), "store.outdated"
    /// (a Writer has to upgrade it first), "store.corrupt", "store.locked". Opens read-only; on a read-only medium too.
    [[nodiscard]] static Result<Reader> open(const IndexLocation& location, const OpenOptions& options = {});
    Reader(Reader&&) noexcept;
    Reader& operator=(Reader&&) noexcept;
    ~Reader();

    /// Stops the query that is running now, if any; it returns "canceled". Thread-safe.
    void interrupt();
    /// The following queries stop when the token is canceled. The default token never is.
    void setCancelToken(CancelToken token);

    /// "store.filter" (field "filter") for a filter that cannot be read, "store.page" for a foreign `after`.
    [[nodiscard]] Result<RunPage> listRuns(const RunQuery& query) const;
    /// Runs that match, without paging.
    [[nodiscard]] Result<std::int64_t> countRuns(const RunQuery& query) const;
    /// "store.run_unknown"
    [[nodiscard]] Result<RunRow> run(const RunId& id) const;
    /// A number ("12", "#12"), a whole id or its unique beginning, or a name. "store.run_unknown", or
    /// "store.run_ambiguous" with a message that lists the candidates.
    [[nodiscard]] Result<RunRow> findRun(std::string_view text) const;
    [[nodiscard]] Result<Counts> counts() const;
    /// Runs that have not ended, by their target; a target without any is left out.
    [[nodiscard]] Result<std::map<std::string, std::int64_t>> activeByTarget() const;
    /// Runs whose last collection left something on their target.
    [[nodiscard]] Result<std::vector<RunId>> runsLeftBehind() const;
    /// Names of all metrics in the workspace, for the columns a person may choose.
    [[nodiscard]] Result<std::vector<std::string>> metricNames() const;
    [[nodiscard]] Result<std::vector<std::string>> experiments() const;

    [[nodiscard]] Result<std::vector<StageRow>> stages(const RunId& run) const;
    [[nodiscard]] Result<std::vector<AttemptRow>> attempts(const RunId& run) const;
    [[nodiscard]] Result<std::vector<RankRow>> ranks(const RunId& run) const;
    [[nodiscard]] Result<std::vector<OutputRow>> outputs(const RunId& run) const;
    [[nodiscard]] Result<std::vector<WarningRow>> warnings(const RunId& run) const;
    /// What was noted on the way, in order; of one kind when it is given. Of the newest `limit` of them.
    [[nodiscard]] Result<std::vector<EventRow>> events(const RunId& run, std::string_view kind = {},
                                                       int limit = 1000) const;
    /// Parameters that the run reported. The configuration is spec().
    [[nodiscard]] Result<std::vector<ParamRow>> params(const RunId& run) const;
    /// runs/<id>/spec.json as it lies there.
    [[nodiscard]] Result<Json> spec(const RunId& run) const;
    /// Records of one kind ("text", "image", "table", "histogram", "model", "child"), in order; at most `limit`.
    [[nodiscard]] Result<std::vector<ItemRow>> items(const RunId& run, std::string_view kind, int limit = 1000) const;
    /// The same of several kinds, without their bodies, which are not read: the newest `limit`, in order.
    [[nodiscard]] Result<std::vector<ItemRow>> itemHeads(const RunId& run, const std::vector<std::string>& kinds,
                                                         int limit) const;
    /// One record, with its body. "store.item_unknown"
    [[nodiscard]] Result<ItemRow> item(const RunId& run, int attempt, int node, std::int64_t seq) const;

    [[nodiscard]] Result<std::vector<SeriesRow>> series(const RunId& run, SeriesKind kind = SeriesKind::Metric) const;
    [[nodiscard]] Result<std::vector<SeriesRow>> systemSeries(const RunId& run) const {
        return series(run, SeriesKind::System);
    }
    /// Answered from the stored pyramid: the cost depends on the pixels, not on the points. Unknown runs or names
    /// give no series.
    [[nodiscard]] Result<ChartData> chart(const ChartRequest& request) const;

    /// Points [first, first + count) of a series, as they were reported; 100,000 at most at once. Empty for an unknown
    /// one.
    [[nodiscard]] Result<std::vector<PointRow>> points(const RunId& run, const SeriesRow& series, std::int64_t first,
                                                       std::int64_t count) const;
    /// Runs that resume or reproduce this one, oldest first.
    [[nodiscard]] Result<std::vector<DescendantRow>> descendants(const RunId& run) const;

    /// Lines [first, first + count) of those that pass the filter. Text comes from the segments in the workspace.
    [[nodiscard]] Result<LogPage> logPage(const RunId& run, const LogFilter& filter, std::int64_t first,
                                          std::int64_t count) const;
    /// The last `count` lines.
    [[nodiscard]] Result<LogPage> logTail(const RunId& run, const LogFilter& filter, std::int64_t count) const;
    /// Files under logs/ that lines of an attempt (0: the newest) come from: "logs/train.txt", by name.
    [[nodiscard]] Result<std::vector<std::string>> logFiles(const RunId& run, int attempt) const;
    /// Lines that came since a place, oldest first: of the filter's attempt, or without one of the place's and all
    /// newer attempts (of the newest alone where the place is the beginning). At most `count`, at most 10,000.
    [[nodiscard]] Result<LogNews> logAfter(const RunId& run, const LogFilter& filter, const LogPlace& place,
                                           std::int64_t count) const;
    /// The next line that matches, from `search.from` on. "store.regex" for a pattern that cannot be read.
    [[nodiscard]] Result<LogSearchResult> searchLog(const RunId& run, const LogFilter& filter,
                                                    const LogSearch& search) const;

    /// By name.
    [[nodiscard]] Result<std::vector<ModelRow>> models() const;
    /// Newest first; empty for an unknown name.
    [[nodiscard]] Result<std::vector<ModelVersionRow>> modelVersions(const std::string& name) const;
    /// "store.model_unknown"
    [[nodiscard]] Result<ModelVersionRow> modelVersion(const std::string& name, int version) const;

    /// Changes whenever any other connection, of this process or another, has committed. Cheap enough to ask ten
    /// times a second.
    [[nodiscard]] Result<std::int64_t> dataVersion() const;
    [[nodiscard]] const IndexLocation& location() const;

private:
    struct State;
    explicit Reader(std::unique_ptr<State> state);
    std::unique_ptr<State> m_state;
};

}  // namespace trainyard::store
