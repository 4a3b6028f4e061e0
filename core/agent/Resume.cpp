#include "core/agent/Resume.h"

#include "core/agent/RankTail.h"
#include "core/base/Json.h"

namespace trainyard::agent {

namespace {

void take(const wire::Record& record, Resume& resume, wire::ClientLineTranslator& translator) {
    if (record.kind == wire::kind::kAttempt && !resume.hasAttempt) {
        resume.hasAttempt = true;
        resume.attemptT = record.t;
        if (const auto identity = record.body.find("identity");
            identity != record.body.end() && identity->is_object()) {
            resume.attemptBootId = base::jsonText(*identity, "boot_id");
        }
    } else if (record.kind == wire::kind::kState) {
        resume.state = base::jsonText(record.body, "state");
        if (resume.state == "Running" && resume.runningT == 0) resume.runningT = record.t;
    } else if (record.kind == wire::kind::kEnded) {
        resume.ended = true;
    } else if (record.kind == wire::kind::kEnvironment) {
        resume.environmentTold = true;
    } else if (record.kind == wire::kind::kStarted) {
        resume.startedTold = true;
    } else if (record.kind == wire::kind::kMetrics && record.rank != wire::kNoRank) {
        const auto series = wire::metricsFromBody(record.body, record.t);
        if (series.ok()) {
            for (const wire::SeriesPoints& points : *series) {
                for (const std::int64_t step : points.step) translator.noteStep(record.rank, points.name, step);
            }
        }
    }
    if (record.rank != wire::kNoRank) resume.lastWords[record.rank].take(record);
    const auto source = record.body.find(kSource);
    if (source != record.body.end() && source->is_object() && source->contains("inode")) {
        resume.logOffsets[base::jsonText(*source, "inode")] = base::jsonInteger(*source, "to");
        resume.logNames[base::jsonText(*source, "inode")] = base::jsonText(record.body, "out");
    } else if (source != record.body.end() && source->is_object() && record.rank != wire::kNoRank) {
        // The last one counts, not the highest: a rank may have emptied its file.
        resume.offsets[base::jsonText(*source, "file")] = base::jsonInteger(*source, "to");
    }
}

}  // namespace

base::Result<Resume> readOwnStream(const wire::NodeLayout& layout, wire::ClientLineTranslator& translator) {
    constexpr std::size_t kBatch = 16;  // A log record may hold 256 KiB, and the agent is to stay small.
    Resume resume;
    std::error_code ignored;
    if (!std::filesystem::exists(layout.stream() / wire::segmentName(1), ignored)) return resume;
    wire::StreamFolderReader reader(layout.stream());
    std::vector<wire::StreamEntry> entries;
    while (true) {
        entries.clear();
        const auto got = reader.read(entries, kBatch);
        if (!got.ok()) return got.error();
        if (*got == 0) return resume;
        for (const wire::StreamEntry& entry : entries) take(entry.record, resume, translator);
    }
}

}  // namespace trainyard::agent
