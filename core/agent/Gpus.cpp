#include "core/agent/Gpus.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/agent/RankFiles.h"
#include "core/base/Clock.h"
#include "core/base/Process.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kSmiMillis = 10'000;
constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;
constexpr int kMostGpus = 256;
constexpr const char* kGpuQuery = "--query-gpu=index,name,uuid,memory.total,memory.used,utilization.gpu,driver_version";
constexpr const char* kProcessQuery = "--query-compute-apps=gpu_uuid,pid,process_name";
constexpr const char* kFormat = "--format=csv,noheader,nounits";

ChildSpec smi(const char* query) {
    ChildSpec spec;
    spec.argv = {"nvidia-smi", query, kFormat};
    return spec;
}

std::vector<std::string> csvFields(const std::string& line) {
    std::vector<std::string> fields;
    for (const std::string& field : base::split(line, ',')) fields.emplace_back(base::trim(field));
    return fields;
}

void takeGpus(const std::string& text, GpuList& list) {
    for (const std::string& line : base::split(text, '\n')) {
        const auto fields = csvFields(line);
        const auto index = fields.empty() ? std::nullopt : smiNumber(fields[0]);
        if (fields.size() < 7 || !index || *index < 0 || *index >= kMostGpus) continue;
        Gpu gpu;
        gpu.index = static_cast<int>(*index);
        gpu.name = base::stripControl(base::toValidUtf8(fields[1]));
        gpu.uuid = base::stripControl(base::toValidUtf8(fields[2]));
        gpu.memoryBytes = static_cast<std::int64_t>(smiNumber(fields[3]).value_or(0)) * kMebibyte;
        gpu.memoryUsedBytes = static_cast<std::int64_t>(smiNumber(fields[4]).value_or(0)) * kMebibyte;
        gpu.utilizationPercent = static_cast<int>(smiNumber(fields[5]).value_or(-1));
        gpu.driver = base::stripControl(base::toValidUtf8(fields[6]));
        list.gpus.push_back(std::move(gpu));
    }
    std::sort(list.gpus.begin(), list.gpus.end(), [](const Gpu& a, const Gpu& b) { return a.index < b.index; });
}

void takeProcesses(const std::string& text, GpuList& list) {
    for (const std::string& line : base::split(text, '\n')) {
        const auto fields = csvFields(line);
        const auto pid = fields.size() < 3 ? std::nullopt : smiNumber(fields[1]);
        if (!pid || *pid <= 0) continue;
        list.processes.push_back(
            {fields[0], static_cast<pid_t>(*pid), base::stripControl(base::toValidUtf8(fields[2]))});
    }
}

/// Puts the kernel's own list in place of what nvidia-smi could not say.
GpuList withoutSmi(std::string trouble) {
    GpuList list = gpusOfKernel();
    list.trouble = std::move(trouble);
    return list;
}

GpuList fromAnswers(const ProgramResult& gpus, const ProgramResult& processes) {
    if (!gpus.started) return gpusOfKernel();
    const bool none =
        gpus.out.find("No devices") != std::string::npos || gpus.err.find("No devices") != std::string::npos;
    if (!gpus.succeeded() && !none) return withoutSmi(gpus.trouble("nvidia-smi"));
    GpuList list;
    takeGpus(gpus.out, list);
    if (list.gpus.empty() && !none && !base::trim(gpus.out).empty()) {
        return withoutSmi("nvidia-smi answered something that is no list of GPUs");
    }
    if (!list.gpus.empty()) list.source = "nvidia-smi";
    list.processesKnown = processes.succeeded();
    if (list.processesKnown) takeProcesses(processes.out, list);
    return list;
}

base::Json toJson(const GpuList& list) {
    base::Json json = base::Json::object();
    json["format"] = "trainyard.gpus";
    json["version"] = 1;
    json["boot"] = base::bootId();
    json["gpus"] = base::Json::array();
    for (const Gpu& gpu : list.gpus) {
        json["gpus"].push_back({{"index", gpu.index},
                                {"name", gpu.name},
                                {"uuid", gpu.uuid},
                                {"driver", gpu.driver},
                                {"memory_bytes", gpu.memoryBytes}});
    }
    return json;
}

