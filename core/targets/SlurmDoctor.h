#pragma once
// What can be found out of a cluster without a run: for its page and for the form.
#include "core/spec/TargetSpec.h"
#include "core/targets/Host.h"

namespace trainyard::targets {

/// As Target::doctor. First the login host's own lines, then Slurm's: "slurm" (version), "partition" (its limits),
/// "nodes" (cores, GPUs and state of its nodes, against what the definition asks for), "shared" (a file written on the
/// login host is read by a short job on a compute node, and the other way round), "compute" (what that node is). The
/// short job waits for at most 30 s.
[[nodiscard]] OperationPtr doctorOfSlurm(Host& host, const spec::TargetSpec& target, Deadline deadline,
                                         std::function<void(DoctorLine)> onLine, Done<std::vector<DoctorLine>> done);

/// As Target::load: the partition's nodes, and its queue:
/// {"hosts":[…],"queue":{"running","pending","jobs":[{"job","user","name", "state","nodes","reason","start"}]}}. GPUs
/// carry no names: Slurm knows only how many are given out.
[[nodiscard]] OperationPtr loadOfSlurm(Host& host, const spec::TargetSpec& target, Deadline deadline,
                                       Done<base::Json> done);

}  // namespace trainyard::targets
