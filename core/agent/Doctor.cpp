#include "core/agent/Doctor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/agent/Child.h"
#include "core/agent/Machine.h"
#include "core/agent/Slots.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kGibibyte = std::int64_t{1} << 30;
constexpr std::int64_t kLittleDisk = 10 * kGibibyte;
constexpr std::int64_t kLittleMemory = 2 * kGibibyte;
constexpr std::int64_t kClockWarnMicros = 2'000'000;
constexpr std::int64_t kClockFailMicros = 60'000'000;
constexpr std::int64_t kExecMillis = 10'000;

DoctorLine lineOf(const char* id, const char* title) {
    DoctorLine line;
    line.id = id;
    line.title = title;
    return line;
}

DoctorLine& conclude(DoctorLine& line, Finding finding, std::string text, std::string remedy = {}) {
    line.finding = finding;
    line.text = std::move(text);
    line.remedy = std::move(remedy);
    return line;
}

std::string valueOf(const std::string& text, const std::string& key, char separator) {
    for (const std::string& line : base::split(text, '\n')) {
        const std::size_t at = line.find(separator);
        if (at == std::string::npos || base::trim(std::string_view(line).substr(0, at)) != key) continue;
        std::string value(base::trim(std::string_view(line).substr(at + 1)));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
        return base::stripControl(base::toValidUtf8(value));
    }
    return {};
}

DoctorLine probeOs(const DoctorQuestion&) {
    DoctorLine line = lineOf("os", "Operating system");
    utsname name{};
    ::uname(&name);
    const std::string kernel = std::string(name.sysname) + " " + name.release;
    line.values["kernel"] = kernel;
    auto text = base::readFile("/etc/os-release", 64 << 10);
    if (!text.ok()) text = base::readFile("/usr/lib/os-release", 64 << 10);
    const std::string pretty = text.ok() ? valueOf(*text, "PRETTY_NAME", '=') : std::string();
    if (pretty.empty()) {
        return conclude(line, Finding::Unknown,
                        kernel + "; the distribution cannot be told: /etc/os-release says no name",
                        "Nothing, unless runs fail: any Linux from kernel 3.10 on will do.");
    }
    line.values["name"] = pretty;
    int major = 0;
    std::from_chars(name.release, name.release + std::strlen(name.release), major);
    if (major < 4) {
        return conclude(line, Finding::Warning, pretty + ", " + kernel,
                        "Use a kernel from 4.0 on; older ones are not tested.");
    }
    return conclude(line, Finding::Ok, pretty + ", " + kernel);
}

DoctorLine probeLibc(const DoctorQuestion&) {
    DoctorLine line = lineOf("libc", "C library");
    const std::string libc = libcOfMachine();
    line.values["libc"] = libc;
    if (libc == "unknown") {
        return conclude(
            line, Finding::Unknown, "No C library was found in the usual places",
            "The agent and the engine's CPU bundle bring their own; programs of this machine may not start.");
    }
    if (libc == "musl") {
        return conclude(line, Finding::Warning, "musl",
                        "PyTorch's wheels need glibc: use a glibc system or a container for "
                        "Python scripts. The engine's CPU bundle brings its own library.");
    }
    int minor = 0;
    const std::size_t dot = libc.find('.');
    if (dot != std::string::npos) std::from_chars(libc.data() + dot + 1, libc.data() + libc.size(), minor);
    if (libc.starts_with("glibc 2.") && minor < 28) {
        return conclude(line, Finding::Warning, libc,
                        "Recent PyTorch wheels need glibc 2.28. The engine's CPU bundle brings its "
                        "own library.");
    }
    return conclude(line, Finding::Ok, libc);
}

DoctorLine probeProcessor(const DoctorQuestion&) {
    DoctorLine line = lineOf("processor", "Processor");
    utsname name{};
    ::uname(&name);
    line.values["machine"] = name.machine;
    const auto text = base::readFile("/proc/cpuinfo", 8 << 20);
    const std::string flags = text.ok() ? " " + valueOf(*text, "flags", ':') + " " : std::string();
    if (flags.size() < 3) {
        return conclude(line, Finding::Unknown, std::string(name.machine) + "; /proc/cpuinfo tells no features",
                        "Mount /proc in this container or jail.");
    }
    const std::string model = valueOf(*text, "model name", ':');
    line.values["model"] = model;
    line.values["avx2"] = flags.find(" avx2 ") != std::string::npos;
    line.values["avx512"] = flags.find(" avx512f ") != std::string::npos;
    const std::string shown = (model.empty() ? std::string(name.machine) : model);
    if (!line.values["avx2"].get<bool>()) {
        return conclude(line, Finding::Warning, shown + ", without AVX2",
                        "Training on this processor will be slow; nothing can be "
                        "done about it on this machine.");
    }
    return conclude(line, Finding::Ok, shown + (line.values["avx512"].get<bool>() ? ", AVX-512" : ", AVX2"));
}

