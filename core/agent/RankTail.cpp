#include "core/agent/RankTail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kTailReadBytes = 128 << 10;
constexpr std::int64_t kDrainBytes = 512 << 10;
constexpr std::int64_t kQuietNanos = 1'000'000'000;
constexpr std::int64_t kRewriteNanos = 5'000'000'000;
constexpr std::int64_t kDropReportNanos = 10'000'000'000;
constexpr std::size_t kMaxClientLine = 8 << 20;
constexpr std::size_t kMaxPoints = 4096;
constexpr std::int64_t kSuspectNanos = 10'000'000;
constexpr std::int64_t kMatchNanos = 50'000'000;  ///< After which a look leaves the rest to the next one.

/// One buffer for all files: the agent has one thread, and a buffer a file would cost memory a rank.
std::string_view readAt(int fd, std::int64_t offset, std::int64_t maxBytes) {
    static std::string buffer(kTailReadBytes, '\0');
    ssize_t got = 0;
    do {
        got = ::pread(fd, buffer.data(), std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(maxBytes)),
                      offset);
    } while (got < 0 && errno == EINTR);
    return std::string_view(buffer).substr(0, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
}

/// O_NOFOLLOW: a rank could put a link to another file in place of its own.
base::UniqueFd openFile(const base::Path& path) {
    return base::UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

bool reachedEnd(const base::UniqueFd& fd, const base::Path& path, std::int64_t offset) {
    struct stat info {};
    const int failed = fd.valid() ? ::fstat(fd.get(), &info) : ::lstat(path.c_str(), &info);
    return failed != 0 || !S_ISREG(info.st_mode) || info.st_size == offset;
}

base::Json sourceOf(const base::Path& path, std::int64_t from, std::int64_t to) {
    base::Json json = base::Json::object();
    json["file"] = path.filename().string();
    json["from"] = from;
    json["to"] = to;
    return json;
}

}  // namespace

bool RewriteGuard::wasRewritten(int fd, std::int64_t offset) {
    // The kernel sets the time of change before it sets the new size, so a look between the two shows an append as a
    // change without growth. That is decided at a later look, behind a seek that waits for the inode's lock, which a
    // writer holds.
    const bool waited = m_suspectedAt != 0 && base::monotonicNanos() - m_suspectedAt >= kSuspectNanos;
    if (waited) ::lseek(fd, 0, SEEK_DATA);
    struct stat info {};
    if (::fstat(fd, &info) != 0 || info.st_size > offset) {
        m_suspectedAt = 0;
        return false;
    }
    const std::int64_t modified = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
    const bool changed = m_offset == offset && offset > 0 && m_modifiedNanos != modified;
    if (info.st_size == offset && changed && !waited) {
        if (m_suspectedAt == 0) m_suspectedAt = base::monotonicNanos();
        return false;
    }
    m_suspectedAt = 0;
    m_offset = offset;
    m_modifiedNanos = modified;
    return info.st_size < offset || changed;
}

bool RewriteGuard::wasEmptied(int fd, std::int64_t offset) const {
    struct stat info {};
    return ::fstat(fd, &info) == 0 && info.st_size < offset;
}

void RewriteGuard::report(StreamSink& sink, int rank, const std::string& what) {
    if (std::exchange(m_reported, true)) return;
    sink.putWarning(rank, "rank.truncated",
                    "The rank emptied the file of its " + what +
                        " (a shell's \"> /dev/stderr\" does so, \">&2\" does not); some of it may be missing.");
}

