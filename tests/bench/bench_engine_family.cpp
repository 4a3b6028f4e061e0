// The engine's side of engine_family, gloo_ddp and gpu_resnet50: training steps of a family with torchvision's names on
// batches in memory.
//   FAMILY SIZE BATCH CLASSES THREADS contiguous|channels_last DEVICE STEPS
// As one of several ranks (RANK, WORLD_SIZE, TRAINYARD_RENDEZVOUS) also without the exchange and the exchange alone.
// The last line is a JSON object.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/Batch.h"
#include "core/engine/distributed/GradientReducer.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/Optimizer.h"

using namespace trainyard;
using namespace trainyard::engine;

namespace {

constexpr std::int64_t kBatches = 4;
constexpr double kRate = 0.01;
constexpr int kRounds = 2;
/// DistributedDataParallel's bucket_cap_mb and first bucket; the engine's reducer has the same.
constexpr std::int64_t kBucketFloats = 25 * 1024 * 1024 / 4;

struct Options {
    std::string family;
    std::int64_t size = 0;
    std::int64_t batch = 0;
    std::int64_t classes = 0;
    std::int64_t threads = 0;
    bool channelsLast = false;
    std::string device;
    int steps = 0;
};

double secondsSince(std::int64_t begin) { return static_cast<double>(base::monotonicNanos() - begin) * 1e-9; }

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
}

/// The same numbers as torch.manual_seed and torch.randn give in Python; each rank has its own.
std::vector<Batch> makeBatches(const Options& options, int rank, at::Device device) {
    at::manual_seed(static_cast<std::uint64_t>(100 + rank));
    std::vector<Batch> batches;
    for (std::int64_t i = 0; i < kBatches; ++i) {
        at::Tensor images = at::randn({options.batch, 3, options.size, options.size});
        at::Tensor labels = at::randint(options.classes, {options.batch}, at::kLong);
        batches.push_back({images.to(device), labels.to(device)});
    }
    return batches;
}

class Steps {
public:
    Steps(const Options& options, spec::LayerTable table, ProcessGroup& group, at::Device device)
        : m_device(device), m_group(group), m_network(prepared(std::move(table), device, options.channelsLast)),
          m_batches(makeBatches(options, group.rank(), device)),
          m_reducer(group, m_network.parameters(), m_network.parameterNames()),
          m_optimizer(spec::OptimizerSpec{}, m_network.parameters(), m_network.parameterNames()) {}

    /// Seconds a step of `count` steps; on a GPU the mean over ten, which it is not asked for between.
    std::vector<double> run(int count, bool exchange, std::vector<double>* losses) {
        const int window = m_device.is_cpu() ? 1 : 10;
        std::vector<double> times;
        for (int done = 0; done < count; done += window) {
            at::Tensor loss;
            const std::int64_t begin = base::monotonicNanos();
            for (int i = 0; i < window; ++i) {
                loss = one(m_batches[static_cast<std::size_t>((done + i) % kBatches)], exchange);
            }
            const double value = loss.item<double>();
            times.push_back(secondsSince(begin) / window);
            if (losses != nullptr) {
                losses->push_back(value);
            }
        }
        return times;
    }

    /// Seconds for gradients of this size to go over the ranks while nothing else is done.
    double exchangeAlone() {
        std::int64_t left = 0;
        for (const at::Tensor& parameter : m_network.parameters()) {
            left += parameter.numel();
        }
        std::vector<at::Tensor> buckets;
        for (; left > 0; left -= kBucketFloats) {
            buckets.push_back(at::zeros({std::min(left, kBucketFloats)}, at::TensorOptions().device(m_device)));
        }
        std::vector<double> times;
        for (int i = 0; i < 5; ++i) {
            (void) m_group.barrier();
            const std::int64_t begin = base::monotonicNanos();
            for (at::Tensor& bucket : buckets) {
                m_group.sumTensor(bucket);
            }
            (void) buckets.back()[0].item<float>();
            times.push_back(secondsSince(begin));
        }
        return median(times);
    }

