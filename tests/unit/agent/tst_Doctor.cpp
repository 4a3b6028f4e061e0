// Every line of the doctor that the target itself answers, with its failure produced for real: programs that are
// missing, broken or slow, full and noexec and foreign folders, a machine without GPUs, without /proc or /sys.
#include "tests/unit/agent/GpuStandIn.h"

#include <fstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using base::Path;
using test::FakePath;
using test::GpuStandIn;
using test::ServeClient;
using test::ServeStart;

namespace {

struct Line {
    std::string finding;
    std::string text;
    std::string remedy;
    Json values;
};

Line ask(ServeClient& client, const std::string& name, Json members = Json::object()) {
    members["names"] = {name};
    const auto answer = client.call("probe", members, {}, 30'000);
    if (!answer.ok() || answer.events.size() != 1) return {"none", answer.text(), {}, {}};
    const Json& line = answer.events[0].header["line"];
    return {line["finding"].get<std::string>(), line["text"].get<std::string>(), line["remedy"].get<std::string>(),
            line["values"]};
}

ServeStart withPath(const std::string& path, const Path& slots = {}) {
    ServeStart start;
    start.environment = {{"PATH", path}};
    if (!slots.empty()) start.options = {"--slots", slots.string()};
    return start;
}

#define COMPARE_LINE(line, wanted, words)                                                                              \
    do {                                                                                                               \
        const Line seen = line;                                                                                        \
        QVERIFY2(seen.finding == (wanted) && seen.text.find(words) != std::string::npos,                               \
                 (seen.finding + ": " + seen.text + " / " + seen.remedy).c_str());                                     \
        QCOMPARE(seen.remedy.empty(), seen.finding == "ok");                                                           \
    } while (false)

}  // namespace

class TestDoctor : public QObject {
    Q_OBJECT

private:
    bool m_ownMounts = false;

private Q_SLOTS:
    void initTestCase() {
        m_ownMounts = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                      ::mount("tmpfs", "/mnt", "tmpfs", 0, "size=64m,mode=755") == 0;
        // A toolkit of this machine would be found.
        if (m_ownMounts && std::filesystem::exists("/usr/local/cuda")) {
            QCOMPARE(::mount("tmpfs", "/usr/local/cuda", "tmpfs", 0, "size=1m"), 0);
        }
    }