bool LogTail::open() {
    if (!m_fd.valid()) {
        m_fd = m_inode.empty() ? openFile(m_path)
                               : base::UniqueFd(::open(m_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!m_fd.valid()) return false;
    }
    if (!m_splitter) {
        const std::string_view before = m_offset > 0 ? readAt(m_fd.get(), m_offset - 1, 1) : std::string_view();
        m_splitter.emplace(m_offset, before.empty() ? std::nullopt : std::optional<char>(before.front()));
        m_droppedFrom = m_droppedTo = m_offset;
    }
    return true;
}

std::int64_t LogTail::drain(StreamSink& sink, std::int64_t maxBytes, bool dropping) {
    if (!open()) return 0;
    const std::int64_t began = base::monotonicNanos();
    std::int64_t total = 0;
    while (total < maxBytes && (dropping || sink.mayTakeMore())) {
        const bool hadPartial = m_splitter->hasPartial();
        const std::string_view bytes = readAt(m_fd.get(), m_offset, maxBytes - total);
        if (bytes.empty()) {
            if (m_inode.empty() ? !m_guard.wasRewritten(m_fd.get(), m_offset)
                                : !m_guard.wasEmptied(m_fd.get(), m_offset))
                break;
            if (m_inode.empty()) m_guard.report(sink, m_rank, m_out);
            flushPartial(sink, true, dropping);
            m_offset = m_droppedFrom = m_droppedTo = 0;
            m_splitter.emplace();
            continue;
        }
        m_offset += static_cast<std::int64_t>(bytes.size());
        total += static_cast<std::int64_t>(bytes.size());
        m_lastBytes = base::monotonicNanos();
        if (!hadPartial) m_lastPart = m_lastBytes;
        feed(bytes);
        emit(sink, dropping);
        if (!m_finder.empty() && base::monotonicNanos() - began > kMatchNanos) return maxBytes;
    }
    return total;
}

void LogTail::feed(std::string_view bytes) {
    if (!m_masker || m_masker->isEmpty()) {
        m_splitter->feed(bytes);
        return;
    }
    m_undecided += bytes;
    const std::string text = std::exchange(m_undecided, {});
    const std::size_t decided = text.size() - m_masker->undecided(text);
    std::size_t at = 0;
    while (const auto found = m_masker->find(text, at)) {
        if (found->first >= decided) break;  // A longer one may begin here.
        m_splitter->feed(std::string_view(text).substr(at, found->first - at));
        feedMasked(std::string_view(text).substr(found->first, found->second));
        at = found->first + found->second;
    }
    if (at < decided) m_splitter->feed(std::string_view(text).substr(at, decided - at));
    m_undecided = text.substr(std::max(at, decided));
}

void LogTail::feedMasked(std::string_view text) {
    m_splitter->skip(static_cast<std::int64_t>(text.size()) - static_cast<std::int64_t>(Masker::kMask.size()));
    m_splitter->feed(Masker::kMask);
}

void LogTail::emit(StreamSink& sink, bool dropping) {
    if (dropping) {
        m_droppedLines += m_splitter->dropAll();
        m_droppedTo = m_offset;
        return;
    }
    for (LogPiece& piece : m_splitter->take()) {
        if (!m_finder.empty()) putMetrics(sink, piece);
        base::Json body = base::Json::object();
        body["out"] = m_out;
        body["lines"] = std::move(piece.lines);
        if (piece.continues) body["continues"] = true;
        if (piece.replaced) body["replaced"] = true;
        body[kSource] = sourceOf(m_path, piece.from, piece.to);
        // A name of the script's own.
        if (!m_inode.empty() && m_masker) body[kSource]["file"] = m_masker->mask(fileName());
        if (!m_inode.empty()) body[kSource]["inode"] = m_inode;
        sink.put(m_rank, wire::kind::kLog, std::move(body));
        m_lastPart = base::monotonicNanos();
    }
}

void LogTail::putMetrics(StreamSink& sink, const LogPiece& piece) {
    std::vector<wire::SeriesPoints> series;
    for (std::size_t i = piece.continues ? 1 : 0; i < piece.lines.size(); ++i) {
        for (const base::FoundMetric& found : m_finder.find(piece.lines[i])) {
            if (!m_translator->admits(m_rank, found.name)) continue;
            auto known =
                std::find_if(series.begin(), series.end(), [&](const auto& one) { return one.name == found.name; });
            if (known == series.end()) known = series.insert(series.end(), wire::SeriesPoints{found.name, {}, {}, {}});
            known->step.push_back(found.step ? *found.step : m_translator->nextStep(m_rank, found.name));
            known->value.push_back(found.value);
            m_translator->noteStep(m_rank, found.name, known->step.back());
        }
    }
    if (series.empty()) return;
    wire::Record record;
    record.rank = m_rank;
    record.t = sink.now();
    record.kind = wire::kind::kMetrics;
    record.body = wire::metricsBody(series, record.t);
    // Behind these lines only once the lines themselves are told, in the record that follows.
    record.body[kSource] = sourceOf(m_path, piece.from, piece.from);
    sink.put(std::move(record));
}

void LogTail::flushPartial(StreamSink& sink, bool final, bool dropping) {
    if (final && m_splitter && !m_undecided.empty()) {
        const std::string rest = std::exchange(m_undecided, {});
        const std::string shown = m_masker->mask(rest);
        m_splitter->skip(static_cast<std::int64_t>(rest.size()) - static_cast<std::int64_t>(shown.size()));
        m_splitter->feed(shown);
        emit(sink, dropping);
    }
    if (!m_splitter || !m_splitter->hasPartial() || (!final && !sink.mayTakeMore())) return;
    const std::int64_t now = base::monotonicNanos();
    const bool quiet = now - m_lastBytes >= kQuietNanos;
    const bool rewritten = m_splitter->isRewriting() && now - m_lastPart >= kRewriteNanos;
    if (!final && !quiet && !rewritten) return;
    m_splitter->flush(final);
    emit(sink, dropping);
}

void LogTail::reportDropped(StreamSink& sink, bool final) {
    const std::int64_t now = base::monotonicNanos();
    if (m_droppedLines == 0 || (!final && m_lastReport != 0 && now - m_lastReport < kDropReportNanos)) return;
    m_lastReport = now;
    base::Json body = base::Json::object();
    body["code"] = "disk.reserve";
    body["message"] = "The disk is nearly full: " + std::to_string(m_droppedLines) + " lines of " + m_out +
                      " of rank " + std::to_string(m_rank) + " were dropped.";
    body["count"] = m_droppedLines;
    body[kSource] = sourceOf(m_path, m_droppedFrom, m_droppedTo);
    sink.put(m_rank, wire::kind::kWarning, std::move(body));
    m_droppedLines = 0;
    m_droppedFrom = m_droppedTo;
}

bool LogTail::atEnd() const { return !m_guard.isUndecided() && reachedEnd(m_fd, m_path, m_offset); }

base::Json ClientTail::source(std::int64_t from, std::int64_t to) const { return sourceOf(m_path, from, to); }

std::int64_t ClientTail::drain(StreamSink& sink, wire::ClientLineTranslator& translator, std::int64_t maxBytes) {
    if (!m_fd.valid()) {
        m_fd = openFile(m_path);
        if (!m_fd.valid()) return 0;
    }
    std::int64_t total = 0;
    while (total < maxBytes && sink.mayTakeMore()) {
        const std::string_view bytes = readAt(m_fd.get(), m_read, maxBytes - total);
        if (bytes.empty()) {
            if (!m_guard.wasRewritten(m_fd.get(), m_read)) break;
            m_guard.report(sink, m_rank, "client lines");
            finish(sink, translator);
            m_taken = m_read = 0;
            continue;
        }
        m_read += static_cast<std::int64_t>(bytes.size());
        total += static_cast<std::int64_t>(bytes.size());
        const std::size_t searched = m_buffer.size();
        m_buffer += bytes;
        std::size_t start = 0;
        std::size_t end = m_buffer.find('\n', searched);
        const std::int64_t bufferStart = m_taken;
        while (end != std::string::npos) {
            takeLine(std::string_view(m_buffer).substr(start, end - start),
                     bufferStart + static_cast<std::int64_t>(end) + 1, sink, translator);
            start = end + 1;
            end = m_buffer.find('\n', start);
        }
        m_buffer.erase(0, start);
        if (m_buffer.size() > kMaxClientLine) {
            m_skipping = true;
            m_taken += static_cast<std::int64_t>(m_buffer.size());
            m_buffer.clear();
        }
    }
    flushMetrics(sink);
    flushErrors(sink);
    return total;
}

/// Masked once it is parsed: JSON spells a text in many ways. Names are counted as they are then told.
base::Result<wire::Record> ClientTail::translated(std::string_view line, std::int64_t now,
                                                  wire::ClientLineTranslator& translator) const {
    if (!m_masker || m_masker->isEmpty()) return translator.translate(m_rank, line, now);
    auto parsed = base::parseJson(line);
    if (!parsed.ok()) return translator.translate(m_rank, m_masker->mask(line), now);
    m_masker->maskLine(*parsed);
    return translator.translateParsed(m_rank, *parsed, now);
}

void ClientTail::takeLine(std::string_view line, std::int64_t end, StreamSink& sink,
                          wire::ClientLineTranslator& translator) {
    const std::int64_t from = m_taken;
    m_taken = end;
    const auto bad = [&](const std::string& message) {
        flushMetrics(sink);
        if (m_badLines++ == 0) {
            m_badFrom = from;
            m_badMessage = message;
        }
        m_badTo = end;
    };
    if (m_skipping) {
        m_skipping = false;
        bad("A line is longer than " + base::formatBytes(kMaxClientLine) + ".");
        return;
    }
    if (base::trim(line).empty()) return;
    auto record = translated(line, sink.now(), translator);
    if (!record.ok()) {
        bad(record.error().message);
        return;
    }
    flushErrors(sink);
    if (record->kind != wire::kind::kMetrics) {
        flushMetrics(sink);
        m_lastWords.take(*record);
        record->body[kSource] = source(from, end);
        sink.put(std::move(*record));
        return;
    }
    auto series = wire::metricsFromBody(record->body, record->t);
    if (!series.ok()) {
        bad(series.error().message);
        return;
    }
    if (m_series.empty()) m_seriesFrom = from;
    m_seriesTo = end;
    for (wire::SeriesPoints& points : *series) {
        const auto [at, isNew] = m_seriesAt.emplace(points.name, m_series.size());
        m_points += points.value.size();
        if (isNew) {
            m_series.push_back(std::move(points));
        } else {
            wire::SeriesPoints* known = &m_series[at->second];
            known->step.insert(known->step.end(), points.step.begin(), points.step.end());
            known->value.insert(known->value.end(), points.value.begin(), points.value.end());
            known->t.insert(known->t.end(), points.t.begin(), points.t.end());
        }
    }
    if (m_points >= kMaxPoints) flushMetrics(sink);
}

void ClientTail::flushMetrics(StreamSink& sink) {
    if (m_series.empty()) return;
    const std::int64_t now = sink.now();
    // The record's time is its last point's where all agree on one; metricsBody then leaves the times out.
    wire::Record record;
    record.rank = m_rank;
    record.t = m_series.size() == 1 && m_series.front().t.size() == 1 ? m_series.front().t.front() : now;
    record.kind = wire::kind::kMetrics;
    record.body = wire::metricsBody(m_series, record.t);
    record.body[kSource] = source(m_seriesFrom, m_seriesTo);
    sink.put(std::move(record));
    m_series.clear();
    m_seriesAt.clear();
    m_points = 0;
}

void ClientTail::flushErrors(StreamSink& sink) {
    if (m_badLines == 0) return;
    base::Json body = base::Json::object();
    body["code"] = "client.line";
    body["message"] = m_badMessage;
    body["count"] = m_badLines;
    body[kSource] = source(m_badFrom, m_badTo);
    sink.put(m_rank, wire::kind::kWarning, std::move(body));
    m_badLines = 0;
}

void ClientTail::finish(StreamSink& sink, wire::ClientLineTranslator& translator) {
    if (!m_buffer.empty()) {
        const std::string line = std::exchange(m_buffer, {});
        takeLine(line, m_taken + static_cast<std::int64_t>(line.size()), sink, translator);
    }
    flushMetrics(sink);
    flushErrors(sink);
}

bool ClientTail::atEnd() const { return !m_guard.isUndecided() && reachedEnd(m_fd, m_path, m_read); }

RankTail::RankTail(const wire::NodeLayout& layout, int index, int rank)
    : m_logs{LogTail(layout.rankOut(index), rank, "stdout"), LogTail(layout.rankErr(index), rank, "stderr")},
      m_client(layout.rankStream(index), rank) {}

void RankTail::resumeAt(const std::string& fileName, std::int64_t offset) {
    for (LogTail& log : m_logs) {
        if (log.fileName() == fileName) log.resumeAt(offset);
    }
    if (m_client.fileName() == fileName) m_client.resumeAt(offset);
}

void RankTail::maskWith(const Masker* masker) {
    for (LogTail& log : m_logs) log.maskWith(masker);
    m_client.maskWith(masker);
}

std::optional<base::Error> RankTail::findWith(const std::vector<std::string>& patterns,
                                              wire::ClientLineTranslator& translator) {
    std::optional<base::Error> error;
    // Each output has its own: a line that says only the step speaks of the lines behind it.
    for (LogTail& log : m_logs) log.findWith(base::MetricFinder::ofTexts(patterns, error), translator);
    return error;
}

bool RankTail::drain(StreamSink& sink, wire::ClientLineTranslator& translator, bool dropLogs) {
    bool more = m_client.drain(sink, translator, kDrainBytes) >= kDrainBytes;
    for (LogTail& log : m_logs) {
        more = log.drain(sink, kDrainBytes, dropLogs) >= kDrainBytes || more;
        log.flushPartial(sink, false, dropLogs);
        log.reportDropped(sink, !dropLogs);
    }
    return more;
}

void RankTail::finish(StreamSink& sink, wire::ClientLineTranslator& translator, bool dropLogs) {
    m_client.finish(sink, translator);
    for (LogTail& log : m_logs) {
        log.flushPartial(sink, true, dropLogs);
        log.reportDropped(sink, true);
    }
    m_finished = true;
}

bool RankTail::atEnd() const {
    return m_client.atEnd() &&
           std::all_of(m_logs.begin(), m_logs.end(), [](const LogTail& log) { return log.atEnd(); });
}

}  // namespace trainyard::agent
