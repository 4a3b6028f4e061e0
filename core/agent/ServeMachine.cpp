// What the machine is and what it does: hello, load.
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "core/agent/Gpus.h"
#include "core/agent/Machine.h"
#include "core/agent/ServeStore.h"
#include "core/agent/ServeVerbs.h"
#include "core/agent/Slots.h"
#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Process.h"
#include "core/base/Text.h"
#include "core/wire/Serve.h"

namespace trainyard::agent {

namespace {

Json gpuJson(const Gpu& gpu) {
    return {{"index", gpu.index}, {"name", gpu.name}, {"uuid", gpu.uuid}, {"memory_bytes", gpu.memoryBytes}};
}

Result<Json> hello(const wire::WorkLayout& work) {
    const Machine machine = inspectMachine();
    utsname name{};
    ::uname(&name);
    Json answer = Json::object();
    answer["protocol"] = wire::kServeProtocol;
    answer["version"] = TRAINYARD_VERSION;
    answer["host"] = machine.host;
    answer["user"] = userName(::geteuid());
    answer["uid"] = static_cast<std::int64_t>(::geteuid());
    answer["boot"] = base::bootId();
    answer["work"] = work.root.string();
    answer["machine"] = name.machine;
    answer["kernel"] = std::string(name.sysname) + " " + name.release;
    answer["libc"] = libcOfMachine();
    answer["t"] = base::wallMicros();
    answer["cores"] = machine.cores;
    answer["memory_bytes"] = machine.memoryBytes;
    const Status opened = openWork(work);
    if (!opened.ok()) answer["work_error"] = errorJson(targetError(opened.error()));
    answer["gpus"] = Json::array();
    for (const Gpu& gpu : findGpusOnce(work.root / "gpus.json").gpus) answer["gpus"].push_back(gpuJson(gpu));
    const auto disk = base::diskSpace(work.root);
    answer["disk_free_bytes"] = disk.ok() ? disk->freeBytes : 0;
    answer["sha256"] = base::sha256File("/proc/self/exe").valueOr({});
    return answer;
}

/// Used memory as the system metrics count it: without caches.
std::int64_t memoryUsed() {
    std::map<std::string, std::int64_t> kibibytes;
    for (const std::string& line : base::split(base::readFile("/proc/meminfo", 64 << 10).valueOr({}), '\n')) {
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos) kibibytes[line.substr(0, colon)] = std::atoll(line.c_str() + colon + 1);
    }
    return (kibibytes["MemTotal"] - kibibytes["MemAvailable"]) * 1024;
}

Result<Json> load(const wire::WorkLayout& work, const Path& folder) {
    const Machine machine = inspectMachine();
    const GpuList gpus = findGpus();
    const auto tickets = Slots::list(folder, machine.cores);
    Json answer = Json::object();
    answer["host"] = machine.host;
    answer["cores"] = machine.cores;
    answer["memory_bytes"] = machine.memoryBytes;
    answer["memory_used_bytes"] = memoryUsed();
    double average = 0;
    answer["load"] = ::getloadavg(&average, 1) == 1 ? average : 0.0;
    const auto disk = base::diskSpace(work.root);
    answer["disk_free_bytes"] = disk.ok() ? disk->freeBytes : 0;
    int busy = 0;
    std::map<int, std::string> leased;
    answer["leases"] = Json::array();
    answer["waiting"] = Json::array();
    for (const SlotTicket& ticket : tickets.ok() ? *tickets : std::vector<SlotTicket>()) {
        Json item = {{"run", ticket.name},    {"label", ticket.label},       {"user", ticket.user},
                     {"cores", ticket.cores}, {"priority", ticket.priority}, {"since", ticket.since}};
        if (ticket.holding) {
            busy += ticket.cores;
            item["gpus"] = ticket.gpuIndices;
            for (const int index : ticket.gpuIndices) leased[index] = ticket.label;
        } else {
            item["gpus_wanted"] = ticket.gpus;
        }
        answer[ticket.holding ? "leases" : "waiting"].push_back(std::move(item));
    }
    answer["cores_busy"] = std::min(busy, machine.cores);
    answer["gpus"] = Json::array();
    for (const Gpu& gpu : gpus.gpus) {
        Json item = gpuJson(gpu);
        item["memory_used_bytes"] = gpu.memoryUsedBytes;
        item["utilization_percent"] = gpu.utilizationPercent;
        item["lease"] = leased.contains(gpu.index) ? Json(leased[gpu.index]) : Json();
        item["stranger"] = Json();
        if (!leased.contains(gpu.index)) {
            const auto stranger = std::find_if(gpus.processes.begin(), gpus.processes.end(),
                                               [&](const GpuProcess& process) { return process.uuid == gpu.uuid; });
            if (stranger != gpus.processes.end()) {
                item["stranger"] = {{"pid", stranger->pid}, {"name", stranger->name}};
            }
        }
        answer["gpus"].push_back(std::move(item));
    }
    if (!gpus.trouble.empty()) {
        answer["gpu_trouble"] = gpus.trouble;
    } else if (!gpus.gpus.empty() && !gpus.processesKnown) {
        answer["gpu_trouble"] = "Without nvidia-smi it is not seen what the GPUs do and who uses them";
    }
    if (!tickets.ok()) answer["slots_trouble"] = tickets.error().message;
    return answer;
}

}  // namespace

MadeRequest serveHello(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const int protocol = arguments.number("protocol", 1, 1'000'000, wire::kServeProtocol);
    TRAINYARD_TRY(arguments.status());
    if (protocol > wire::kServeProtocol) {
        return Error{"serve.protocol", "This agent speaks protocol " + std::to_string(wire::kServeProtocol) +
                                           ", the workbench " + std::to_string(protocol) + "."};
    }
    return ServeRequestPtr(
        std::make_unique<ServeWorker>(context, id, [&](const ServeWorker::Say&) { return hello(context.work); }));
}

MadeRequest serveLoad(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    const Path slots = arguments.reader().string("slots", context.slots.string());
    TRAINYARD_TRY(arguments.status());
    return ServeRequestPtr(
        std::make_unique<ServeWorker>(context, id, [&](const ServeWorker::Say&) { return load(context.work, slots); }));
}

}  // namespace trainyard::agent
