#include "core/unpack/Archive.h"

#if TRAINYARD_HAVE_ARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "core/base/Content.h"
#include "core/base/Text.h"

namespace trainyard::unpack {

using base::Error;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::int64_t kLookEvery = std::int64_t{64} << 20;  // Bytes between two looks at the free space.

/// libarchive turns names into the thread's character set; they are wanted as UTF-8 whatever the user's is.
class Utf8Names {
public:
    Utf8Names() : m_locale(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
        if (m_locale != nullptr) {
            m_before = ::uselocale(m_locale);
        }
    }
    ~Utf8Names() {
        if (m_locale != nullptr) {
            ::uselocale(m_before);
            ::freelocale(m_locale);
        }
    }
    Utf8Names(const Utf8Names&) = delete;
    Utf8Names& operator=(const Utf8Names&) = delete;

private:
    locale_t m_locale;
    locale_t m_before = nullptr;
};

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

/// No filter that starts a program, and only formats that data are given away in.
Reader makeReader() {
    Reader reader(::archive_read_new(), &::archive_read_free);
    if (reader) {
        ::archive_read_support_filter_gzip(reader.get());
        ::archive_read_support_filter_bzip2(reader.get());
        ::archive_read_support_filter_xz(reader.get());
        ::archive_read_support_filter_lzma(reader.get());
        ::archive_read_support_filter_zstd(reader.get());
        ::archive_read_support_filter_lz4(reader.get());
        ::archive_read_support_format_tar(reader.get());
        ::archive_read_support_format_zip(reader.get());
        ::archive_read_support_format_7zip(reader.get());
    }
    return reader;
}

Error sourceError(const char* code, std::string message) { return {code, std::move(message), "source"}; }

std::string wordsOf(archive* reader) {
    const char* words = ::archive_error_string(reader);
    return words == nullptr ? std::string("no reason given") : base::stripControl(base::toValidUtf8(words));
}

/// "./train//a.jpg" → "train/a.jpg". What climbs or is absolute stays so and is refused.
std::string cleaned(std::string path) {
    while (path.starts_with("./")) {
        path.erase(0, path.find_first_not_of('/', 1));
    }
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    std::string out;
    for (const char c : path) {
        if (c != '/' || !out.ends_with('/')) {
            out += c;
        }
    }
    return out;
}

bool isLitter(const std::string& path) {
    const std::vector<std::string> names = base::split(path, '/');
    return std::ranges::any_of(names, [](const std::string& name) {
        return name == "__MACOSX" || name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini" ||
               name.starts_with("._");
    });
}

class Unpacker {
public:
    Unpacker(const Path& file, const Path& folder, const ArchiveLimits& limits, const Report& report)
        : m_file(file), m_folder(folder), m_limits(limits), m_report(report) {}

    Result<Unpacked> run() {
        const Utf8Names names;
        std::error_code error;
        m_packed = static_cast<std::int64_t>(std::filesystem::file_size(m_file, error));
        if (error) {
            return base::errnoError(error.value(), "read", m_file);
        }
        m_reader = makeReader();
        if (!m_reader || ::archive_read_open_filename(m_reader.get(), m_file.c_str(), kBlock) != ARCHIVE_OK) {
            return sourceError("archive.kind",
                               m_file.filename().string() +
                                   " is no archive that can be unpacked here; zip, tar (also compressed) and 7z can.");
        }
        m_buffer.resize(kBlock);
        for (;;) {
            archive_entry* entry = nullptr;
            const int got = ::archive_read_next_header(m_reader.get(), &entry);
            if (got == ARCHIVE_EOF) {
                break;
            }
            if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
                return m_entries == 0 && ::archive_format(m_reader.get()) == 0
                           ? sourceError(
                                 "archive.kind",
                                 m_file.filename().string() +
                                     " is no archive that can be unpacked here; zip, tar (also compressed) and 7z can.")
                           : damaged();
            }
            if (++m_entries > m_limits.entries) {
                return sourceError("archive.bomb",
                                   "The archive names more than " + std::to_string(m_limits.entries) + " files.");
            }
            TRAINYARD_TRY(take(entry));
            if (!goOn()) {
                return Error{"canceled", "The action was canceled."};
            }
        }
        // One call for all files instead of one a file: a set of 100,000 pictures would take minutes otherwise.
        const base::UniqueFd fd(::open(m_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd.valid() || ::syncfs(fd.get()) != 0) {
            return base::errnoError(errno, "sync", m_folder);
        }
        return m_done;
    }

private:
    Error damaged() {
        return sourceError("archive.damaged", "The archive is damaged or cut off after " +
                                                  std::to_string(m_done.files) + " files: " + wordsOf(m_reader.get()) +
                                                  ".");
    }

