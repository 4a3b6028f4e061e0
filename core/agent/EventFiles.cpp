#include "core/agent/EventFiles.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "core/agent/RankTail.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

using base::Json;

namespace {

constexpr std::size_t kEventReadBytes = 128 << 10;
constexpr std::int64_t kEventDrainBytes = 1 << 20;
constexpr std::size_t kMaxPoints = 4096;
constexpr int kMaxDepth = 8;
constexpr std::int64_t kLookNanos = 500'000'000;
constexpr std::int64_t kLookShare = 250;  ///< A look may take this part of the time between two.
constexpr std::int64_t kDamageReportNanos = 10'000'000'000;
constexpr std::int64_t kToleranceMicros = 2'000'000;  ///< Of file systems that keep times in seconds.

std::int64_t modifiedMicros(const struct stat& about) {
    return std::int64_t{about.st_mtim.tv_sec} * 1'000'000 + about.st_mtim.tv_nsec / 1000;
}

bool isEventFile(const std::string& name) {
    return name.find("tfevents") != std::string::npos && !name.ends_with(".profile-empty");
}

/// What stands before the tags of a file: the folders it lies in, without those that only say that logs are in them.
std::string prefixOf(const std::string& label, const std::string& folder) {
    std::vector<std::string> parts;
    for (const std::string& part : base::split(folder, '/')) {
        if (!part.empty()) parts.push_back(part);
    }
    const auto isPlain = [](const std::string& part) {
        return part == "logs" || part == "tensorboard" || part == "tb" || part == "events";
    };
    bool runs = label == "runs";
    if (!parts.empty() && (isPlain(parts.front()) || parts.front() == "runs")) {
        runs = runs || parts.front() == "runs";
        parts.erase(parts.begin());
    }
    // PyTorch's SummaryWriter() makes runs/DATE_HOST/, which names no series.
    if (runs && !parts.empty()) parts.erase(parts.begin());
    std::string prefix;
    for (const std::string& part : parts) prefix += part + "/";
    return prefix;
}

}  // namespace

struct EventFiles::File {
    base::UniqueFd fd;
    dev_t device = 0;
    ino_t inode = 0;
    std::string source;
    std::string prefix;
    std::int64_t skipTo = 0;  ///< Told by an agent before this one.
    TfRecordCutter cutter;
    TfEventReader reader;
    std::int64_t damageTold = 0;
    std::int64_t damageSeen = 0;
    std::int64_t badEvents = 0;
    std::int64_t lastReport = 0;
    bool truncatedTold = false;

    std::map<std::string, wire::SeriesPoints> series;  ///< Scalars since seriesFrom, for one record.
    std::size_t points = 0;
    std::int64_t seriesFrom = 0;
    std::int64_t seriesTo = 0;

    [[nodiscard]] Json src(std::int64_t from, std::int64_t to) const {
        return Json{{"file", source}, {"from", from}, {"to", to}};
    }
};

EventFiles::EventFiles(std::vector<EventFolder> folders, int rank, std::int64_t since,
                       std::map<std::string, std::int64_t> offsets)
    : m_folders(std::move(folders)), m_rank(rank), m_since(since), m_offsets(std::move(offsets)) {}
EventFiles::EventFiles(EventFiles&&) noexcept = default;
EventFiles& EventFiles::operator=(EventFiles&&) noexcept = default;
EventFiles::~EventFiles() = default;

/// UTF-8, without secrets.
std::string EventFiles::shown(const std::string& text) const {
    return base::toValidUtf8(m_masker ? m_masker->mask(text) : text);
}