/// The nearest that is there: the work folder may not have been made yet. Where even that cannot be told, errno says
/// why.
std::optional<base::Path> thereAbove(base::Path path) {
    struct stat info {};
    while (::stat(path.c_str(), &info) != 0) {
        if (errno != ENOENT || !path.has_relative_path()) return {};
        path = path.parent_path();
    }
    return path;
}

DoctorLine probeDisk(const DoctorQuestion& question) {
    DoctorLine line = lineOf("disk", "Disk of the work folder");
    struct statvfs info {};
    const auto there = thereAbove(question.work);
    if (!there || ::statvfs(there->c_str(), &info) != 0) {
        return conclude(line, Finding::Unknown, question.work.string() + ": " + std::strerror(errno),
                        "Choose another work folder in the target's definition.");
    }
    const auto freeBytes = static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize);
    const auto totalBytes = static_cast<std::int64_t>(info.f_blocks) * static_cast<std::int64_t>(info.f_frsize);
    line.values["free_bytes"] = freeBytes;
    line.values["total_bytes"] = totalBytes;
    const std::string text =
        base::formatBytes(freeBytes) + " of " + base::formatBytes(totalBytes) + " free in " + question.work.string();
    const std::string remedy = "Make room there, clear the target's cache, or choose another work folder.";
    if (info.f_files > 0 && info.f_favail == 0)
        return conclude(line, Finding::Failure, text + ", but no more files can be made", remedy);
    if (freeBytes < kGibibyte) return conclude(line, Finding::Failure, text, remedy);
    if (freeBytes < kLittleDisk) return conclude(line, Finding::Warning, text, remedy);
    return conclude(line, Finding::Ok, text);
}

DoctorLine probeMemory(const DoctorQuestion&) {
    DoctorLine line = lineOf("memory", "Memory");
    const Machine machine = inspectMachine();
    const auto text = base::readFile("/proc/meminfo", 64 << 10);
    const std::string available = text.ok() ? valueOf(*text, "MemAvailable", ':') : std::string();
    line.values["memory_bytes"] = machine.memoryBytes;
    if (available.empty()) {
        return conclude(line, Finding::Unknown,
                        base::formatBytes(machine.memoryBytes) + "; what of it is free cannot be told",
                        "Mount /proc in this container or jail.");
    }
    const std::int64_t freeBytes = std::min<std::int64_t>(std::atoll(available.c_str()) * 1024, machine.memoryBytes);
    line.values["available_bytes"] = freeBytes;
    const std::string shown =
        base::formatBytes(freeBytes) + " of " + base::formatBytes(machine.memoryBytes) + " available";
    if (freeBytes < kLittleMemory)
        return conclude(line, Finding::Warning, shown, "End other programs, or ask for smaller batches.");
    return conclude(line, Finding::Ok, shown);
}

DoctorLine probeCores(const DoctorQuestion&) {
    DoctorLine line = lineOf("cores", "Cores");
    const int usable = inspectMachine().cores;
    const auto there = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    line.values["cores"] = usable;
    line.values["cores_of_machine"] = there;
    if (there <= 0) {
        return conclude(line, Finding::Unknown,
                        std::to_string(usable) + " may be used; how many there are cannot be told",
                        "Mount /proc and /sys in this container or jail.");
    }
    if (usable < there) {
        return conclude(
            line, Finding::Warning, std::to_string(usable) + " of " + std::to_string(there) + " may be used",
            "The processor affinity or the control group of your login limits you; ask the administrator if you "
            "need more.");
    }
    return conclude(line, Finding::Ok, std::to_string(usable));
}

DoctorLine probeSlots(const DoctorQuestion& question) {
    DoctorLine line = lineOf("slots", "Queue of this machine");
    const int cores = inspectMachine().cores;
    if (const auto slots = Slots::open(question.slots, cores, 0); !slots.ok()) {
        return conclude(line, Finding::Failure, slots.error().message,
                        "Let the folder be writable for all (mode 1777), or name another in the target's definition.");
    }
    const auto tickets = Slots::list(question.slots, cores);
    if (!tickets.ok()) {
        return conclude(line, Finding::Unknown, tickets.error().message,
                        "Let the folder be readable for all (mode 1777).");
    }
    const auto holding =
        std::count_if(tickets->begin(), tickets->end(), [](const SlotTicket& one) { return one.holding; });
    const auto waiting = static_cast<std::ptrdiff_t>(tickets->size()) - holding;
    line.values["holding"] = static_cast<std::int64_t>(holding);
    line.values["waiting"] = static_cast<std::int64_t>(waiting);
    return conclude(line, Finding::Ok,
                    std::to_string(holding) + " running, " + std::to_string(waiting) + " waiting in " +
                        question.slots.string());
}

