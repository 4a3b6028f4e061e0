#pragma once
// The ranks of a run and what they say to each other: libtorch's TCPStore and ProcessGroupGloo (NCCL on CUDA).
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "core/engine/Guard.h"
#include "core/engine/distributed/RankContext.h"

namespace trainyard::engine {

/// Collectives: every rank must call the same ones in the same order. One thread. Every wait ends after the context's
/// timeout at the latest; a failure is "train.peer" and names the rank that is gone or silent.
class ProcessGroup {
public:
    /// Meets the other ranks. `backend` is "gloo" or "nccl" ("engine.backend" when this build lacks it, or NCCL is
    /// asked for without a GPU; "engine.interface" when the context names an interface that is not there); `device` is
    /// where tensors of collectives live. A world of one meets nobody and every collective is local.
    [[nodiscard]] static Result<std::unique_ptr<ProcessGroup>> join(const RankContext& context,
                                                                    const std::string& backend, at::Device device);
    ~ProcessGroup();
    ProcessGroup(const ProcessGroup&) = delete;
    ProcessGroup& operator=(const ProcessGroup&) = delete;

    [[nodiscard]] int rank() const;
    [[nodiscard]] int world() const;
    [[nodiscard]] at::Device device() const;  ///< Where tensors of collectives live.

    /// Adds up elementwise over all ranks, in place.
    [[nodiscard]] Status sum(std::vector<double>& values);
    /// The same for a tensor on device(). Throws what libtorch throws; explain() then finds the culprit.
    void sumTensor(at::Tensor& tensor);
    /// Rank 0's values for everyone, in place.
    [[nodiscard]] Status broadcast(const std::vector<at::Tensor>& tensors);
    /// Everyone's tensor of the same shape and type, by rank; on the CPU.
    [[nodiscard]] Result<std::vector<at::Tensor>> gather(const at::Tensor& tensor);
    [[nodiscard]] Status barrier();

    /// Turns a failure inside a collective (or a backward pass that holds one) into one that names the culprit: a rank
    /// whose process is gone, or one that does not answer. Takes up to 3 s.
    [[nodiscard]] Error explain(const Error& failure);

    struct Impl;
    [[nodiscard]] Impl& impl() { return *m_impl; }

private:
    explicit ProcessGroup(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> m_impl;
};

/// Backends this build has: "gloo", "nccl".
[[nodiscard]] std::vector<std::string> distributedBackends();

}  // namespace trainyard::engine
