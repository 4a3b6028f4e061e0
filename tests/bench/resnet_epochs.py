"""ResNet-18 at 224, batch 16, whole epochs from JPEG files, against the Python that a user writes.

The engine: `trainyard-engine train`, each epoch timed from its first step to the end of its validation. The peer: torchvision's model, PIL,
DataLoader with no and with two workers that stay (the better one counts), in its better memory format, which the engine then takes too. The
same files (made here), weights, crops, order, threads, BLAS and malloc settings, so the losses must be the same bits. Beside it the untuned peer, and with --steps the
step alone (engine_family).
"""
import argparse
import json
import os
import subprocess
import tempfile

from common import FORMATS, PYTHON, ROOT, FamilySteps, engine_run, image_task, last_json, losses_agree, machine, spread, tuned
import engine_family

SEED = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--images", type=int, default=240, help="for training")
    parser.add_argument("--validation", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--family", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--steps", type=int, default=8, help="of the step alone; 0: not measured")
    parser.add_argument("--no-untuned", action="store_true")
    parser.add_argument("--engine-format", default="", choices=["", *FORMATS], help="another one than Python's better; losses then differ")
    options = parser.parse_args()
    steps = FamilySteps(options.family, options.size, options.batch, 2, options.threads, "cpu", max(3, options.steps))
    formats = steps.choose_formats(options.engine_format)
    environment = tuned(options.threads)
    ours, theirs, plain = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        subprocess.run([PYTHON, str(ROOT / "tests/bench/peer_pictures.py"), data, str(options.images), str(options.validation)], check=True)
        task = image_task(data, options.family, options.size, options.batch, options.epochs, formats["engine"], threads=options.threads, seed=SEED)

        def engine():
            epochs, peak = engine_run(task, os.path.join(folder, "out"), environment)
            return {"epoch_seconds": [one["seconds"] for one in epochs], "train_losses": epochs[-1]["train_losses"],
                    "val_loss": epochs[-1]["val/loss"], "val_accuracy": epochs[-1]["val/accuracy"], "peak_bytes": peak}

        def python(workers, given):
            return last_json([PYTHON, str(ROOT / "tests/bench/peer_resnet_epochs.py"), data, options.family, str(options.size), str(options.batch),
                              str(options.epochs), str(workers), str(options.threads), formats["python"], "cpu", str(SEED)], given)

        def mean(one):
            return sum(one["epoch_seconds"]) / len(one["epoch_seconds"])

        for turn in range(options.pairs):
            if turn % 2 == 0:
                ours.append(engine())
            theirs.append(min((python(workers, environment) for workers in options.workers), key=mean))
            if turn % 2 == 1:
                ours.append(engine())
            if not options.no_untuned:
                plain.append(python(theirs[-1]["workers"], dict(os.environ)))
    result = {
        "benchmark": "resnet_epochs", "machine": machine(), "options": vars(options), "formats": formats,
        "ratio": spread([mean(b) / mean(a) for a, b in zip(ours, theirs)]),
        "engine_epoch_seconds": spread([mean(a) for a in ours]), "python_epoch_seconds": spread([mean(b) for b in theirs]),
        "workers": [b["workers"] for b in theirs],
        "engine_peak_bytes": max(a["peak_bytes"] for a in ours), "python_peak_bytes": max(b["peak_bytes"] for b in theirs),
        "losses": losses_agree(ours[0]["train_losses"] + [ours[0]["val_loss"]], theirs[0]["train_losses"] + [theirs[0]["val_loss"]]),
        "val_accuracy": [ours[0]["val_accuracy"], theirs[0]["val_accuracy"]],
    }
    if plain:
        result["ratio_untuned"] = spread([mean(b) / mean(a) for a, b in zip(ours, plain)])
    if options.steps:
        result["step"] = engine_family.measure(steps, options.pairs, not options.no_untuned)
    if options.json:
        print(json.dumps(result))
        return
    untuned = f", {result['ratio_untuned']['median']:.3f}× untuned" if plain else ""
    print(f"epochs: {result['ratio']['median']:.3f}× Python ({result['ratio']['lowest']:.3f}–{result['ratio']['highest']:.3f}){untuned}; "
          f"{result['engine_epoch_seconds']['median']:.2f} s in {formats['engine']}, Python {result['python_epoch_seconds']['median']:.2f} s in "
          f"{formats['python']} with {theirs[-1]['workers']} workers; "
          + ("losses the same bits" if result["losses"]["bit_equal"] else f"validation losses {result['losses']['last_difference']:.1e} apart"))
    if options.steps:
        print("step alone:", engine_family.text(result["step"]))


if __name__ == "__main__":
    main()
