// The doctor's probes that ask programs: nvidia-smi, nvcc, mpirun, srun, container engines, Python, Slurm.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <sstream>

#include "core/agent/Child.h"
#include "core/agent/Doctor.h"
#include "core/agent/Gpus.h"
#include "core/agent/Slots.h"
#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent::probes {

namespace {

constexpr std::int64_t kProgramMillis = 15'000;
constexpr std::int64_t kTorchMillis = 90'000;  ///< The first import from a cold network disk takes its time.

DoctorLine lineOf(const char* id, const char* title) {
    DoctorLine line;
    line.id = id;
    line.title = title;
    return line;
}

DoctorLine conclude(DoctorLine line, Finding finding, std::string text, std::string remedy = {}) {
    line.finding = finding;
    line.text = std::move(text);
    line.remedy = std::move(remedy);
    return line;
}

ProgramResult runArgs(std::vector<std::string> argv, std::int64_t limitMillis = kProgramMillis) {
    ChildSpec spec;
    spec.argv = std::move(argv);
    return runProgram(spec, limitMillis);
}

/// Something that need not be there.
DoctorLine absent(const DoctorQuestion& question, DoctorLine line, Finding usually, const std::string& text,
                  const std::string& remedy) {
    const bool needed = question.need.contains(line.id);
    return conclude(std::move(line), needed ? Finding::Failure : usually, text,
                    needed || usually != Finding::Ok ? remedy : "");
}

/// A program that is there and does not work: no answer in time leaves it open what is wrong. `usually`: how bad it is
/// where nobody asked for it.
DoctorLine broken(const DoctorQuestion& question, DoctorLine line, const ProgramResult& result, const std::string& name,
                  Finding usually, const std::string& remedy) {
    const Finding finding = question.need.contains(line.id) ? Finding::Failure : usually;
    return conclude(std::move(line), result.timedOut ? Finding::Unknown : finding, result.trouble(name), remedy);
}

bool isMissing(const ProgramResult& result) {
    return !result.started && result.error.find("is not there") != std::string::npos;
}

std::string firstLine(const std::string& text) {
    const std::string cut(base::trim(text));
    return base::stripControl(base::toValidUtf8(cut.substr(0, cut.find('\n')))).substr(0, 200);
}

/// "12.2" behind a word such as "release ".
std::string versionBehind(const std::string& text, const std::string& word) {
    std::size_t at = text.find(word);
    if (at == std::string::npos) return {};
    at = text.find_first_not_of(' ', at + word.size());
    if (at == std::string::npos) return {};
    std::string version = text.substr(at, text.find_first_not_of("0123456789.", at) - at);
    while (version.ends_with('.')) version.pop_back();
    return version;
}

/// NVIDIA's display controllers on the PCI bus, driver or not; nothing where the bus cannot be looked at.
std::optional<int> cardsOnBus() {
    std::error_code error;
    int cards = 0;
    std::filesystem::directory_iterator it("/sys/bus/pci/devices", error);
    if (error) return {};
    for (const std::filesystem::directory_iterator end; !error && it != end; it.increment(error)) {
        const auto vendor = base::readFile(it->path() / "vendor", 64).valueOr({});
        const auto kind = base::readFile(it->path() / "class", 64).valueOr({});
        if (vendor.starts_with("0x10de") && kind.starts_with("0x03")) ++cards;
    }
    return cards;
}

/// Files of a name in the folders where libraries lie.
std::vector<base::Path> librariesNamed(const std::string& prefix, const std::vector<std::string>& more) {
    std::vector<std::string> folders{
        "/usr/lib/x86_64-linux-gnu", "/usr/lib64",   "/usr/lib", "/usr/local/lib", "/lib/x86_64-linux-gnu", "/lib64",
        "/usr/local/cuda/lib64",     "/opt/nccl/lib"};
    const char* path = std::getenv("LD_LIBRARY_PATH");
    for (const std::string& folder : base::split(path == nullptr ? "" : path, ':')) folders.push_back(folder);
    folders.insert(folders.end(), more.begin(), more.end());
    std::vector<base::Path> found;
    for (const std::string& folder : folders) {
        std::error_code error;
        if (folder.empty()) continue;
        for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
            if (it->path().filename().string().starts_with(prefix)) found.push_back(it->path());
        }
    }
    return found;
}

