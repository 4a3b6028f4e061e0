// The last part of a Supervisor's work: the outputs and the `ended` record.
#include <algorithm>

#include "core/agent/Manifest.h"
#include "core/agent/Supervisor.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr const char* kFinalizing = "Finalizing";
constexpr std::int64_t kCancelLookNanos = 100'000'000;
constexpr std::int64_t kReportNanos = 1'000'000'000;
constexpr std::int64_t kRetryMillis = 250;
constexpr std::int64_t kLastRecordsMillis = 60'000;
constexpr std::int64_t kErrTailBytes = 16 << 10;
constexpr std::size_t kErrTailLines = 20;

}  // namespace

Status Supervisor::finalize(Verdict verdict) {
    if (m_slots) m_slots->leave();
    Manifest manifest;
    if (m_launch || m_resume.runningT > 0) {
        if (m_resume.state != kFinalizing) {
            m_sink->putState(kFinalizing);
            m_sink->flush();
        }
        const bool mayCancel = verdict.outcome != "canceled";
        bool stop = false;
        std::int64_t lastLook = base::monotonicNanos();
        std::int64_t lastReport = lastLook;
        manifest = listOutputs(m_plan.outputsFolder, [&](std::int64_t done, std::int64_t total) {
            const std::int64_t now = base::monotonicNanos();
            if (now - lastLook < kCancelLookNanos) return true;
            lastLook = now;
            const Events events = m_loop.wait(0);
            m_controlTouched = m_controlTouched || events.control;
            m_leave = m_leave || events.terminate;
            stop = stop || (mayCancel && canceled().has_value());
            if (now - lastReport >= kReportNanos) {
                lastReport = now;
                m_sink->put(wire::kNoRank, kind::kProgress,
                            Json{{"stage", "outputs"}, {"done", done}, {"total", total}, {"unit", "bytes"}});
                m_sink->flush();
                m_sink->syncIfDue();
            }
            return !stop && !m_leave;
        });
        if (m_leave) {
            m_sink->flush();
            return m_sink->sync();
        }
        if (manifest.canceled && verdict.outcome == "completed") {
            verdict = {"canceled", "run.canceled", "The run was canceled while its outputs were being listed."};
        }
        for (const std::string& warning : manifest.warnings) {
            m_sink->putWarning(wire::kNoRank, "outputs.skipped", warning);
        }
    }
    return writeEnded(verdict, toJson(manifest.files));
}

Status Supervisor::writeEnded(const Verdict& verdict, const Json& outputs) {
    Json body = Json::object();
    body["outcome"] = verdict.outcome;
    body["reason"] = verdict.reason;
    if (!verdict.code.empty()) body["code"] = verdict.code;
    body["ranks"] = m_ranks ? m_ranks->describeAll() : Json::array();
    body["outputs"] = outputs;
    if (m_ranks && verdict.outcome == "failed") {
        if (const auto culprit = m_ranks->culprit()) body["stderr"] = lastLines(*culprit);
    }
    m_sink->dropBallast();
    m_sink->put(wire::kNoRank, kind::kEnded, std::move(body));
    const auto deadline = base::Deadline::inMillis(kLastRecordsMillis);
    while (!m_sink->flush()) {
        if (deadline.passed()) return *m_sink->lastError();
        if (m_loop.wait(kRetryMillis).terminate) return *m_sink->lastError();
    }
    return m_sink->sync();
}

Json Supervisor::lastLines(int rank) const {
    Json json = Json::object();
    json["rank"] = m_plan.node * m_plan.processes + rank;
    Json lines = Json::array();
    const Path path = m_layout.rankErr(rank);
    std::error_code error;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
    if (!error) {
        const std::int64_t from = std::max<std::int64_t>(0, size - kErrTailBytes);
        LogSplitter splitter(from);
        splitter.feed(base::readFileRange(path, from, kErrTailBytes).valueOr({}));
        splitter.flush(true);
        std::vector<std::string> all;
        for (LogPiece& piece : splitter.take()) {
            for (std::string& line : piece.lines) all.push_back(std::move(line));
        }
        const std::size_t first = all.size() > kErrTailLines ? all.size() - kErrTailLines : 0;
        for (std::size_t i = first; i < all.size(); ++i) lines.push_back(all[i]);
    }
    json["lines"] = std::move(lines);
    return json;
}

}  // namespace trainyard::agent
