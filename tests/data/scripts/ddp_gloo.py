# Data parallel over Gloo: every process sees other samples, all must end with the same weights.
import json
import os

import torch
import torch.distributed as dist

dist.init_process_group("gloo", init_method="env://")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
torch.set_num_threads(1)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
torch.manual_seed(rank + 1)
x = torch.randn(64, 4)
y = x.sum(1, keepdim=True)
for step in range(30):
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with open(os.environ["TRAINYARD_STREAM"], "a") as f:
        f.write(json.dumps({"kind": "metric", "name": "loss", "value": loss.item(), "step": step}) + "\n")
weights = torch.cat([p.detach().flatten() for p in model.parameters()])
others = [torch.zeros_like(weights) for _ in range(world)]
dist.all_gather(others, weights)
print("rank", rank, "of", world, "equal", all(torch.equal(weights, o) for o in others), "inside", os.path.exists("/made-by-the-build"), flush=True)
if rank == 0:
    torch.save(weights, os.environ["TRAINYARD_OUTPUTS"] + "/weights.pt")
dist.destroy_process_group()
