#pragma once
// A workspace with runs made of real files, for the tests of the index.
#include <QtTest>

#include "core/store/Connection.h"
#include "core/store/Reader.h"
#include "core/store/Schema.h"
#include "core/store/Writer.h"
#include "core/wire/Layout.h"
#include "core/wire/RunStream.h"
#include "tests/helpers/Scratch.h"

namespace trainyard::store::test {

using base::Json;
using base::Path;
using base::RunId;
using wire::Record;

/// Fails the test with the error's text.
#define STORE_OK(result)                                                                                               \
    do {                                                                                                               \
        const auto& result_ = (result);                                                                                \
        QVERIFY2(result_.ok(), result_.ok() ? "" : (result_.error().code + ": " + result_.error().message).c_str());   \
    } while (false)

inline Record record(std::string_view kind, Json body, std::int64_t t, int rank = wire::kNoRank) {
    Record r;
    r.t = t;
    r.rank = rank;
    r.kind = kind;
    r.body = std::move(body);
    return r;
}

inline Record metrics(const std::vector<wire::SeriesPoints>& series, std::int64_t t, int rank = 0) {
    return record(wire::kind::kMetrics, wire::metricsBody(series, t), t, rank);
}

inline Record log(std::vector<std::string> lines, std::int64_t t, int rank = 0, std::string out = "stdout") {
    return record(wire::kind::kLog, Json{{"out", std::move(out)}, {"lines", std::move(lines)}}, t, rank);
}

inline Record state(std::string_view name, std::int64_t t, std::string reason = {}) {
    return record(wire::kind::kState, Json{{"state", name}, {"reason", std::move(reason)}}, t);
}

class Workspace {
public:
    Workspace() : layout{m_scratch / "work space é"} {
        std::filesystem::create_directories(layout.runs());
        location = {layout.root, layout.index(), false};
    }

    /// A run with spec and submit record. Ids follow one another in time.
    RunId addRun(std::int64_t number, const std::string& name, Json spec = Json::object()) {
        const RunId id = RunId::make();
        if (!spec.contains("experiment")) spec["experiment"] = "default";
        write(layout.spec(id), base::dumpJsonPretty(spec));
        journal(id,
                {record(wire::kind::kSubmit,
                        Json{{"number", number}, {"experiment", spec["experiment"]}, {"name", name}}, 1000 * number)});
        return id;
    }

    void journal(const RunId& run, std::vector<Record> records) {
        auto writer = wire::StreamWriter::openFile(layout.journal(run));
        if (!writer || !writer->appendAll(records)) qFatal("the journal could not be written");
    }

    void stream(const RunId& run, std::vector<Record> records, int attempt = 1, int node = 0,
                std::int64_t segmentBytes = wire::kSegmentBytes) {
        auto writer = wire::StreamWriter::open(layout.stream(run, attempt, node), segmentBytes);
        if (!writer) qFatal("the stream could not be opened");
        for (Record& one : records) {
            std::vector<Record> alone{std::move(one)};
            if (!writer->appendAll(alone)) qFatal("the stream could not be written");
        }
    }

    static void write(const Path& file, std::string_view bytes) {
        if (!base::makeDirs(file.parent_path()) || !base::writeFileAtomically(file, bytes))
            qFatal("a file could not be written");
    }

    /// Every row of the index, as text.
    [[nodiscard]] std::string dump() const {
        SQLite::Database db(location.database.string(), SQLite::OPEN_READONLY);
        return dumpTables(db);
    }

private:
    trainyard::test::Scratch m_scratch;

public:
    wire::WorkspaceLayout layout;
    IndexLocation location;
};

/// Everything of a stream folder in one batch.
inline StreamBatch batchOf(const Workspace& workspace, const RunId& run, int attempt, wire::StreamCursor from = {},
                           std::size_t most = 4096) {
    StreamBatch batch;
    batch.run = run;
    batch.attempt = attempt;
    batch.from = from;
    wire::StreamFolderReader reader(
        attempt == kJournalAttempt ? workspace.layout.journal(run) : workspace.layout.stream(run, attempt, 0), from);
    if (!reader.read(batch.entries, most)) qFatal("the stream could not be read");
    batch.damaged = reader.decoder().takeDamaged();
    batch.to = reader.decoder().cursor();
    return batch;
}

}  // namespace trainyard::store::test
