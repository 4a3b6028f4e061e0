#include "core/agent/Machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

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

int countGpus() {
    int count = 0;
    std::error_code ignored;
    while (std::filesystem::exists("/dev/nvidia" + std::to_string(count), ignored)) ++count;
    return count;
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
    machine.gpus = countGpus();
    return machine;
}

}  // namespace trainyard::agent
