#pragma once
// A stand-in for nvidia-smi with the output that its manual describes, driven by files of its folder:
//   gpus         rows of --query-gpu with units, one a GPU: index, name, uuid, memory.total, memory.used,
//   utilization.gpu, driver processes    rows of --query-compute-apps: gpu uuid, pid, process name pmon         rows of
//   pmon without header fail         its text is said on stdout, its exit status is 9 log          what it was called
//   with, a line each
#include "tests/unit/agent/ServeRig.h"

namespace trainyard::test {

class GpuStandIn {
public:
    explicit GpuStandIn(const Scratch& scratch, int gpus = 2) : m_path(scratch, "smi"), m_folder(scratch / "smi") {
        m_path.addTools();
        m_path.add("nvidia-smi", R"SH(
d=$(dirname "$0")
echo "$$ $*" >> "$d/log"
if [ -f "$d/fail" ]; then cat "$d/fail"; exit 9; fi
loop=; query=
[ "$1" = pmon ] && query=pmon
while [ $# -gt 0 ]; do
  case "$1" in
    --query-gpu=index,name*) query=gpus ;;
    --query-gpu=index,utilization*) query=use ;;
    --query-compute-apps=*) query=processes ;;
    -l) loop=$2 ;;
  esac
  shift
done
case "$query" in
  gpus) cat "$d/gpus" ;;
  processes) [ -f "$d/processes" ] && cat "$d/processes"; exit 0 ;;
  use) while :; do cat "$d/use"; [ -n "$loop" ] || exit 0; sleep 0.1; done ;;
  pmon)
    i=0
    while :; do
      [ $((i % 10)) -ne 0 ] || printf '# gpu        pid  type    sm   mem   enc   dec    fb   command\n# Idx          #   C/G     %%     %%     %%     %%    MB   name\n'
      i=$((i+1)); cat "$d/pmon"; sleep 0.1
    done ;;
  *) printf '| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2     |\n' ;;
esac
)SH");
        std::string rows;
        std::string use;
        std::string idle;
        for (int i = 0; i < gpus; ++i) {
            const std::string n = std::to_string(i);
            rows += n + ", NVIDIA A100-SXM4-40GB, GPU-" + n + ", 40960, 1024, " + n + "5, 535.104.05\n";
            use += n + ", " + n + "5, 30, 1024, 40960, 41, 61.50\n";
            idle += "    " + n + "          -     -     -     -     -     -     -   -\n";
        }
        write("gpus", rows);
        write("use", use);
        write("pmon", idle);
    }
    void write(const char* name, const std::string& text) const {
        if (!base::writeFileAtomically(m_folder / name, text).ok()) qFatal("stand-in");
    }
    void remove(const char* name) const { std::filesystem::remove(m_folder / name); }
    [[nodiscard]] std::string log() const { return base::readFile(m_folder / "log").valueOr({}); }
    [[nodiscard]] std::string path() const { return m_path.first(); }
    /// Without any other program of this machine.
    [[nodiscard]] std::string pathAlone() const { return m_path.alone(); }

private:
    FakePath m_path;
    Path m_folder;
};

/// Sets a variable of this process for a while.
class Variable {
public:
    Variable(const char* name, const std::string& value) : m_name(name) {
        if (const char* before = ::getenv(name)) m_before = before;
        ::setenv(name, value.c_str(), 1);
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() {
        if (m_before) {
            ::setenv(m_name, m_before->c_str(), 1);
        } else {
            ::unsetenv(m_name);
        }
    }

private:
    const char* m_name;
    std::optional<std::string> m_before;
};

}  // namespace trainyard::test
