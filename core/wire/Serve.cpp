#include "core/wire/Serve.h"

#include <algorithm>

#include "core/base/Text.h"

namespace trainyard::wire {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr std::size_t kLengthsBytes = 8;
constexpr std::size_t kBannerBytes = 4096;
/// Bytes that were read are let go when so many have come together.
constexpr std::size_t kCompactBytes = 1 << 20;

void putLength(std::string& out, std::size_t length) {
    for (const int shift : {24, 16, 8, 0})
        out += static_cast<char>(static_cast<std::uint32_t>(length) >> shift & 0xff);
}

std::size_t lengthAt(std::string_view bytes, std::size_t at) {
    std::uint32_t length = 0;
    for (std::size_t i = 0; i < 4; ++i)
        length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    return length;
}

Error tooLarge(const char* what, std::size_t length, std::size_t most) {
    return Error{"serve.too_large", std::string("A frame's ") + what + " of " + std::to_string(length) +
                                        " bytes is over the limit of " + std::to_string(most) + "."};
}

}  // namespace

Result<std::string> encodeServeFrame(const Json& header, std::string_view payload) {
    const std::string text = base::dumpJson(header);
    if (text.size() > kServeMaxHeader) return tooLarge("header", text.size(), kServeMaxHeader);
    if (payload.size() > kServeMaxPayload) return tooLarge("payload", payload.size(), kServeMaxPayload);
    std::string frame;
    frame.reserve(kLengthsBytes + text.size() + payload.size());
    putLength(frame, text.size());
    putLength(frame, payload.size());
    frame += text;
    frame += payload;
    return frame;
}

void ServeDecoder::feed(std::string_view bytes) {
    if (m_error) return;
    if (m_read >= kCompactBytes || m_read == m_bytes.size()) {
        m_bytes.erase(0, m_read);
        m_read = 0;
    }
    m_bytes += bytes;
}

Result<std::optional<ServeFrame>> ServeDecoder::next() {
    if (m_error) return *m_error;
    const auto fail = [&](Error error) {
        m_error = std::move(error);
        m_bytes.clear();
        m_read = 0;
        return *m_error;
    };
    if (m_waiting) {
        // A banner may end without a newline, so the greeting is looked for everywhere.
        const std::size_t at = m_bytes.find(kServeGreeting);
        m_banner = m_bytes.substr(0, std::min(at, kBannerBytes));
        if (at == std::string::npos) {
            if (m_bytes.size() <= kServeGreetingSearch) return std::optional<ServeFrame>();
            return fail({"serve.greeting", "The other end is no Trainyard agent; it answered: " +
                                               base::stripControl(base::toValidUtf8(m_banner.substr(0, 300)))});
        }
        if (at > kServeGreetingSearch) {
            return fail({"serve.greeting", "More than 64 KiB of other text came before the agent's greeting."});
        }
        m_read = at + kServeGreeting.size();
        m_waiting = false;
    }
    const std::size_t there = m_bytes.size() - m_read;
    if (there < kLengthsBytes) return std::optional<ServeFrame>();
    const std::size_t header = lengthAt(m_bytes, m_read);
    const std::size_t payload = lengthAt(m_bytes, m_read + 4);
    if (header > kServeMaxHeader) return fail(tooLarge("header", header, kServeMaxHeader));
    if (payload > kServeMaxPayload) return fail(tooLarge("payload", payload, kServeMaxPayload));
    if (there < kLengthsBytes + header + payload) return std::optional<ServeFrame>();
    const std::string_view view = m_bytes;
    auto json = base::parseJson(view.substr(m_read + kLengthsBytes, header));
    if (!json.ok() || !json->is_object()) {
        return fail(
            {"serve.json", "A frame's header is no JSON object" + (json.ok() ? "." : ": " + json.error().message)});
    }
    ServeFrame frame{std::move(json).value(), m_bytes.substr(m_read + kLengthsBytes + header, payload)};
    m_read += kLengthsBytes + header + payload;
    return std::optional<ServeFrame>(std::move(frame));
}

}  // namespace trainyard::wire
