#include "core/agent/TfEvents.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/ProtoFields.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kHeader = 12;  // Length and its checksum.
constexpr std::size_t kFooter = 4;
constexpr std::size_t kMaxTags = 100'000;
constexpr std::size_t kMaxBins = 1024;

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

/// "Slicing by 8": eight bytes a step.
const Tables& tables() {
    static const Tables made = [] {
        Tables all{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t crc = i;
            for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
            all[0][i] = crc;
        }
        for (std::size_t slice = 1; slice < 8; ++slice) {
            for (std::size_t i = 0; i < 256; ++i)
                all[slice][i] = (all[slice - 1][i] >> 8) ^ all[0][all[slice - 1][i] & 0xff];
        }
        return all;
    }();
    return made;
}

std::uint64_t littleEndian(std::string_view bytes, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
        value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return value;
}

/// Length of the record that begins here; nothing when the header is wrong.
std::optional<std::uint64_t> lengthAt(std::string_view bytes) {
    const std::uint64_t length = littleEndian(bytes, 8);
    if (length > TfRecordCutter::kMaxRecord || littleEndian(bytes.substr(8), 4) != maskedCrc32c(bytes.substr(0, 8)))
        return std::nullopt;
    return length;
}

struct Field : base::ProtoField {
    std::string_view bytes;  ///< Of those that have some.

    [[nodiscard]] double asDouble() const { return kind == Kind::Fixed32 ? asFloat() : std::bit_cast<double>(value); }
    [[nodiscard]] float asFloat() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
    [[nodiscard]] std::int64_t asInteger() const { return static_cast<std::int64_t>(value); }
};

/// The fields of one message. `broken` when the bytes are none.
class Message {
public:
    explicit Message(std::string_view bytes) : m_bytes{bytes}, m_fields(m_bytes, 0, bytes.size()) {}
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    bool next(Field& field) {
        if (!m_fields.next(field)) return false;
        field.bytes = m_bytes.all.substr(field.at, field.end - field.at);
        return true;
    }
    [[nodiscard]] bool broken() const { return m_fields.broken(); }

private:
    struct Bytes {
        std::string_view all;
        bool number(std::uint64_t at, int bytes, std::uint64_t& value) const {
            value = littleEndian(all.substr(at), static_cast<std::size_t>(bytes));
            return true;
        }
    };

    Bytes m_bytes;
    base::ProtoFields<Bytes> m_fields;
};

void appendDoubles(const Field& field, std::vector<double>& into) {
    if (field.kind == Field::Kind::Fixed64) into.push_back(field.asDouble());
    for (std::size_t at = 0; field.kind == Field::Kind::Bytes && at + 8 <= field.bytes.size(); at += 8) {
        into.push_back(std::bit_cast<double>(littleEndian(field.bytes.substr(at), 8)));
    }
}

enum DataType {
    kFloat = 1,
    kDouble = 2,
    kInt32 = 3,
    kUint8 = 4,
    kInt16 = 5,
    kInt8 = 6,
    kString = 7,
    kInt64 = 9,
    kBool = 10,
    kBfloat16 = 14,
    kHalf = 19
};

double halfToDouble(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 0x1f;
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    const double fraction = bits & 0x3ff;
    if (exponent == 0x1f)
        return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::quiet_NaN();
    return exponent == 0 ? sign * std::ldexp(fraction, -24) : sign * std::ldexp(fraction + 1024, exponent - 25);
}

struct Tensor {
    std::uint64_t type = 0;
    std::vector<std::int64_t> shape;
    std::vector<double> numbers;
    std::vector<std::string_view> texts;
};

