#include "core/engine/inspect/Preflight.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::engine {

namespace {

/// A v1 group without a limit says the largest number of pages there can be.
constexpr std::int64_t kNoGroupLimit = std::int64_t{1} << 60;

std::optional<std::int64_t> wholeNumber(std::string_view text) {
    text = base::trim(text);
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    return code == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

/// The number behind `key` in lines of "key number".
std::int64_t valueIn(std::string_view text, const std::string& key) {
    for (const std::string& line : base::split(text, '\n')) {
        if (line.starts_with(key + " ") || line.starts_with(key + ":")) {
            return wholeNumber(std::string_view(line).substr(key.size() + 1)).value_or(0);
        }
    }
    return 0;
}

struct GroupFiles {
    base::Path root;
    const char* limit;
    const char* usage;
};

/// The least room of a group and those above it; −1 without a limit.
std::int64_t roomUpwards(const GroupFiles& files, const std::string& group) {
    std::int64_t least = -1;
    base::Path at = files.root / base::Path(group).relative_path();
    for (;;) {
        const auto read = [&at](const char* name) { return base::readFile(at / name, 1 << 16).valueOr(""); };
        const std::int64_t room = roomOfGroup(read(files.limit), read(files.usage), read("memory.stat"));
        least = room >= 0 && (least < 0 || room < least) ? room : least;
        if (at == files.root || at.parent_path() == at || at.native().size() <= files.root.native().size()) {
            return least;
        }
        at = at.parent_path();
    }
}

std::int64_t roomOfGroups() {
    std::int64_t least = -1;
    const auto take = [&least](std::int64_t room) { least = room >= 0 && (least < 0 || room < least) ? room : least; };
    for (const std::string& line : base::split(base::readFile("/proc/self/cgroup", 1 << 16).valueOr(""), '\n')) {
        const auto parts = base::split(line, ':');
        if (parts.size() < 3) {
            continue;
        }
        if (parts[0] == "0" && parts[1].empty()) {
            take(roomUpwards({"/sys/fs/cgroup", "memory.max", "memory.current"}, parts[2]));
        }
        const auto controllers = base::split(parts[1], ',');
        if (std::ranges::find(controllers, "memory") != controllers.end()) {
            take(roomUpwards({"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"}, parts[2]));
        }
    }
    return least;
}

}  // namespace

double Pace::whole(double count) const {
    return count <= done ? seconds * (done > 0 ? count / done : 0) : seconds + (count - done) * each;
}

MemoryModel::MemoryModel(const MemoryAt& small, const MemoryAt& large, std::int64_t leastPerSample, std::int64_t later)
    : m_small(small), m_large(large), m_perSample(std::max<std::int64_t>(1, leastPerSample)), m_later(later) {
    if (large.share > small.share) {
        m_perSample = std::max(m_perSample, (large.trained - small.trained) / (large.share - small.share));
    }
}

std::int64_t MemoryModel::at(std::int64_t share) const {
    // Validation takes what it takes whatever the batch, so less than at the smaller size is not known to be.
    const std::int64_t onLine = m_large.peak + m_perSample * (share - m_large.share);
    return std::max(onLine, std::min(m_small.peak, m_large.peak)) + m_later;
}

std::int64_t MemoryModel::mostWithin(std::int64_t bytes) const {
    if (at(m_small.share) > bytes) {
        return 0;
    }
    const std::int64_t room = bytes - m_later - m_large.peak;
    const std::int64_t further = room >= 0 ? room / m_perSample : -((-room + m_perSample - 1) / m_perSample);
    return std::max(m_small.share, m_large.share + further);
}

std::int64_t roomOfGroup(std::string_view limit, std::string_view usage, std::string_view stat) {
    const auto most = wholeNumber(limit);  // "max" is no number.
    if (!most || *most >= kNoGroupLimit) {
        return -1;
    }
    // What of the page cache has not been used twice goes first when memory is short.
    const std::int64_t total = valueIn(stat, "total_inactive_file");
    const std::int64_t droppable = total > 0 ? total : valueIn(stat, "inactive_file");
    return std::max<std::int64_t>(0, *most - std::max<std::int64_t>(0, wholeNumber(usage).value_or(0) - droppable));
}

MemoryRoom memoryRoom() {
    MemoryRoom room;
    room.limit = "machine";
    room.freeBytes = valueIn(base::readFile("/proc/meminfo", 1 << 16).valueOr(""), "MemAvailable") * 1024;
    if (const std::int64_t group = roomOfGroups(); group >= 0 && (room.freeBytes == 0 || group < room.freeBytes)) {
        room.freeBytes = group;
        room.limit = "cgroup";
    }
    rlimit address{};
    if (getrlimit(RLIMIT_AS, &address) == 0 && address.rlim_cur != RLIM_INFINITY) {
        room.addressBytes = static_cast<std::int64_t>(
            std::min<rlim_t>(address.rlim_cur, static_cast<rlim_t>(std::numeric_limits<std::int64_t>::max())));
    }
    return room;
}

}  // namespace trainyard::engine
