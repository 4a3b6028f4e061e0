// The last part of a Supervisor's work: the outputs and the `ended` record.
#include <algorithm>
#include <cstdlib>

#include "core/agent/Child.h"
#include "core/agent/Manifest.h"
#include "core/agent/NextAttempt.h"
#include "core/agent/Supervisor.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace kind = wire::kind;

namespace {

constexpr const char* kFinalizing = "Finalizing";
constexpr std::int64_t kCancelLookNanos = 100'000'000;
constexpr std::int64_t kHashReportNanos = 1'000'000'000;
constexpr std::int64_t kMpiPauseMillis = 20;
constexpr std::int64_t kRetryMillis = 250;
constexpr std::int64_t kRequeueMillis = 20'000;
constexpr std::int64_t kLastRecordsMillis = 60'000;
constexpr std::int64_t kErrTailBytes = 16 << 10;
constexpr std::size_t kErrTailLines = 20;

}  // namespace

Status Supervisor::finalize(Verdict verdict) {
    if (m_slots) m_slots->leave();
    if (m_hub) {
        order("finish",
              Json{{"verdict", Json{{"outcome", verdict.outcome}, {"code", verdict.code}, {"reason", verdict.reason}}},
                   {"restart", m_restart}});
    }
    if (m_mpi) m_mpi->end([this] { wait(kMpiPauseMillis); });
    Manifest manifest;
    if (m_launch || m_resume.runningT > 0) {
        if (m_resume.state != kFinalizing) {
            putState(kFinalizing);
            m_sink->flush();
        }
        const bool mayCancel = verdict.outcome != "canceled";
        bool stop = false;
        std::int64_t lastLook = base::monotonicNanos();
        std::int64_t lastReport = lastLook;
        const bool collects = leads() || !m_plan.sharedFolder;
        if (collects)
            manifest = listOutputs(m_plan.outputsFolder, [&](std::int64_t done, std::int64_t total) {
                const std::int64_t now = base::monotonicNanos();
                if (now - lastLook < kCancelLookNanos) return true;
                lastLook = now;
                wait(0);
                stop = stop || (mayCancel && canceled().has_value());
                if (now - lastReport >= kHashReportNanos) {
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
            m_sink->putWarning(wire::kNoRank, "outputs.skipped", m_masker.mask(warning));
        }
    }
    if (m_hub) {
        finishOthers();
        if (m_leave) return m_sink->sync();
    }
    if (m_restart && m_plan.scheduler && leads()) askScheduler();
    TRAINYARD_TRY(writeEnded(verdict, toJson(manifest.files)));
    leaveTogether(verdict);
    if (m_plan.scheduler) removeLocalRanks(m_layout);
    return {};
}

void Supervisor::askScheduler() {
    const char* job = std::getenv("SLURM_JOB_ID");
    const std::string number = job ? job : "";
    std::string why;
    if (number.empty() || number.find_first_not_of("0123456789_") != std::string::npos) {
        why = "the job's number is not known";
    } else if (const auto noted = noteRestartAsked(m_layout); !noted.ok()) {
        why = noted.error().message;
    } else {
        ChildSpec spec;
        spec.argv = {"scontrol", "requeue", number};
        spec.mergeErr = true;
        auto child = Child::start(spec);
        if (!child.ok()) {
            why = child.error().message;
        } else {
            const auto deadline = base::Deadline::inMillis(kRequeueMillis);
            while (readAvailable(child->out.get(), why) && !deadline.passed()) wait(kMpiPauseMillis);
            // It says nothing when it worked, and what is wrong otherwise.
            if (deadline.passed() && why.empty()) why = "scontrol did not answer";
        }
    }
    why = base::stripControl(base::toValidUtf8(base::trim(why)));
    if (why.empty()) return;
    m_restart = false;
    m_sink->putWarning(wire::kNoRank, "scheduler.requeue", "The job could not be queued for another attempt: " + why);
}

Status Supervisor::writeEnded(const Verdict& verdict, const Json& outputs) {
    Json body = Json::object();
    body["outcome"] = verdict.outcome;
    body["reason"] = m_masker.mask(verdict.reason);
    if (!verdict.code.empty()) body["code"] = verdict.code;
    body["ranks"] = m_ranks ? m_ranks->describeAll() : Json::array();
    for (int node = 1; m_hub && node < m_hub->count(); ++node) {
        for (const Json& rank : m_hub->member(node).status.value("ranks", Json::array())) body["ranks"].push_back(rank);
    }
    if (!leads()) body["node_only"] = true;
    if (m_restart) body["restart"] = true;
    body["outputs"] = outputs;
    if (m_ranks && verdict.outcome == "failed") {
        if (const Json culprit = leads() ? firstCulprit() : ownCulprit(); culprit.is_object()) {
            body["stderr"] = Json{{"rank", culprit["rank"]}, {"lines", culprit.value("lines", Json::array())}};
            if (m_plan.nodes > 1) {
                body["stderr"]["node"] = culprit.value("node", 0);
                body["stderr"]["host"] = culprit.value("host", std::string());
            }
        }
    }
    m_sink->dropBallast();
    m_sink->put(wire::kNoRank, kind::kEnded, std::move(body));
    const auto deadline = base::Deadline::inMillis(kLastRecordsMillis);
    while (!m_sink->flush()) {
        if (deadline.passed()) return *m_sink->lastError();
        wait(kRetryMillis);
        if (m_leave) return *m_sink->lastError();
    }
    return m_sink->sync();
}

Json Supervisor::lastLines(int rank) const {
    Json lines = Json::array();
    const Path path = m_layout.rankErr(rank);
    std::error_code error;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
    if (!error) {
        const std::int64_t from = std::max<std::int64_t>(0, size - kErrTailBytes);
        LogSplitter splitter(from);
        splitter.feed(m_masker.mask(base::readFileRange(path, from, kErrTailBytes).valueOr({})));
        splitter.flush(true);
        std::vector<std::string> all;
        for (LogPiece& piece : splitter.take()) {
            for (std::string& line : piece.lines) all.push_back(std::move(line));
        }
        const std::size_t first = all.size() > kErrTailLines ? all.size() - kErrTailLines : 0;
        for (std::size_t i = first; i < all.size(); ++i) lines.push_back(all[i]);
    }
    return lines;
}

}  // namespace trainyard::agent
