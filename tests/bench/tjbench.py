"""Pictures that the engine's loader gives against what tjbench decodes of the same files on the same cores.

tjbench (libjpeg-turbo-progs) decodes one file again and again from memory and does nothing else with it; one process a core. The engine opens,
decodes, cuts at random, resizes to 224, flips and normalises. The rate of tjbench is pictures over the sum of its times for some of
the files. Pairs in alternating order.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from common import BUILD, PYTHON, last_json, machine, spread, tuned
from engine_images import MAKE


def decoded_seconds(file, seconds):
    """Of one decoding of the whole file to RGB."""
    done = subprocess.run(["tjbench", str(file), "-rgb", "-nowrite", "-benchtime", str(seconds), "-warmup", "0.05"], capture_output=True,
                          text=True, check=False)
    rate = re.search(r"Frame rate:\s+([0-9.]+) fps", done.stdout)
    if done.returncode != 0 or not rate:
        raise SystemExit(f"tjbench failed:\n{done.stdout}\n{done.stderr}")
    return 1 / float(rate[1])


def tjbench(files, cores, seconds):
    """Pictures a second of `cores` processes side by side: the files are dealt out to them."""
    script = f"import sys, json, pathlib; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import tjbench; " \
             f"print(json.dumps([tjbench.decoded_seconds(f, {seconds}) for f in sys.argv[1:]]))"
    children = [subprocess.Popen(["python3", "-c", script, *map(str, files[core::cores])], stdout=subprocess.PIPE, text=True)
                for core in range(cores)]
    rate = 0.0
    for child in children:
        said, _ = child.communicate(timeout=600)
        if child.returncode != 0:
            raise SystemExit("tjbench failed")
        times = json.loads(said)
        rate += len(times) / sum(times)
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--sample", type=int, default=20, help="files that tjbench decodes")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each of them")
    options = parser.parse_args()
    if shutil.which("tjbench") is None:
        raise SystemExit("tjbench is missing: install libjpeg-turbo-progs")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, "-c", MAKE, folder, str(options.images)], check=True)
        files = sorted(pathlib.Path(folder).rglob("*.jpg"))
        sample = files[::max(1, len(files) // options.sample)][:options.sample]
        ours = [str(BUILD / "tests" / "bench_engine_images"), folder, str(options.size), "32", str(options.threads), "3"]
        pairs = []
        for turn in range(options.pairs):
            if turn % 2:
                theirs = tjbench(sample, options.threads, options.seconds)
                pairs.append((max(last_json(ours, tuned(1))["images_per_second"]), theirs))
            else:
                engine = max(last_json(ours, tuned(1))["images_per_second"])
                pairs.append((engine, tjbench(sample, options.threads, options.seconds)))
        result = {"benchmark": "tjbench", "machine": machine(), "options": vars(options), "bytes": sum(os.path.getsize(file) for file in files),
                  "ratio": spread([a / b for a, b in pairs]), "engine_images_per_second": spread([a for a, _ in pairs]),
                  "tjbench_images_per_second": spread([b for _, b in pairs])}
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['ratio']['median']:.2f}× tjbench ({result['ratio']['lowest']:.2f}–{result['ratio']['highest']:.2f}); "
              f"{result['engine_images_per_second']['median']:.0f} and {result['tjbench_images_per_second']['median']:.0f} pictures a second")


if __name__ == "__main__":
    main()