    void wholeMachine_isAskedInOrder() {
        test::Scratch scratch;
        ServeClient client(scratch / "work", {{"--slots", (scratch / "slots").string()}});
        const auto answer = client.call("probe", {{"t", base::wallMicros()}}, {}, 60'000);
        QVERIFY(answer.ok());
        std::string ids;
        for (const auto& event : answer.events) {
            const Json& line = event.header["line"];
            ids += line["id"].get<std::string>() + " ";
            QVERIFY(!line["title"].get<std::string>().empty() && !line["text"].get<std::string>().empty());
            QCOMPARE(line["finding"] == "ok", line["remedy"].get<std::string>().empty());
        }
        QCOMPARE(
            ids,
            std::string(
                "os libc processor cores memory disk write slots clock network gpus cuda nccl mpi containers conda "
                "python torch slurm "));
    }

    void withoutAnyProgram_nothingIsOkThatCouldNotBeLookedAt() {
        test::Scratch scratch;
        const FakePath none(scratch);
        ServeClient client(scratch / "work", withPath(none.alone(), scratch / "slots"));
        COMPARE_LINE(ask(client, "mpi"), "warning", "Neither");
        COMPARE_LINE(ask(client, "mpi", {{"need", {"mpi"}}}), "failure", "Neither");
        COMPARE_LINE(ask(client, "containers"), "warning", "None of");
        COMPARE_LINE(ask(client, "conda"), "ok", "None of");
        COMPARE_LINE(ask(client, "conda", {{"need", {"conda"}}}), "failure", "None of");
        COMPARE_LINE(ask(client, "python"), "warning", "not there");
        COMPARE_LINE(ask(client, "python", {{"need", {"python"}}}), "failure", "not there");
        COMPARE_LINE(ask(client, "torch"), "warning", "no python3");
        COMPARE_LINE(ask(client, "slurm"), "ok", "Not installed");
        COMPARE_LINE(ask(client, "slurm", {{"need", {"slurm"}}}), "failure", "Not installed");
        COMPARE_LINE(ask(client, "os"), "ok", "Linux");
        COMPARE_LINE(ask(client, "write"), "ok", "can be written to");
    }

    void python_brokenOldOrSlow() {
        test::Scratch scratch;
        const FakePath fakes(scratch);
        ServeClient client(scratch / "work", withPath(fakes.first()));
        fakes.add("python3", "echo '3.11.2 /usr/bin/python3'");
        COMPARE_LINE(ask(client, "python"), "ok", "3.11.2");
        fakes.add("python3", "echo '2.7.18 /usr/bin/python'");
        COMPARE_LINE(ask(client, "python"), "warning", "2.7.18");
        fakes.add("python3", "echo 'libpython3.so: cannot open' >&2; exit 127");
        COMPARE_LINE(ask(client, "python"), "failure", "libpython3.so");
        fakes.add("python3", "echo hello");
        COMPARE_LINE(ask(client, "python"), "unknown", "hello");
        fakes.add("mypython", "echo '3.12.0 /opt/mypython'");
        fakes.add("python3.9", "exit 1");
        QCOMPARE(ask(client, "python").values["pythons"].dump().find("mypython"), std::string::npos);
        QVERIFY(ask(client, "python").values["pythons"].dump().find("python3.9") != std::string::npos);
        COMPARE_LINE(ask(client, "python", {{"python", (scratch / "fakes/mypython").string()}}), "ok", "3.12.0");
        fakes.add("python3", "sleep 100");
        COMPARE_LINE(ask(client, "python"), "unknown", "did not answer in time");
    }

    void torch_missingBrokenOrWithoutCuda() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const FakePath fakes(scratch);
        ServeClient client(scratch / "work", withPath(fakes.alone() + ":" + smi.path()));
        fakes.add("python3", "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1");
        COMPARE_LINE(ask(client, "torch"), "warning", "has no torch");
        COMPARE_LINE(ask(client, "torch", {{"need", {"torch"}}}), "failure", "has no torch");
        fakes.add("python3", "echo 'ImportError: libcudart.so.12: cannot open shared object file' >&2; exit 1");
        COMPARE_LINE(ask(client, "torch"), "failure", "libcudart");
        fakes.add("python3",
                  "printf 'noise\\n\\nTRAINYARD {\"version\":\"2.1.0\",\"cuda\":null,\"cuda_available\":false}\\n'");
        COMPARE_LINE(ask(client, "torch"), "warning", "there are GPUs");
        fakes.add("python3",
                  "printf '\\nTRAINYARD {\"version\":\"2.1.0\",\"cuda\":\"12.1\",\"cuda_available\":false}\\n'");
        COMPARE_LINE(ask(client, "torch"), "failure", "cannot use the GPUs");
        fakes.add("python3",
                  "printf '\\nTRAINYARD "
                  "{\"version\":\"2.1.0\",\"cuda\":\"12.1\",\"cuda_available\":true,\"nccl_version\":\"2.18.1\"}\\n'");
        COMPARE_LINE(ask(client, "torch"), "ok", "2.1.0, CUDA 12.1");
        COMPARE_LINE(ask(client, "nccl"), "ok", "2.18.1");
        fakes.add("python3", "echo nonsense");
        COMPARE_LINE(ask(client, "torch"), "unknown", "cannot be read");
    }

    void gpus_strangersBrokenDriverAndNone() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        ServeClient client(scratch / "work", withPath(smi.pathAlone(), scratch / "slots"));
        const Line fine = ask(client, "gpus");
        COMPARE_LINE(fine, "ok", "A100");
        QCOMPARE(fine.values["gpus"].get<int>(), 2);
        smi.write("processes", "GPU-1, 4711, /usr/bin/python3\n");
        COMPARE_LINE(ask(client, "gpus"), "warning", "GPU 1 by python3 (process 4711)");
        COMPARE_LINE(ask(client, "cuda"), "warning", "12.2; no toolkit");
        COMPARE_LINE(ask(client, "nccl"), "warning", "No libnccl.so");
        {
            ServeStart start = withPath(smi.pathAlone(), scratch / "slots");
            scratch.write("lib/libnccl.so.2.18.5", "x");
            start.environment.emplace_back("LD_LIBRARY_PATH", (scratch / "lib").string());
            ServeClient other(scratch / "work", start);
            COMPARE_LINE(ask(other, "nccl"), "ok", "libnccl.so.2.18.5");
        }
        smi.write("fail", "Failed to initialize NVML: Driver/library version mismatch\n");
        COMPARE_LINE(ask(client, "gpus"), "failure", "version mismatch");
        COMPARE_LINE(ask(client, "cuda"), "unknown", "not known");
        COMPARE_LINE(ask(client, "nccl"), "unknown", "not known");
        smi.remove("fail");
        smi.write("gpus", "No devices were found\n");
        COMPARE_LINE(ask(client, "gpus", {{"need", {"gpus"}}}), "failure", "None");
    }

