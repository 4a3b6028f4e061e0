#include "core/base/Process.h"

#include <charconv>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::base {

namespace {

/// Files of /proc tell size 0, so they are read to their end.
std::string readProc(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    char buffer[1024];
    for (ssize_t got = 0; fd.valid() && (got = read(fd.get(), buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
}

}  // namespace

std::string bootId() {
    static const std::string id(trim(readProc("/proc/sys/kernel/random/boot_id")));
    return id;
}

std::optional<ProcessIdentity> identify(std::int64_t pid) {
    if (pid <= 0) {
        return std::nullopt;
    }
    const std::string stat = readProc("/proc/" + std::to_string(pid) + "/stat");
    // The command's name stands in parentheses and may hold anything, so count from the last one.
    const std::size_t nameEnd = stat.rfind(')');
    if (nameEnd == std::string::npos || nameEnd + 2 >= stat.size()) {
        return std::nullopt;
    }
    const std::vector<std::string> fields = split(std::string_view(stat).substr(nameEnd + 2), ' ');
    constexpr std::size_t kState = 0;        // Field 3 of the whole line.
    constexpr std::size_t kStartTicks = 19;  // Field 22.
    if (fields.size() <= kStartTicks || fields[kState] == "Z" || fields[kState] == "X") {
        return std::nullopt;
    }
    ProcessIdentity identity;
    identity.pid = pid;
    const std::string& ticks = fields[kStartTicks];
    const auto parsed = std::from_chars(ticks.data(), ticks.data() + ticks.size(), identity.startTicks);
    if (parsed.ec != std::errc{}) {
        return std::nullopt;
    }
    identity.bootId = bootId();
    return identity;
}

Liveness liveness(const ProcessIdentity& identity) {
    if (identity.bootId != bootId()) {
        return Liveness::OtherBoot;
    }
    const std::optional<ProcessIdentity> now = identify(identity.pid);
    return now && now->startTicks == identity.startTicks ? Liveness::Alive : Liveness::Gone;
}

Json toJson(const ProcessIdentity& identity) {
    return Json{{"pid", identity.pid}, {"start_ticks", identity.startTicks}, {"boot_id", identity.bootId}};
}

Result<ProcessIdentity> processIdentityFromJson(const Json& json) {
    ObjectReader reader(json, "");
    reader.require("pid");
    reader.require("start_ticks");
    reader.require("boot_id");
    ProcessIdentity identity;
    identity.pid = reader.integer("pid");
    identity.startTicks = reader.integer("start_ticks");
    identity.bootId = reader.string("boot_id");
    TRAINYARD_TRY(reader.status(false));
    return identity;
}

}  // namespace trainyard::base