/// The interpreters in PATH, by their names: "python", "python3", "python3.11".
base::Json pythonsInPath() {
    constexpr std::size_t kMost = 100;
    base::Json found = base::Json::array();
    const char* path = std::getenv("PATH");
    for (const std::string& folder : base::split(path == nullptr ? "" : path, ':')) {
        std::error_code error;
        if (folder.empty()) continue;
        for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
            const std::string name = it->path().filename().string();
            if (!name.starts_with("python") || name.find_first_not_of("0123456789.", 6) != std::string::npos) continue;
            if (::access(it->path().c_str(), X_OK) == 0 && found.size() < kMost)
                found.push_back(base::toValidUtf8(it->path().string()));
        }
    }
    return found;
}

/// What the interpreter's torch says of itself; asked once a doctor's visit (a process of its own).
struct TorchAnswer {
    ProgramResult result;
    base::Json json;
};

const TorchAnswer& askTorch(const std::string& python) {
    static const TorchAnswer answer = [&python] {
        constexpr const char* kProgram =
            "import json, os, torch\n"
            "d = {'version': torch.__version__, 'path': os.path.dirname(torch.__file__), 'cuda': torch.version.cuda,\n"
            "     'cuda_available': torch.cuda.is_available(), 'devices': torch.cuda.device_count()}\n"
            "try: d['cmake'] = torch.utils.cmake_prefix_path\n"
            "except Exception: pass\n"
            "try:\n"
            "    import torch.distributed as t\n"
            "    d['distributed'] = t.is_available(); d['gloo'] = bool(getattr(t, 'is_gloo_available', "
            "t.is_available)())\n"
            "    d['nccl'] = bool(t.is_nccl_available()); d['mpi'] = bool(t.is_mpi_available())\n"
            "    d['nccl_version'] = '.'.join(map(str, torch.cuda.nccl.version())) if d['nccl'] and d['cuda'] else "
            "None\n"
            "except Exception as e: d['distributed_error'] = str(e)\n"
            "print('\\nTRAINYARD ' + json.dumps(d))\n";
        TorchAnswer asked;
        asked.result = runArgs({python, "-c", kProgram}, kTorchMillis);
        const std::size_t at = asked.result.out.find("\nTRAINYARD ");
        if (asked.result.succeeded() && at != std::string::npos) {
            const auto json = base::parseJson(base::trim(asked.result.out.substr(at + 11)));
            if (json.ok()) asked.json = *json;
        }
        return asked;
    }();
    return answer;
}

bool isTrue(const base::Json& json, const char* key) {
    const auto it = json.find(key);
    return it != json.end() && it->is_boolean() && it->get<bool>();
}

/// GPUs are asked for once a visit too.
const GpuList& gpuList() {
    static const GpuList list = findGpus();
    return list;
}

/// For lines that only matter with a GPU: what they say without one; nothing when there is one.
std::optional<DoctorLine> withoutGpu(const DoctorQuestion& question, const DoctorLine& line) {
    const GpuList& list = gpuList();
    if (!list.gpus.empty()) return {};
    if (!list.trouble.empty() || cardsOnBus().value_or(1) > 0) {
        return conclude(line, Finding::Unknown, "Whether there are GPUs is not known", "See the line GPUs.");
    }
    return absent(question, line, Finding::Ok, "No GPU here, so it is not needed", "Use a host with an NVIDIA GPU.");
}

}  // namespace