DoctorLine probeClock(const DoctorQuestion& question) {
    DoctorLine line = lineOf("clock", "Clock");
    if (question.clientTime == 0) {
        return conclude(line, Finding::Unknown, "The workbench did not tell its time",
                        "Ask again from a workbench of this version.");
    }
    const std::int64_t offset = question.askedAt - question.clientTime;
    line.values["offset_us"] = offset;
    const std::string text = base::formatDuration(std::abs(offset) * 1000) +
                             (offset < 0 ? " behind the workbench" : " ahead of the workbench, or on the way");
    const std::string remedy = "Turn on time synchronisation on both machines (timedatectl set-ntp true).";
    if (std::abs(offset) >= kClockFailMicros) return conclude(line, Finding::Failure, text, remedy);
    if (std::abs(offset) >= kClockWarnMicros) return conclude(line, Finding::Warning, text, remedy);
    return conclude(line, Finding::Ok, text);
}

/// Copies the agent into the work folder, reads it back and starts it: what every run needs of that folder.
DoctorLine probeWrite(const DoctorQuestion& question) {
    DoctorLine line = lineOf("write", "Work folder");
    const base::Path& work = question.work;
    const auto failed = [&](const base::Error& error) {
        std::string remedy = "Choose a work folder that you may write to, in the target's definition.";
        if (error.code == "file.full")
            remedy = "Make room there, clear the target's cache, or choose another work folder.";
        line.values["code"] = error.code;
        return conclude(line, Finding::Failure, error.message, remedy);
    };
    if (const auto made = base::makeDirs(work); !made.ok()) return failed(made.error());
    if (const auto owned = base::checkOwnedByUs(work); !owned.ok()) return failed(owned.error());
    const base::Path copy = work / (".doctor-" + std::to_string(::getpid()));
    const std::int64_t begun = base::monotonicNanos();
    const auto written = base::copyFile("/proc/self/exe", copy);
    const double seconds = static_cast<double>(base::monotonicNanos() - begun) / 1e9;
    ProgramResult started;
    bool locks = false;
    if (written.ok()) {
        struct stat info {};
        if (::stat(copy.c_str(), &info) == 0 && seconds > 0) {
            line.values["write_bytes_per_second"] = std::llround(static_cast<double>(info.st_size) / seconds);
        }
        ::chmod(copy.c_str(), 0700);
        ChildSpec spec;
        spec.argv = {copy.string(), "--version"};
        started = runProgram(spec, kExecMillis);
        locks = base::FileLock::tryExclusive(copy).ok();
    }
    ::unlink(copy.c_str());
    if (!written.ok()) return failed(written.error());
    if (!started.started) {
        line.values["code"] = "noexec";
        return conclude(line, Finding::Failure,
                        "Programs in " + work.string() +
                            " cannot be started; its file system is mounted "
                            "noexec, most likely",
                        "Choose a work folder on another file system, in the target's definition.");
    }
    if (!started.succeeded()) {
        return conclude(line, Finding::Failure,
                        "A program in " + work.string() + " did not work: " + started.trouble("it"),
                        "Choose a work folder on another file system, in the target's definition.");
    }
    if (!locks) {
        return conclude(line, Finding::Failure, "Files in " + work.string() + " cannot be locked",
                        "Choose a work folder on a local disk, or ask for NFS with locking.");
    }
    line.values["path"] = work.string();
    line.values["network"] = base::isNetworkFileSystem(work);
    std::string text = work.string() + " can be written to, and programs in it started";
    if (line.values["network"].get<bool>()) text += "; it lies on a network file system";
    return conclude(line, Finding::Ok, text);
}

std::vector<std::pair<std::string, std::string>> interfaces() {
    std::vector<std::pair<std::string, std::string>> found;
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) return found;
    for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
        std::array<char, INET6_ADDRSTRLEN> text{};
        const void* address = nullptr;
        if (one->ifa_addr->sa_family == AF_INET)
            address = &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
        if (one->ifa_addr->sa_family == AF_INET6)
            address = &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
        if (address == nullptr || ::inet_ntop(one->ifa_addr->sa_family, address, text.data(), text.size()) == nullptr)
            continue;
        found.emplace_back(one->ifa_name, text.data());
    }
    ::freeifaddrs(all);
    return found;
}

DoctorLine probeNetwork(const DoctorQuestion&) {
    DoctorLine line = lineOf("network", "Network");
    std::string text;
    line.values["interfaces"] = base::Json::array();
    for (const auto& [name, address] : interfaces()) {
        if (name == "lo" || address.starts_with("fe80")) continue;
        line.values["interfaces"].push_back({{"name", name}, {"address", address}});
        text += (text.empty() ? "" : ", ") + name + " " + address;
    }
    if (text.empty()) {
        return conclude(line, Finding::Warning, "No interface has an address but the loopback",
                        "Runs of several nodes need a network between them.");
    }
    return conclude(line, Finding::Ok, text);
}