void addContent(Tensor& tensor, std::string_view bytes) {
    const auto every = [&](std::size_t size, auto&& read) {
        for (std::size_t at = 0; at + size <= bytes.size(); at += size)
            tensor.numbers.push_back(read(littleEndian(bytes.substr(at), size)));
    };
    switch (tensor.type) {
    case kFloat:
        every(4, [](std::uint64_t raw) {
            return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(raw)));
        });
        break;
    case kDouble: every(8, [](std::uint64_t raw) { return std::bit_cast<double>(raw); }); break;
    case kInt32: every(4, [](std::uint64_t raw) { return static_cast<double>(static_cast<std::int32_t>(raw)); }); break;
    case kInt64: every(8, [](std::uint64_t raw) { return static_cast<double>(static_cast<std::int64_t>(raw)); }); break;
    case kInt16: every(2, [](std::uint64_t raw) { return static_cast<double>(static_cast<std::int16_t>(raw)); }); break;
    case kInt8: every(1, [](std::uint64_t raw) { return static_cast<double>(static_cast<std::int8_t>(raw)); }); break;
    case kUint8:
    case kBool: every(1, [](std::uint64_t raw) { return static_cast<double>(raw); }); break;
    case kHalf: every(2, [](std::uint64_t raw) { return halfToDouble(static_cast<std::uint16_t>(raw)); }); break;
    case kBfloat16:
        every(2, [](std::uint64_t raw) {
            return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(raw) << 16));
        });
        break;
    default: break;
    }
}

Tensor readTensor(std::string_view bytes) {
    Tensor tensor;
    std::string_view content;
    Message message(bytes);
    Field field;
    while (message.next(field)) {
        const bool packed = field.kind == Field::Kind::Bytes;
        if (field.number == 1) tensor.type = field.value;
        if (field.number == 2) {
            Message shape(field.bytes);
            Field dimension;
            while (shape.next(dimension)) {
                if (dimension.number != 2) continue;
                Message inside(dimension.bytes);
                Field size;
                std::int64_t value = 0;
                while (inside.next(size)) value = size.number == 1 ? size.asInteger() : value;
                tensor.shape.push_back(value);
            }
        }
        if (field.number == 4) content = field.bytes;
        if (field.number == 5) {  // float_val
            if (!packed) tensor.numbers.push_back(field.asFloat());
            for (std::size_t at = 0; packed && at + 4 <= field.bytes.size(); at += 4) {
                tensor.numbers.push_back(
                    std::bit_cast<float>(static_cast<std::uint32_t>(littleEndian(field.bytes.substr(at), 4))));
            }
        }
        if (field.number == 6) appendDoubles(field, tensor.numbers);
        if (field.number == 8) tensor.texts.push_back(field.bytes);
        const bool whole = field.number == 7 || field.number == 10 || field.number == 11 || field.number == 13;
        if (whole) {  // int_val, int64_val, bool_val, half_val: varints, alone or packed
            const auto add = [&](std::uint64_t raw) {
                if (field.number != 13)
                    return tensor.numbers.push_back(static_cast<double>(static_cast<std::int64_t>(raw)));
                const auto bits = static_cast<std::uint16_t>(raw);
                tensor.numbers.push_back(tensor.type == kBfloat16 ? static_cast<double>(std::bit_cast<float>(
                                                                        static_cast<std::uint32_t>(bits) << 16))
                                                                  : halfToDouble(bits));
            };
            if (!packed) {
                add(field.value);
            } else {
                std::uint64_t value = 0;
                unsigned shift = 0;
                for (const char c : field.bytes) {
                    if (shift < 64) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(c) & 0x7f) << shift;
                    shift += 7;
                    if ((static_cast<unsigned char>(c) & 0x80) == 0) {
                        add(value);
                        value = 0;
                        shift = 0;
                    }
                }
            }
        }
    }
    addContent(tensor, content);
    return tensor;
}

/// Bins side by side until no more than kMaxBins are left.
void thin(TfHistogram& histogram) {
    while (histogram.counts.size() > kMaxBins) {
        std::vector<double> counts, edges{histogram.edges.front()};
        for (std::size_t i = 0; i < histogram.counts.size(); i += 2) {
            const bool pair = i + 1 < histogram.counts.size();
            counts.push_back(histogram.counts[i] + (pair ? histogram.counts[i + 1] : 0));
            edges.push_back(histogram.edges[i + (pair ? 2 : 1)]);
        }
        histogram.counts = std::move(counts);
        histogram.edges = std::move(edges);
    }
}

