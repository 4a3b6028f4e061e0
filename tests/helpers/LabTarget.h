#pragma once
// Hosts of tests/helpers/Lab.h as a target.
#include <string>
#include <utility>

#include "core/spec/TargetSpec.h"

namespace trainyard::test {

/// Hosts `first` to `last` of a lab as one target. Limits are short: nothing is far there, and a cut shall be noticed
/// soon.
inline spec::TargetSpec labTarget(std::string name, int first, int last) {
    spec::TargetSpec target;
    target.name = std::move(name);
    target.kind = spec::TargetKind::Ssh;
    for (int host = first; host <= last; ++host) {
        target.hosts.push_back({"node" + std::to_string(host), 0, "", ""});
    }
    target.connectSeconds = 3;
    target.aliveSeconds = 1;
    return target;
}

}  // namespace trainyard::test
