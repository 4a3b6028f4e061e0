"""Pictures read, cropped at random, flipped and normalised by the engine's loader, against torchvision's DataLoader.

Both read the same JPEG files (made here: 500 of about 500 × 400 pixels, quality 87), in batches of 32, on as many threads or worker
processes; pairs in alternating order. The ratio of a pair is of the best rounds. Python's better of workers and none counts.
"""
import tempfile

from common import PYTHON, ROOT, PictureLoading, last_json


def main():
    loading = PictureLoading(__doc__, rounds=3)
    options = loading.options = loading.parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = loading.make(folder)
        theirs = [PYTHON, str(ROOT / "tests" / "bench" / "peer_images.py"), *loading.words(folder)]

        def torchvision():
            return max(max(last_json([*theirs, str(workers), str(options.rounds)], loading.environment)["images_per_second"])
                       for workers in {0, options.threads})

        pairs = loading.pairs(lambda: max(loading.engine(folder)), torchvision)
        loading.tell("engine_images", "torchvision", files, pairs)


if __name__ == "__main__":
    main()