std::optional<TfHistogram> readHistogram(std::string_view bytes) {
    TfHistogram histogram;
    std::vector<double> limits;
    Message message(bytes);
    Field field;
    while (message.next(field)) {
        switch (field.number) {
        case 1: histogram.minimum = field.asDouble(); break;
        case 2: histogram.maximum = field.asDouble(); break;
        case 3: histogram.number = field.asDouble(); break;
        case 4: histogram.sum = field.asDouble(); break;
        case 6: appendDoubles(field, limits); break;
        case 7: appendDoubles(field, histogram.counts); break;
        default: break;
        }
    }
    if (message.broken() || limits.empty() || limits.size() != histogram.counts.size()) return std::nullopt;
    // Empty bins at both ends say nothing; the outermost limits may be ±1.8e308.
    std::size_t first = 0;
    std::size_t last = limits.size() - 1;
    while (first < last && histogram.counts[first] == 0) ++first;
    while (last > first && histogram.counts[last] == 0) --last;
    histogram.edges.push_back(first > 0 ? std::max(limits[first - 1], std::min(histogram.minimum, limits[first]))
                                        : std::min(histogram.minimum, limits[first]));
    for (std::size_t i = first; i <= last; ++i)
        histogram.edges.push_back(i == last ? std::max(histogram.edges.back(), std::min(limits[i], histogram.maximum))
                                            : limits[i]);
    histogram.counts = std::vector<double>(histogram.counts.begin() + static_cast<std::ptrdiff_t>(first),
                                           histogram.counts.begin() + static_cast<std::ptrdiff_t>(last + 1));
    thin(histogram);
    return histogram;
}

/// TensorFlow 2: rows of (left, right, count).
std::optional<TfHistogram> histogramOf(const Tensor& tensor) {
    if (tensor.shape.size() != 2 || tensor.shape[1] != 3 || tensor.numbers.size() < 3 || tensor.numbers.size() % 3 != 0)
        return std::nullopt;
    TfHistogram histogram;
    histogram.edges.push_back(tensor.numbers.front());
    for (std::size_t i = 0; i + 2 < tensor.numbers.size(); i += 3) {
        histogram.edges.push_back(tensor.numbers[i + 1]);
        histogram.counts.push_back(tensor.numbers[i + 2]);
        histogram.number += tensor.numbers[i + 2];
    }
    histogram.minimum = histogram.edges.front();
    histogram.maximum = histogram.edges.back();
    thin(histogram);
    return histogram;
}

TfImage readImage(std::string_view bytes) {
    TfImage image;
    Message message(bytes);
    Field field;
    while (message.next(field)) {
        if (field.number == 1) image.height = field.asInteger();
        if (field.number == 2) image.width = field.asInteger();
        if (field.number == 4) image.bytes = std::string(field.bytes);
    }
    return image;
}

std::string pluginOf(std::string_view metadata) {
    Message message(metadata);
    Field field;
    while (message.next(field)) {
        if (field.number != 1) continue;
        Message plugin(field.bytes);
        Field name;
        while (plugin.next(name)) {
            if (name.number == 1) return std::string(name.bytes);
        }
    }
    return {};
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
    const Tables& all = tables();
    std::uint32_t crc = 0xffffffffU;
    while (bytes.size() >= 8) {
        const std::uint64_t word = littleEndian(bytes, 8) ^ crc;
        crc = 0;
        for (std::size_t i = 0; i < 8; ++i) crc ^= all[7 - i][(word >> (8 * i)) & 0xff];
        bytes.remove_prefix(8);
    }
    for (const char c : bytes) crc = (crc >> 8) ^ all[0][(crc ^ static_cast<unsigned char>(c)) & 0xff];
    return ~crc;
}

