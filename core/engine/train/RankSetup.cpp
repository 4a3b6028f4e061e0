#include "core/engine/train/RankSetup.h"

#include <algorithm>

#include "core/engine/distributed/ProcessGroup.h"
#include "core/spec/models/LayerTable.h"

namespace trainyard::engine {

std::string backendOf(const spec::RunSpec& spec, at::Device device) {
    if (spec.distribution.backend != "auto") {
        return spec.distribution.backend;
    }
    const auto backends = distributedBackends();
    const bool nccl = device.is_cuda() && std::ranges::find(backends, "nccl") != backends.end();
    return nccl ? "nccl" : "gloo";
}

std::int64_t settleThreads(const ThreadPlan& plan, bool asked, const spec::TrainTask& task, const LoadedData& data,
                           int world) {
    std::int64_t threads = plan.threads;
    std::int64_t blasThreads = plan.threads;
    const auto table = spec::buildLayerTable(task.model.family, task.model.options, data.sampleShape(), data.classes);
    if (!asked && table.ok()) {
        const std::int64_t local = std::max<std::int64_t>(1, task.batchSize / world);
        std::int64_t linear = 0;
        for (const spec::Layer& layer : table->layers) {
            linear += layer.op == spec::LayerOp::Linear ? layer.multiplyAdds : 0;
        }
        threads = worthwhileThreads(table->multiplyAdds() * local, plan.threads);
        blasThreads = worthwhileThreads(linear * local, threads);
    }
    setThreads(threads, blasThreads);
    return threads;
}

}  // namespace trainyard::engine
