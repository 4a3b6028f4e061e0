#include "core/engine/data/IdxFile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>
#include <string>

namespace trainyard::engine {

namespace {

constexpr int kUnsignedByte = 0x08;

std::string quoted(const Path& path) { return "\"" + path.string() + "\""; }

/// Pulls unpacked bytes; zlib passes plain files through unchanged.
class ByteSource {
public:
    [[nodiscard]] static Result<std::unique_ptr<ByteSource>> open(const Path& path) {
        base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        if (!fd.valid()) {
            return base::errnoError(errno, "open", path);
        }
        struct stat info {};
        if (::fstat(fd.get(), &info) != 0) {
            return base::errnoError(errno, "look at", path);
        }
        if (!S_ISREG(info.st_mode)) {
            return Error{"file.kind", quoted(path) + " is not a regular file."};
        }
        gzFile stream = gzdopen(fd.get(), "rb");
        if (stream == nullptr) {
            return Error{"file.io", "Cannot read " + quoted(path) + ": out of memory."};
        }
        fd.release();
        gzbuffer(stream, 256 << 10);
        return std::unique_ptr<ByteSource>(new ByteSource(stream, path));
    }

    ~ByteSource() { gzclose(m_stream); }
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    /// Reads up to `size` bytes; fewer only at the end of the content.
    [[nodiscard]] Result<std::int64_t> read(std::uint8_t* into, std::int64_t size) {
        std::int64_t done = 0;
        while (done < size) {
            const auto chunk = static_cast<unsigned>(std::min<std::int64_t>(size - done, 1 << 26));
            const int got = gzread(m_stream, into + done, chunk);
            if (got < 0) {
                return failure(done);
            }
            if (got == 0) {
                break;
            }
            done += got;
        }
        m_position += done;
        int code = Z_OK;
        gzerror(m_stream, &code);
        if (done < size && code != Z_OK && code != Z_STREAM_END) {
            return failure(0);
        }
        return done;
    }

    [[nodiscard]] std::int64_t position() const { return m_position; }

private:
    ByteSource(gzFile stream, Path path) : m_stream(stream), m_path(std::move(path)) {}

    [[nodiscard]] Error failure(std::int64_t done) {
        int code = Z_OK;
        const std::string text = gzerror(m_stream, &code);
        const std::string at = " at byte " + std::to_string(m_position + done) + " of its content";
        if (code == Z_ERRNO) {
            return base::errnoError(errno, "read", m_path);
        }
        if (code == Z_BUF_ERROR) {
            return {"idx.truncated",
                    quoted(m_path) + " is cut off: its compressed data ends" + at + ". Copy or download it again."};
        }
        return {"idx.gzip", quoted(m_path) + " is damaged: its compressed data cannot be read" + at + " (" + text +
                                "). Copy or download it again."};
    }

    gzFile m_stream;
    Path m_path;
    std::int64_t m_position = 0;
};

std::int64_t bigEndian(const std::uint8_t* bytes) {
    return (std::int64_t{bytes[0]} << 24) | (std::int64_t{bytes[1]} << 16) | (std::int64_t{bytes[2]} << 8) |
           std::int64_t{bytes[3]};
}

std::optional<Error> checkMagic(const std::array<std::uint8_t, 4>& magic, IdxContent content, const Path& path) {
    const int wanted = content == IdxContent::Images ? 3 : 1;
    if (magic[0] != 0 || magic[1] != 0) {
        return Error{"idx.magic", quoted(path) + " is not an IDX file: its first two bytes (byte 0) are not zero."};
    }
    if (magic[2] != kUnsignedByte) {
        return Error{"idx.type", quoted(path) + " holds values of type " + std::to_string(magic[2]) +
                                     " (byte 2); only unsigned bytes (type 8) can be used."};
    }
    if (magic[3] == wanted) {
        return std::nullopt;
    }
    if (content == IdxContent::Images && magic[3] == 1) {
        return Error{"idx.swapped", quoted(path) + " holds labels (byte 3: one dimension), but images are wanted here. "
                                                   "Are the two files swapped?"};
    }
    if (content == IdxContent::Labels && magic[3] == 3) {
        return Error{"idx.swapped", quoted(path) + " holds images (byte 3: three dimensions), but labels are wanted "
                                                   "here. Are the two files swapped?"};
    }
    return Error{"idx.magic", quoted(path) + " has " + std::to_string(magic[3]) + " dimensions (byte 3); " +
                                  (content == IdxContent::Images ? "images have three." : "labels have one.")};
}

}  // namespace

Result<IdxArray> readIdxFile(const Path& path, IdxContent content) {
    auto opened = ByteSource::open(path);
    if (!opened) {
        return opened.error();
    }
    ByteSource& source = **opened;

    std::array<std::uint8_t, 4> magic{};
    auto got = source.read(magic.data(), 4);
    if (!got) {
        return got.error();
    }
    if (*got == 0) {
        return Error{"idx.empty", quoted(path) + " is empty."};
    }
    if (*got < 4) {
        return Error{"idx.truncated", quoted(path) + " is cut off at byte " + std::to_string(*got) +
                                          ", inside its header. Copy or download it again."};
    }
    if (auto error = checkMagic(magic, content, path)) {
        return *error;
    }

    IdxArray array;
    std::int64_t total = 1;
    for (int d = 0; d < magic[3]; ++d) {
        std::array<std::uint8_t, 4> bytes{};
        const std::int64_t at = source.position();
        got = source.read(bytes.data(), 4);
        if (!got) {
            return got.error();
        }
        if (*got < 4) {
            return Error{"idx.truncated", quoted(path) + " is cut off at byte " + std::to_string(at + *got) +
                                              ", inside its header. Copy or download it again."};
        }
        const std::int64_t size = bigEndian(bytes.data());
        const bool side = d > 0;
        if (size < 1 || (side && size > kMaxImageSide)) {
            return Error{"idx.size", quoted(path) + " says " + std::to_string(size) +
                                         (side ? " pixels a side" : " samples") + " (byte " + std::to_string(at) +
                                         "); " +
                                         (side ? "1 to " + std::to_string(kMaxImageSide) + " can be used."
                                               : std::string("at least 1 is needed."))};
        }
        if (total > kMaxIdxBytes / size) {
            return Error{"idx.size", quoted(path) + " says it holds more than 8 GiB of values (byte " +
                                         std::to_string(at) + "); that is more than can be used."};
        }
        total *= size;
        array.shape.push_back(size);
    }

    // Grown as bytes arrive, so that a header that lies about its size costs no memory.
    const std::int64_t headerBytes = source.position();
    std::int64_t filled = 0;
    while (filled < total) {
        const std::int64_t want = std::min<std::int64_t>(total - filled, std::int64_t{64} << 20);
        array.values.resize(static_cast<std::size_t>(filled + want));
        got = source.read(array.values.data() + filled, want);
        if (!got) {
            return got.error();
        }
        filled += *got;
        if (*got < want) {
            return Error{"idx.truncated", quoted(path) + " is cut off at byte " + std::to_string(headerBytes + filled) +
                                              "; its header promises " + std::to_string(headerBytes + total) +
                                              " bytes. Copy or download it again."};
        }
    }
    std::uint8_t extra = 0;
    got = source.read(&extra, 1);  // Reads the gzip trailer too, so the checksum is verified.
    if (!got) {
        return got.error();
    }
    if (*got > 0) {
        return Error{"idx.oversized", quoted(path) + " goes on after byte " + std::to_string(headerBytes + total) +
                                          ", where its header says it ends. Its sizes are wrong or it holds something "
                                          "else."};
    }
    return array;
}

}  // namespace trainyard::engine