std::uint32_t maskedCrc32c(std::string_view bytes) {
    const std::uint32_t crc = crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

std::optional<std::string_view> TfRecordCutter::next() {
    if (m_used > (1U << 20) || m_used == m_buffer.size()) {
        m_buffer.erase(0, m_used);
        m_used = 0;
    }
    while (true) {
        const std::string_view rest = std::string_view(m_buffer).substr(m_used);
        if (rest.size() < kHeader) return std::nullopt;
        // Over NFS a file's size can be visible before its bytes are.
        if (rest.substr(0, kHeader).find_first_not_of('\0') == std::string_view::npos) return std::nullopt;
        const auto length = lengthAt(rest);
        if (!length) {
            if (!m_lost) ++m_damaged;
            m_lost = true;
            if (!resync()) return std::nullopt;
            continue;
        }
        const std::size_t whole = kHeader + static_cast<std::size_t>(*length) + kFooter;
        if (rest.size() < whole) return std::nullopt;
        const std::string_view data = rest.substr(kHeader, static_cast<std::size_t>(*length));
        const bool right = littleEndian(rest.substr(whole - kFooter), 4) == maskedCrc32c(data);
        m_used += whole;
        m_at += static_cast<std::int64_t>(whole);
        m_lost = false;
        if (right) return data;
        ++m_damaged;
    }
}

bool TfRecordCutter::resync() {
    while (m_buffer.size() - m_used > kHeader) {
        ++m_used;
        ++m_at;
        const std::string_view rest = std::string_view(m_buffer).substr(m_used);
        // A length beyond 2^32 is none of ours; that spares most checksums.
        if (rest.substr(4, 4) == std::string_view("\0\0\0\0", 4) && lengthAt(rest)) return true;
    }
    return false;
}

std::optional<TfValue> TfEventReader::readValue(std::string_view bytes) {
    TfValue value;
    std::optional<Tensor> tensor;
    Message message(bytes);
    Field field;
    std::string plugin;
    while (message.next(field)) {
        switch (field.number) {
        case 1: value.tag = std::string(field.bytes); break;
        case 2: value.scalar = field.asFloat(); break;
        case 4: value.images.push_back(readImage(field.bytes)); break;
        case 5: value.histogram = readHistogram(field.bytes); break;
        case 8: tensor = readTensor(field.bytes); break;
        case 9: plugin = pluginOf(field.bytes); break;
        default: break;
        }
    }
    if (message.broken() || value.tag.empty()) return std::nullopt;
    if (!plugin.empty() && m_plugins.size() < kMaxTags) m_plugins[value.tag] = plugin;
    if (const auto known = m_plugins.find(value.tag); plugin.empty() && known != m_plugins.end())
        plugin = known->second;
    if (tensor) {
        if (plugin == "text" && !tensor->texts.empty()) {
            std::string text;
            for (const std::string_view one : tensor->texts) text += (text.empty() ? "" : "\n") + std::string(one);
            value.text = std::move(text);
        } else if (plugin == "images" && tensor->texts.size() > 2) {
            for (std::size_t i = 2; i < tensor->texts.size(); ++i)
                value.images.push_back({std::string(tensor->texts[i]), 0, 0});
        } else if (plugin == "histograms") {
            value.histogram = histogramOf(*tensor);
        } else if ((plugin == "scalars" || plugin.empty()) && tensor->numbers.size() == 1) {
            value.scalar = tensor->numbers.front();
        }
    }
    std::erase_if(value.images, [](const TfImage& image) { return image.bytes.empty(); });
    if (!value.scalar && !value.histogram && !value.text && value.images.empty()) return std::nullopt;
    return value;
}

std::optional<TfEvent> TfEventReader::read(std::string_view bytes) {
    TfEvent event;
    Message message(bytes);
    Field field;
    while (message.next(field)) {
        if (field.number == 1) event.wallTime = field.asDouble();
        if (field.number == 2) event.step = field.asInteger();
        if (field.number != 5 || field.kind != Field::Kind::Bytes) continue;
        Message summary(field.bytes);
        Field one;
        while (summary.next(one)) {
            if (one.number != 1 || one.kind != Field::Kind::Bytes) continue;
            if (auto value = readValue(one.bytes)) event.values.push_back(std::move(*value));
        }
        if (summary.broken()) return std::nullopt;
    }
    if (message.broken()) return std::nullopt;
    return event;
}

}  // namespace trainyard::agent
