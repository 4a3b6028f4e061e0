"""What the benchmarks share: the data, the environment of both sides, medians and the machine's description."""
import argparse
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


MAKE_JPEGS = """
import os, random, sys
from PIL import Image, ImageFilter
root, count = sys.argv[1], int(sys.argv[2])
random.seed(1)
for i in range(count):
    folder = os.path.join(root, "ab"[i % 2]); os.makedirs(folder, exist_ok=True)
    w, h = random.randint(440, 560), random.randint(340, 460)
    small = Image.merge("RGB", [Image.effect_noise((w // 4, h // 4), 90) for _ in range(3)]).filter(ImageFilter.GaussianBlur(1.5))
    small.resize((w, h), Image.BICUBIC).save(os.path.join(folder, "%04d.jpg" % i), quality=87)
"""


class PictureLoading:
    """The engine's loader against another side, on JPEG files of about 500 × 400 pixels, quality 87, that are made in a folder."""

    def __init__(self, description, rounds):
        self.parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.parser.add_argument("--json", action="store_true")
        self.parser.add_argument("--pairs", type=int, default=7)
        self.parser.add_argument("--threads", type=int, default=2)
        self.parser.add_argument("--images", type=int, default=500)
        self.parser.add_argument("--size", type=int, default=224)
        self.parser.add_argument("--rounds", type=int, default=rounds)
        self.options = None
        self.environment = tuned(1)

    def make(self, folder):
        """The files, sorted."""
        subprocess.run([PYTHON, "-c", MAKE_JPEGS, folder, str(self.options.images)], check=True)
        return sorted(pathlib.Path(folder).rglob("*.jpg"))

    def words(self, folder):
        return [folder, str(self.options.size), "32"]

    def engine(self, folder):
        """Pictures a second of each round."""
        program = str(BUILD / "tests" / "bench_engine_images")
        answer = last_json([program, *self.words(folder), str(self.options.threads), str(self.options.rounds)], self.environment)
        return answer["images_per_second"]

    def pairs(self, ours, theirs):
        """What two functions give, each of them first in every other pair."""
        found = []
        for turn in range(self.options.pairs):
            if turn % 2:
                b = theirs()
                found.append((ours(), b))
            else:
                a = ours()
                found.append((a, theirs()))
        return found

    def tell(self, benchmark, peer, files, pairs):
        result = {"benchmark": benchmark, "machine": machine(), "options": vars(self.options), "bytes": sum(os.path.getsize(file) for file in files),
                  "ratio": spread([a / b for a, b in pairs]), "engine_images_per_second": spread([a for a, _ in pairs]),
                  f"{peer}_images_per_second": spread([b for _, b in pairs])}
        if self.options.json:
            print(json.dumps(result))
            return
        ratio = result["ratio"]
        print(f"{ratio['median']:.2f}× {peer} ({ratio['lowest']:.2f}–{ratio['highest']:.2f}); "
              f"{result['engine_images_per_second']['median']:.0f} and {result[peer + '_images_per_second']['median']:.0f} pictures a second")


FORMATS = ("contiguous", "channels_last")


def together(commands, environments, timeout=900):
    """Runs programs side by side, each with an environment of its own; the JSON objects in their last lines."""
    children = []
    try:
        for command, environment in zip(commands, environments):
            children.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        answers = []
        for command, child in zip(commands, children):
            said, errors = child.communicate(timeout=timeout)
            if child.returncode != 0:
                raise SystemExit(f"{command[0]} failed:\n{said}\n{errors}")
            answers.append(json.loads(said.strip().splitlines()[-1]))
        return answers
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()


