"""What pre-flight says of memory and time, against what the run then takes.

Twelve configurations: families, batch sizes, one and two processes, IDX data and folders of JPEG files, optimizers, kept pictures, a frozen
body. Each is estimated by `trainyard-engine check` and then trained to its end by `trainyard-engine train`. Memory: peak resident memory of
all ranks together (VmHWM, which wait4 tells). Time: from the start of the ranks to their end. Ratios are estimate / run.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from common import BUILD, DATA, machine
from PIL import Image, ImageDraw, ImageFilter

ENGINE = str(BUILD / "bin" / "trainyard-engine")
MEMORY_WITHIN = 0.10
TIME_WITHIN = 0.15


def make_pictures(root, count):
    """Three classes of JPEG files of 320 × 240 and about: shapes on clouds."""
    dice = random.Random(5)
    for label, name in enumerate(("hen", "turkey", "wren")):
        os.makedirs(root / name)
        for i in range(count):
            side = (dice.randint(280, 360), dice.randint(220, 260))
            picture = Image.effect_noise((side[0] // 8, side[1] // 8), 80).resize(side).filter(ImageFilter.GaussianBlur(2)).convert("RGB")
            draw = ImageDraw.Draw(picture)
            x, y = dice.randint(20, side[0] - 140), dice.randint(20, side[1] - 140)
            ink = tuple(dice.randint(60, 255) for _ in range(3))
            if label == 0:
                draw.ellipse((x, y, x + 110, y + 110), fill=ink)
            elif label == 1:
                draw.rectangle((x, y, x + 110, y + 80), fill=ink)
            else:
                draw.polygon((x, y + 110, x + 110, y + 110, x + 55, y), fill=ink)
            picture.save(root / name / f"{i:03d}.jpg", quality=90)


def specification(family, batch, epochs, dataset, processes=1, options=None, optimizer="sgd", **task):
    document = {
        "format": "trainyard.run-spec", "version": 1, "experiment": "bench",
        "task": {"kind": "train", "epochs": epochs, "batch_size": batch, "dataset": dataset,
                 "model": {"family": family, "options": options or {}},
                 "optimizer": {"kind": optimizer, "learning_rate": 0.01 if optimizer == "sgd" else 0.0005}, **task},
    }
    if processes > 1:
        document["distribution"] = {"kind": "pytorch", "processes": processes}
    return document


def idx():
    return {"kind": "idx", "name": "Fashion-MNIST",
            "train_images": DATA + "train-images-idx3-ubyte.gz", "train_labels": DATA + "train-labels-idx1-ubyte.gz",
            "val_images": DATA + "t10k-images-idx3-ubyte.gz", "val_labels": DATA + "t10k-labels-idx1-ubyte.gz"}


def pictures(folder, size, kept):
    return {"kind": "images", "name": "Shapes", "folder": str(folder), "image_size": size, "resize_size": size * 8 // 7,
            "cache_mib": 4096 if kept else 0}


def configurations(folder, weights):
    frozen = specification("resnet18", 8, 3, pictures(folder, 224, False))
    frozen["task"]["model"]["weights"] = {"source": str(weights), "freeze": True, "unfreeze_epoch": 2}
    return {
        "mlp, batch 128": specification("mlp", 128, 30, idx()),
        "mlp 1024 wide, batch 1024, adam": specification("mlp", 1024, 6, idx(), options={"hidden1": 1024, "hidden2": 1024}, optimizer="adam"),
        "cnn, batch 128": specification("cnn", 128, 2, idx()),
        "cnn 32 wide, batch 512, adam": specification("cnn", 512, 1, idx(), options={"width": 32}, optimizer="adam"),
        "cnn, batch 128, two processes": specification("cnn", 128, 2, idx(), processes=2),
        "cnn, pictures at 64, batch 64, kept, adamw": specification("cnn", 64, 40, pictures(folder, 64, True), optimizer="adamw"),
        "resnet18, pictures at 64, batch 32": specification("resnet18", 32, 12, pictures(folder, 64, False)),
        "resnet18, pictures at 64, batch 16, kept, two processes, adam":
            specification("resnet18", 16, 8, pictures(folder, 64, True), processes=2, optimizer="adam"),
        "resnet18, pictures at 224, batch 8, body frozen for two of three epochs": frozen,
        "mobilenet_v3_small, pictures at 128, batch 32": specification("mobilenet_v3_small", 32, 16, pictures(folder, 128, False)),
        "mobilenet_v3_small, pictures at 96, batch 96, kept, adam":
            specification("mobilenet_v3_small", 96, 20, pictures(folder, 96, True), optimizer="adam"),
        "mobilenet_v3_large, pictures at 128, batch 16, two processes":
            specification("mobilenet_v3_large", 16, 6, pictures(folder, 128, False), processes=2),
    }


def estimate(document, folder):
    request = folder / "request.json"
    request.write_text(json.dumps({"spec": document}), encoding="utf-8")
    begin = time.monotonic()
    done = subprocess.run([ENGINE, "check", "--request", str(request)], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        sys.exit(f"check failed:\n{done.stdout}\n{done.stderr}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    answer["check_seconds"] = time.monotonic() - begin
    return answer


def train(document, folder):
    """Seconds, and bytes of all ranks together."""
    (folder / "spec.json").write_text(json.dumps(document), encoding="utf-8")
    world = document.get("distribution", {}).get("processes", 1)
    begin = time.monotonic()
    children = []
    for rank in range(world):
        # As the agent starts a rank, so that no second start is in the time.
        environment = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(world), TRAINYARD_OUTPUTS=str(folder / "out"), GOMP_SPINCOUNT="1000",
                           TRAINYARD_STREAM=str(folder / f"stream{rank}"), TRAINYARD_RENDEZVOUS=str(folder / "rendezvous.json"))
        children.append(subprocess.Popen([ENGINE, "train", "--spec", str(folder / "spec.json")], env=environment,  # pylint: disable=consider-using-with
                                         stdout=subprocess.DEVNULL))
    memory = 0
    for child in children:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"a rank ended with {child.returncode}")
        memory += usage.ru_maxrss * 1024
    return time.monotonic() - begin, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="configurations whose name has this in it")
    parser.add_argument("--pictures", type=int, default=80, help="of each of the three classes")
    options = parser.parse_args()
    result = {"benchmark": "preflight", "machine": machine(), "configurations": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_pictures(folder / "pictures", options.pictures)
        # Weights for the frozen body: what a training of no use leaves.
        start = folder / "start"
        start.mkdir()
        train(specification("resnet18", 16, 1, dict(pictures(folder / "pictures", 32, True), train_limit=32, val_limit=16)), start)
        chosen = {key: spec for key, spec in configurations(folder / "pictures", start / "out" / "model.safetensors").items()
                  if options.only in key}
        for number, (key, document) in enumerate(chosen.items()):
            here = folder / str(number)
            here.mkdir()
            said = estimate(document, here)
            seconds, memory = train(document, here)
            row = {"memory_ratio": said["memory_bytes"] / memory, "time_ratio": said["seconds_total"] / seconds,
                   "run": {"seconds": seconds, "bytes": memory}, "estimate": said}
            result["configurations"][key] = row
            if not options.json:
                print(f"{key}: memory {row['memory_ratio']:.3f} of {memory / 2**20:.0f} MiB, time {row['time_ratio']:.3f} of {seconds:.1f} s "
                      f"(check {said['check_seconds']:.1f} s)", flush=True)
    rows = list(result["configurations"].values())
    result["memory_within"] = sum(abs(row["memory_ratio"] - 1) <= MEMORY_WITHIN for row in rows)
    result["time_within"] = sum(abs(row["time_ratio"] - 1) <= TIME_WITHIN for row in rows)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['memory_within']} of {len(rows)} within {MEMORY_WITHIN:.0%} of the memory, "
              f"{result['time_within']} within {TIME_WITHIN:.0%} of the time")


if __name__ == "__main__":
    main()
