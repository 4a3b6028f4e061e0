#pragma once
#include <functional>
#include <memory>

#include "core/base/Clock.h"
#include "core/base/Result.h"

namespace trainyard::targets {

using base::Deadline;
using base::Result;
using base::Status;

/// Something under way. Destroying it cancels it: its callback is then never called, and what it had begun is undone or
/// harmless to repeat. Its callback is called at most once, from the event loop, never inside the call that made it.
class Operation {
public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    virtual ~Operation() = default;
};
using OperationPtr = std::unique_ptr<Operation>;

template <class T>
using Done = std::function<void(Result<T>)>;
using DoneStatus = std::function<void(Status)>;

}  // namespace trainyard::targets
