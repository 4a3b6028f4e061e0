"""Training steps of ResNet-18 (or another family with torchvision's names) against torchvision's model in Python.

Batches already in memory, the same weights, BLAS, threads and malloc settings, the memory format that Python is quicker in; pairs in
alternating order. The ratio of a pair is Python's median step over the engine's. The losses must be the same bits.
"""
import argparse
import json

from common import FORMATS, FamilySteps, last_json, losses_agree, machine, spread


def measure(steps, pairs, untuned):
    formats = steps.formats
    ours, theirs, plain = [], [], []
    for turn in range(pairs):
        a, b = steps.pair(python_first=turn % 2 == 1)
        ours.append(a)
        theirs.append(b)
        if untuned:
            plain.append(last_json(steps.python(formats["python"], "untuned"), steps.environment("untuned")))
    result = {
        "formats": formats,
        "ratio": spread([b["step_seconds"] / a["step_seconds"] for a, b in zip(ours, theirs)]),
        "engine_step_seconds": spread([a["step_seconds"] for a in ours]),
        "python_step_seconds": spread([b["step_seconds"] for b in theirs]),
        "engine_peak_bytes": max(a["peak_bytes"] for a in ours),
        "python_peak_bytes": max(b["peak_bytes"] for b in theirs),
        "losses": losses_agree(ours[0]["losses"], theirs[0]["losses"]),
    }
    if untuned:
        result["ratio_untuned"] = spread([b["step_seconds"] / a["step_seconds"] for a, b in zip(ours, plain)])
    return result


def text(result):
    words = (f"{result['ratio']['median']:.3f}× Python ({result['ratio']['lowest']:.3f}–{result['ratio']['highest']:.3f}); step "
             f"{result['engine_step_seconds']['median'] * 1e3:.1f} ms in {result['formats']['engine']}, Python "
             f"{result['python_step_seconds']['median'] * 1e3:.1f} ms in {result['formats']['python']}; ")
    if "ratio_untuned" in result:
        words += f"{result['ratio_untuned']['median']:.3f}× untuned; "
    losses = result["losses"]
    return words + ("losses the same bits" if losses["bit_equal"] else f"last losses {losses['last_difference']:.1e} apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--family", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--no-untuned", action="store_true")
    parser.add_argument("--engine-format", default="", choices=["", *FORMATS], help="another one than Python's better; losses then differ")
    options = parser.parse_args()
    steps = FamilySteps(options.family, options.size, options.batch, options.classes, options.threads, "cpu", options.steps)
    steps.choose_formats(options.engine_format)
    result = {"benchmark": "engine_family", "machine": machine(), "options": vars(options),
              **measure(steps, options.pairs, not options.no_untuned)}
    print(json.dumps(result) if options.json else text(result))


if __name__ == "__main__":
    main()
