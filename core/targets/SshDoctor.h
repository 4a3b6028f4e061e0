#pragma once
// The doctor of an SSH target: every host, and every pair of them. Inside this room only.
#include <memory>
#include <vector>

#include "core/targets/SshTarget.h"

namespace trainyard::targets {

[[nodiscard]] OperationPtr doctorOverSsh(std::shared_ptr<SshTarget::Shared> shared, Deadline deadline,
                                         std::function<void(DoctorLine)> onLine, Done<std::vector<DoctorLine>> done);

}  // namespace trainyard::targets
