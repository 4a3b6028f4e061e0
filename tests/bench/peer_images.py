"""Python's side of engine_images: FOLDER SIZE BATCH WORKERS ROUNDS, with torchvision's ImageFolder and DataLoader."""
import json
import sys
import time

import torch
import torchvision
from torchvision import transforms

folder, size, batch, workers, rounds = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(1)
data = torchvision.datasets.ImageFolder(folder, transforms.Compose([
    transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]))
loader = torch.utils.data.DataLoader(data, batch_size=batch, num_workers=workers, persistent_workers=workers > 0)
rates, checksum = [], 0.0
for _ in range(rounds):
    begin = time.perf_counter()
    for images, _ in loader:
        checksum += images[0, 0, 0, 0].item()
    rates.append(len(data) / (time.perf_counter() - begin))
print(json.dumps({"images": len(data), "images_per_second": rates, "checksum": checksum}))
