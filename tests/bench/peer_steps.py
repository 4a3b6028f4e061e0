"""The Python side of engine_steps: DATA FAMILY BATCH THREADS SECONDS tuned|untuned."""
import gzip
import json
import resource
import statistics
import sys
import time

import numpy
import torch
from torch import nn

BATCHES = 20
MEAN, STD = 0.2860405969887955, 0.3530242445149226


def make_model(family, inplace):
    if family == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(inplace), nn.Linear(128, 64), nn.ReLU(inplace), nn.Linear(64, 10))
    layers, inputs = [], 1
    for width in (16, 32):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 10))


def main():
    folder, family, batch, threads, seconds, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6]
    torch.set_num_threads(threads)
    with gzip.open(folder + "train-images-idx3-ubyte.gz") as file:
        pixels = numpy.frombuffer(file.read(16 + BATCHES * batch * 784), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder + "train-labels-idx1-ubyte.gz") as file:
        labels = numpy.frombuffer(file.read(8 + BATCHES * batch), numpy.uint8, offset=8)
    images = torch.from_numpy(pixels.copy()).float().div_(255).sub_(MEAN).div_(STD)
    targets = torch.from_numpy(labels.astype(numpy.int64))
    batches = [(images[i * batch:(i + 1) * batch].clone(), targets[i * batch:(i + 1) * batch].clone()) for i in range(BATCHES)]
    torch.manual_seed(1)
    model = make_model(family, mode == "tuned")
    optimizer = torch.optim.SGD(model.parameters(), 0.02, 0.9, nesterov=True, weight_decay=5e-4)
    losses, times = [], []
    end = time.perf_counter() + seconds
    cpu = 0.0
    while len(times) < 200 or time.perf_counter() < end:
        if len(times) == 20:
            cpu = time.process_time()
        x, y = batches[len(times) % BATCHES]
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        value = loss.item()
        times.append(time.perf_counter() - begin)
        if len(losses) < 200:
            losses.append(value)
    cpu = (time.process_time() - cpu) / (len(times) - 20)
    print(json.dumps({"step_seconds": statistics.median(times[20:]), "cpu_step_seconds": cpu, "steps": len(times), "losses": losses,
                      "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


main()
