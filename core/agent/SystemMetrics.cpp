#include "core/agent/SystemMetrics.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "core/agent/ProcessTree.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

std::string read(const std::string& path) { return base::readFile(path, 1 << 20).valueOr({}); }

/// The next whole number of `text` behind `at`; moves `at` behind it.
std::int64_t nextNumber(std::string_view text, std::size_t& at) {
    while (at < text.size() && (text[at] < '0' || text[at] > '9')) ++at;
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data() + at, text.data() + text.size(), value);
    at = static_cast<std::size_t>(parsed.ptr - text.data());
    return value;
}

std::int64_t kibibytes(std::string_view text, std::string_view key) {
    std::size_t at = text.find(key);
    return at == std::string_view::npos ? 0 : nextNumber(text, at) * 1024;
}

double rounded(double value) { return std::round(value * 10) / 10; }

}  // namespace

base::Json SystemMetrics::sample(const std::vector<pid_t>& shims) {
    const std::int64_t now = base::monotonicNanos();
    const double seconds = m_lastNanos == 0 ? 0 : static_cast<double>(now - m_lastNanos) / 1e9;
    m_lastNanos = now;
    base::Json values = base::Json::object();
    sampleMachine(values);
    sampleRun(values, shims, seconds);
    if (const auto disk = base::diskSpace(m_folder); disk.ok()) values["disk_free_bytes"] = disk->freeBytes;
    sampleNetwork(values, seconds);
    sampleDisks(values, seconds);
    if (m_gpus) {
        std::set<pid_t> processes;
        for (const auto& [pid, ticks] : m_lastTicks) processes.insert(pid);
        m_gpus->sample(values, processes);
    }
    return values;
}

void SystemMetrics::sampleMachine(base::Json& values) {
    const std::string stat = read("/proc/stat");
    const std::string_view line = std::string_view(stat).substr(0, stat.find('\n'));
    std::size_t at = 0;
    CpuTimes cpu;
    for (int field = 0; field < 8; ++field) {  // user nice system idle iowait irq softirq steal
        const std::int64_t ticks = nextNumber(line, at);
        cpu.total += ticks;
        if (field != 3 && field != 4) cpu.busy += ticks;
    }
    if (m_lastCpu.total > 0 && cpu.total > m_lastCpu.total) {
        values["cpu_percent"] = rounded(100.0 * static_cast<double>(cpu.busy - m_lastCpu.busy) /
                                        static_cast<double>(cpu.total - m_lastCpu.total));
    }
    m_lastCpu = cpu;
    const std::string memory = read("/proc/meminfo");
    const std::int64_t total = kibibytes(memory, "MemTotal:");
    values["memory_bytes"] = total - kibibytes(memory, "MemAvailable:");
    values["memory_total_bytes"] = total;
}

void SystemMetrics::sampleRun(base::Json& values, const std::vector<pid_t>& shims, double seconds) {
    static const double ticksPerSecond = static_cast<double>(::sysconf(_SC_CLK_TCK));
    static const std::int64_t pageBytes = ::sysconf(_SC_PAGESIZE);
    std::map<pid_t, std::int64_t> ticks;
    std::int64_t memory = 0;
    std::int64_t used = 0;
    for (const pid_t shim : shims) {
        for (const pid_t pid : treeOf(shim)) {
            const std::string stat = read("/proc/" + std::to_string(pid) + "/stat");
            const std::size_t close = stat.rfind(')');
            if (close == std::string::npos) continue;
            const auto fields = base::split(std::string_view(stat).substr(close + 2), ' ');
            if (fields.size() < 22) continue;
            // Of the whole line: 14 utime, 15 stime, 24 rss; the first field here is the third there.
            const auto field = [&](std::size_t number) {
                std::size_t at = 0;
                return nextNumber(fields[number - 3], at);
            };
            const std::int64_t now = field(14) + field(15);
            memory += field(24) * pageBytes;
            const auto before = m_lastTicks.find(pid);
            used += std::max<std::int64_t>(0, now - (before == m_lastTicks.end() ? 0 : before->second));
            ticks[pid] = now;
        }
    }
    if (seconds > 0) values["run_cpu_percent"] = rounded(100.0 * static_cast<double>(used) / ticksPerSecond / seconds);
    values["run_memory_bytes"] = memory;
    values["run_processes"] = static_cast<std::int64_t>(ticks.size());
    m_lastTicks = std::move(ticks);
}

void SystemMetrics::sampleNetwork(base::Json& values, double seconds) {
    std::int64_t received = 0;
    std::int64_t sent = 0;
    for (const std::string& line : base::split(read("/proc/net/dev"), '\n')) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos || base::trim(std::string_view(line).substr(0, colon)) == "lo") continue;
        std::size_t at = colon + 1;
        received += nextNumber(line, at);
        for (int skipped = 0; skipped < 7; ++skipped) (void) nextNumber(line, at);
        sent += nextNumber(line, at);
    }
    if (seconds > 0 && m_lastReceived >= 0) {
        const auto rate = [&](std::int64_t now, std::int64_t before) {
            return std::llround(static_cast<double>(std::max<std::int64_t>(0, now - before)) / seconds);
        };
        values["network_received_bytes_per_second"] = rate(received, m_lastReceived);
        values["network_sent_bytes_per_second"] = rate(sent, m_lastSent);
    }
    m_lastReceived = received;
    m_lastSent = sent;
}

void SystemMetrics::sampleDisks(base::Json& values, double seconds) {
    constexpr std::int64_t kSectorBytes = 512;  // Of /proc/diskstats, whatever the disk's own are.
    std::int64_t sectorsRead = 0;
    std::int64_t sectorsWritten = 0;
    for (const std::string& line : base::split(read("/proc/diskstats"), '\n')) {
        std::istringstream in(line);
        std::string name;
        std::int64_t number = 0;
        in >> number >> number >> name;
        // Partitions, and what lies on top of disks, would count twice.
        std::error_code ignored;
        if (!in || name.starts_with("loop") || name.starts_with("ram") || name.starts_with("dm-") ||
            name.starts_with("md") || !std::filesystem::exists("/sys/block/" + name, ignored)) {
            continue;
        }
        std::int64_t reads = 0;
        std::int64_t writes = 0;
        in >> number >> number >> reads >> number >> number >> number >> writes;
        sectorsRead += reads;
        sectorsWritten += writes;
    }
    if (seconds > 0 && m_lastRead >= 0) {
        const auto rate = [&](std::int64_t now, std::int64_t before) {
            return std::llround(static_cast<double>(std::max<std::int64_t>(0, now - before) * kSectorBytes) / seconds);
        };
        values["disk_read_bytes_per_second"] = rate(sectorsRead, m_lastRead);
        values["disk_written_bytes_per_second"] = rate(sectorsWritten, m_lastWritten);
    }
    m_lastRead = sectorsRead;
    m_lastWritten = sectorsWritten;
}

}  // namespace trainyard::agent
