"""The Python side of engine_epochs, as a user writes it: DATA FAMILY EPOCHS WORKERS."""
import gzip
import json
import os
import resource
import sys
import tempfile
import time

import torch
import torchvision
from torch import nn
from torchvision import transforms


def make_model(family):
    if family == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    layers, inputs = [], 1
    for width in (16, 32):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 10))


def main():
    folder, family, epochs, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as root:
        raw = os.path.join(root, "FashionMNIST", "raw")
        os.makedirs(raw)
        for name in os.listdir(folder):
            with gzip.open(os.path.join(folder, name)) as packed, open(os.path.join(raw, name[:-3]), "wb") as plain:
                plain.write(packed.read())
        normalize = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])
        train_set = torchvision.datasets.FashionMNIST(root, train=True, transform=normalize)
        val_set = torchvision.datasets.FashionMNIST(root, train=False, transform=normalize)
        train = torch.utils.data.DataLoader(train_set, batch_size=128, shuffle=True, num_workers=workers)
        val = torch.utils.data.DataLoader(val_set, batch_size=256, num_workers=workers)
        model = make_model(family)
        rate = 0.1 if family == "cnn" else 0.02
        optimizer = torch.optim.SGD(model.parameters(), rate, 0.9, nesterov=True, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * len(train), cycle_momentum=False)
        begin = time.perf_counter()
        for _ in range(epochs):
            model.train()
            for images, labels in train:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
            model.eval()
            correct = 0
            with torch.no_grad():
                for images, labels in val:
                    correct += (model(images).argmax(1) == labels).sum().item()
        seconds = (time.perf_counter() - begin) / epochs
    print(json.dumps({"epoch_seconds": seconds, "val_accuracy": correct / len(val_set), "workers": workers,
                      "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


main()