DoctorLine gpus(const DoctorQuestion& question) {
    DoctorLine line = lineOf("gpus", "GPUs");
    const GpuList& list = gpuList();
    line.values["gpus"] = static_cast<std::int64_t>(list.gpus.size());
    line.values["devices"] = base::Json::array();
    std::string names;
    for (const Gpu& gpu : list.gpus) {
        line.values["devices"].push_back({{"index", gpu.index}, {"name", gpu.name}, {"memory_bytes", gpu.memoryBytes}});
        names += (names.empty() ? "" : ", ") + std::to_string(gpu.index) + ": " +
                 (gpu.name.empty() ? "NVIDIA GPU" : gpu.name);
        if (gpu.memoryBytes > 0) names += " (" + base::formatBytes(gpu.memoryBytes) + ")";
    }
    if (!list.gpus.empty()) line.values["driver"] = list.gpus.front().driver;
    const auto cards = cardsOnBus();
    if (list.source == "nvidia-smi") {
        std::string busy;
        const auto tickets = Slots::list(question.slots, 1);
        for (const Gpu& gpu : list.gpus) {
            const bool leased =
                tickets.ok() && std::any_of(tickets->begin(), tickets->end(), [&](const SlotTicket& ticket) {
                    return ticket.holding &&
                           std::count(ticket.gpuIndices.begin(), ticket.gpuIndices.end(), gpu.index) > 0;
                });
            for (const GpuProcess& process : list.processes) {
                if (process.uuid != gpu.uuid || leased) continue;
                busy += (busy.empty() ? "" : ", ") + std::string("GPU ") + std::to_string(gpu.index) + " by " +
                        base::Path(process.name).filename().string() + " (process " + std::to_string(process.pid) + ")";
            }
        }
        const std::string text = names + "; driver " + list.gpus.front().driver;
        if (!list.processesKnown) {
            return conclude(
                line, Finding::Warning, text + "; who uses them cannot be told",
                "nvidia-smi --query-compute-apps fails here, so a GPU that others use cannot be kept from runs.");
        }
        if (!busy.empty()) {
            return conclude(line, Finding::Warning, text + "; used by others: " + busy,
                            "Runs wait until these programs end; they hold no lease of Trainyard's.");
        }
        return conclude(line, Finding::Ok, text);
    }
    if (!list.trouble.empty()) {
        return conclude(
            line, Finding::Failure, (names.empty() ? "" : names + "; ") + list.trouble,
            "Make nvidia-smi work: install the driver anew, load it (modprobe nvidia), or restart the machine after "
            "an update of the driver.");
    }
    if (!list.gpus.empty()) {
        return conclude(line, Finding::Warning, names + ", seen without nvidia-smi",
                        "Put nvidia-smi (package nvidia-smi or the driver's) into PATH: without it use and strangers "
                        "are not seen.");
    }
    if (cards.value_or(0) > 0) {
        return conclude(line, Finding::Failure, std::to_string(*cards) + " NVIDIA cards on the PCI bus, but no driver",
                        "Install NVIDIA's driver on this host.");
    }
    if (!cards) {
        return conclude(line, Finding::Unknown, "No driver, and the PCI bus cannot be looked at",
                        "Mount /sys in this container, or give it the GPUs.");
    }
    return absent(question, line, Finding::Ok, "None", "Use a host with an NVIDIA GPU.");
}

DoctorLine cuda(const DoctorQuestion& question) {
    const DoctorLine line = lineOf("cuda", "CUDA");
    if (auto none = withoutGpu(question, line)) return *none;
    const ProgramResult smi = runArgs({"nvidia-smi"});
    const std::string driver = smi.succeeded() ? versionBehind(smi.out, "CUDA Version:") : std::string();
    DoctorLine told = line;
    told.values["driver_cuda"] = driver;
    if (driver.empty()) {
        return conclude(told, Finding::Unknown,
                        smi.succeeded() ? "nvidia-smi names no CUDA version" : smi.trouble("nvidia-smi"),
                        "See the line GPUs.");
    }
    const ProgramResult nvcc = runArgs({"nvcc", "--version"});
    std::string toolkit = nvcc.succeeded() ? versionBehind(nvcc.out, "release") : std::string();
    if (toolkit.empty()) {
        const ProgramResult usual = runArgs({"/usr/local/cuda/bin/nvcc", "--version"});
        if (usual.succeeded()) toolkit = versionBehind(usual.out, "release");
    }
    told.values["toolkit"] = toolkit;
    if (toolkit.empty()) {
        const std::string why = isMissing(nvcc) ? "no toolkit (nvcc) was found" : nvcc.trouble("nvcc");
        return conclude(told, Finding::Warning, "The driver takes CUDA " + driver + "; " + why,
                        "Python scripts need nothing more. To build the engine here for CUDA, install the CUDA toolkit "
                        "and put nvcc "
                        "into PATH.");
    }
    return conclude(told, Finding::Ok, "The driver takes CUDA " + driver + "; toolkit " + toolkit);
}

