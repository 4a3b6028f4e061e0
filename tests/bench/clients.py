#!/usr/bin/env python3
"""What reporting costs a script, and that nothing of it is lost: calls of the Python client and of azureml.core, a million calls from
four processes with a kill -9, MLflow requests, TensorBoard files at 10,000 metrics a second, the agent's idle time.

tests/bench/run clients [--json] [--calls N] [--seconds N]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LETTERS = "234567abcdefghijklmnopqrstuvwxyz"

CALLS = """
import sys, time
count = int(sys.argv[1])
import trainyard
from azureml.core import Run
run = Run.get_context()
def cost(call):
    began = time.perf_counter()
    for i in range(count):
        call(i)
    return (time.perf_counter() - began) / count * 1e6
for name, call in (("log", lambda i: trainyard.log("a", 0.123456789 + i, step=i)), ("log without step", lambda i: trainyard.log("b", 0.5 + i)),
                   ("azureml run.log", lambda i: run.log("c", 0.5 + i)), ("log_all of 4", lambda i: trainyard.log_all({"d": i, "e": i, "f": i, "g": i}, step=i))):
    print(name + "=" + str(cost(call)))
"""

MANY = """
import subprocess, sys, time
count = int(sys.argv[1])
code = '''
import sys, trainyard
for i in range(int(sys.argv[2])):
    trainyard.log(sys.argv[1], i + 1)
    if i + 1 == int(sys.argv[3]):
        print("there", flush=True)
print(trainyard.dropped(), flush=True)
'''
children = [subprocess.Popen([sys.executable, "-c", code, "p%d" % n, str(count if n < 3 else 1 << 40), str(count)], stdout=subprocess.PIPE) for n in range(4)]
children[3].stdout.readline()
children[3].kill()
for child in children[:3]:
    assert child.wait() == 0
"""

MLFLOW = """
import http.client, json, os, time, urllib.parse
place = urllib.parse.urlparse(os.environ["MLFLOW_TRACKING_URI"])
connection = http.client.HTTPConnection(place.hostname, place.port)
headers = {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]}
times = []
for i in range(2000):
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], "key": "n", "value": i, "timestamp": int(time.time() * 1000), "step": i})
    began = time.perf_counter()
    connection.request("POST", "/api/2.0/mlflow/runs/log-metric", body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    times.append((time.perf_counter() - began) * 1e6)
times.sort()
print("median=%f" % times[len(times) // 2])
print("p99=%f" % times[len(times) * 99 // 100])
"""


class Agent:
    def __init__(self, scratch, command):
        raw = (int(time.time() * 1000) << 80) | (7 << 76) | (uuid.uuid4().int & ((1 << 76) - 1))
        raw = raw & ~(3 << 62) | (2 << 62)
        run = "".join(LETTERS[raw >> (5 * place) & 31] for place in range(25, -1, -1))
        self.node = pathlib.Path(scratch) / run / "a1" / "n0"
        self.node.mkdir(parents=True)
        plan = {"format": "trainyard.plan", "version": 1, "run": run, "processes": 1, "command": command, "cores": 1,
                "outputs_folder": str(self.node.parent.parent / "outputs"), "slots_folder": str(pathlib.Path(scratch) / "slots"),
                "disk_reserve_bytes": 0}
        (self.node / "plan.json").write_text(json.dumps(plan))
        self.process = subprocess.Popen([os.path.join(os.environ["TRAINYARD_BIN"], "trainyard-agent"), "run", str(self.node)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self):
        assert self.process.wait(timeout=1200) == 0
        ended = [record for record in self.records() if record["kind"] == "ended"][0]
        assert ended["outcome"] == "completed", ended
        return [line for record in self.records() if record["kind"] == "log" and record["out"] == "stdout" for line in record["lines"]]

    def records(self):
        for segment in sorted((self.node / "stream").glob("*.jsonl")):
            with open(segment) as lines:
                for line in lines:
                    yield json.loads(line)

    def points(self):
        for record in self.records():
            if record["kind"] == "metrics":
                for series in record["series"]:
                    times = series.get("t") or [record["t"]] * len(series["value"])
                    for step, value, at in zip(series["step"], series["value"], times):
                        yield series["name"], step, value, at, record["t"]

    def seconds_used(self):
        fields = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def numbers(lines):
    return {key: float(value) for key, value in (line.split("=") for line in lines)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=250_000, help="of each of the four processes")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    result = {"benchmark": "clients"}
    with tempfile.TemporaryDirectory() as scratch:
        def run(code, *arguments):
            agent = Agent(scratch, [sys.executable, "-c", code] + [str(one) for one in arguments])
            return agent, agent.wait()

        rounds = [numbers(run(CALLS, 100_000)[1]) for _ in range(5)]
        result["call_us"] = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        began = time.time()
        agent, _ = run(MANY, options.calls)
        result["many_seconds"] = time.time() - began
        seen = {}
        for name, step, value, _, _ in agent.points():
            assert value == step + 1 and step == seen.get(name, 0), (name, step, value)
            seen[name] = step + 1
        result["many_points"] = seen
        result["many_lost"] = sum(options.calls - seen[name] for name in ("p0", "p1", "p2")) + max(0, options.calls - seen["p3"])
        result["mlflow_us"] = numbers(run(MLFLOW)[1])
        agent = Agent(scratch, [sys.executable, str(ROOT / "tests/data/scripts/event_rate.py"), str(options.seconds)])
        lines = agent.wait()
        delays = sorted((told - at) / 1000 for _, _, _, at, told in agent.points())
        result["tensorboard"] = {"points": len(delays), "lost": int(lines[0]) * 100 - len(delays), "median_ms": delays[len(delays) // 2],
                                 "p99_ms": delays[len(delays) * 99 // 100], "worst_ms": delays[-1]}
        idle = Agent(scratch, ["sleep", str(options.seconds + 3)])
        time.sleep(2)
        before = idle.seconds_used()
        time.sleep(options.seconds)
        result["idle_percent"] = (idle.seconds_used() - before) / options.seconds * 100
        idle.wait()
    if options.json:
        print(json.dumps(result))
        return 0
    for key, value in result["call_us"].items():
        print(f"{key}: {value:.2f} µs a call")
    print(f"{sum(result['many_points'].values())} calls from 4 processes, one killed, in {result['many_seconds']:.1f} s: {result['many_lost']} lost")
    print(f"MLflow log-metric: {result['mlflow_us']['median']:.0f} µs, p99 {result['mlflow_us']['p99']:.0f}")
    board = result["tensorboard"]
    print(f"TensorBoard, 10,000 metrics a second: {board['points']} points, {board['lost']} lost; in the stream after {board['median_ms']:.0f} ms, "
          f"p99 {board['p99_ms']:.0f}, worst {board['worst_ms']:.0f}")
    print(f"agent with an idle rank: {result['idle_percent']:.2f} % of a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
