#include "core/engine/weights/StoredZip.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/Text.h"

namespace trainyard::engine {

namespace {

using base::Error;
using base::Result;

constexpr std::size_t kMaxMembers = 1'000'000;
constexpr std::size_t kEndSize = 22;

Error damaged(const std::string& what) { return {"weights.zip", "The archive is damaged: " + what + "."}; }

/// Little-endian; 0 when it lies outside.
std::uint64_t number(std::string_view bytes, std::uint64_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = size; i > 0; --i) {
        const std::uint64_t position = at + i - 1;
        value = value << 8 | (position < bytes.size() ? static_cast<unsigned char>(bytes[position]) : 0U);
    }
    return value;
}

struct Directory {
    std::uint64_t offset = 0;
    std::uint64_t count = 0;
};

Result<Directory> findDirectory(std::string_view bytes) {
    if (bytes.size() < kEndSize) {
        return damaged("it is too short");
    }
    const std::size_t lowest = bytes.size() - std::min<std::size_t>(bytes.size(), kEndSize + 65535);
    const std::size_t end = bytes.rfind(std::string_view("PK\x05\x06", 4));
    if (end == std::string_view::npos || end < lowest || bytes.size() - end < kEndSize) {
        return damaged("its directory is missing; the file may be cut off");
    }
    Directory directory{number(bytes, end + 16, 4), number(bytes, end + 10, 2)};
    const bool large = directory.offset == 0xFFFFFFFF || directory.count == 0xFFFF;
    if (end >= 20 && bytes.substr(end - 20, 4) == std::string_view("PK\x06\x07", 4)) {
        const std::uint64_t end64 = number(bytes, end - 12, 8);
        if (end64 > bytes.size() - 56 || bytes.substr(end64, 4) != std::string_view("PK\x06\x06", 4)) {
            return damaged("its large directory is not where it should be");
        }
        directory = {number(bytes, end64 + 48, 8), number(bytes, end64 + 32, 8)};
    } else if (large) {
        return damaged("its large directory is missing");
    }
    if (directory.offset > bytes.size() || directory.count > kMaxMembers) {
        return damaged("its directory lies outside the file");
    }
    return directory;
}

}  // namespace

Result<MappedFile> MappedFile::open(const base::Path& path) {
    const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.valid()) {
        return base::errnoError(errno, "opening", path);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
        return base::errnoError(errno, "reading", path);
    }
    if (!S_ISREG(info.st_mode) || info.st_size == 0) {
        return Error{S_ISREG(info.st_mode) ? "file.io" : "file.kind",
                     "\"" + base::stripControl(base::toValidUtf8(path.string())) + "\" is " +
                         (S_ISREG(info.st_mode) ? "empty." : "no regular file.")};
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED) {
        return base::errnoError(errno, "reading", path);
    }
    return MappedFile(data, size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : m_data(std::exchange(other.m_data, nullptr)), m_size(std::exchange(other.m_size, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(m_data, other.m_data);
    std::swap(m_size, other.m_size);
    return *this;
}

MappedFile::~MappedFile() {
    if (m_data != nullptr) {
        ::munmap(m_data, m_size);
    }
}

Result<std::map<std::string, std::string_view>> readStoredZip(std::string_view bytes) {
    const auto directory = findDirectory(bytes);
    if (!directory) {
        return directory.error();
    }
    std::map<std::string, std::string_view> members;
    std::uint64_t at = directory->offset;
    for (std::uint64_t i = 0; i < directory->count; ++i) {
        constexpr std::uint64_t kEntry = 46;
        if (bytes.size() - at < kEntry || bytes.substr(at, 4) != std::string_view("PK\x01\x02", 4)) {
            return damaged("entry " + std::to_string(i) + " of its directory is none");
        }
        const std::uint64_t flags = number(bytes, at + 8, 2);
        const std::uint64_t method = number(bytes, at + 10, 2);
        std::uint64_t packed = number(bytes, at + 20, 4);
        std::uint64_t size = number(bytes, at + 24, 4);
        std::uint64_t offset = number(bytes, at + 42, 4);
        const std::uint64_t nameSize = number(bytes, at + 28, 2);
        const std::uint64_t extraSize = number(bytes, at + 30, 2);
        const std::uint64_t commentSize = number(bytes, at + 32, 2);
        if (bytes.size() - at - kEntry < nameSize + extraSize + commentSize) {
            return damaged("its directory is cut off");
        }
        const std::string name(bytes.substr(at + kEntry, nameSize));
        const std::string_view extra = bytes.substr(at + kEntry + nameSize, extraSize);
        for (std::uint64_t field = 0; field + 4 <= extra.size();) {
            const std::uint64_t length = number(extra, field + 2, 2);
            if (number(extra, field, 2) == 1 && field + 4 + length <= extra.size()) {  // Zip64
                std::uint64_t next = field + 4;
                for (std::uint64_t* value : {&size, &packed, &offset}) {
                    if (*value == 0xFFFFFFFF && next + 8 <= field + 4 + length) {
                        *value = number(extra, next, 8);
                        next += 8;
                    }
                }
            }
            field += 4 + length;
        }
        at += kEntry + nameSize + extraSize + commentSize;
        const std::string shown = base::stripControl(base::toValidUtf8(name));
        if ((flags & 1) != 0 || method != 0 || packed != size) {
            members[name] = {};
            continue;
        }
        constexpr std::uint64_t kLocal = 30;
        if (offset > bytes.size() || bytes.size() - offset < kLocal ||
            bytes.substr(offset, 4) != std::string_view("PK\x03\x04", 4)) {
            return damaged("\"" + shown + "\" is not where its directory says");
        }
        const std::uint64_t data = offset + kLocal + number(bytes, offset + 26, 2) + number(bytes, offset + 28, 2);
        if (data > bytes.size() || size > bytes.size() - data) {
            return damaged("\"" + shown + "\" is cut off");
        }
        members[name] = bytes.substr(data, size);
    }
    return members;
}

}  // namespace trainyard::engine