    bool goOn() {
        const std::int64_t read = ::archive_filter_bytes(m_reader.get(), -1);
        return m_report(m_packed > 0 ? std::clamp<std::int64_t>(read * 1000 / m_packed, 0, 1000) : 0);
    }

    Status take(archive_entry* entry) {
        const char* name = ::archive_entry_pathname_utf8(entry);
        name = name == nullptr ? ::archive_entry_pathname(entry) : name;
        const std::string path = name == nullptr ? std::string() : cleaned(name);
        if (path == "." || isLitter(path)) {
            return {};
        }
        const std::string shown = "\"" + base::stripControl(base::toValidUtf8(path.substr(0, 200))) + "\"";
        if (!base::isPlainRelativePath(path)) {
            return sourceError("archive.path", "The archive holds " + shown +
                                                   ", which is no path inside it: it is absolute, climbs by \"..\", or "
                                                   "is no UTF-8. Nothing of it is used.");
        }
        const auto type = ::archive_entry_filetype(entry);
        if (::archive_entry_hardlink(entry) != nullptr || (type != AE_IFREG && type != AE_IFDIR)) {
            return sourceError("archive.link", "The archive holds a link or a device, " + shown +
                                                   ". Only files are unpacked; pack the files themselves.");
        }
        if (::archive_entry_is_encrypted(entry) != 0) {
            return sourceError("archive.encrypted",
                               "The archive is locked with a password. Unpack it yourself and name the folder.");
        }
        const Path to = m_folder / path;
        if (type == AE_IFDIR) {
            return base::makeDirs(to);
        }
        TRAINYARD_TRY(base::makeDirs(to.parent_path()));
        return write(to, shown);
    }

    Status write(const Path& to, const std::string& shown) {
        const base::UniqueFd fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
        if (!fd.valid()) {
            return errno == EEXIST || errno == EISDIR
                       ? sourceError("archive.twice", "The archive holds " + shown + " twice.")
                       : base::errnoError(errno, "write", to);
        }
        for (;;) {
            const la_ssize_t got = ::archive_read_data(m_reader.get(), m_buffer.data(), m_buffer.size());
            if (got == 0) {
                break;
            }
            if (got < 0) {
                return damaged();
            }
            m_done.bytes += got;
            TRAINYARD_TRY(checkLimits(got));
            TRAINYARD_TRY(
                base::writeAll(fd.get(), std::string_view(m_buffer.data(), static_cast<std::size_t>(got)), to));
            if (!goOn()) {
                return Error{"canceled", "The action was canceled."};
            }
        }
        ++m_done.files;
        return {};
    }

    Status checkLimits(std::int64_t more) {
        const auto packed = static_cast<double>(std::max<std::int64_t>(m_packed, 1));
        if (m_done.bytes > m_limits.bytes ||
            (m_done.bytes > m_limits.ratioFrom && static_cast<double>(m_done.bytes) / packed > m_limits.ratio)) {
            return sourceError(
                "archive.bomb",
                "The archive's " + base::formatBytes(m_packed) + " unpack to more than " +
                    base::formatBytes(m_done.bytes) +
                    ", far more than pictures do. Unpack it yourself if that is right, and name the folder.");
        }
        m_sinceLook += more;
        if (m_sinceLook >= kLookEvery || m_done.bytes == more) {
            m_sinceLook = 0;
            const auto space = base::diskSpace(m_folder);
            if (space.ok() && space->freeBytes < m_limits.reserve) {
                return Error{"file.full",
                             "The disk has only " + base::formatBytes(space->freeBytes) +
                                 " left, so unpacking was stopped.",
                             "source"};
            }
        }
        return {};
    }

    const Path& m_file;
    const Path& m_folder;
    const ArchiveLimits& m_limits;
    const Report& m_report;
    Reader m_reader{nullptr, &::archive_read_free};
    std::vector<char> m_buffer;
    std::int64_t m_packed = 0;
    std::int64_t m_entries = 0;
    std::int64_t m_sinceLook = 0;
    Unpacked m_done;
};

}  // namespace

Result<Unpacked> unpackArchive(const Path& file, const Path& folder, const ArchiveLimits& limits,
                               const Report& report) {
    return Unpacker(file, folder, limits, report).run();
}

bool canUnpack() { return true; }

}  // namespace trainyard::unpack

#else

namespace trainyard::unpack {

base::Result<Unpacked> unpackArchive(const base::Path&, const base::Path&, const ArchiveLimits&, const Report&) {
    return base::Error{"archive.unavailable", "This program was built without libarchive and unpacks no archives.",
                       "source"};
}

bool canUnpack() { return false; }

}  // namespace trainyard::unpack

#endif
