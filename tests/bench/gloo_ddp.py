"""Two Gloo processes on one machine against Python's DistributedDataParallel.

The same model, weights, samples of each rank, bucket size and threads a process, the memory format that Python is quicker in; pairs in
alternating order. The ratio of a pair is Python's median step over the engine's, of rank 0. "Hidden" is the share of the exchange
that costs the step nothing: 1 − (step with the exchange − step without) / exchange alone. The engine also tells it itself: libtorch's time
of the exchange under the backward pass, as a share of that and what backward() waits after its own computing. Losses of the ranks
must be the bits of Python's.
"""
import argparse
import json
import os
import socket
import tempfile

from common import FORMATS, FamilySteps, losses_agree, machine, spread, together


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ranks(command, base, world):
    with tempfile.TemporaryDirectory() as folder:
        # Rank 0 of the engine binds a port of its own and tells it by a file; PyTorch's wants to be told one.
        port = str(free_port()) if "peer_family" in " ".join(command) else "0"
        environments = [dict(base, RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world),
                             MASTER_ADDR="127.0.0.1", MASTER_PORT=port, TRAINYARD_RENDEZVOUS=os.path.join(folder, "rendezvous.json"))
                        for rank in range(world)]
        return together([command] * world, environments)


def hidden(answer):
    exposed = max(0.0, answer["step_seconds"] - answer["apart_seconds"])
    return max(0.0, 1 - exposed / answer["exchange_alone_seconds"])


def own_hidden(answer):
    whole = answer["hidden_seconds"] + answer["waited_seconds"]
    return answer["hidden_seconds"] / whole if whole > 0 else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--family", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8, help="a rank")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="a process")
    parser.add_argument("--steps", type=int, default=8, help="with the exchange and without, twice")
    parser.add_argument("--engine-format", default="", choices=["", *FORMATS], help="another one than Python's better; losses then differ")
    options = parser.parse_args()
    steps = FamilySteps(options.family, options.size, options.batch, options.classes, options.threads, "cpu", options.steps)
    formats = steps.choose_formats(options.engine_format)
    tuned = steps.environment()
    sides = {"engine": lambda: ranks(steps.engine(formats["engine"]), tuned, options.processes),
             "python": lambda: ranks(steps.python(formats["python"], "tuned"), tuned, options.processes)}
    found, plain = {"engine": [], "python": []}, []
    for turn in range(options.pairs):
        for side in ("python", "engine") if turn % 2 else ("engine", "python"):
            found[side].append(sides[side]())
        plain.append(ranks(steps.python(formats["python"], "untuned"), steps.environment("untuned"), options.processes))
    ours, theirs = ([answer[0] for answer in found[side]] for side in ("engine", "python"))
    result = {
        "benchmark": "gloo_ddp", "machine": machine(), "options": vars(options), "formats": formats,
        "ratio": spread([b["step_seconds"] / a["step_seconds"] for a, b in zip(ours, theirs)]),
        "ratio_untuned": spread([b[0]["step_seconds"] / a["step_seconds"] for a, b in zip(ours, plain)]),
        "engine_step_seconds": spread([a["step_seconds"] for a in ours]),
        "python_step_seconds": spread([b["step_seconds"] for b in theirs]),
        "exchange_alone_seconds": spread([a["exchange_alone_seconds"] for a in ours]),
        "hidden": {"engine": spread([hidden(a) for a in ours]), "python": spread([hidden(b) for b in theirs]),
                   "engine_itself": spread([own_hidden(a) for a in ours])},
        "losses": [losses_agree(a["losses"], b["losses"]) for a, b in zip(found["engine"][0], found["python"][0])],
    }
    if options.json:
        print(json.dumps(result))
        return
    apart = max(one["last_difference"] for one in result["losses"])
    equal = all(one["bit_equal"] for one in result["losses"])
    print(f"{result['ratio']['median']:.3f}× DistributedDataParallel ({result['ratio']['lowest']:.3f}–{result['ratio']['highest']:.3f}), "
          f"{result['ratio_untuned']['median']:.3f}× untuned; step {result['engine_step_seconds']['median'] * 1e3:.1f} ms, Python "
          f"{result['python_step_seconds']['median'] * 1e3:.1f} ms; exchange alone {result['exchange_alone_seconds']['median'] * 1e3:.1f} ms, hidden "
          f"{result['hidden']['engine']['median']:.0%} (by its own clock {result['hidden']['engine_itself']['median']:.0%}), Python "
          f"{result['hidden']['python']['median']:.0%}; losses {'the same bits' if equal else f'{apart:.1e} apart'}")


if __name__ == "__main__":
    main()
