#include "core/wire/RunStream.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/Text.h"

namespace trainyard::wire {

namespace {

bool isReserved(std::string_view name) {
    return name == "v" || name == "seq" || name == "t" || name == "rank" || name == "kind";
}

bool hasNonFinite(const Json& value) {
    if (value.is_number_float()) {
        return !std::isfinite(value.get<double>());
    }
    return value.is_structured() && std::any_of(value.begin(), value.end(), hasNonFinite);
}

void spellNonFinite(Json& value) {
    if (value.is_number_float()) {
        value = base::numberToJson(value.get<double>());
    } else if (value.is_structured()) {
        std::for_each(value.begin(), value.end(), spellNonFinite);
    }
}

Json prepared(const Json& body) {
    Json out = Json::object();
    for (const auto& [name, value] : body.items()) {
        if (!isReserved(name)) {
            out[name] = value;
        }
    }
    spellNonFinite(out);
    return out;
}

bool needsPreparing(const Json& body) {
    for (const char* name : {"v", "seq", "t", "rank", "kind"}) {
        if (body.contains(name)) {
            return true;
        }
    }
    return hasNonFinite(body);
}

std::string_view withoutNewline(std::string_view line) {
    if (!line.empty() && line.back() == '\n') {
        line.remove_suffix(1);
    }
    if (!line.empty() && line.back() == '\r') {
        line.remove_suffix(1);
    }
    return line;
}

std::optional<std::int64_t> integerOf(const Json& value) {
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        return number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
                   ? std::optional(static_cast<std::int64_t>(number))
                   : std::nullopt;
    }
    return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

std::optional<std::int64_t> integerMember(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? std::nullopt : integerOf(*found);
}

Error lineError(const std::string& why) { return Error{"stream.line", "A line of the stream " + why + "."}; }

Error metricsError(const std::string& why) { return Error{"stream.metrics", "A metrics record " + why + "."}; }

/// All integers of a list that must have `length` items.
std::optional<std::vector<std::int64_t>> integersOf(const Json& list, std::size_t length) {
    if (!list.is_array() || list.size() != length) {
        return std::nullopt;
    }
    std::vector<std::int64_t> out;
    out.reserve(length);
    for (const Json& item : list) {
        const std::optional<std::int64_t> number = integerOf(item);
        if (!number) {
            return std::nullopt;
        }
        out.push_back(*number);
    }
    return out;
}

}  // namespace

std::string encode(const Record& record) {
    std::string line = R"({"v":)" + std::to_string(kStreamMajor) + R"(,"seq":)" + std::to_string(record.seq) +
                       R"(,"t":)" + std::to_string(record.t);
    if (record.rank != kNoRank) {
        line += R"(,"rank":)" + std::to_string(record.rank);
    }
    line += R"(,"kind":)" + base::dumpJson(record.kind);
    if (record.body.is_object() && !record.body.empty()) {
        const std::string body = base::dumpJson(needsPreparing(record.body) ? prepared(record.body) : record.body);
        if (body.size() > 2) {
            line += ',';
            line.append(body, 1, body.size() - 2);
        }
    }
    line += "}\n";
    return line;
}

Result<Record> decode(std::string_view line) {
    Result<Json> parsed = base::parseJson(withoutNewline(line));
    if (!parsed.ok()) {
        return lineError("is no JSON: " + parsed.error().message);
    }
    Json& object = *parsed;
    if (!object.is_object()) {
        return lineError("is no JSON object");
    }
    const std::optional<std::int64_t> major = integerMember(object, "v");
    if (!major) {
        return lineError("has no version \"v\"");
    }
    if (*major != kStreamMajor) {
        return Error{"stream.major", "The stream has major version " + std::to_string(*major) +
                                         ", but this program reads version " + std::to_string(kStreamMajor) +
                                         ". Use a Trainyard that knows it."};
    }
    Record record;
    const std::optional<std::int64_t> seq = integerMember(object, "seq");
    const std::optional<std::int64_t> t = integerMember(object, "t");
    const auto kindMember = object.find("kind");
    if (!seq || *seq < 1) {
        return lineError("has no \"seq\" of 1 or more");
    }
    if (!t) {
        return lineError("has no time \"t\"");
    }
    if (kindMember == object.end() || !kindMember->is_string() || kindMember->get_ref<const std::string&>().empty()) {
        return lineError("has no \"kind\"");
    }
    record.seq = *seq;
    record.t = *t;
    record.kind = kindMember->get<std::string>();
    if (object.contains("rank")) {
        const std::optional<std::int64_t> rank = integerMember(object, "rank");
        if (!rank || *rank < kNoRank || *rank > std::numeric_limits<int>::max()) {
            return lineError("has a \"rank\" that is no rank");
        }
        record.rank = static_cast<int>(*rank);
    }
    // Moved member by member: erasing from an ordered object copies its tail.
    for (auto& [name, value] : object.get_ref<Json::object_t&>()) {
        if (!isReserved(name)) {
            record.body.get_ref<Json::object_t&>().Container::emplace_back(name, std::move(value));
        }
    }
    return record;
}

Json metricsBody(const std::vector<SeriesPoints>& series, std::int64_t recordT) {
    Json list = Json::array();
    for (const SeriesPoints& points : series) {
        Json values = Json::array();
        for (const double value : points.value) {
            values.push_back(base::numberToJson(value));
        }
        Json item = {{"name", points.name}, {"step", points.step}, {"value", std::move(values)}};
        const auto isRecordT = [&](std::int64_t t) { return t == recordT; };
        if (!std::all_of(points.t.begin(), points.t.end(), isRecordT)) {
            item["t"] = points.t;
        }
        list.push_back(std::move(item));
    }
    return Json{{"series", std::move(list)}};
}

Result<std::vector<SeriesPoints>> metricsFromBody(const Json& body, std::int64_t recordT) {
    const auto list = body.find("series");
    if (!body.is_object() || list == body.end() || !list->is_array()) {
        return metricsError("has no list \"series\"");
    }
    std::vector<SeriesPoints> out;
    out.reserve(list->size());
    for (const Json& item : *list) {
        if (!item.is_object()) {
            return metricsError("has a series that is no object");
        }
        const auto name = item.find("name");
        const auto steps = item.find("step");
        const auto values = item.find("value");
        if (name == item.end() || !name->is_string() || name->get_ref<const std::string&>().empty()) {
            return metricsError("has a series without a name");
        }
        SeriesPoints points;
        points.name = name->get<std::string>();
        if (values == item.end() || !values->is_array()) {
            return metricsError("has no list of values for " + points.name);
        }
        points.value.reserve(values->size());
        for (const Json& value : *values) {
            const std::optional<double> number = base::jsonToNumber(value);
            if (!number) {
                return metricsError("has a value of " + points.name + " that is no number");
            }
            points.value.push_back(*number);
        }
        std::optional<std::vector<std::int64_t>> integers;
        if (steps == item.end() || !(integers = integersOf(*steps, points.value.size()))) {
            return metricsError("needs one whole number as step for each value of " + points.name);
        }
        points.step = std::move(*integers);
        const auto times = item.find("t");
        if (times == item.end()) {
            points.t.assign(points.value.size(), recordT);
        } else if ((integers = integersOf(*times, points.value.size()))) {
            points.t = std::move(*integers);
        } else {
            return metricsError("needs one whole number as time for each value of " + points.name);
        }
        out.push_back(std::move(points));
    }
    return out;
}

std::string segmentName(int segment) {
    const std::string digits = std::to_string(segment);
    constexpr std::size_t kDigits = 6;
    return std::string(digits.size() < kDigits ? kDigits - digits.size() : 0, '0') + digits + ".jsonl";
}

void StreamDecoder::feed(std::string_view bytes) {
    constexpr std::size_t kKeepHead = 1 << 20;
    if (m_head == m_buffer.size()) {
        m_buffer.clear();
        m_searched = m_head = 0;
    } else if (m_head > kKeepHead && m_head > m_buffer.size() / 2) {
        m_buffer.erase(0, m_head);
        m_searched -= std::min(m_searched, m_head);
        m_head = 0;
    }
    m_buffer += bytes;
}

void StreamDecoder::consume(std::size_t bytes) {
    m_head += bytes;
    m_searched = std::max(m_searched, m_head);
    m_cursor.offset += static_cast<std::int64_t>(bytes);
}

void StreamDecoder::keepAside(std::int64_t offset, std::int64_t length, Error error) {
    ++m_damagedInARow;
    m_damaged.push_back({m_cursor.segment, offset, length, std::move(error)});
}

std::optional<StreamEntry> StreamDecoder::next() {
    if (!m_ready.empty()) {
        StreamEntry entry = std::move(m_ready.front());
        m_ready.pop_front();
        return entry;
    }
    return nextLine(false);
}

std::optional<StreamEntry> StreamDecoder::nextLine(bool closed) {
    while (!m_refused) {
        m_searched = std::max(m_searched, m_head);
        const std::size_t end = m_buffer.find('\n', m_searched);
        if (end == std::string::npos) {
            m_searched = m_buffer.size();
            if (pendingBytes() > kMaxLineBytes) {
                m_skipFrom = m_skipFrom < 0 ? m_cursor.offset : m_skipFrom;
                consume(m_buffer.size() - m_head);
            }
            return std::nullopt;
        }
        const std::string_view line = std::string_view(m_buffer).substr(m_head, end - m_head + 1);
        const std::int64_t offset = m_skipFrom >= 0 ? m_skipFrom : m_cursor.offset;
        const std::int64_t length = m_cursor.offset - offset + static_cast<std::int64_t>(line.size());
        if (m_skipFrom >= 0 || length > kMaxLineBytes) {
            m_skipFrom = -1;
            consume(line.size());
            keepAside(offset, length, lineError("is longer than " + base::formatBytes(kMaxLineBytes)));
            continue;
        }
        const bool zeros = std::memchr(line.data(), '\0', line.size()) != nullptr;
        if (zeros && !closed) {
            m_searched = m_head;
            return std::nullopt;
        }
        Result<Record> record = zeros ? Result<Record>(lineError("has zero bytes in it")) : decode(line);
        if (!record.ok() && record.error().code == "stream.major") {
            m_refused = record.error();
            return std::nullopt;
        }
        consume(static_cast<std::size_t>(length));
        if (!record.ok()) {
            keepAside(offset, length, record.error());
            continue;
        }
        const std::int64_t missing = record->seq - m_cursor.lastSeq - 1;
        if (missing < 0) {
            continue;
        }
        if (missing > m_damagedInARow) {
            const std::int64_t first = m_cursor.lastSeq + 1;
            keepAside(offset, 0,
                      Error{"stream.gap", "Records " + std::to_string(first) + " to " +
                                              std::to_string(record->seq - 1) + " of the stream are missing."});
        }
        m_damagedInARow = 0;
        m_cursor.lastSeq = record->seq;
        return StreamEntry{std::move(*record), m_cursor.segment, offset, length};
    }
    return std::nullopt;
}

void StreamDecoder::close() {
    while (std::optional<StreamEntry> entry = nextLine(true)) {
        m_ready.push_back(std::move(*entry));
    }
    if (m_refused) {
        return;
    }
    const std::int64_t offset = m_skipFrom >= 0 ? m_skipFrom : m_cursor.offset;
    const std::int64_t length = m_cursor.offset - offset + pendingBytes();
    if (length > 0) {
        consume(m_buffer.size() - m_head);
        keepAside(offset, length, Error{"stream.torn", "The last line of the segment is torn and was dropped."});
    }
    m_skipFrom = -1;
}

void StreamDecoder::nextSegment() {
    close();
    if (!m_refused) {
        ++m_cursor.segment;
        m_cursor.offset = 0;
    }
}

void StreamDecoder::finish() { close(); }

void StreamDecoder::dropPending() {
    m_buffer.clear();
    m_searched = m_head = 0;
}

bool StreamDecoder::waitsForZeros() const { return m_buffer.find('\0', m_head) != std::string::npos; }

std::vector<DamagedLine> StreamDecoder::takeDamaged() { return std::exchange(m_damaged, {}); }

StreamFolderReader::StreamFolderReader(Path folder, StreamCursor start)
    : m_folder(std::move(folder)), m_decoder(start) {}

Path StreamFolderReader::fileOf(int segment) const {
    std::error_code error;
    if (std::filesystem::is_regular_file(m_folder, error)) {
        return segment == 1 ? m_folder : Path();
    }
    return m_folder / segmentName(segment);
}

Result<std::size_t> StreamFolderReader::read(std::vector<StreamEntry>& out, std::size_t maxRecords) {
    constexpr std::int64_t kChunk = 1 << 20;
    std::size_t taken = 0;
    m_decoder.dropPending();
    for (;;) {
        const std::size_t before = taken;
        while (taken < maxRecords) {
            std::optional<StreamEntry> entry = m_decoder.next();
            if (!entry) {
                break;
            }
            out.push_back(std::move(*entry));
            ++taken;
        }
        if (taken == maxRecords) {
            return taken;
        }
        if (m_decoder.refused()) {
            return taken > 0 ? Result<std::size_t>(taken) : Result<std::size_t>(*m_decoder.refused());
        }
        // Looked for before the read: once the next segment is there, this one grows no more.
        std::error_code error;
        const Path next = fileOf(m_decoder.cursor().segment + 1);
        const bool closed = !next.empty() && std::filesystem::exists(next, error);
        if (!closed && m_decoder.waitsForZeros()) {
            if (taken == before) {
                return taken;
            }
            m_decoder.dropPending();
        }
        const Path file = fileOf(m_decoder.cursor().segment);
        const std::int64_t offset = m_decoder.cursor().offset + m_decoder.pendingBytes();
        const Result<std::string> bytes = base::readFileRange(file, offset, kChunk);
        if (!bytes.ok() && bytes.error().code != "file.missing") {
            return bytes.error();
        }
        if (bytes.ok() && !bytes->empty()) {
            m_decoder.feed(*bytes);
        } else if (closed) {
            m_decoder.nextSegment();
        } else {
            return taken;
        }
    }
}

Result<std::size_t> StreamFolderReader::finish(std::vector<StreamEntry>& out) {
    constexpr std::int64_t kChunk = 1 << 20;
    const std::size_t before = out.size();
    for (;;) {
        const Result<std::size_t> taken = read(out);
        if (!taken.ok()) {
            return taken.error();
        }
        if (*taken == 0) {
            break;
        }
    }
    m_decoder.dropPending();
    for (;;) {
        const Result<std::string> bytes = base::readFileRange(
            fileOf(m_decoder.cursor().segment), m_decoder.cursor().offset + m_decoder.pendingBytes(), kChunk);
        if (!bytes.ok() && bytes.error().code != "file.missing") {
            return bytes.error();
        }
        if (!bytes.ok() || bytes->empty()) {
            break;
        }
        m_decoder.feed(*bytes);
    }
    m_decoder.finish();
    while (std::optional<StreamEntry> entry = m_decoder.next()) {
        out.push_back(std::move(*entry));
    }
    return out.size() - before;
}

}  // namespace trainyard::wire