DoctorLine nccl(const DoctorQuestion& question) {
    const DoctorLine line = lineOf("nccl", "NCCL");
    if (auto none = withoutGpu(question, line)) return *none;
    const base::Json& torch = askTorch(question.python).json;
    std::vector<std::string> more;
    if (const std::string path = base::jsonText(torch, "path"); !path.empty()) {
        more.push_back((base::Path(path).parent_path() / "nvidia" / "nccl" / "lib").string());
    }
    DoctorLine told = line;
    if (const std::string version = base::jsonText(torch, "nccl_version"); !version.empty()) {
        told.values["version"] = version;
        return conclude(told, Finding::Ok, version + ", with " + question.python + "'s torch");
    }
    const auto found = librariesNamed("libnccl.so", more);
    if (found.empty()) {
        return absent(question, told, Finding::Warning,
                      "No libnccl.so in the usual places, and none in " + question.python + "'s torch",
                      "Install a PyTorch for CUDA (it brings NCCL), or libnccl2. Gloo works without it, more slowly.");
    }
    const auto longest = std::max_element(found.begin(), found.end(), [](const base::Path& a, const base::Path& b) {
        return a.filename().string().size() < b.filename().string().size();
    });
    told.values["path"] = longest->string();
    return conclude(told, Finding::Ok, longest->string());
}

DoctorLine mpi(const DoctorQuestion& question) {
    DoctorLine line = lineOf("mpi", "MPI");
    const ProgramResult mpirun = runArgs({"mpirun", "--version"});
    const ProgramResult srun = runArgs({"srun", "--version"});
    line.values["mpirun"] = mpirun.succeeded() ? firstLine(mpirun.out) : std::string();
    line.values["srun"] = srun.succeeded() ? firstLine(srun.out) : std::string();
    if (isMissing(mpirun) && isMissing(srun)) {
        return absent(question, line, Finding::Warning, "Neither mpirun nor srun is there",
                      "For MPI runs install Open MPI (openmpi-bin) on every host, or put its mpirun into PATH.");
    }
    std::string text;
    std::string trouble;
    for (const auto& [name, result] :
         {std::pair<const char*, const ProgramResult&>{"mpirun", mpirun}, {"srun", srun}}) {
        if (result.succeeded()) text += (text.empty() ? "" : "; ") + firstLine(result.out);
        if (!result.succeeded() && !isMissing(result)) trouble += (trouble.empty() ? "" : "; ") + result.trouble(name);
    }
    const std::string remedy = "Repair the installation of MPI or Slurm on this host.";
    if (text.empty())
        return broken(question, line, isMissing(mpirun) ? srun : mpirun, isMissing(mpirun) ? "srun" : "mpirun",
                      Finding::Failure, remedy);
    if (!trouble.empty()) return conclude(line, Finding::Warning, text + "; " + trouble, remedy);
    return conclude(line, Finding::Ok, text);
}

DoctorLine containers(const DoctorQuestion& question) {
    DoctorLine line = lineOf("containers", "Container engines");
    line.values["engines"] = base::Json::array();
    std::string text;
    std::string trouble;
    std::string remedy;
    bool open = false;
    for (const char* name : {"podman", "docker", "apptainer", "singularity"}) {
        const ProgramResult version = runArgs({name, "--version"});
        if (isMissing(version)) continue;
        ProgramResult works = version;
        if (version.succeeded() && (std::string_view(name) == "docker" || std::string_view(name) == "podman")) {
            works = runArgs({name, "info"});
        }
        if (works.succeeded()) {
            text += (text.empty() ? "" : ", ") + firstLine(version.out);
            line.values["engines"].push_back({{"name", name}, {"version", firstLine(version.out)}});
            continue;
        }
        open = open || works.timedOut;
        trouble += (trouble.empty() ? "" : "; ") + works.trouble(name);
        remedy = std::string_view(name) == "docker"
                     ? "Start docker, and become a member of the group docker on this host."
                     : "Repair " + std::string(name) + " on this host.";
    }
    if (!trouble.empty()) {
        const bool needed = question.need.contains(line.id) && text.empty();
        const Finding finding = open && text.empty() ? Finding::Unknown : needed ? Finding::Failure : Finding::Warning;
        return conclude(line, finding, (text.empty() ? "" : text + "; ") + trouble, remedy);
    }
    if (text.empty()) {
        return absent(question, line, Finding::Warning, "None of podman, docker, apptainer and singularity is there",
                      "Install podman for runs in containers; nothing else needs it.");
    }
    return conclude(line, Finding::Ok, text);
}

