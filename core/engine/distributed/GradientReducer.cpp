#include "core/engine/distributed/GradientReducer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/engine.h>

#include <algorithm>
#include <unordered_map>

#include "core/base/Clock.h"
#include "core/engine/distributed/C10d.h"

namespace trainyard::engine {

double GradientReducer::shardWeight(std::int64_t localCount, std::int64_t globalCount, int world) {
    return static_cast<double>(localCount) * world / static_cast<double>(globalCount);
}

#if TRAINYARD_HAVE_C10D

namespace {
constexpr int kTimedEverySteps = 10;
}

struct GradientReducer::Impl {
    std::shared_ptr<c10d::Reducer> reducer;
    std::unique_ptr<c10d::Logger> logger;  ///< Reads the reducer's times.
};

GradientReducer::GradientReducer(ProcessGroup& group, const std::vector<at::Tensor>& parameters,
                                 const std::vector<std::string>& names)
    : m_impl(std::make_unique<Impl>()) {
    if (group.world() == 1) {
        return;
    }
    const auto processGroup = group.impl().group;
    std::unordered_map<std::size_t, std::string> named;
    for (std::size_t i = 0; i < names.size(); ++i) {
        named[i] = names[i];
    }
    c10d::verify_params_across_processes(processGroup, parameters, c10::nullopt);
    const std::vector<bool> sparse(parameters.size(), false);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        parameters, {std::size_t{c10d::kDefaultFirstBucketBytes}, std::size_t{c10d::kDefaultBucketBytesCap}}, sparse);
    // The last layers' gradients are ready first.
    std::reverse(buckets.begin(), buckets.end());
    std::reverse(limits.begin(), limits.end());
    m_impl->reducer = std::make_shared<c10d::Reducer>(
        parameters, std::move(buckets), std::move(limits), processGroup, sparse, c10d::kDefaultBucketBytesCap,
        /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true, std::move(named),
        c10d::kDefaultFirstBucketBytes);
    m_impl->reducer->set_ddp_runtime_logging_sample_rate(kTimedEverySteps);
    m_impl->logger = std::make_unique<c10d::Logger>(m_impl->reducer);
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::beforeForward() {
    if (m_impl->reducer == nullptr) {
        return;
    }
    if (m_impl->reducer->should_rebuild_buckets()) {
        m_impl->reducer->rebuild_buckets();
    }
    m_impl->logger->set_runtime_stats_and_log();  // Of the steps that are timed; nothing otherwise.
    m_impl->reducer->prepare_for_forward();
}

double GradientReducer::hiddenSeconds() {
    if (m_impl->logger == nullptr) {
        return 0;
    }
    const auto known = m_impl->logger->get_ddp_logging_data();
    const auto found = known.ints_map.find("avg_backward_compute_comm_overlap_time");
    return found == known.ints_map.end() ? 0 : static_cast<double>(found->second) * 1e-9;
}

void GradientReducer::backward(const at::Tensor& loss) {
    if (m_impl->reducer == nullptr) {
        loss.backward();
        return;
    }
    m_impl->reducer->prepare_for_backward({});
    // Called at the very start, so its callback stands before the reducer's own, which waits for the exchange.
    std::int64_t computed = 0;
    loss.register_hook([&computed](const at::Tensor&) {
        torch::autograd::Engine::get_default_engine().queue_callback(
            [&computed] { computed = base::monotonicNanos(); });
    });
    loss.backward();
    m_waited += computed > 0 ? base::monotonicNanos() - computed : 0;
}

#else

struct GradientReducer::Impl {};
GradientReducer::GradientReducer(ProcessGroup&, const std::vector<at::Tensor>&, const std::vector<std::string>&) {}
GradientReducer::~GradientReducer() = default;
void GradientReducer::beforeForward() {}
double GradientReducer::hiddenSeconds() { return 0; }
void GradientReducer::backward(const at::Tensor& loss) { loss.backward(); }

#endif

}  // namespace trainyard::engine