    [[nodiscard]] double hiddenSeconds() { return m_reducer.hiddenSeconds(); }
    [[nodiscard]] double waitedSeconds() { return static_cast<double>(m_reducer.takeWaitedNanos()) * 1e-9; }

private:
    static Network prepared(spec::LayerTable table, at::Device device, bool channelsLast) {
        at::manual_seed(1);
        Network network(std::move(table), device);
        if (channelsLast) {
            network.useChannelsLast();
        }
        return network;
    }

    at::Tensor one(const Batch& batch, bool exchange) {
        m_optimizer.clearGradients();
        if (exchange) {
            m_reducer.beforeForward();
        }
        at::Tensor loss = crossEntropy(m_network.forward(batch.images), batch.labels, 0.0);
        if (exchange) {
            m_reducer.backward(loss);
        } else {
            loss.backward();
        }
        m_optimizer.step(kRate);
        return loss.detach();
    }

    at::Device m_device;
    ProcessGroup& m_group;
    Network m_network;
    std::vector<Batch> m_batches;
    GradientReducer m_reducer;
    Optimizer m_optimizer;
};

int fail(const base::Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
}

int run(const Options& options) {
    setThreads(options.threads, options.threads);
    const auto context = RankContext::fromEnvironment();
    if (!context) {
        return fail(context.error());
    }
    const auto device = chooseDevice(options.device, context->localRank);
    auto table =
        spec::buildLayerTable(options.family, base::Json::object(), {3, options.size, options.size}, options.classes);
    if (!device || !table) {
        return fail(!device ? device.error() : table.error());
    }
    auto group = ProcessGroup::join(*context, device->is_cuda() && context->world > 1 ? "nccl" : "gloo", *device);
    if (!group) {
        return fail(group.error());
    }
    Steps steps(options, std::move(*table), **group, *device);
    std::vector<double> losses;
    const auto warmUp =
        steps.run(2, true, &losses);  // Allocations; the reducer's buckets in the order that gradients come in.
    (void) steps.waitedSeconds();
    std::vector<double> times = steps.run(options.steps, true, &losses);
    double waited = steps.waitedSeconds();
    auto measured = static_cast<double>(options.steps);
    base::Json answer;
    if (context->world > 1) {
        std::vector<double> apart;
        for (int round = 0; round < kRounds; ++round) {
            (void) (*group)->barrier();
            const auto without = steps.run(options.steps, false, nullptr);
            apart.insert(apart.end(), without.begin(), without.end());
            (void) (*group)->barrier();
            if (round + 1 < kRounds) {
                const auto with = steps.run(options.steps, true, nullptr);
                times.insert(times.end(), with.begin(), with.end());
                waited += steps.waitedSeconds();
                measured += options.steps;
            }
        }
        answer["apart_seconds"] = median(apart);
        answer["exchange_alone_seconds"] = steps.exchangeAlone();
        answer["waited_seconds"] = waited / measured;
        answer["hidden_seconds"] = steps.hiddenSeconds();
    }
    answer["step_seconds"] = median(times);
    answer["first_step_seconds"] = warmUp.front();
    answer["times"] = times;
    answer["losses"] = losses;
    answer["peak_bytes"] = peakMemory().resident;
    std::printf("%s\n", base::dumpJson(answer).c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    tuneAllocator();
    if (argc != 9) {
        std::fputs(
            "usage: bench_engine_family FAMILY SIZE BATCH CLASSES THREADS contiguous|channels_last DEVICE STEPS\n",
            stderr);
        return 2;
    }
    const auto number = [&](int i) { return std::strtoll(argv[i], nullptr, 10); };
    const Options options{argv[1],   number(2),
                          number(3), number(4),
                          number(5), std::string(argv[6]) == "channels_last",
                          argv[7],   static_cast<int>(number(8))};
    const auto status = guarded("measuring steps", [&]() -> Result<int> { return run(options); });
    return status ? *status : fail(status.error());
}