DoctorLine conda(const DoctorQuestion& question) {
    DoctorLine line = lineOf("conda", "Conda");
    line.values["tools"] = base::Json::array();
    std::string text;
    std::string trouble;
    for (const char* name : {"micromamba", "mamba", "conda"}) {
        const ProgramResult version = runArgs({name, "--version"});
        if (isMissing(version)) continue;
        if (!version.succeeded()) {
            trouble += (trouble.empty() ? "" : "; ") + version.trouble(name);
            continue;
        }
        // micromamba says its number alone; the others their name before it, and mamba conda's too.
        const std::string said = firstLine(version.out);
        const std::string shown = said.starts_with(name) ? said : std::string(name) + " " + said;
        text += (text.empty() ? "" : ", ") + shown;
        line.values["tools"].push_back({{"name", name}, {"version", shown}});
    }
    if (!trouble.empty()) {
        const bool needed = question.need.contains(line.id) && text.empty();
        return conclude(line, needed ? Finding::Failure : Finding::Warning, (text.empty() ? "" : text + "; ") + trouble,
                        "Repair it on this host, or take it out of PATH.");
    }
    if (text.empty()) {
        return absent(question, line, Finding::Ok, "None of micromamba, mamba and conda is there",
                      "Install micromamba (one file) into PATH on this host.");
    }
    return conclude(line, Finding::Ok, text);
}

DoctorLine python(const DoctorQuestion& question) {
    DoctorLine line = lineOf("python", "Python");
    line.values["pythons"] = pythonsInPath();
    const std::string& name = question.python;
    const ProgramResult result =
        runArgs({name, "-c", "import sys; print('%d.%d.%d %s' % (sys.version_info[:3] + (sys.executable,)))"});
    if (isMissing(result)) {
        return absent(
            question, line, Finding::Warning, name + " is not there",
            "Install Python 3 for scripts, or name the interpreter in the target's definition. The engine needs none.");
    }
    if (!result.succeeded())
        return broken(question, line, result, name, Finding::Failure,
                      "Repair this interpreter, or name another in the target's definition.");
    const std::string said = firstLine(result.out);
    const std::size_t space = said.find(' ');
    const std::string version = said.substr(0, space);
    const auto parts = base::split(version, '.');
    if (space == std::string::npos || parts.size() != 3) {
        return conclude(line, Finding::Unknown, name + " answered: " + said,
                        "Name a Python 3 in the target's definition.");
    }
    line.values["version"] = version;
    line.values["path"] = said.substr(space + 1);
    const std::string text = version + " (" + said.substr(space + 1) + ")";
    if (parts[0] != "3" || std::atoi(parts[1].c_str()) < 8) {
        return conclude(line, Finding::Warning, text, "Recent PyTorch needs Python 3.8 or newer.");
    }
    return conclude(line, Finding::Ok, text);
}

