"""Pictures read, cropped at random, flipped and normalised by the engine's loader, against torchvision's DataLoader.

Both read the same JPEG files (made here: 500 of about 500 × 400 pixels, quality 87), in batches of 32, on as many threads or worker
processes; pairs in alternating order. The ratio of a pair is of the best rounds. Python's better of workers and none counts.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

from common import BUILD, PYTHON, ROOT, last_json, machine, spread, tuned

MAKE = """
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, "-c", MAKE, folder, str(options.images)], check=True)
        files = list(pathlib.Path(folder).rglob("*.jpg"))
        words = [folder, str(options.size), "32"]
        rounds = str(options.rounds)
        ours = [str(BUILD / "tests" / "bench_engine_images"), *words, str(options.threads), rounds]
        theirs = [PYTHON, str(ROOT / "tests" / "bench" / "peer_images.py"), *words]
        environment = tuned(1)

        def engine():
            answer = last_json(ours, environment)
            return max(answer["images_per_second"])

        def python():
            return max(max(last_json([*theirs, str(workers), rounds], environment)["images_per_second"]) for workers in {0, options.threads})

        rates = []
        for pair in range(options.pairs):
            if pair % 2:
                b, a = python(), engine()
            else:
                a, b = engine(), python()
            rates.append((a, b))
        result = {"benchmark": "engine_images", "machine": machine(), "threads": options.threads, "images": len(files),
                  "bytes": sum(os.path.getsize(file) for file in files), "ratio": spread([a / b for a, b in rates]),
                  "engine_images_per_second": spread([a for a, _ in rates]), "python_images_per_second": spread([b for _, b in rates])}
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['ratio']['median']:.2f}× torchvision ({result['ratio']['lowest']:.2f}–{result['ratio']['highest']:.2f}); "
              f"{result['engine_images_per_second']['median']:.0f} and {result['python_images_per_second']['median']:.0f} pictures a second")


if __name__ == "__main__":
    main()
