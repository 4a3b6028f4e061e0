"""Python's side of bench_engine_family: FAMILY SIZE BATCH CLASSES THREADS FORMAT DEVICE STEPS MODE.

MODE: tuned (in place, buffers of batch normalisation not sent around, buckets that gradients live in, cuDNN's search), untuned (as
PyTorch comes), compiled (torch.compile), amp (bfloat16 where it is safe). Several ranks (RANK, WORLD_SIZE, MASTER_PORT) train by
DistributedDataParallel.
"""
import contextlib
import json
import os
import resource
import statistics
import sys
import time

import torch
import torchvision
from torch import nn

BATCHES, ROUNDS, BUCKET = 4, 2, 25 * 1024 * 1024 // 4


def median(values):
    return statistics.median_high(values)


def main():
    family, (size, batch, classes, threads), layout, device, steps, mode = \
        sys.argv[1], map(int, sys.argv[2:6]), sys.argv[6], sys.argv[7], int(sys.argv[8]), sys.argv[9]
    torch.set_num_threads(threads)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    place = torch.device(device, rank) if device == "cuda" else torch.device(device)
    if device == "cuda":
        torch.cuda.set_device(place)
        torch.backends.cudnn.benchmark = mode != "untuned"
        torch.backends.cuda.matmul.allow_tf32 = mode != "untuned"
    if world > 1:
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", rank=rank, world_size=world,
                                             init_method="tcp://127.0.0.1:" + os.environ["MASTER_PORT"])
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    torch.manual_seed(100 + rank)
    batches = []
    for _ in range(BATCHES):
        images = torch.randn(batch, 3, size, size)
        labels = torch.randint(classes, (batch,))
        batches.append((images.to(place), labels.to(place)))
    torch.manual_seed(1)
    model = getattr(torchvision.models, family)(weights=None, num_classes=classes).to(place).to(memory_format=form)
    parameters = list(model.parameters())
    if world > 1:
        model = nn.parallel.DistributedDataParallel(model, device_ids=[rank] if device == "cuda" else None,
                                                    broadcast_buffers=mode == "untuned", gradient_as_bucket_view=mode != "untuned")
    trained = torch.compile(model) if mode == "compiled" else model
    optimizer = torch.optim.SGD(parameters, 0.01, 0.9, nesterov=True, weight_decay=5e-4)
    amp = torch.autocast(device, torch.bfloat16) if mode == "amp" else contextlib.nullcontext()
    window = 1 if device == "cpu" else 10

    def one(images, labels):
        optimizer.zero_grad(set_to_none=mode != "untuned")
        with amp:
            loss = nn.functional.cross_entropy(trained(images.contiguous(memory_format=form)), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def run(count, losses=None, exchange=True):
        times = []
        for done in range(0, count, window):
            begin = time.perf_counter()
            with contextlib.nullcontext() if exchange or world == 1 else model.no_sync():
                for i in range(window):
                    loss = one(*batches[(done + i) % BATCHES])
                value = loss.item()
            times.append((time.perf_counter() - begin) / window)
            if losses is not None:
                losses.append(value)
        return times

    losses, answer = [], {}
    warm_up = run(2, losses)
    times = run(steps, losses)
    if world > 1:
        apart = []
        for turn in range(ROUNDS):
            torch.distributed.barrier()
            apart += run(steps, exchange=False)
            torch.distributed.barrier()
            if turn + 1 < ROUNDS:
                times += run(steps)
        answer["apart_seconds"] = median(apart)
        left, buckets, alone = sum(one.numel() for one in parameters), [], []
        while left > 0:
            buckets.append(torch.zeros(min(left, BUCKET), device=place))
            left -= BUCKET
        for _ in range(5):
            torch.distributed.barrier()
            begin = time.perf_counter()
            for bucket in buckets:
                torch.distributed.all_reduce(bucket)
            buckets[-1][0].item()
            alone.append(time.perf_counter() - begin)
        answer["exchange_alone_seconds"] = median(alone)
    answer.update(step_seconds=median(times), first_step_seconds=warm_up[0], times=times, losses=losses,
                  peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, torch=torch.__version__)
    print(json.dumps(answer), flush=True)
    if world > 1:
        torch.distributed.barrier()


main()
