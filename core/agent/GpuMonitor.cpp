#include "core/agent/GpuMonitor.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "core/agent/Gpus.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStale = 5 * kSecond;
constexpr std::int64_t kUseStale = 5 * kSecond / 2;  ///< pmon tells each process every second.
constexpr std::int64_t kLongestPause = 60 * kSecond;
constexpr std::size_t kMostLine = 64 << 10;
constexpr double kBytesAMebibyte = 1 << 20;

/// Fields of the query behind the index, the name of each value and its unit.
struct Field {
    const char* query;
    const char* name;
    double unit;
};
constexpr std::array kFields{
    Field{"utilization.gpu", "utilization_percent", 1},    Field{"utilization.memory", "memory_utilization_percent", 1},
    Field{"memory.used", "memory_bytes", kBytesAMebibyte}, Field{"memory.total", "memory_total_bytes", kBytesAMebibyte},
    Field{"temperature.gpu", "temperature_celsius", 1},    Field{"power.draw", "power_watts", 1},
};

std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> found;
    for (std::string word; in >> word;) found.push_back(word);
    return found;
}

std::string key(int gpu, const std::string& name) { return "gpu" + std::to_string(gpu) + "_" + name; }

}  // namespace

void GpuMonitor::keepAlive(Program& program, const std::vector<std::string>& argv) {
    const std::int64_t now = base::monotonicNanos();
    if (program.child && program.child->end()) {
        program.child.reset();
        program.text.clear();
        // One that lived on and on is started again at once, one that dies at once is not tried every second for ever.
        program.pause =
            now - program.mayStartAt > kLongestPause ? kSecond : std::clamp(program.pause * 2, kSecond, kLongestPause);
        program.mayStartAt = now + program.pause;
    }
    if (program.child || program.missing || now < program.mayStartAt) return;
    ChildSpec spec;
    spec.argv = argv;
    spec.pipeErr = false;
    auto child = Child::start(spec);
    program.missing = !child.ok() && child.error().code == "exec.missing";
    program.mayStartAt = now;
    if (child.ok()) {
        program.child.emplace(std::move(child).value());
    } else {
        program.pause = std::clamp(program.pause * 2, kSecond, kLongestPause);
        program.mayStartAt = now + program.pause;
    }
}

std::vector<std::string> GpuMonitor::newLines(Program& program) {
    if (!program.child) return {};
    (void) readAvailable(program.child->out.get(), program.text);
    std::vector<std::string> lines = base::split(program.text, '\n');
    program.text = lines.back();
    lines.pop_back();
    if (program.text.size() > kMostLine) program.text.clear();
    return lines;
}

bool GpuMonitor::wanted(int gpu) const {
    return m_gpus.empty() || std::find(m_gpus.begin(), m_gpus.end(), gpu) != m_gpus.end();
}

void GpuMonitor::takeDevice(const std::string& line) {
    const auto fields = base::split(line, ',');
    const auto index = smiNumber(fields.front());
    if (fields.size() != kFields.size() + 1 || !index || !wanted(static_cast<int>(*index))) return;
    Device device{base::monotonicNanos(), {}};
    for (std::size_t i = 0; i < kFields.size(); ++i) {
        if (const auto value = smiNumber(fields[i + 1]))
            device.values.emplace_back(kFields[i].name, *value * kFields[i].unit);
    }
    m_devices[static_cast<int>(*index)] = std::move(device);
}

void GpuMonitor::takeProcess(const std::string& line) {
    auto fields = words(line);
    if (fields.empty()) return;
    m_pmonAt = base::monotonicNanos();
    if (fields.front().starts_with('#')) {
        // "# gpu pid type sm mem enc dec fb command"; the second header line has units: "# Idx # C/G % …".
        if (fields.front() == "#") fields.erase(fields.begin());
        if (std::find(fields.begin(), fields.end(), "pid") != fields.end()) m_columns = fields;
        return;
    }
    const auto field = [&](const char* name) -> std::optional<double> {
        const auto it = std::find(m_columns.begin(), m_columns.end(), name);
        const auto at = static_cast<std::size_t>(it - m_columns.begin());
        return it == m_columns.end() || at >= fields.size() ? std::nullopt : smiNumber(fields[at]);
    };
    const auto gpu = field("gpu");
    const auto pid = field("pid");
    if (!gpu || !pid || !wanted(static_cast<int>(*gpu))) return;
    Use use{m_pmonAt, field("sm"), {}};
    if (const auto memory = field("fb")) use.memoryBytes = *memory * kBytesAMebibyte;
    m_uses[{static_cast<int>(*gpu), static_cast<pid_t>(*pid)}] = use;
}

void GpuMonitor::sample(base::Json& values, const std::set<pid_t>& processes) {
    std::string query = "--query-gpu=index";
    for (const Field& field : kFields) query += std::string(",") + field.query;
    std::vector<std::string> argv{"nvidia-smi", query, "--format=csv,noheader,nounits", "-l", "1"};
    if (!m_gpus.empty()) {
        std::string list;
        for (const int gpu : m_gpus) list += (list.empty() ? "" : ",") + std::to_string(gpu);
        argv.insert(argv.end(), {"-i", list});
    }
    keepAlive(m_query, argv);
    keepAlive(m_pmon, {"nvidia-smi", "pmon", "-d", "1", "-s", "um"});  // Its -i takes four GPUs only.
    for (const std::string& line : newLines(m_query)) takeDevice(line);
    for (const std::string& line : newLines(m_pmon)) takeProcess(line);

    const std::int64_t now = base::monotonicNanos();
    std::erase_if(m_uses, [now](const auto& entry) { return now - entry.second.at > kUseStale; });
    for (const auto& [gpu, device] : m_devices) {
        if (now - device.at > kStale) continue;
        for (const auto& [name, value] : device.values) values[key(gpu, name)] = base::numberToJson(value);
        if (m_columns.empty() || now - m_pmonAt > kStale) continue;
        double sm = 0;
        double memory = 0;
        bool memoryKnown = false;
        std::int64_t others = 0;
        for (const auto& [place, use] : m_uses) {
            if (place.first != gpu) continue;
            if (!processes.contains(place.second)) {
                ++others;
                continue;
            }
            sm += use.sm.value_or(0);
            memory += use.memoryBytes.value_or(0);
            memoryKnown = memoryKnown || use.memoryBytes.has_value();
        }
        values[key(gpu, "run_utilization_percent")] = sm;
        if (memoryKnown) values[key(gpu, "run_memory_bytes")] = memory;
        values[key(gpu, "other_processes")] = others;
    }
}

}  // namespace trainyard::agent
