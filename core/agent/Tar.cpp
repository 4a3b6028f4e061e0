#include "core/agent/Tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if TRAINYARD_HAVE_ZSTD
#include <zstd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Content.h"
#include "core/base/Text.h"

namespace trainyard::agent {

using base::Error;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kReadBytes = 128 << 10;
constexpr std::int64_t kMostNameBytes = 64 << 10;
constexpr std::int64_t kReportEvery = 16;

Error damaged(const std::string& why) { return {"tar.damaged", "The archive is damaged: " + why + "."}; }

#if TRAINYARD_HAVE_ZSTD
/// Zstandard's decompressor; takes from `in` and gives to `out` what it can.
class Inflater {
public:
    [[nodiscard]] Status open() {
        m_stream.reset(ZSTD_createDStream());
        return m_stream ? Status() : Error{"tar.memory", "No memory to unpack the archive."};
    }
    [[nodiscard]] bool isOpen() const { return m_stream != nullptr; }
    /// Of `out` so much was written; `inAt` moves on. False in `frameOpen`: the stream came to its end.
    [[nodiscard]] Result<std::size_t> inflate(const std::vector<char>& in, std::size_t inEnd, std::size_t& inAt,
                                              char* out, std::size_t size, bool& frameOpen) {
        ZSTD_inBuffer from{in.data(), inEnd, inAt};
        ZSTD_outBuffer into{out, size, 0};
        const std::size_t code = ZSTD_decompressStream(m_stream.get(), &into, &from);
        if (ZSTD_isError(code) != 0) return damaged(ZSTD_getErrorName(code));
        inAt = from.pos;
        frameOpen = code != 0;
        return into.pos;
    }

private:
    struct FreeStream {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    std::unique_ptr<ZSTD_DStream, FreeStream> m_stream;
};
#else
class Inflater {
public:
    [[nodiscard]] Status open() {
        return Error{"tar.unavailable", "This agent was built without libzstd; it unpacks plain tar alone."};
    }
    [[nodiscard]] bool isOpen() const { return false; }
    [[nodiscard]] Result<std::size_t> inflate(const std::vector<char>&, std::size_t, std::size_t&, char*, std::size_t,
                                              bool&) {
        return std::size_t{0};
    }
};
#endif

/// Bytes of the archive, decompressed where it is compressed.
class Source {
public:
    [[nodiscard]] static Result<Source> open(const Path& archive) {
        Source source;
        source.m_file.reset(::open(archive.c_str(), O_RDONLY | O_CLOEXEC));
        if (!source.m_file.valid()) return base::errnoError(errno, "open", archive);
        source.m_path = archive;
        source.m_in.resize(kReadBytes);
        TRAINYARD_TRY(source.fill());
        constexpr std::string_view kMagic = "\x28\xb5\x2f\xfd";
        if (std::string_view(source.m_in.data(), source.m_inEnd).starts_with(kMagic)) {
            TRAINYARD_TRY(source.m_zstd.open());
        }
        return source;
    }

    /// Exactly so many bytes, or fewer at the end.
    [[nodiscard]] Result<std::size_t> read(char* into, std::size_t wanted) {
        std::size_t done = 0;
        while (done < wanted) {
            if (m_inAt == m_inEnd) {
                TRAINYARD_TRY(fill());
                // Without input the decompressor may still hold output.
                if (m_inEnd == 0 && !m_zstd.isOpen()) break;
            }
            const bool atEnd = m_inAt == m_inEnd;
            std::size_t got = 0;
            if (m_zstd.isOpen()) {
                auto inflated = m_zstd.inflate(m_in, m_inEnd, m_inAt, into + done, wanted - done, m_frameOpen);
                if (!inflated.ok()) return inflated.error();
                got = *inflated;
            } else {
                got = std::min(wanted - done, m_inEnd - m_inAt);
                std::copy_n(m_in.data() + m_inAt, got, into + done);
                m_inAt += got;
            }
            done += got;
            if (atEnd && got == 0) {
                if (m_frameOpen) return damaged("it ends too early");
                break;
            }
        }
        return done;
    }

private:
    Source() = default;

