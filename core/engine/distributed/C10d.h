#pragma once
// Inside core/engine/distributed only: c10d's headers and what ProcessGroup and GradientReducer share of them.
#define TRAINYARD_HAVE_C10D (TRAINYARD_HAVE_GLOO || TRAINYARD_HAVE_NCCL)
#if TRAINYARD_HAVE_C10D
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#if TRAINYARD_HAVE_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#if TRAINYARD_HAVE_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <torch/version.h>
#endif

#include <optional>
#include <vector>

#include "core/base/Process.h"
#include "core/engine/distributed/ProcessGroup.h"

namespace trainyard::engine {

struct ProcessGroup::Impl {
    RankContext context;
    at::Device device = at::kCPU;
    std::vector<base::ProcessIdentity> peers;  ///< By rank; pid 0 for a process that cannot be seen from here.
#if TRAINYARD_HAVE_C10D
    c10::intrusive_ptr<c10d::Store> store;  ///< Undefined in a world of one, like `group`.
    c10::intrusive_ptr<c10d::ProcessGroup> group;
#endif
};

}  // namespace trainyard::engine
