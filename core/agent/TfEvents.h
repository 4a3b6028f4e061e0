#pragma once
// TensorBoard's event files: the framing of TensorFlow's record files (length, CRC, bytes, CRC) and the few messages
// inside that training scripts write. Written against tensorflow/core/util/event.proto, framework/summary.proto and
// framework/tensor.proto; the checksum is CRC-32C, masked as in tensorflow/core/lib/hash/crc32c.h.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainyard::agent {

[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);
[[nodiscard]] std::uint32_t maskedCrc32c(std::string_view bytes);

/// Cuts the bytes of one file into records, however they arrive.
class TfRecordCutter {
public:
    static constexpr std::uint64_t kMaxRecord = std::uint64_t{64} << 20;

    void feed(std::string_view bytes) { m_buffer += bytes; }
    /// The next whole record, valid until the next call; its end is at().
    [[nodiscard]] std::optional<std::string_view> next();
    /// Offset in the file behind the last record given out or passed over.
    [[nodiscard]] std::int64_t at() const { return m_at; }
    /// Offset of the first byte that has not been fed.
    [[nodiscard]] std::int64_t fed() const { return m_at + static_cast<std::int64_t>(m_buffer.size() - m_used); }
    /// Records whose checksum was wrong, and places where a new beginning had to be looked for.
    [[nodiscard]] std::int64_t damaged() const { return m_damaged; }
    /// Bytes of a record that is not whole.
    [[nodiscard]] bool hasRest() const { return m_buffer.size() > m_used; }

private:
    bool resync();

    std::string m_buffer;
    std::size_t m_used = 0;  ///< Of m_buffer.
    std::int64_t m_at = 0;
    std::int64_t m_damaged = 0;
    bool m_lost = false;  ///< Looking for the next record.
};

struct TfHistogram {
    std::vector<double> edges;  ///< One more than counts.
    std::vector<double> counts;
    double minimum = 0, maximum = 0, number = 0, sum = 0;
};

struct TfImage {
    std::string bytes;  ///< PNG or JPEG.
    std::int64_t width = 0, height = 0;
};

/// One value of a summary; the first member that is set counts.
struct TfValue {
    std::string tag;
    std::optional<double> scalar;
    std::optional<TfHistogram> histogram;
    std::vector<TfImage> images;
    std::optional<std::string> text;
};

struct TfEvent {
    double wallTime = 0;  ///< Seconds since 1970 UTC.
    std::int64_t step = 0;
    std::vector<TfValue> values;
};

/// Reads events of one file in their order: what a tag's values are is said with its first one only.
class TfEventReader {
public:
    /// Nothing for bytes that are no event. Values of kinds that are not known are left out.
    [[nodiscard]] std::optional<TfEvent> read(std::string_view bytes);

private:
    std::optional<TfValue> readValue(std::string_view bytes);
    std::map<std::string, std::string, std::less<>> m_plugins;  ///< By tag.
};

}  // namespace trainyard::agent
