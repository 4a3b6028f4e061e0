#include "core/registry/ZipDirectory.h"

#include <algorithm>

namespace trainyard::registry {

namespace {

constexpr std::uint64_t kEndBytes = 22;
constexpr std::uint64_t kMostComment = 65535;
constexpr std::uint64_t kLocatorBytes = 20;
constexpr std::uint64_t kEntryBytes = 46;
constexpr std::uint64_t kLocalBytes = 30;
constexpr std::uint64_t kMostDirectory = 32 << 20;
constexpr std::uint64_t kMostMembers = 200'000;
constexpr std::uint64_t kAll32 = 0xFFFFFFFFULL;
constexpr std::uint64_t kAll16 = 0xFFFF;
constexpr char kEndMark[] = "PK\x05\x06";
constexpr char kEnd64Mark[] = "PK\x06\x06";
constexpr char kLocatorMark[] = "PK\x06\x07";
constexpr char kEntryMark[] = "PK\x01\x02";
constexpr char kLocalMark[] = "PK\x03\x04";

base::Error broken(const char* why) { return {"model.zip", why}; }

struct Directory {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t members = 0;
};

/// The end record is searched from the end, because a comment may follow it.
base::Result<Directory> findDirectory(FileBytes& file) {
    const std::uint64_t tail = std::min(file.size(), kEndBytes + kMostComment);
    const std::uint64_t tailAt = file.size() - tail;
    const std::string bytes = file.text(tailAt, static_cast<std::size_t>(tail));
    const std::size_t found = bytes.rfind(std::string(kEndMark, 4));
    if (bytes.size() < kEndBytes || found == std::string::npos || found + kEndBytes > bytes.size()) {
        return broken("it has no list of members at its end, so it was cut off or damaged");
    }
    const std::uint64_t end = tailAt + found;
    Directory directory;
    std::uint64_t members = 0;
    if (!file.number(end + 10, 2, members) || !file.number(end + 12, 4, directory.bytes) ||
        !file.number(end + 16, 4, directory.offset)) {
        return broken("its end cannot be read");
    }
    directory.members = members;
    const bool wide = members == kAll16 || directory.bytes == kAll32 || directory.offset == kAll32;
    if (wide && end >= kLocatorBytes && file.text(end - kLocatorBytes, 4) == std::string(kLocatorMark, 4)) {
        std::uint64_t record = 0;
        if (!file.number(end - kLocatorBytes + 8, 8, record) || file.text(record, 4) != std::string(kEnd64Mark, 4) ||
            !file.number(record + 32, 8, directory.members) || !file.number(record + 40, 8, directory.bytes) ||
            !file.number(record + 48, 8, directory.offset)) {
            return broken("its zip64 end cannot be read");
        }
    }
    if (directory.offset > end || directory.bytes > end - directory.offset) {
        return broken("its list of members lies outside the file");
    }
    if (directory.bytes > kMostDirectory || directory.members > kMostMembers) {
        return broken("it claims more members than any model has");
    }
    return directory;
}

/// Sizes and places that do not fit 32 bits stand in the extra field, in this order, each only when it is needed.
bool readWide(FileBytes& file, std::uint64_t extra, std::uint64_t length, ZipMember& member) {
    for (std::uint64_t at = 0; at + 4 <= length;) {
        std::uint64_t id = 0;
        std::uint64_t bytes = 0;
        if (!file.number(extra + at, 2, id) || !file.number(extra + at + 2, 2, bytes) || bytes > length - at - 4) {
            return false;
        }
        if (id == 1) {
            std::uint64_t value = extra + at + 4;
            const std::uint64_t end = value + bytes;
            for (std::uint64_t* field : {&member.size, &member.packed, &member.header}) {
                if (*field == kAll32) {
                    if (value + 8 > end || !file.number(value, 8, *field)) {
                        return false;
                    }
                    value += 8;
                }
            }
            return true;
        }
        at += 4 + bytes;
    }
    return true;
}

}  // namespace

base::Result<std::vector<ZipMember>> readZipDirectory(FileBytes& file) {
    const auto directory = findDirectory(file);
    if (!directory.ok()) {
        return directory.error();
    }
    std::vector<ZipMember> members;
    std::uint64_t at = directory->offset;
    const std::uint64_t end = directory->offset + directory->bytes;
    for (std::uint64_t i = 0; i < directory->members; ++i) {
        ZipMember member;
        std::uint64_t method = 0;
        std::uint64_t nameBytes = 0;
        std::uint64_t extraBytes = 0;
        std::uint64_t commentBytes = 0;
        if (end - at < kEntryBytes || file.text(at, 4) != std::string(kEntryMark, 4) ||
            !file.number(at + 10, 2, method) || !file.number(at + 20, 4, member.packed) ||
            !file.number(at + 24, 4, member.size) || !file.number(at + 28, 2, nameBytes) ||
            !file.number(at + 30, 2, extraBytes) || !file.number(at + 32, 2, commentBytes) ||
            !file.number(at + 42, 4, member.header)) {
            return broken("its list of members is damaged");
        }
        const std::uint64_t whole = kEntryBytes + nameBytes + extraBytes + commentBytes;
        if (whole > end - at || !readWide(file, at + kEntryBytes + nameBytes, extraBytes, member)) {
            return broken("its list of members is damaged");
        }
        member.name = file.text(at + kEntryBytes, static_cast<std::size_t>(nameBytes));
        member.stored = method == 0;
        if (member.header > directory->offset || member.packed > directory->offset - member.header) {
            return broken("it names members that lie outside the file");
        }
        members.push_back(std::move(member));
        at += whole;
    }
    return members;
}

base::Result<FileBytes> storedMember(FileBytes& file, const ZipMember& member) {
    std::uint64_t nameBytes = 0;
    std::uint64_t extraBytes = 0;
    if (!member.stored || member.size != member.packed) {
        return broken("a member that is never packed in a model is packed");
    }
    if (file.text(member.header, 4) != std::string(kLocalMark, 4) || !file.number(member.header + 26, 2, nameBytes) ||
        !file.number(member.header + 28, 2, extraBytes)) {
        return broken("a member does not begin where the list says");
    }
    FileBytes bytes = file.part(member.header + kLocalBytes + nameBytes + extraBytes, member.size);
    if (bytes.size() != member.size) {
        return broken("a member ends outside the file");
    }
    return bytes;
}

}  // namespace trainyard::registry