void EventFiles::look(StreamSink& sink) {
    const std::int64_t began = base::monotonicNanos();
    std::size_t entries = 0;
    bool tooMany = false;
    for (const EventFolder& folder : m_folders) {
        std::error_code error;
        std::filesystem::recursive_directory_iterator at(
            folder.path, std::filesystem::directory_options::skip_permission_denied, error);
        for (const std::filesystem::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
            if (++entries > kMaxEntries) {
                tooMany = true;
                break;
            }
            std::error_code ignored;
            if (at.depth() >= kMaxDepth) at.disable_recursion_pending();
            if (!isEventFile(at->path().filename().string()) || !at->is_regular_file(ignored)) continue;
            const std::string relative = at->path().lexically_relative(folder.path).string();
            const std::size_t slash = relative.rfind('/');
            take(at->path(), shown(folder.label + "/" + relative),
                 prefixOf(folder.label, slash == std::string::npos ? std::string() : relative.substr(0, slash)), sink);
        }
    }
    if ((tooMany || m_files.size() >= kMaxFiles) && !std::exchange(m_toldTooMany, true)) {
        sink.putWarning(wire::kNoRank, "events.many",
                        "There are more than " + std::to_string(tooMany ? kMaxEntries : kMaxFiles) +
                            (tooMany ? " files" : " event files of TensorBoard") +
                            " in the run's folders; not all event files are read.");
    }
    const std::int64_t now = base::monotonicNanos();
    m_nextLook = now + std::max(kLookNanos, (now - began) * kLookShare);
}

void EventFiles::take(const base::Path& path, const std::string& source, const std::string& prefix, StreamSink&) {
    struct stat about {};
    if (::lstat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode) || m_files.size() >= kMaxFiles) return;
    const auto known = std::find_if(m_files.begin(), m_files.end(), [&](const auto& file) {
        return file->inode == about.st_ino && file->device == about.st_dev;
    });
    if (known != m_files.end()) return;
    const auto told = m_offsets.find(source);
    if (told == m_offsets.end() && modifiedMicros(about) < m_since - kToleranceMicros) return;
    auto file = std::make_unique<File>();
    file->fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file->fd.valid()) return;
    file->device = about.st_dev;
    file->inode = about.st_ino;
    file->source = source;
    file->prefix = prefix;
    if (told != m_offsets.end()) {
        file->skipTo = told->second;
        m_offsets.erase(told);
    }
    m_files.push_back(std::move(file));
}