    [[nodiscard]] Status fill() {
        ssize_t got = 0;
        while ((got = ::read(m_file.get(), m_in.data(), m_in.size())) < 0 && errno == EINTR) {
        }
        if (got < 0) return base::errnoError(errno, "read", m_path);
        m_inAt = 0;
        m_inEnd = static_cast<std::size_t>(got);
        return {};
    }

    Path m_path;
    base::UniqueFd m_file;
    std::vector<char> m_in;
    std::size_t m_inAt = 0;
    std::size_t m_inEnd = 0;
    bool m_frameOpen = false;  ///< The compressed stream has not come to its end.
    Inflater m_zstd;
};

std::string textAt(std::string_view block, std::size_t at, std::size_t length) {
    const std::string_view field = block.substr(at, length);
    return std::string(field.substr(0, field.find('\0')));
}

std::int64_t octalAt(std::string_view block, std::size_t at, std::size_t length) {
    if ((static_cast<unsigned char>(block[at]) & 0x80) != 0) {  // GNU's base 256, for what does not fit.
        std::int64_t value = 0;
        for (std::size_t i = at + length - 7; i < at + length; ++i)
            value = value << 8 | static_cast<unsigned char>(block[i]);
        return value;
    }
    std::int64_t value = 0;
    for (const char c : base::trim(textAt(block, at, length))) {
        if (c < '0' || c > '7') return -1;
        value = value * 8 + (c - '0');
    }
    return value;
}

bool checksumIsRight(std::string_view block) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
    return sum == octalAt(block, 148, 8);
}

/// "path" and "linkpath" of a pax header: lines "LENGTH key=value\n".
void takePax(const std::string& text, std::string& path, std::string& link) {
    for (const std::string& line : base::split(text, '\n')) {
        const std::size_t space = line.find(' ');
        const std::size_t equals = line.find('=');
        if (space == std::string::npos || equals == std::string::npos || equals < space) continue;
        const std::string key = line.substr(space + 1, equals - space - 1);
        if (key == "path") path = line.substr(equals + 1);
        if (key == "linkpath") link = line.substr(equals + 1);
    }
}

/// The path without "./" in front and '/' behind.
std::string plainPath(std::string path) {
    while (path.starts_with("./")) path.erase(0, 2);
    while (path.ends_with('/')) path.pop_back();
    return path == "." ? std::string() : path;
}

bool linkStaysInside(const std::string& path, const std::string& link) {
    if (link.empty() || link.front() == '/') return false;
    int depth = static_cast<int>(std::count(path.begin(), path.end(), '/'));
    for (const std::string& name : base::split(link, '/')) {
        if (name == "..") {
            if (--depth < 0) return false;
        } else if (!name.empty() && name != ".") {
            ++depth;
        }
    }
    return true;
}

class Unpacker {
public:
    Unpacker(Source source, Path folder) : m_source(std::move(source)), m_folder(std::move(folder)) {}

    [[nodiscard]] Status run(const std::function<bool(std::int64_t)>& progress) {
        while (true) {
            std::string block(kBlock, '\0');
            const auto got = m_source.read(block.data(), kBlock);
            if (!got.ok()) return got.error();
            if (*got == 0 || std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; })) break;
            if (*got < kBlock) return damaged("it ends in the middle of a header");
            if (!checksumIsRight(block)) return damaged("a header has the wrong check sum");
            TRAINYARD_TRY(entry(block));
            if (m_files % kReportEvery == 0 && !progress(m_files)) return Error{"canceled", "Unpacking was canceled."};
        }
        return makeLinks();
    }

