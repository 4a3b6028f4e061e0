"""Whole epochs of the engine against the Python that a user writes.

The engine: `trainyard-engine train` for one run of --epochs epochs, timed from the start of training to the last
validation. The peer: torchvision's FashionMNIST with ToTensor and Normalize, DataLoader with 0 and with 2 workers (the
better one counts), the same model, optimizer, schedule, batch size and validation. Start-up is left out on both sides.
"""
import argparse
import json
import os
import tempfile

from common import BUILD, DATA, PYTHON, ROOT, last_json, machine, run_alone, spread


def specification(family, epochs):
    return {
        "format": "trainyard.run-spec", "version": 1, "experiment": "bench",
        "task": {
            "kind": "train", "epochs": epochs, "batch_size": 128,
            "dataset": {"kind": "idx", "name": "Fashion-MNIST",
                        "train_images": DATA + "train-images-idx3-ubyte.gz", "train_labels": DATA + "train-labels-idx1-ubyte.gz",
                        "val_images": DATA + "t10k-images-idx3-ubyte.gz", "val_labels": DATA + "t10k-labels-idx1-ubyte.gz"},
            "model": {"family": family, "options": {}},
            "optimizer": {"kind": "sgd", "learning_rate": 0.1 if family == "cnn" else 0.02},
        },
    }


def run_engine(family, epochs):
    with tempfile.TemporaryDirectory() as folder:
        spec = os.path.join(folder, "spec.json")
        stream = os.path.join(folder, "stream")
        with open(spec, "w", encoding="utf-8") as file:
            json.dump(specification(family, epochs), file)
        environment = dict(os.environ, TRAINYARD_STREAM=stream, TRAINYARD_OUTPUTS=os.path.join(folder, "out"))
        peak_bytes = run_alone([str(BUILD / "bin" / "trainyard-engine"), "train", "--spec", spec], environment)
        begin = end = accuracy = None
        with open(stream, encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["kind"] == "progress" and record["stage"] == "train" and begin is None:
                    begin = record["t"]
                if record["kind"] == "metrics":
                    for series in record["series"]:
                        if series["name"] == "val/accuracy":
                            end, accuracy = record["t"], series["value"][-1]
        return {"epoch_seconds": (end - begin) / 1e6 / epochs, "val_accuracy": accuracy,
                "peak_bytes": peak_bytes}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--families", nargs="*", default=["cnn", "mlp"], choices=["cnn", "mlp"])
    options = parser.parse_args()
    peer = [PYTHON, str(ROOT / "tests" / "bench" / "peer_epochs.py"), DATA]
    result = {"benchmark": "engine_epochs", "machine": machine(), "epochs": options.epochs, "families": {}}
    for family in options.families:
        engine, python, ratios = [], [], []
        for _ in range(options.pairs):
            engine.append(run_engine(family, options.epochs))
            both = [last_json(peer + [family, str(options.epochs), str(workers)], dict(os.environ)) for workers in (0, 2)]
            best = min(both, key=lambda one: one["epoch_seconds"])
            python.append(best)
            ratios.append(best["epoch_seconds"] / engine[-1]["epoch_seconds"])
        result["families"][family] = {"ratio": spread(ratios), "engine": engine, "python": python}
        if not options.json:
            print(f"{family}: {spread(ratios)['median']:.2f}× ({min(ratios):.2f}–{max(ratios):.2f}); "
                  f"epoch {spread([r['epoch_seconds'] for r in engine])['median']:.2f} s, "
                  f"Python {spread([r['epoch_seconds'] for r in python])['median']:.2f} s with {python[-1]['workers']} workers", flush=True)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
