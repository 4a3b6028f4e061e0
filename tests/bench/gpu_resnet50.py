"""ResNet-50 at 224 in channels-last order on a CUDA card, against PyTorch's own best loops on that card.

Synthetic: batches that lie on the card, steps alone; the ratio is against the eager loop with cuDNN's search, TF32 and fused
zero-setting, beside it the compiled loop (torch.compile, PyTorch 2) and the eager loop in bfloat16, which computes something else. Real: JPEG
files made here through the engine's loader against ImageFolder and DataLoader, with how busy the card was (nvidia-smi). It needs a
build of the engine against libtorch with CUDA (TRAINYARD_BUILD) and a Python with torch for CUDA (TRAINYARD_PEER_PYTHON).
--device cpu --size 32 --batch 4 --steps 4 --images 32 tries the same way without a card.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading

from common import PYTHON, ROOT, FamilySteps, engine_run, image_task, last_json, losses_agree, machine, spread, tuned


class Busy:
    """The card's share of busy time, looked at five times a second while the block runs; null without nvidia-smi."""

    def __init__(self, device):
        self.values, self.process = [], None
        self.wanted = device == "cuda" and shutil.which("nvidia-smi") is not None

    def __enter__(self):
        if self.wanted:
            self.process = subprocess.Popen(["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"],
                                            stdout=subprocess.PIPE, text=True)
            self.reader = threading.Thread(target=lambda: self.values.extend(int(line) for line in self.process.stdout if line.strip().isdigit()))
            self.reader.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.reader.join()

    def mean(self):
        """Percent, from the first to the last moment that the card did anything: reading the model and the files is not training."""
        busy = [i for i, value in enumerate(self.values) if value > 0]
        return statistics.mean(self.values[busy[0]:busy[-1] + 1]) if busy else None


def torch_version():
    done = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__, torch.version.cuda)"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--family", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=2, help="of real input; the first warms up")
    parser.add_argument("--real-pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    steps = FamilySteps(options.family, options.size, options.batch, 1000, os.cpu_count(), options.device, options.steps)
    steps.formats = {"engine": "channels_last", "python": "channels_last"}
    environment = steps.environment()
    ours, theirs = [], []
    for turn in range(options.pairs):
        a, b = steps.pair(python_first=turn % 2 == 1)
        ours.append(a)
        theirs.append(b)
    rates = [options.batch / a["step_seconds"] for a in ours]
    synthetic = {"ratio": spread([b["step_seconds"] / a["step_seconds"] for a, b in zip(ours, theirs)]), "engine_images_per_second": spread(rates),
                 "python_images_per_second": spread([options.batch / b["step_seconds"] for b in theirs]),
                 "losses": losses_agree(ours[0]["losses"], theirs[0]["losses"])}
    others = ["amp"] if options.device == "cuda" else []
    if int(torch_version().split(".", maxsplit=1)[0]) >= 2:
        others.append("compiled")
    for mode in others:
        synthetic[mode + "_images_per_second"] = options.batch / last_json(steps.python("channels_last", mode), environment, 1800)["step_seconds"]
    real = {"engine": [], "python": [], "engine_busy": [], "python_busy": []}
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        subprocess.run([PYTHON, str(ROOT / "tests/bench/peer_pictures.py"), data, str(options.images), "32"], check=True)
        task = image_task(data, options.family, options.size, options.batch, options.epochs, "channels_last", options.device)
        # A step on the card is not waited for between two reports.
        task["task"]["log_every_steps"] = 20
        for _ in range(options.real_pairs):
            with Busy(options.device) as busy:
                epochs, _ = engine_run(task, os.path.join(folder, "out"), tuned(os.cpu_count()))
            real["engine"].append(options.images / epochs[-1]["seconds"])
            real["engine_busy"].append(busy.mean())
            with Busy(options.device) as busy:
                answer = last_json([PYTHON, str(ROOT / "tests/bench/peer_resnet_epochs.py"), data, options.family, str(options.size),
                                    str(options.batch), str(options.epochs), str(options.workers), str(os.cpu_count()), "channels_last",
                                    options.device, "1"], environment, 1800)
            real["python"].append(options.images / answer["epoch_seconds"][-1])
            real["python_busy"].append(busy.mean())
    real["ratio"] = spread([a / b for a, b in zip(real["engine"], real["python"])])
    result = {"benchmark": "gpu_resnet50", "machine": machine(), "options": vars(options), "torch": torch_version(), "synthetic": synthetic,
              "real": real}
    if options.device == "cuda":
        card = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=False)
        result["card"] = card.stdout.strip()
    if options.json:
        print(json.dumps(result))
        return
    beside = "".join(f", {mode} {synthetic[mode + '_images_per_second']:.1f}" for mode in others)
    ratio = synthetic["ratio"]
    print(f"synthetic: {ratio['median']:.3f}× PyTorch's eager loop ({ratio['lowest']:.3f}–{ratio['highest']:.3f}); "
          f"{synthetic['engine_images_per_second']['median']:.1f} pictures a second, PyTorch {synthetic['python_images_per_second']['median']:.1f}{beside}")
    print(f"real: {real['ratio']['median']:.3f}×; {statistics.median(real['engine']):.1f} pictures a second, PyTorch "
          f"{statistics.median(real['python']):.1f}; the card busy {real['engine_busy']} %, PyTorch {real['python_busy']} %")


if __name__ == "__main__":
    main()