class FamilySteps:
    """Steps of a family with torchvision's names on batches in memory, by the engine and by Python."""

    def __init__(self, family, size, batch, classes, threads, device, steps):
        self.words = [family, str(size), str(batch), str(classes), str(threads)]
        self.rest = [device, str(steps)]
        self.threads = threads
        self.formats = {}

    def engine(self, layout):
        return [str(BUILD / "tests" / "bench_engine_family"), *self.words, layout, *self.rest]

    def python(self, layout, mode):
        return [PYTHON, str(ROOT / "tests" / "bench" / "peer_family.py"), *self.words, layout, *self.rest, mode]

    def environment(self, mode="tuned"):
        return dict(os.environ) if mode == "untuned" else tuned(self.threads)

    def choose_formats(self, engine=""):
        """Python's better memory format, for both sides unless the engine is to have one of its own: losses are equal in one format alone."""
        best = {layout: last_json(self.python(layout, "tuned"), self.environment())["step_seconds"] for layout in FORMATS}
        python = min(best, key=best.get)
        self.formats = {"engine": engine or python, "python": python}
        return self.formats

    def pair(self, python_first):
        def engine():
            return last_json(self.engine(self.formats["engine"]), self.environment())

        def python():
            return last_json(self.python(self.formats["python"], "tuned"), self.environment())

        if python_first:
            b = python()
            return engine(), b
        a = engine()
        return a, python()


def losses_agree(ours, theirs):
    """Whether two lists of losses are the same bits, and how far the last ones lie apart."""
    return {"bit_equal": ours == theirs, "last": [ours[-1], theirs[-1]],
            "last_difference": abs(ours[-1] - theirs[-1]) / max(abs(theirs[-1]), 1e-12)}


def image_task(folder, family, size, batch, epochs, layout="contiguous", device="cpu", threads=0, seed=1):
    """A run on a folder of pictures, with random resized crop and flip, a constant rate, and no checkpoint but the best."""
    return {
        "format": "trainyard.run-spec", "version": 1, "experiment": "bench",
        "task": {
            "kind": "train", "epochs": epochs, "batch_size": batch, "seed": seed, "device": device, "threads": threads,
            "log_every_steps": 1, "checkpoint_every_epochs": 0, "memory_format": layout,
            "dataset": {"kind": "images", "folder": str(folder), "image_size": size, "resize_size": size * 256 // 224},
            "model": {"family": family},
            "optimizer": {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
            "schedule": {"kind": "constant"},
        },
    }


def read_stream(path):
    """What a run's rank 0 told so far: a list of epochs, each with seconds (training and validation), train_losses and val values."""
    epochs, begin, current = [], None, {"train_losses": []}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            record = json.loads(line)
            if record["kind"] == "progress" and record["stage"] == "train" and begin is None:
                begin = record["t"]
            if record["kind"] != "metrics":
                continue
            for series in record["series"]:
                if series["name"] == "train/loss":
                    current["train_losses"] += series["value"]
                if series["name"] in ("train/samples_per_second", "train/data_seconds", "train/step_seconds"):
                    current.setdefault(series["name"], []).extend(series["value"])
                if series["name"].startswith("val/"):
                    current[series["name"]] = series["value"][-1]
                if series["name"] == "val/accuracy":
                    current["seconds"] = (record["t"] - begin) / 1e6
            if "seconds" in current and begin is not None:
                epochs.append(current)
                begin, current = None, {"train_losses": []}
    return epochs


def engine_run(specification, outputs, environment=None):
    """Trains by `trainyard-engine train`, as a process of its own; its epochs and its peak of memory in bytes."""
    os.makedirs(outputs, exist_ok=True)
    spec, stream = os.path.join(outputs, "spec.json"), os.path.join(outputs, "stream")
    with open(spec, "w", encoding="utf-8") as file:
        json.dump(specification, file)
    if os.path.exists(stream):
        os.unlink(stream)
    given = dict(environment or os.environ, TRAINYARD_STREAM=stream, TRAINYARD_OUTPUTS=str(outputs))
    peak_bytes = run_alone([str(BUILD / "bin" / "trainyard-engine"), "train", "--spec", spec], given)
    return read_stream(stream), peak_bytes