DoctorLine torch(const DoctorQuestion& question) {
    DoctorLine line = lineOf("torch", "PyTorch");
    const TorchAnswer& answer = askTorch(question.python);
    const ProgramResult& result = answer.result;
    if (isMissing(result)) {
        return absent(question, line, Finding::Warning, "There is no " + question.python + " to ask",
                      "See the line Python.");
    }
    if (!result.succeeded()) {
        const auto said = base::split(std::string(base::trim(result.err)), '\n');
        const std::string last = firstLine(said.back());
        if (last.find("No module named") != std::string::npos && last.find("torch") != std::string::npos) {
            return absent(question, line, Finding::Warning, question.python + " has no torch",
                          "Install PyTorch for this interpreter for scripts that use it. The engine brings its own.");
        }
        if (result.timedOut)
            return broken(question, line, result, "import torch", Finding::Failure,
                          "Try again; the first import can take long.");
        return conclude(line, Finding::Failure,
                        "import torch fails: " + (last.empty() ? result.trouble(question.python) : last),
                        "Install PyTorch anew for this interpreter.");
    }
    const std::string version = base::jsonText(answer.json, "version");
    if (version.empty()) {
        return conclude(line, Finding::Unknown, "The interpreter's answer cannot be read",
                        "Try import torch there by hand.");
    }
    line.values = answer.json;
    const std::string cudaVersion = base::jsonText(answer.json, "cuda");
    const std::string text = version + (cudaVersion.empty() ? ", without CUDA" : ", CUDA " + cudaVersion);
    if (!gpuList().gpus.empty() && cudaVersion.empty()) {
        return conclude(line, Finding::Warning, text + ", but there are GPUs",
                        "Install a PyTorch with CUDA to use the GPUs from scripts.");
    }
    if (!gpuList().gpus.empty() && !isTrue(answer.json, "cuda_available")) {
        return conclude(
            line, Finding::Failure, text + ", but it cannot use the GPUs",
            "The driver is too old for this PyTorch, or another CUDA library comes first; compare with the line CUDA.");
    }
    return conclude(line, Finding::Ok, text);
}

DoctorLine slurm(const DoctorQuestion& question) {
    DoctorLine line = lineOf("slurm", "Slurm");
    const ProgramResult version = runArgs({"sinfo", "--version"});
    if (isMissing(version)) {
        return absent(question, line, Finding::Ok, "Not installed",
                      "Name a login node of the cluster, where sinfo and sbatch are in PATH.");
    }
    if (!version.succeeded()) {
        return broken(question, line, version, "sinfo", Finding::Warning,
                      "Repair the Slurm installation of this host, where you want to use it.");
    }
    line.values["version"] = firstLine(version.out);
    const ProgramResult partitions = runArgs({"sinfo", "--noheader", "-o", "%P|%a|%l|%D|%c|%m|%G|%F"});
    if (!partitions.succeeded()) {
        const std::string remedy = "Is slurmctld running, and this host known to it? Ask the cluster's administrator.";
        DoctorLine failed = broken(question, line, partitions, "sinfo", Finding::Warning, remedy);
        failed.text = firstLine(version.out) + "; " + failed.text;
        return failed;
    }
    line.values["partitions"] = base::Json::array();
    std::string names;
    std::string down;
    for (const std::string& row : base::split(partitions.out, '\n')) {
        const auto fields = base::split(std::string(base::trim(row)), '|');
        if (fields.size() < 8) continue;
        const bool usual = fields[0].ends_with('*');
        const std::string name =
            base::stripControl(base::toValidUtf8(usual ? fields[0].substr(0, fields[0].size() - 1) : fields[0]));
        const auto states = base::split(fields[7], '/');  // allocated/idle/other/total
        const int usable = states.size() == 4 ? std::atoi(states[0].c_str()) + std::atoi(states[1].c_str()) : 0;
        line.values["partitions"].push_back(
            {{"name", name},
             {"default", usual},
             {"state", fields[1]},
             {"time_limit", fields[2]},
             {"nodes", std::atoi(fields[3].c_str())},
             {"usable_nodes", usable},
             {"cpus", std::atoi(fields[4].c_str())},
             {"memory_bytes", static_cast<std::int64_t>(std::atoll(fields[5].c_str())) << 20},
             {"gres", fields[6]}});
        names += (names.empty() ? "" : ", ") + name + " (" + std::to_string(usable) + " of " + fields[3] + " nodes)";
        if (fields[1] != "up" || usable == 0) down += (down.empty() ? "" : ", ") + name;
    }
    const std::string text = firstLine(version.out) + ": " + (names.empty() ? "no partitions" : names);
    if (names.empty() || !down.empty()) {
        return conclude(line, Finding::Warning, text,
                        names.empty() ? "Ask the cluster's administrator for a partition that you may use."
                                      : "No node of " + down + " can be used now; jobs there will wait.");
    }
    return conclude(line, Finding::Ok, text);
}

}  // namespace trainyard::agent::probes
