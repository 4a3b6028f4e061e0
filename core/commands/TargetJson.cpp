#include "core/commands/TargetJson.h"

namespace trainyard::commands {

using base::Json;

Json reachJson(const targets::Reach& reach) {
    using State = targets::Reach::State;
    const char* state = "unknown";
    switch (reach.state) {
    case State::Unknown: break;
    case State::Connecting: state = "connecting"; break;
    case State::Connected: state = "connected"; break;
    case State::Unreachable: state = "unreachable"; break;
    case State::NeedsAnswer: state = "needs_answer"; break;
    }
    Json told{{"state", state}, {"since", reach.since}, {"reason", reach.reason}, {"next_try_at", reach.nextTryAt}};
    if (reach.hosts > 1) {
        told["hosts"] = reach.hosts;
        told["hosts_connected"] = reach.connected;
    }
    return told;
}

Json doctorLineJson(const targets::DoctorLine& line) {
    using targets::Finding;
    const char* finding = line.finding == Finding::Ok        ? "ok"
                          : line.finding == Finding::Warning ? "warning"
                          : line.finding == Finding::Failure ? "failure"
                                                             : "unknown";
    return Json{{"id", line.id},     {"title", line.title},   {"host", line.host},    {"finding", finding},
                {"text", line.text}, {"remedy", line.remedy}, {"values", line.values}};
}

Json cacheEntryJson(const targets::CacheEntry& entry) {
    return Json{{"host", entry.host},   {"kind", entry.kind},        {"key", entry.key},     {"name", entry.name},
                {"bytes", entry.bytes}, {"last_use", entry.lastUse}, {"in_use", entry.inUse}};
}

Json doctorSummary(const Json& found) {
    if (!found.is_object()) {
        return {};
    }
    base::ObjectReader reader(found, "");
    Json counts{{"ok", 0}, {"warning", 0}, {"failure", 0}, {"unknown", 0}};
    for (const Json& line : reader.array("lines")) {
        base::ObjectReader entry(line, "");
        const std::string finding = entry.string("finding");
        const std::string key = counts.contains(finding) ? finding : "unknown";
        counts[key] = counts[key].get<std::int64_t>() + 1;
    }
    return counts;
}

Json targetJson(const runs::TargetDefinition& target, const targets::Reach& reach) {
    const spec::TargetSpec& spec = target.spec;
    Json hosts = Json::array();
    for (const spec::HostSpec& host : spec.hosts) {
        hosts.push_back(host.destination);
    }
    if (spec.kind == spec::TargetKind::Slurm && !spec.slurm.login.empty()) {
        hosts.push_back(spec.slurm.login);
    }
    const std::int64_t nodes = spec.kind == spec::TargetKind::Slurm ? spec.slurm.maxNodes
                               : spec.kind == spec::TargetKind::Ssh ? static_cast<std::int64_t>(spec.hosts.size())
                                                                    : 1;
    const bool examined = target.doctor.is_object();
    return Json{{"target", spec.name},
                {"kind", spec::targetKindName(spec.kind)},
                {"description", spec.description},
                {"disabled", spec.disabled},
                {"version", target.version},
                {"hosts", std::move(hosts)},
                {"nodes", nodes},
                {"reach", reachJson(reach)},
                {"doctor_at", examined ? base::ObjectReader(target.doctor, "").integer("t") : 0},
                {"findings", doctorSummary(target.doctor)},
                {"doctor", examined ? target.doctor : Json()},
                {"spec", spec::toJson(spec)}};
}

}  // namespace trainyard::commands