    void cuda_toolkit() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const FakePath fakes(scratch);
        ServeClient client(scratch / "work", withPath(fakes.alone() + ":" + smi.pathAlone()));
        fakes.add("nvcc", "echo 'Cuda compilation tools, release 12.1, V12.1.105'");
        COMPARE_LINE(ask(client, "cuda"), "ok", "CUDA 12.2; toolkit 12.1");
        fakes.add("nvcc", "echo 'nvcc: broken' >&2; exit 1");
        COMPARE_LINE(ask(client, "cuda"), "warning", "nvcc: broken");
    }

    void mpi_andContainers_broken() {
        test::Scratch scratch;
        const FakePath fakes(scratch);
        fakes.addTools();
        ServeClient client(scratch / "work", withPath(fakes.alone()));
        fakes.add("mpirun", "echo 'mpirun (Open MPI) 4.1.4'");
        COMPARE_LINE(ask(client, "mpi"), "ok", "Open MPI");
        fakes.add("srun", "echo 'no config' >&2; exit 1");
        COMPARE_LINE(ask(client, "mpi"), "warning", "no config");
        fakes.add("mpirun", "echo 'orted not found' >&2; exit 1");
        COMPARE_LINE(ask(client, "mpi"), "failure", "orted not found");
        fakes.add(
            "docker",
            "[ \"$1\" = --version ] && echo 'Docker version 24.0.5' || { echo 'permission denied' >&2; exit 1; }");
        COMPARE_LINE(ask(client, "containers"), "warning", "permission denied");
        COMPARE_LINE(ask(client, "containers", {{"need", {"containers"}}}), "failure", "permission denied");
        fakes.add("podman", "echo 'podman version 4.3.1'");
        COMPARE_LINE(ask(client, "containers"), "warning", "podman version 4.3.1; docker");
        fakes.add("docker", "echo 'Docker version 24.0.5'");
        COMPARE_LINE(ask(client, "containers"), "ok", "podman version 4.3.1, Docker version");
    }

    void conda_whatIsThere() {
        test::Scratch scratch;
        const FakePath fakes(scratch);
        fakes.addTools();
        ServeClient client(scratch / "work", withPath(fakes.alone()));
        fakes.add("conda", "echo 'conda 24.1.2'");
        COMPARE_LINE(ask(client, "conda"), "ok", "conda 24.1.2");
        fakes.add("micromamba", "echo 1.5.8");
        COMPARE_LINE(ask(client, "conda"), "ok", "micromamba 1.5.8, conda 24.1.2");
        fakes.add("mamba", "echo 'no module named conda' >&2; exit 1");
        COMPARE_LINE(ask(client, "conda"), "warning", "no module named conda");
    }

    void slurm_partitionsDownOrUnreachable() {
        test::Scratch scratch;
        const FakePath fakes(scratch);
        ServeClient client(scratch / "work", withPath(fakes.first()));
        fakes.add("sinfo",
                  "[ \"$1\" = --version ] && echo 'slurm 22.05.8' && exit; echo "
                  "'gpu*|up|1-00:00:00|2|16|64000|gpu:4|1/1/0/2'; echo 'old|up|infinite|1|8|32000|(null)|0/0/1/1'");
        const Line slurm = ask(client, "slurm", {{"need", {"slurm"}}});
        COMPARE_LINE(slurm, "warning", "gpu (2 of 2 nodes), old (0 of 1 nodes)");
        QVERIFY(slurm.values["partitions"][0]["default"].get<bool>());
        QCOMPARE(slurm.values["partitions"][0]["gres"].get<std::string>(), std::string("gpu:4"));
        fakes.add("sinfo", "[ \"$1\" = --version ] && echo 'slurm 22.05.8' && exit; echo "
                           "'gpu*|up|1-00:00:00|2|16|64000|gpu:4|1/1/0/2'");
        COMPARE_LINE(ask(client, "slurm"), "ok", "gpu (2 of 2 nodes)");
        fakes.add("sinfo", "[ \"$1\" = --version ] && echo 'slurm 22.05.8' && exit; echo 'Unable to contact slurm "
                           "controller' >&2; exit 1");
        COMPARE_LINE(ask(client, "slurm", {{"need", {"slurm"}}}), "failure", "Unable to contact");
        COMPARE_LINE(ask(client, "slurm"), "warning", "Unable to contact");
    }

    void work_readOnlyNoexecFullAndForeign() {
        if (!m_ownMounts) TRAINYARD_SKIP("mounts need root");
        test::Scratch scratch;
        const auto mounted = [&](unsigned long flags, const char* options, const auto& look) {
            std::filesystem::create_directories(scratch / "work");
            QCOMPARE(::mount("tmpfs", (scratch / "work").c_str(), "tmpfs", flags, options), 0);
            {
                ServeClient client(scratch / "work");
                look(client);
            }
            QCOMPARE(::umount2((scratch / "work").c_str(), MNT_DETACH), 0);
        };
        mounted(MS_NOEXEC, "size=64m",
                [&](ServeClient& client) { COMPARE_LINE(ask(client, "write"), "failure", "noexec"); });
        mounted(MS_RDONLY, "size=64m",
                [&](ServeClient& client) { COMPARE_LINE(ask(client, "write"), "failure", "read-only"); });
        mounted(0, "size=2m", [&](ServeClient& client) {
            COMPARE_LINE(ask(client, "write"), "failure", "full");
            QVERIFY(std::filesystem::is_empty(scratch / "work"));
            COMPARE_LINE(ask(client, "disk"), "failure", "free");
        });
        mounted(0, "size=2g", [&](ServeClient& client) { COMPARE_LINE(ask(client, "disk"), "warning", "free"); });
        mounted(0, "size=2g,nr_inodes=5", [&](ServeClient& client) {
            for (int i = 0; i < 5; ++i) std::ofstream(scratch / ("work/" + std::to_string(i))) << "x";
            COMPARE_LINE(ask(client, "disk"), "failure", "no more files");
        });
        std::filesystem::create_directories(scratch / "theirs");
        QCOMPARE(::chown((scratch / "theirs").c_str(), 12345, 12345), 0);
        ServeClient client(scratch / "theirs");
        COMPARE_LINE(ask(client, "write"), "failure", "another user");
        scratch.write("file", "x");
        ServeClient under(scratch / "file/work");
        COMPARE_LINE(ask(under, "write"), "failure", "not a folder");
        COMPARE_LINE(ask(under, "disk"), "unknown", "Not a directory");
        // Another user may not even look into this folder.
        ServeStart start;
        start.user = 12345;
        std::filesystem::copy_file(test::builtProgram("trainyard-agent"), "/mnt/trainyard-agent");
        std::filesystem::permissions("/mnt/trainyard-agent", std::filesystem::perms(0755));
        start.program = "/mnt/trainyard-agent";
        ServeClient outside(scratch / "work", start);
        COMPARE_LINE(ask(outside, "disk"), "unknown", "Permission denied");
        COMPARE_LINE(ask(outside, "write"), "failure", "permission is denied");
    }

    void machine_withoutProcOrRelease() {
        if (!m_ownMounts) TRAINYARD_SKIP("mounts need root");
        test::Scratch scratch;
        // The agent is started first: it is static, but whatever starts it may not be.
        const auto covered = [&](const std::string& place, const std::string& content, const char* name,
                                 const char* finding, const char* words) {
            const Path cover = scratch.write("cover", content);
            ServeClient client(scratch / "work");
            QVERIFY(client.call("runs").ok());
            QCOMPARE(::mount(cover.c_str(), place.c_str(), nullptr, MS_BIND, nullptr), 0);
            const Line line = ask(client, name);
            QCOMPARE(::umount2(place.c_str(), MNT_DETACH), 0);
            COMPARE_LINE(line, finding, words);
        };
        covered("/proc/cpuinfo", "", "processor", "unknown", "no features");
        covered("/proc/cpuinfo", "model name : Old One\nflags : fpu sse2\n", "processor", "warning",
                "Old One, without AVX2");
        covered("/proc/meminfo", "", "memory", "unknown", "cannot be told");
        covered("/proc/meminfo", "MemAvailable:   100000 kB\n", "memory", "warning", "97.7 MiB of");
        const std::string release = std::filesystem::canonical("/etc/os-release").string();
        covered(release, "", "os", "unknown", "says no name");
        const std::string libc = std::filesystem::canonical("/lib/x86_64-linux-gnu/libc.so.6").string();
        covered(libc, "", "libc", "unknown", "No C library");
        covered(libc, "GNU C Library stable release version 2.17, by Roland", "libc", "warning", "glibc 2.17");
        QCOMPARE(::mount("tmpfs", "/sys", "tmpfs", 0, "size=1m"), 0);
        {
            ServeClient client(scratch / "work");
            COMPARE_LINE(ask(client, "gpus"), "unknown", "PCI bus cannot be looked at");
        }
        QCOMPARE(::umount2("/sys", MNT_DETACH), 0);
    }

    void gpus_withoutNvidiaSmi() {
        if (!m_ownMounts) TRAINYARD_SKIP("mounts need root");
        test::Scratch scratch;
        const FakePath none(scratch);
        {
            QCOMPARE(::mount("tmpfs", "/proc/driver", "tmpfs", 0, "size=1m"), 0);
            std::filesystem::create_directories("/proc/driver/nvidia/gpus/0000:01:00.0");
            std::ofstream("/proc/driver/nvidia/gpus/0000:01:00.0/information")
                << "Model: \t\t NVIDIA A40\nGPU UUID: \t GPU-7\n";
            ServeClient client(scratch / "work", withPath(none.alone(), scratch / "slots"));
            const Line line = ask(client, "gpus");
            QCOMPARE(::umount2("/proc/driver", MNT_DETACH), 0);
            COMPARE_LINE(line, "warning", "0: NVIDIA A40, seen without nvidia-smi");
        }
        ServeClient client(scratch / "work", withPath(none.alone(), scratch / "slots"));
        QVERIFY(client.call("runs").ok());
        QCOMPARE(::mount("tmpfs", "/dev", "tmpfs", 0, "size=1m"), 0);
        for (const char* name : {"/dev/null", "/dev/nvidia0", "/dev/nvidia1"}) {
            QCOMPARE(::mknod(name, S_IFCHR | 0666, makedev(1, 3)), 0);
        }
        const Line line = ask(client, "gpus");
        QCOMPARE(::umount2("/dev", MNT_DETACH), 0);
        COMPARE_LINE(line, "warning", "seen without nvidia-smi");
        QCOMPARE(line.values["gpus"].get<int>(), 2);
    }

    void gpus_cardWithoutDriver() {
        if (!m_ownMounts) TRAINYARD_SKIP("mounts need root");
        test::Scratch scratch;
        scratch.write("pci/0000:01:00.0/vendor", "0x10de\n");
        scratch.write("pci/0000:01:00.0/class", "0x030200\n");
        QCOMPARE(::mount("tmpfs", "/sys", "tmpfs", 0, "size=1m"), 0);
        std::filesystem::create_directories("/sys/bus/pci");
        std::filesystem::copy(scratch / "pci", "/sys/bus/pci/devices", std::filesystem::copy_options::recursive);
        {
            ServeClient client(scratch / "work");
            COMPARE_LINE(ask(client, "gpus"), "failure", "no driver");
        }
        QCOMPARE(::umount2("/sys", MNT_DETACH), 0);
    }

    void cores_limited_andNetworkWithoutAnAddress() {
        if (::geteuid() != 0) TRAINYARD_SKIP("a network namespace needs root");
        test::Scratch scratch;
        ServeStart start;
        start.before = {"taskset", "-c", "0"};
        ServeClient client(scratch / "work", start);
        COMPARE_LINE(ask(client, "cores"), ::sysconf(_SC_NPROCESSORS_ONLN) > 1 ? "warning" : "ok", "1");
        start.before = {"unshare", "-n"};
        ServeClient alone(scratch / "work", start);
        COMPARE_LINE(ask(alone, "network"), "warning", "No interface");
        COMPARE_LINE(ask(alone, "route", {{"peers", {{{"host", "b"}, {"address", "10.1.2.3"}}}}}), "failure",
                     "unreachable");
        COMPARE_LINE(ask(client, "route", {{"peers", {{{"host", "b"}, {"address", "not numeric"}}}}}), "unknown",
                     "no numeric");
        COMPARE_LINE(ask(client, "route", {{"peers", {{{"host", "b"}, {"address", "127.0.0.1"}}}}}), "warning",
                     "itself");
    }

    void clock_differs() {
        test::Scratch scratch;
        ServeClient client(scratch / "work");
        COMPARE_LINE(ask(client, "clock", {{"t", base::wallMicros()}}), "ok", "ahead");
        COMPARE_LINE(ask(client, "clock", {{"t", base::wallMicros() - 10'000'000}}), "warning", "10 s ahead");
        COMPARE_LINE(ask(client, "clock", {{"t", base::wallMicros() + 200'000'000}}), "failure", "behind");
        COMPARE_LINE(ask(client, "clock"), "unknown", "did not tell");
    }

    void slots_thatCannotBeUsed() {
        test::Scratch scratch;
        scratch.write("file", "x");
        ServeClient client(scratch / "work");
        COMPARE_LINE(ask(client, "slots", {{"slots", (scratch / "file").string()}}), "failure", "a link or a file");
        COMPARE_LINE(ask(client, "slots", {{"slots", (scratch / "slots").string()}}), "ok", "0 running");
    }
};

QTEST_GUILESS_MAIN(TestDoctor)
#include "tst_Doctor.moc"
