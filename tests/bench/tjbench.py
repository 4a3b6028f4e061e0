"""Pictures that the engine's loader gives against what tjbench decodes of the same files on the same cores.

tjbench (libjpeg-turbo-progs) decodes one file, whole and at its full size, again and again from memory to RGB, by the same library and with
its own settings, which are the engine's too (exact DCT, smooth chroma), and does nothing else with it; one process a core. The engine, on
as many threads, opens and reads each file, decodes what a random crop needs of it, resizes that to 224, flips and normalises. The rate of
tjbench is pictures over the sum of its times for some of the files; the engine's is that of all rounds over all files but the first round,
for tjbench warms up too. Pairs in alternating order.
"""
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile

from common import PictureLoading


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
    loading = PictureLoading(__doc__, rounds=6)
    loading.parser.add_argument("--sample", type=int, default=20, help="files that tjbench decodes")
    loading.parser.add_argument("--seconds", type=float, default=0.2, help="for each of them")
    options = loading.options = loading.parser.parse_args()
    if options.rounds < 2:
        loading.parser.error("--rounds: at least 2, of which the first warms up")
    if shutil.which("tjbench") is None:
        raise SystemExit("tjbench is missing: install libjpeg-turbo-progs")
    with tempfile.TemporaryDirectory() as folder:
        files = loading.make(folder)
        sample = files[::max(1, len(files) // options.sample)][:options.sample]
        # Rounds have equally many pictures, so their joint rate is the harmonic mean.
        pairs = loading.pairs(lambda: statistics.harmonic_mean(loading.engine(folder)[1:]),
                              lambda: tjbench(sample, options.threads, options.seconds))
        loading.tell("tjbench", "tjbench", files, pairs)


if __name__ == "__main__":
    main()
