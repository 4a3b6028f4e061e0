#include "core/runs/Journal.h"

#include <chrono>
#include <thread>

#include "core/base/Files.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

JournalEntry stateEntry(spec::RunState state, const std::string& reason, int attempt) {
    base::Json body{{"state", std::string(spec::toString(state))}};
    if (!reason.empty()) {
        body["reason"] = reason;
    }
    if (attempt > 0) {
        body["attempt"] = attempt;
    }
    return {wire::kind::kState, std::move(body)};
}

base::Status appendJournal(const base::Path& journal, const base::Path& lock, const std::vector<JournalEntry>& entries,
                           base::Deadline deadline) {
    auto held = base::FileLock::tryExclusive(lock);
    while (!held.ok() && held.error().code == "lock.held" && !deadline.passed()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        held = base::FileLock::tryExclusive(lock);
    }
    if (!held.ok()) {
        return held.error();
    }
    auto writer = wire::StreamWriter::openFile(journal);
    if (!writer.ok()) {
        return writer.error();
    }
    const std::int64_t now = base::wallMicros();
    std::vector<wire::Record> records;
    records.reserve(entries.size());
    for (const JournalEntry& entry : entries) {
        wire::Record record;
        record.t = now;
        record.kind = entry.kind;
        record.body = entry.body;
        records.push_back(std::move(record));
    }
    TRAINYARD_TRY(writer->appendAll(records));
    return writer->sync();
}

base::Status appendJournal(const wire::WorkspaceLayout& layout, const base::RunId& run,
                           const std::vector<JournalEntry>& entries) {
    return appendJournal(layout.journal(run), layout.journalLock(run), entries, base::Deadline::inMillis(3000));
}

}  // namespace trainyard::runs