std::optional<GpuList> readCache(const base::Path& cache) {
    const auto json = readJsonFile(cache);
    if (!json.ok() || !base::checkFormat(*json, "trainyard.gpus", 1).ok()) return {};
    base::ObjectReader reader(*json, "");
    if (reader.string("boot") != base::bootId()) return {};
    GpuList list;
    list.source = "nvidia-smi";
    for (const base::Json& item : reader.array("gpus")) {
        base::ObjectReader one(item, "");
        Gpu gpu;
        gpu.index = static_cast<int>(one.integer("index"));
        gpu.name = one.string("name");
        gpu.uuid = one.string("uuid");
        gpu.driver = one.string("driver");
        gpu.memoryBytes = one.integer("memory_bytes");
        list.gpus.push_back(std::move(gpu));
    }
    return list;
}

}  // namespace

std::optional<double> smiNumber(const std::string& field) {
    const std::string text(base::trim(field));
    double value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc{} || !std::isfinite(value)) return {};
    return value;
}

GpuList gpusOfKernel() {
    GpuList list;
    std::error_code error;
    std::vector<std::string> buses;
    for (std::filesystem::directory_iterator it("/proc/driver/nvidia/gpus", error), end; !error && it != end;
         it.increment(error)) {
        buses.push_back(it->path().filename().string());
    }
    std::sort(buses.begin(), buses.end());
    for (const std::string& bus : buses) {
        Gpu gpu;
        gpu.index = static_cast<int>(list.gpus.size());
        const auto text = base::readFile("/proc/driver/nvidia/gpus/" + bus + "/information", 64 << 10);
        for (const std::string& line : base::split(text.valueOr({}), '\n')) {
            const std::size_t colon = line.find(':');
            if (colon == std::string::npos) continue;
            const std::string value(base::trim(std::string_view(line).substr(colon + 1)));
            if (line.starts_with("Model")) gpu.name = value;
            if (line.starts_with("GPU UUID")) gpu.uuid = value;
        }
        list.gpus.push_back(std::move(gpu));
    }
    if (!list.gpus.empty()) {
        list.source = "driver";
        return list;
    }
    for (int number = 0; number < kMostGpus; ++number) {
        struct stat info {};
        if (::stat(("/dev/nvidia" + std::to_string(number)).c_str(), &info) != 0 || !S_ISCHR(info.st_mode)) continue;
        Gpu gpu;
        gpu.index = static_cast<int>(list.gpus.size());
        list.gpus.push_back(gpu);
        list.source = "devices";
    }
    return list;
}

GpuList findGpus() {
    const ProgramResult gpus = runProgram(smi(kGpuQuery), kSmiMillis);
    if (!gpus.started) return fromAnswers(gpus, {});
    return fromAnswers(gpus, runProgram(smi(kProcessQuery), kSmiMillis));
}

GpuList findGpusOnce(const base::Path& cache) {
    if (auto known = readCache(cache)) return *known;
    const GpuList found = fromAnswers(runProgram(smi(kGpuQuery), kSmiMillis), {});
    // Kept as a convenience; where it cannot be written, nvidia-smi is asked again.
    if (found.source == "nvidia-smi") (void) replaceFile(cache, base::dumpJson(toJson(found))).ok();
    return found;
}

void GpuLook::begin() {
    m_begun = base::monotonicNanos();
    m_gpuText.clear();
    m_processText.clear();
    const auto start = [](const char* query, std::optional<Child>& into) {
        auto child = Child::start(smi(query));
        if (child.ok()) into.emplace(std::move(child).value());
    };
    start(kGpuQuery, m_gpus);
    start(kProcessQuery, m_processes);
}

std::optional<GpuList> GpuLook::recent(std::int64_t maxAgeMillis) {
    const std::int64_t now = base::monotonicNanos();
    if (m_lastAt != 0 && now - m_lastAt <= maxAgeMillis * 1'000'000) return m_last;
    if (m_begun == 0) begin();
    ProgramResult gpus;
    ProgramResult processes;
    const bool late = now - m_begun > kSmiMillis * 1'000'000;
    const auto look = [late](std::optional<Child>& child, std::string& text, ProgramResult& result) {
        result.started = child.has_value();
        if (!child) return true;
        const auto end = child->end();
        if (child->out.valid() && !readAvailable(child->out.get(), text)) child->out.reset();
        result.timedOut = late && !end;
        if (end) result.end = *end;
        result.out = text;
        return end.has_value() || late;
    };
    const bool gpusDone = look(m_gpus, m_gpuText, gpus);
    if (!look(m_processes, m_processText, processes) || !gpusDone) return {};
    m_gpus.reset();
    m_processes.reset();
    m_begun = 0;
    m_last = fromAnswers(gpus, processes);
    m_lastAt = base::monotonicNanos();
    return m_last;
}

}  // namespace trainyard::agent
