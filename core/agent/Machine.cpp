#include "core/agent/Machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "core/agent/Gpus.h"
#include "core/base/Files.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

std::string firstLine(const char* path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

int countCores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    int cores = 1;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        cores = std::max(1, CPU_COUNT(&set));
    } else if (const long online = ::sysconf(_SC_NPROCESSORS_ONLN); online > 0) {
        cores = static_cast<int>(online);
    }
    std::istringstream quota(firstLine("/sys/fs/cgroup/cpu.max"));  // "max 100000" or "150000 100000"
    double granted = 0;
    double period = 0;
    if (quota >> granted >> period && granted > 0 && period > 0) {
        cores = std::min(cores, std::max(1, static_cast<int>(std::ceil(granted / period))));
    }
    return cores;
}

std::int64_t countMemory() {
    std::int64_t bytes = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
    const std::string limit = firstLine("/sys/fs/cgroup/memory.max");
    std::int64_t limitBytes = 0;
    if (std::from_chars(limit.data(), limit.data() + limit.size(), limitBytes).ec == std::errc{} && limitBytes > 0) {
        bytes = std::min(bytes, limitBytes);
    }
    return bytes;
}

std::string inspectArchitecture() {
    utsname name{};
    return ::uname(&name) == 0 ? name.machine : std::string();
}

bool isInPath(const std::string& program) {
    const char* path = std::getenv("PATH");
    for (const std::string& folder : base::split(path == nullptr ? "" : path, ':')) {
        if (!folder.empty() && ::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
    }
    return false;
}

void inspectGpus(Machine& machine) {
    GpuList list = gpusOfKernel();
    if (list.gpus.empty() && isInPath("nvidia-smi")) list = findGpus();
    machine.gpus = static_cast<int>(list.gpus.size());
    machine.driver = base::trim(base::readFile("/sys/module/nvidia/version", 256).valueOr({}));
    if (machine.driver.empty() && !list.gpus.empty()) machine.driver = list.gpus.front().driver;
}

}  // namespace

Machine inspectMachine() {
    Machine machine;
    utsname name{};
    if (::uname(&name) == 0) {
        machine.host = name.nodename;
        machine.kernel = std::string(name.sysname) + " " + name.release + " " + name.machine;
    }
    machine.cores = countCores();
    machine.memoryBytes = countMemory();
    inspectGpus(machine);
    return machine;
}

std::string hostName() {
    utsname name{};
    return ::uname(&name) == 0 ? name.nodename : std::string();
}

std::string userName(uid_t uid) {
    const auto passwd = base::readFile("/etc/passwd");
    for (const std::string& line : base::split(passwd.valueOr({}), '\n')) {
        const auto fields = base::split(line, ':');
        if (fields.size() > 2 && fields[2] == std::to_string(uid))
            return base::stripControl(base::toValidUtf8(fields[0]));
    }
    const char* name = uid == ::geteuid() ? std::getenv("USER") : nullptr;
    if (name != nullptr && *name != '\0') return base::stripControl(base::toValidUtf8(name));
    return "uid " + std::to_string(uid);
}

std::string libcOfMachine() {
    const std::string machine = inspectArchitecture();
    for (const std::string& folder :
         {"/lib/" + machine + "-linux-gnu", std::string("/lib64"), "/usr/lib/" + machine + "-linux-gnu",
          std::string("/usr/lib64"), std::string("/usr/lib"), std::string("/lib")}) {
        const auto bytes = base::readFile(folder + "/libc.so.6", 16 << 20);
        if (!bytes.ok()) continue;
        constexpr std::string_view kWords = "stable release version ";
        const std::size_t at = bytes->find(kWords);
        if (at == std::string::npos) continue;
        const std::size_t from = at + kWords.size();
        std::string version = bytes->substr(from, bytes->find_first_not_of("0123456789.", from) - from);
        while (version.ends_with('.')) version.pop_back();
        return "glibc " + version;
    }
    std::error_code ignored;
    if (std::filesystem::exists("/lib/ld-musl-" + machine + ".so.1", ignored)) return "musl";
    return "unknown";
}

}  // namespace trainyard::agent
