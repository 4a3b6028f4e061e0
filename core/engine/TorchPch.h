#pragma once
// Precompiled: including torch costs 15 s and 1.7 GiB a file otherwise.
#include <torch/script.h>
#include <torch/torch.h>
