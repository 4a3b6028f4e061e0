"""Python's side of resnet_epochs: FOLDER FAMILY SIZE BATCH EPOCHS WORKERS THREADS FORMAT DEVICE SEED.

torchvision's model and DataLoader, as the usual fine-tuning script has them, with the random crops and flips that the engine draws for the
same samples, so that both sides train on the same pixels in the same order and must end with the same loss.
"""
import json
import math
import os
import resource
import sys
import tempfile
import time

import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms import functional

MASK = (1 << 64) - 1


def mix(a, b):  # core/base/Seeds.h
    z = (a + 0x9E3779B97F4A7C15 * (b + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Dice:  # Uniform numbers of one sample, as core/engine/data/ImageLoader.cpp draws them.
    def __init__(self, seed, epoch, index):
        self.state, self.count = mix(mix(seed ^ 0x1A6E5, epoch), index), 0

    def roll(self):
        self.count += 1
        self.state = mix(self.state, self.count)
        return (self.state >> 11) * 2.0 ** -53

    def between(self, low, high):
        return low + (high - low) * self.roll()

    def whole(self, low, high):
        return low + int(self.roll() * (high - low + 1))


def draw_crop(width, height, dice):
    """torchvision's RandomResizedCrop.get_params: left, top, width, height."""
    largest = math.log(4.0 / 3)
    for _ in range(10):
        target = width * height * dice.between(0.08, 1.0)
        ratio = math.exp(dice.between(-largest, largest))
        w, h = int(math.sqrt(target * ratio) + 0.5), int(math.sqrt(target / ratio) + 0.5)
        if 0 < w <= width and 0 < h <= height:
            top = dice.whole(0, height - h)
            return dice.whole(0, width - w), top, w, h
    side = min(width, height)  # The pictures' sides are nearly equal, so the centre needs no ratio.
    return (width - side) // 2, (height - side) // 2, side, side


class Training(torchvision.datasets.ImageFolder):
    """Items are asked for by epoch × samples + index."""

    def __init__(self, root, size, seed, finish):
        super().__init__(root)
        self.size, self.seed, self.finish = size, seed, finish

    def __getitem__(self, asked):
        epoch, index = divmod(asked, len(self.samples))
        path, label = self.samples[index]
        with open(path, "rb") as file:
            image = Image.open(file).convert("RGB")
        dice = Dice(self.seed, epoch, index)
        left, top, width, height = draw_crop(*image.size, dice)
        image = functional.resized_crop(image, top, left, height, width, [self.size, self.size])
        if dice.roll() < 0.5:
            image = functional.hflip(image)
        return self.finish(image), label


class Order:
    """The engine's order of each epoch (core/engine/data/Sampler.cpp)."""

    def __init__(self, count, seed):
        self.count, self.seed, self.epoch = count, seed, 0

    def __len__(self):
        return self.count

    def __iter__(self):
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch) & 0xFFFFFFFF)
        return iter((torch.randperm(self.count, generator=generator) + self.epoch * self.count).tolist())


def main():
    folder, family, (size, batch, epochs, workers, threads), layout, device, seed = \
        sys.argv[1], sys.argv[2], map(int, sys.argv[3:8]), sys.argv[8], sys.argv[9], int(sys.argv[10])
    torch.set_num_threads(threads)
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    gpu = device == "cuda"
    if gpu:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
    finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    train_set = Training(os.path.join(folder, "train"), size, seed, finish)
    centre = transforms.Compose([transforms.Resize(size * 256 // 224), transforms.CenterCrop(size), finish])
    val_set = torchvision.datasets.ImageFolder(os.path.join(folder, "val"), centre)
    order = Order(len(train_set.samples), seed)
    train = torch.utils.data.DataLoader(train_set, batch, sampler=order, num_workers=workers, persistent_workers=workers > 0, pin_memory=gpu)
    val = torch.utils.data.DataLoader(val_set, 32, num_workers=workers, persistent_workers=workers > 0, pin_memory=gpu)
    torch.manual_seed(seed)
    model = getattr(torchvision.models, family)(weights=None, num_classes=len(train_set.classes)).to(device).to(memory_format=form)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)
    best, seconds, last = 0.0, [], []
    with tempfile.TemporaryDirectory() as outputs:
        for order.epoch in range(epochs):
            begin = time.perf_counter()
            model.train()
            losses = []
            for images, labels in train:
                images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images.contiguous(memory_format=form)), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            last = [one.item() for one in losses]
            model.eval()
            loss_sum = correct = 0.0
            with torch.no_grad():
                for images, labels in val:
                    images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                    logits = model(images.contiguous(memory_format=form))
                    loss_sum += nn.functional.cross_entropy(logits, labels).item() * len(labels)
                    correct += (logits.argmax(1) == labels).sum().item()
            seconds.append(time.perf_counter() - begin)
            # Between epochs, as the engine does: the best so far is kept.
            if correct / len(val_set) > best:
                best = correct / len(val_set)
                torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, os.path.join(outputs, "best.pt"))
    print(json.dumps({"epoch_seconds": seconds, "train_losses": last, "val_loss": loss_sum / len(val_set), "val_accuracy": correct / len(val_set),
                      "workers": workers, "format": layout, "images_per_second": len(train_set) * len(seconds) / sum(seconds),
                      "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


main()
