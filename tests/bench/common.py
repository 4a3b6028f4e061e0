"""What the benchmarks share: the data, the environment of both sides, medians and the machine's description."""
import json
import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TRAINYARD_BUILD", ROOT / "build" / "dev"))
DATA = "/usr/share/datasets/fashion-mnist/"
PYTHON = os.environ.get("TRAINYARD_PEER_PYTHON", "/usr/bin/python3")  # The Python that has torch.

# The engine sets these itself (by mallopt and a second start); the peer gets them through the environment.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


def tuned(threads):
    return dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="1000", **MALLOC)


def spread(values):
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "lowest": ordered[0], "highest": ordered[-1], "all": values}


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {"processor": model, "cores": os.cpu_count(), "commit": commit.stdout.strip(), "load": os.getloadavg()}


def run_alone(command, environment):
    """Runs a program that must succeed; gives the peak of its resident memory in bytes. RUSAGE_CHILDREN would give the highest of
    all programs so far, and of those only the largest process. The engine starts itself anew by exec, so it is one process."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        child = subprocess.Popen(command, env=environment, stdout=nowhere)  # pylint: disable=consider-using-with
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {child.returncode}")
    return usage.ru_maxrss * 1024


def last_json(command, environment, timeout=900):
    """Runs a program whose last line of output is a JSON object."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])
