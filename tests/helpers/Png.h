#pragma once
// Small real pictures without a library: PNG with stored blocks, so the bytes say what the pixels are.
#include <array>
#include <cstdint>
#include <string>

namespace trainyard::test {

inline std::uint32_t pngCrc(const std::string& bytes) {
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const char byte : bytes) {
        crc ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
    }
    return ~crc;
}

inline std::string bigEndian(std::uint32_t value) {
    return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
            static_cast<char>(value)};
}

inline std::string pngChunk(const std::string& kind, const std::string& data) {
    return bigEndian(static_cast<std::uint32_t>(data.size())) + kind + data + bigEndian(pngCrc(kind + data));
}

inline std::string pngHeader(std::uint32_t width, std::uint32_t height) {
    return std::string("\x89PNG\r\n\x1a\n", 8) +
           pngChunk("IHDR", bigEndian(width) + bigEndian(height) + std::string("\x08\x02\x00\x00\x00", 5));
}

/// One colour everywhere; at most about 21,000 pixels (one stored block).
inline std::string pngOf(int width, int height, std::array<unsigned char, 3> colour) {
    std::string rows;
    for (int y = 0; y < height; ++y) {
        rows += '\0';
        for (int x = 0; x < width; ++x) {
            rows.append(reinterpret_cast<const char*>(colour.data()), 3);
        }
    }
    std::uint32_t a = 1;
    std::uint32_t b = 0;
    for (const char byte : rows) {
        a = (a + static_cast<unsigned char>(byte)) % 65521;
        b = (b + a) % 65521;
    }
    const auto size = static_cast<std::uint16_t>(rows.size());
    const auto rest = static_cast<std::uint16_t>(~size);
    std::string zlib("\x78\x01\x01", 3);
    for (const std::uint16_t word : {size, rest}) {
        zlib += static_cast<char>(word & 0xFF);
        zlib += static_cast<char>(word >> 8);
    }
    zlib += rows + bigEndian((b << 16) | a);
    return pngHeader(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)) + pngChunk("IDAT", zlib) +
           pngChunk("IEND", {});
}

}  // namespace trainyard::test
