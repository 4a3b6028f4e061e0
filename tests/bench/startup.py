#!/usr/bin/env python3
"""Start of the workbench with 1,000 runs in the history: until Home stands painted and a click is answered, and memory.

tests/bench/run startup [--json] [--rounds N] [--runs N]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    programs = pathlib.Path(os.environ["TRAINYARD_BIN"])
    with tempfile.TemporaryDirectory() as scratch:
        environment = dict(os.environ, HOME=scratch, XDG_CONFIG_HOME=scratch + "/config", XDG_DATA_HOME=scratch + "/data",
                           XDG_CACHE_HOME=scratch + "/cache", QT_QPA_PLATFORM="offscreen")
        workspace = scratch + "/history"
        subprocess.run([programs / "trainyard", "--make-showcase", workspace, "--runs", str(options.runs)], env=environment,
                       check=True)
        rounds = []
        for number in range(options.rounds + 1):
            answer = subprocess.run([programs / "trainyard", workspace, "trainyard://home", "--measure-start"], env=environment, check=True,
                                    capture_output=True, text=True)
            if number > 0:  # The first builds the index.
                rounds.append(json.loads(answer.stdout))
    middle = {key: statistics.median(one[key] for one in rounds)
              for key in ("workspace_open_ms", "home_painted_ms", "click_answered_ms", "resident_mib")}
    if options.json:
        print(json.dumps({"benchmark": "startup", "runs": options.runs, "median": middle, "raw": rounds}))
    else:
        print(f"{options.runs} runs: Home painted after {middle['home_painted_ms']:.0f} ms, a click answered after "
              f"{middle['click_answered_ms']:.0f} ms, {middle['resident_mib']:.0f} MiB resident (medians of {options.rounds})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
