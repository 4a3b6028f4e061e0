"""Fashion-MNIST with ResNet-18 at 64 pixels: what a whole training reaches, and in what time.

The 28 × 28 images are made 64 × 64 once (bilinear, kept in the build folder). SGD with Nesterov momentum, one-cycle schedule, shifts and
flips, batch 128. The time of an epoch is told before (--estimate alone ends then). --folder keeps the run; SIGTERM ends it with a
checkpoint, --resume goes on from there.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from common import BUILD, DATA, PYTHON, machine, read_stream

MAKE = """
import gzip, os, sys, numpy, torch
source, target, side = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(target, exist_ok=True)
for name in ("train", "t10k"):
    with gzip.open(os.path.join(source, name + "-images-idx3-ubyte.gz")) as file:
        pixels = torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28).copy())
    path = os.path.join(target, name + "-images-idx3-ubyte")
    with open(path + ".part", "wb") as out:
        out.write(b"\\0\\0\\x08\\x03" + b"".join(n.to_bytes(4, "big") for n in (len(pixels), side, side)))
        for part in pixels.split(2000):
            large = torch.nn.functional.interpolate(part.float(), (side, side), mode="bilinear", align_corners=False)
            out.write(large.round().clamp(0, 255).byte().numpy().tobytes())
    os.rename(path + ".part", path)
"""


def specification(options, folder):
    return {
        "format": "trainyard.run-spec", "version": 1, "experiment": "bench",
        "task": {
            "kind": "train", "epochs": options.epochs, "batch_size": 128, "device": "cpu", "threads": options.threads, "augment": True,
            "log_every_steps": 10, "memory_format": options.format, "seed": options.seed,
            "dataset": {"kind": "idx", "name": "Fashion-MNIST", "train_images": f"{folder}/train-images-idx3-ubyte",
                        "train_labels": DATA + "train-labels-idx1-ubyte.gz", "val_images": f"{folder}/t10k-images-idx3-ubyte",
                        "val_labels": DATA + "t10k-labels-idx1-ubyte.gz", "train_limit": options.limit},
            "model": {"family": "resnet18"},
            "optimizer": {"kind": "sgd", "learning_rate": options.rate, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
            "schedule": {"kind": "one_cycle"},
        },
    }


def estimate(spec, folder):
    request = os.path.join(folder, "check.json")
    with open(request, "w", encoding="utf-8") as file:
        json.dump({"spec": spec, "steps": 6}, file)
    done = subprocess.run([str(BUILD / "bin" / "trainyard-engine"), "check", "--request", request], capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if answer["kind"] != "result":
        raise SystemExit(f"check failed: {answer}")
    return answer["epoch_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=0.1, help="peak of the schedule")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--format", default="channels_last", choices=["contiguous", "channels_last"])
    parser.add_argument("--limit", type=int, default=0, help="of training samples; 0: all 60,000")
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--folder", default="")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    data = BUILD / "bench-data" / f"fashion-{options.size}"
    if not (data / "t10k-images-idx3-ubyte").exists():
        subprocess.run([PYTHON, "-c", MAKE, DATA, str(data), str(options.size)], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or scratch
        os.makedirs(folder, exist_ok=True)
        spec = specification(options, data)
        expected = None if options.resume else estimate(spec, folder)
        if options.estimate:
            print(json.dumps({"epoch_seconds": expected}) if options.json else f"{expected / 60:.1f} min an epoch")
            return
        path = os.path.join(folder, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        attempt = 1
        while os.path.exists(os.path.join(folder, f"stream.{attempt}")):
            attempt += 1
        if attempt > 1 and not options.resume:
            raise SystemExit(f"{folder} holds a run already; --resume goes on with it")
        environment = dict(os.environ, TRAINYARD_STREAM=os.path.join(folder, f"stream.{attempt}"), TRAINYARD_OUTPUTS=folder,
                           TRAINYARD_ATTEMPT=str(attempt))
        begin = time.time()
        child = subprocess.Popen([str(BUILD / "bin" / "trainyard-engine"), "train", "--spec", path], env=environment, stdout=sys.stderr)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
        epochs = [epoch for one in range(1, attempt + 1) for epoch in read_stream(os.path.join(folder, f"stream.{one}"))]
        if status != 0:
            raise SystemExit(f"the training ended with {status} after {len(epochs)} epochs")
        accuracies = [epoch["val/accuracy"] for epoch in epochs]
        result = {"benchmark": "fashion_resnet18", "machine": machine(), "options": vars(options), "estimated_epoch_seconds": expected,
                  "accuracies": accuracies, "losses": [epoch["val/loss"] for epoch in epochs],
                  "epoch_seconds": [epoch["seconds"] for epoch in epochs], "attempts": attempt, "seconds": time.time() - begin}
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{accuracies[-1]:.2%} after {options.epochs} epochs, {result['seconds'] / 60:.1f} min "
              f"({sum(result['epoch_seconds']) / len(epochs) / 60:.1f} min an epoch)")


if __name__ == "__main__":
    main()