/// The kernel's own answer to: from which address, over which interface.
DoctorLine probeRoute(const std::string& host, const std::string& address) {
    DoctorLine line = lineOf("route", "Way to another node");
    line.values["peer"] = host;
    line.values["address"] = address;
    sockaddr_storage storage{};
    auto* const four = reinterpret_cast<sockaddr_in*>(&storage);
    auto* const six = reinterpret_cast<sockaddr_in6*>(&storage);
    socklen_t length = sizeof *four;
    four->sin_family = AF_INET;
    four->sin_port = htons(9);
    if (::inet_pton(AF_INET, address.c_str(), &four->sin_addr) != 1) {
        length = sizeof *six;
        six->sin6_family = AF_INET6;
        if (::inet_pton(AF_INET6, address.c_str(), &six->sin6_addr) != 1) {
            return conclude(line, Finding::Unknown, "\"" + base::stripControl(address) + "\" is no numeric address",
                            "Give each host a numeric address for the other nodes, in the target's definition.");
        }
        six->sin6_port = htons(9);
    }
    const base::UniqueFd fd(::socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto* const generic = reinterpret_cast<sockaddr*>(&storage);
    if (!fd.valid() || ::connect(fd.get(), generic, length) != 0) {
        return conclude(line, Finding::Failure, "No way to " + host + " (" + address + "): " + std::strerror(errno),
                        "Correct the node's address in the target's definition, or the routes of this host.");
    }
    length = sizeof storage;
    std::array<char, INET6_ADDRSTRLEN> from{};
    if (::getsockname(fd.get(), generic, &length) != 0 ||
        ::inet_ntop(storage.ss_family,
                    storage.ss_family == AF_INET ? static_cast<const void*>(&four->sin_addr)
                                                 : static_cast<const void*>(&six->sin6_addr),
                    from.data(), from.size()) == nullptr) {
        return conclude(line, Finding::Unknown, std::string("The own address cannot be told: ") + std::strerror(errno),
                        "Name the interface in the target's definition.");
    }
    std::string interface;
    for (const auto& [name, own] : interfaces()) {
        if (own == from.data()) interface = name;
    }
    line.values["from"] = from.data();
    line.values["interface"] = interface;
    if (interface == "lo") {
        return conclude(line, Finding::Warning, host + " (" + address + ") is this host itself",
                        "Each host of a target must be another machine.");
    }
    return conclude(line, Finding::Ok, host + " (" + address + ") over " + interface + " from " + from.data());
}

const char* findingName(Finding finding) {
    switch (finding) {
    case Finding::Ok: return "ok";
    case Finding::Warning: return "warning";
    case Finding::Failure: return "failure";
    case Finding::Unknown: break;
    }
    return "unknown";
}

}  // namespace

base::Json toJson(const DoctorLine& line) {
    base::Json json = base::Json::object();
    json["id"] = line.id;
    json["title"] = line.title;
    json["finding"] = findingName(line.finding);
    json["text"] = base::stripControl(base::toValidUtf8(line.text));
    json["remedy"] = line.finding == Finding::Ok ? std::string() : base::stripControl(base::toValidUtf8(line.remedy));
    json["values"] = line.values;
    return json;
}

void runDoctor(const DoctorQuestion& question, const std::function<bool(const DoctorLine&)>& tell) {
    using Probe = DoctorLine (*)(const DoctorQuestion&);
    const std::array<std::pair<const char*, Probe>, 20> kProbes{
        {{"os", &probeOs},           {"libc", &probeLibc},        {"processor", &probeProcessor},
         {"cores", &probeCores},     {"memory", &probeMemory},    {"disk", &probeDisk},
         {"write", &probeWrite},     {"slots", &probeSlots},      {"clock", &probeClock},
         {"network", &probeNetwork}, {"gpus", &probes::gpus},     {"cuda", &probes::cuda},
         {"nccl", &probes::nccl},    {"mpi", &probes::mpi},       {"containers", &probes::containers},
         {"conda", &probes::conda},  {"python", &probes::python}, {"torch", &probes::torch},
         {"slurm", &probes::slurm},  {"route", nullptr}}};
    for (const auto& [id, probe] : kProbes) {
        if (!question.names.empty() && !question.names.contains(id)) continue;
        // Without the workbench's time this line has nothing to say, unless it was asked for by name.
        if (std::string_view(id) == "clock" && question.clientTime == 0 && question.names.empty()) continue;
        if (probe != nullptr) {
            if (!tell(probe(question))) return;
            continue;
        }
        for (const auto& [host, address] : question.peers) {
            if (!tell(probeRoute(host, address))) return;
        }
    }
}

}  // namespace trainyard::agent
