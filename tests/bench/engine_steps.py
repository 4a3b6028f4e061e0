"""Training steps of the engine against the same steps in Python's PyTorch.

Same model, batches already in memory, BLAS, threads and malloc settings; pairs in alternating order, so that a noisy
neighbour hits both. The ratio of a pair is Python's median step time over the engine's. Beside it the ratio against
Python as it comes (no malloc settings, ReLU that copies). The first 200 losses must be the same bits.
"""
import argparse
import json

from common import BUILD, DATA, PYTHON, ROOT, last_json, machine, spread, tuned
import os

CASES = {
    "cnn64": ["cnn", "64"],
    "cnn256": ["cnn", "256"],
    "mlp64": ["mlp", "64"],
    "mlp256": ["mlp", "256"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0, help="of steps a run, at least 200 steps")
    parser.add_argument("--cases", nargs="*", default=["cnn64", "cnn256", "mlp64"], choices=list(CASES))
    options = parser.parse_args()
    ours = [str(BUILD / "tests" / "bench_engine_steps"), DATA]
    theirs = [PYTHON, str(ROOT / "tests" / "bench" / "peer_steps.py"), DATA]
    result = {"benchmark": "engine_steps", "machine": machine(), "threads": options.threads, "cases": {}}
    for case in options.cases:
        words = CASES[case] + [str(options.threads), str(options.seconds)]
        ratios, untuned, engine, python, equal = [], [], [], [], []
        for pair in range(options.pairs):
            environment = tuned(options.threads)
            sides = [lambda: last_json(ours + words, environment), lambda: last_json(theirs + words + ["tuned"], environment)]
            if pair % 2:
                b = sides[1]()
                a = sides[0]()
            else:
                a = sides[0]()
                b = sides[1]()
            plain = last_json(theirs + words + ["untuned"], dict(os.environ))
            engine.append(a)
            python.append(b)
            ratios.append(b["step_seconds"] / a["step_seconds"])
            untuned.append(plain["step_seconds"] / a["step_seconds"])
            equal.append(a["losses"][:200] == b["losses"][:200])
        result["cases"][case] = {
            "ratio": spread(ratios),
            "ratio_untuned": spread(untuned),
            "ratio_processor_time": spread([p["cpu_step_seconds"] / e["cpu_step_seconds"] for e, p in zip(engine, python)]),
            "engine_step_seconds": spread([r["step_seconds"] for r in engine]),
            "python_step_seconds": spread([r["step_seconds"] for r in python]),
            "engine_peak_bytes": max(r["peak_bytes"] for r in engine),
            "python_peak_bytes": max(r["peak_bytes"] for r in python),
            "losses_bit_equal": all(equal),
            "compared_losses": min(200, *(len(r["losses"]) for r in engine + python)),
        }
        if not options.json:
            one = result["cases"][case]
            print(f"{case}: {one['ratio']['median']:.3f}× Python ({one['ratio']['lowest']:.3f}–{one['ratio']['highest']:.3f}), "
                  f"{one['ratio_untuned']['median']:.3f}× untuned, {one['ratio_processor_time']['median']:.3f}× in processor time; step {one['engine_step_seconds']['median'] * 1e3:.3f} ms; "
                  f"losses {'equal' if one['losses_bit_equal'] else 'DIFFER'}; peak {one['engine_peak_bytes'] >> 20} MiB, "
                  f"Python {one['python_peak_bytes'] >> 20} MiB", flush=True)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