private:
    [[nodiscard]] Status entry(const std::string& block) {
        const std::int64_t size = octalAt(block, 124, 12);
        if (size < 0) return damaged("a size cannot be read");
        const char kind = block[156];
        if (kind == 'L' || kind == 'K' || kind == 'x' || kind == 'g') return longName(kind, size);
        std::string path = std::exchange(m_longPath, {});
        std::string link = std::exchange(m_longLink, {});
        if (path.empty()) {
            const std::string prefix =
                block.compare(257, 5, "ustar") == 0 && block[262] == '\0' ? textAt(block, 345, 155) : "";
            path = (prefix.empty() ? "" : prefix + "/") + textAt(block, 0, 100);
        }
        if (link.empty()) link = textAt(block, 157, 100);
        path = plainPath(std::move(path));
        if (path.empty()) return skip(size);
        if (!base::isPlainRelativePath(path)) {
            return Error{"tar.path",
                         "The archive's entry \"" + base::stripControl(base::toValidUtf8(path)) + "\" leads out."};
        }
        if (kind == '5') return base::makeDirs(m_folder / path);
        if (kind == '2') {
            if (!linkStaysInside(path, link)) {
                return Error{"tar.path", "The archive's link " + path + " leads out of its folder."};
            }
            m_links.emplace_back(path, link);
            return {};
        }
        if (kind != '0' && kind != '\0')
            return Error{"tar.kind", "The archive's entry " + path + " is no file, folder or link."};
        return file(path, size, (octalAt(block, 100, 8) & 0100) != 0);
    }

    [[nodiscard]] Status longName(char kind, std::int64_t size) {
        if (size > kMostNameBytes) return damaged("a name is too long");
        std::string text(static_cast<std::size_t>(size), '\0');
        const auto got = m_source.read(text.data(), text.size());
        if (!got.ok()) return got.error();
        if (*got < text.size()) return damaged("it ends in the middle of a name");
        TRAINYARD_TRY(skip(static_cast<std::int64_t>((kBlock - text.size() % kBlock) % kBlock)));
        if (kind == 'x') takePax(text, m_longPath, m_longLink);
        text = text.substr(0, text.find('\0'));
        if (kind == 'L') m_longPath = text;
        if (kind == 'K') m_longLink = text;
        return {};
    }

    [[nodiscard]] Status skip(std::int64_t bytes) {
        std::vector<char> buffer(64 << 10);
        while (bytes > 0) {
            const auto wanted =
                static_cast<std::size_t>(std::min<std::int64_t>(bytes, static_cast<std::int64_t>(buffer.size())));
            const auto got = m_source.read(buffer.data(), wanted);
            if (!got.ok()) return got.error();
            if (*got < wanted) return damaged("it ends too early");
            bytes -= static_cast<std::int64_t>(wanted);
        }
        return {};
    }

    /// Links are made last, so no file can be written through one.
    [[nodiscard]] Status file(const std::string& path, std::int64_t size, bool executable) {
        const Path full = m_folder / path;
        TRAINYARD_TRY(base::makeDirs(full.parent_path()));
        const base::UniqueFd fd(
            ::open(full.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, executable ? 0700 : 0600));
        if (!fd.valid()) return base::errnoError(errno, "create", full);
        std::vector<char> buffer(256 << 10);
        for (std::int64_t left = size; left > 0;) {
            const auto wanted =
                static_cast<std::size_t>(std::min<std::int64_t>(left, static_cast<std::int64_t>(buffer.size())));
            const auto got = m_source.read(buffer.data(), wanted);
            if (!got.ok()) return got.error();
            if (*got < wanted) return damaged("it ends in the middle of " + path);
            TRAINYARD_TRY(base::writeAll(fd.get(), {buffer.data(), wanted}, full));
            left -= static_cast<std::int64_t>(wanted);
        }
        ++m_files;
        return skip((static_cast<std::int64_t>(kBlock) - size % static_cast<std::int64_t>(kBlock)) %
                    static_cast<std::int64_t>(kBlock));
    }

    [[nodiscard]] Status makeLinks() const {
        for (const auto& [path, link] : m_links) {
            const Path full = m_folder / path;
            TRAINYARD_TRY(base::makeDirs(full.parent_path()));
            if (::symlink(link.c_str(), full.c_str()) != 0) return base::errnoError(errno, "create", full);
        }
        return {};
    }

    Source m_source;
    Path m_folder;
    std::string m_longPath;
    std::string m_longLink;
    std::vector<std::pair<std::string, std::string>> m_links;
    std::int64_t m_files = 0;
};

}  // namespace

Status unpackTar(const Path& archive, const Path& folder, const std::function<bool(std::int64_t)>& progress) {
    auto source = Source::open(archive);
    if (!source.ok()) return source.error();
    return Unpacker(std::move(source).value(), folder).run(progress);
}

}  // namespace trainyard::agent
