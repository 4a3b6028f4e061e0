#pragma once
// Bytes of a file, or of a part of it, at any place, through a small buffer. Nothing is ever mapped or read whole.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::registry {

/// A value; copies share the descriptor and have buffers of their own. One thread each.
class FileBytes {
public:
    /// Only a regular file, no link: "file.kind".
    [[nodiscard]] static base::Result<FileBytes> open(const base::Path& path);

    [[nodiscard]] std::uint64_t size() const { return m_end - m_begin; }
    /// [offset, offset + length) as bytes of its own, cut at this one's end.
    [[nodiscard]] FileBytes part(std::uint64_t offset, std::uint64_t length) const;
    /// All of `count` bytes, or false: past the end, or the disk does not give them.
    [[nodiscard]] bool read(std::uint64_t offset, void* to, std::size_t count);
    /// `count` bytes as text, fewer at the end.
    [[nodiscard]] std::string text(std::uint64_t offset, std::size_t count);
    /// A whole number of `bytes` (1, 2, 4, 8), lowest byte first.
    [[nodiscard]] bool number(std::uint64_t offset, int bytes, std::uint64_t& value);

private:
    static constexpr std::size_t kBuffer = 16384;
    FileBytes() = default;

    std::shared_ptr<base::UniqueFd> m_fd;
    std::uint64_t m_begin = 0;
    std::uint64_t m_end = 0;
    std::array<unsigned char, kBuffer> m_buffer{};
    std::uint64_t m_bufferAt = 0;
    std::size_t m_buffered = 0;
};

}  // namespace trainyard::registry
