#include "core/wire/Serve.h"

#include <algorithm>
#include <cstring>

#include "core/base/Text.h"

namespace trainyard::wire {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kLengthsBytes = 8;
constexpr std::size_t kBannerBytes = 4096;

void putLength(std::string& out, std::size_t length) {
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(static_cast<std::uint32_t>(length) >> shift & 0xff);
}

std::size_t lengthAt(std::string_view bytes, std::size_t at) {
    std::uint32_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    return length;
}

Error tooLarge(const char* what, std::size_t length, std::size_t most) {
    return Error{"serve.too_large", std::string("A frame's ") + what + " of " + std::to_string(length) +
                                        " bytes is over the limit of " + std::to_string(most) + "."};
}

}  // namespace

Status appendServeFrame(std::string& out, const Json& header, std::string_view payload) {
    const std::string text = base::dumpJson(header);
    if (text.size() > kServeMaxHeader) return tooLarge("header", text.size(), kServeMaxHeader);
    if (payload.size() > kServeMaxPayload) return tooLarge("payload", payload.size(), kServeMaxPayload);
    putLength(out, text.size());
    putLength(out, payload.size());
    out += text;
    out += payload;
    return {};
}

Result<std::string> encodeServeFrame(const Json& header, std::string_view payload) {
    std::string frame;
    TRAINYARD_TRY(appendServeFrame(frame, header, payload));
    return frame;
}

std::span<char> ServeDecoder::room(std::size_t atLeast) {
    if (m_read == m_end) m_read = m_end = 0;
    if (m_bytes.size() - m_end < atLeast && m_read > 0) {
        std::memmove(m_bytes.data(), m_bytes.data() + m_read, m_end - m_read);
        m_end -= m_read;
        m_read = 0;
    }
    if (m_bytes.size() - m_end < atLeast) m_bytes.resize(std::max(m_end + atLeast, m_bytes.size() * 3 / 2));
    return std::span(m_bytes).subspan(m_end);
}

void ServeDecoder::feed(std::string_view bytes) {
    if (m_error || bytes.empty()) return;
    std::memcpy(room(bytes.size()).data(), bytes.data(), bytes.size());
    took(bytes.size());
}

Result<std::optional<ServeFrame>> ServeDecoder::next() {
    auto frame = nextView();
    if (!frame.ok()) return frame.error();
    if (!*frame) return std::optional<ServeFrame>();
    return std::optional<ServeFrame>(ServeFrame{std::move((*frame)->header), std::string((*frame)->payload)});
}

Result<std::optional<ServeFrameView>> ServeDecoder::nextView() {
    if (m_error) return *m_error;
    const auto fail = [&](Error error) {
        m_error = std::move(error);
        m_bytes.clear();
        m_read = m_end = 0;
        return *m_error;
    };
    const std::string_view there(m_bytes.data() + m_read, m_end - m_read);
    if (m_waiting) {
        // A banner may end without a newline, so the greeting is looked for everywhere.
        const std::size_t at = there.find(kServeGreeting);
        m_banner = there.substr(0, std::min(at, kBannerBytes));
        if (at == std::string::npos) {
            if (there.size() <= kServeGreetingSearch) return std::optional<ServeFrameView>();
            return fail({"serve.greeting", "The other end is no Trainyard agent; it answered: " +
                                               base::stripControl(base::toValidUtf8(m_banner.substr(0, 300)))});
        }
        if (at > kServeGreetingSearch) {
            return fail({"serve.greeting", "More than 64 KiB of other text came before the agent's greeting."});
        }
        m_read += at + kServeGreeting.size();
        m_waiting = false;
        return nextView();
    }
    if (there.size() < kLengthsBytes) return std::optional<ServeFrameView>();
    const std::size_t header = lengthAt(there, 0);
    const std::size_t payload = lengthAt(there, 4);
    if (header > kServeMaxHeader) return fail(tooLarge("header", header, kServeMaxHeader));
    if (payload > kServeMaxPayload) return fail(tooLarge("payload", payload, kServeMaxPayload));
    if (there.size() < kLengthsBytes + header + payload) return std::optional<ServeFrameView>();
    auto json = base::parseJson(there.substr(kLengthsBytes, header));
    if (!json.ok() || !json->is_object()) {
        return fail(
            {"serve.json", "A frame's header is no JSON object" + (json.ok() ? "." : ": " + json.error().message)});
    }
    m_read += kLengthsBytes + header + payload;
    return std::optional<ServeFrameView>(
        ServeFrameView{std::move(json).value(), there.substr(kLengthsBytes + header, payload)});
}

}  // namespace trainyard::wire