bool EventFiles::read(File& file, StreamSink& sink, wire::ClientLineTranslator& translator) {
    static std::string buffer(kEventReadBytes, '\0');  // The agent has one thread.
    std::int64_t total = 0;
    while (sink.mayTakeMore()) {
        struct stat about {};
        if (::fstat(file.fd.get(), &about) == 0 && about.st_size < file.cutter.fed()) {
            // Emptied or written anew: what comes is read from the beginning.
            flush(file, sink);
            file.cutter = {};
            file.reader = {};
            file.skipTo = 0;
            file.damageSeen = file.damageTold = 0;
            if (!std::exchange(file.truncatedTold, true)) {
                sink.putWarning(m_rank, "events.truncated",
                                "The event file " + file.source +
                                    " became shorter; it is read from its beginning again.");
            }
        }
        ssize_t got = 0;
        do {
            got = ::pread(file.fd.get(), buffer.data(), buffer.size(), file.cutter.fed());
        } while (got < 0 && errno == EINTR);
        if (got <= 0) break;
        total += got;
        file.cutter.feed(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
        std::int64_t from = file.cutter.at();
        while (const auto record = file.cutter.next()) {
            // Read also when it was told before: it may say what later values of its tags are.
            const auto event = file.reader.read(*record);
            if (!event) {
                ++file.badEvents;
            } else if (file.cutter.at() > file.skipTo) {
                put(file, *event, from, sink, translator);
            }
            from = file.cutter.at();
        }
        file.damageSeen = file.cutter.damaged() + file.badEvents;
        if (total >= kEventDrainBytes) break;
    }
    flush(file, sink);
    reportDamage(file, sink, false);
    return total >= kEventDrainBytes || !sink.mayTakeMore();
}

void EventFiles::put(File& file, const TfEvent& event, std::int64_t from, StreamSink& sink,
                     wire::ClientLineTranslator& translator) {
    const double micros = event.wallTime * 1e6;
    const std::int64_t t = micros > 0 && micros < 4e18 ? static_cast<std::int64_t>(micros) : sink.now();
    const std::int64_t to = file.cutter.at();
    const auto send = [&](const char* kind, Json body) {
        flush(file, sink);
        body["step"] = event.step;
        body["source"] = "tensorboard";
        body[kSource] = file.src(from, to);
        wire::Record record;
        record.rank = m_rank;
        record.t = t;
        record.kind = kind;
        record.body = std::move(body);
        sink.put(std::move(record));
    };
    for (const TfValue& value : event.values) {
        const std::string name = shown(file.prefix + value.tag);
        if (!translator.admits(m_rank, name)) {
            if (!std::exchange(m_toldNames, true)) {
                sink.putWarning(
                    m_rank, "events.names",
                    "Event files name more series, or longer names, than are kept; the rest of them is left out.");
            }
            continue;
        }
        if (value.scalar) {
            translator.noteStep(m_rank, name, event.step);
            wire::SeriesPoints& points = file.series[name];
            if (file.points++ == 0) file.seriesFrom = from;
            file.seriesTo = to;
            points.name = name;
            points.step.push_back(event.step);
            points.value.push_back(*value.scalar);
            points.t.push_back(t);
        }
        if (value.histogram) {
            Json edges = Json::array();
            for (const double edge : value.histogram->edges) edges.push_back(base::numberToJson(edge));
            Json counts = Json::array();
            for (const double count : value.histogram->counts) counts.push_back(base::numberToJson(count));
            send(wire::kind::kHistogram, Json{{"name", name},
                                              {"edges", std::move(edges)},
                                              {"counts", std::move(counts)},
                                              {"min", base::numberToJson(value.histogram->minimum)},
                                              {"max", base::numberToJson(value.histogram->maximum)},
                                              {"sum", base::numberToJson(value.histogram->sum)},
                                              {"number", base::numberToJson(value.histogram->number)}});
        }
        if (value.text) send(wire::kind::kText, Json{{"name", name}, {"text", shown(*value.text)}});
        for (const TfImage& image : value.images) {
            const bool png = image.bytes.starts_with("\x89PNG");
            Json body{{"name", name},
                      {"mime", png                               ? "image/png"
                               : image.bytes.starts_with("GIF8") ? "image/gif"
                                                                 : "image/jpeg"},
                      {"size", image.bytes.size()}};
            if (image.width > 0 && image.height > 0) {
                body["width"] = image.width;
                body["height"] = image.height;
            }
            // A larger one stays in its event file.
            if (image.bytes.size() <= kMaxInlineImage) body["data"] = base::base64(image.bytes);
            send(wire::kind::kImage, std::move(body));
        }
    }
    if (file.points >= kMaxPoints) flush(file, sink);
}

void EventFiles::flush(File& file, StreamSink& sink) {
    if (file.series.empty()) return;
    std::vector<wire::SeriesPoints> all;
    all.reserve(file.series.size());
    for (auto& [name, points] : file.series) all.push_back(std::move(points));
    wire::Record record;
    record.rank = m_rank;
    record.t = sink.now();
    record.kind = wire::kind::kMetrics;
    record.body = wire::metricsBody(all, record.t);
    record.body[kSource] = file.src(file.seriesFrom, file.seriesTo);
    sink.put(std::move(record));
    file.series.clear();
    file.points = 0;
}

void EventFiles::reportDamage(File& file, StreamSink& sink, bool final) {
    const std::int64_t now = base::monotonicNanos();
    if (file.damageSeen > file.damageTold &&
        (final || file.lastReport == 0 || now - file.lastReport >= kDamageReportNanos)) {
        file.lastReport = now;
        sink.put(m_rank, wire::kind::kWarning,
                 Json{{"code", "events.damaged"},
                      {"message",
                       "The event file " + file.source + " is damaged in places; what can be read of it is kept."},
                      {"count", file.damageSeen - file.damageTold}});
        file.damageTold = file.damageSeen;
    }
    if (final && file.cutter.hasRest()) {
        sink.putWarning(m_rank, "events.torn", "The event file " + file.source + " ends in the middle of a record.");
    }
}

bool EventFiles::drain(StreamSink& sink, wire::ClientLineTranslator& translator) {
    if (base::monotonicNanos() >= m_nextLook) look(sink);
    bool more = false;
    for (const auto& file : m_files) more = read(*file, sink, translator) || more;
    return more;
}

bool EventFiles::finish(StreamSink& sink, wire::ClientLineTranslator& translator) {
    if (!std::exchange(m_lastLookDone, true)) look(sink);
    if (drain(sink, translator)) return false;
    for (const auto& file : m_files) reportDamage(*file, sink, true);
    m_files.clear();
    m_folders.clear();
    m_nextLook = INT64_MAX;
    return true;
}

}  // namespace trainyard::agent
