// The engine's side of engine_steps: DATA FAMILY BATCH THREADS SECONDS. The last line is a JSON object.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/model/Network.h"
#include "core/engine/train/DenseStep.h"
#include "core/engine/train/Optimizer.h"

using namespace trainyard;
using namespace trainyard::engine;

namespace {

constexpr std::int64_t kBatches = 20;
constexpr std::size_t kWarmUp = 20;
constexpr std::size_t kLosses = 200;

/// Processor time of this process: less shaken by a busy neighbour than the clock on the wall.
double cpuSeconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int run(const std::string& folder, const std::string& family, std::int64_t batchSize, std::int64_t threads,
        double seconds) {
    setThreads(threads, threads);
    spec::DatasetSpec dataset;
    dataset.trainImages = folder + "train-images-idx3-ubyte.gz";
    dataset.trainLabels = folder + "train-labels-idx1-ubyte.gz";
    dataset.trainLimit = kBatches * batchSize;
    auto set = loadTrainingSet(dataset);
    auto table = spec::buildLayerTable(family, base::Json::object(), {1, 28, 28}, 10);
    if (!set || !table) {
        std::fprintf(stderr, "%s\n", (!set ? set.error() : table.error()).message.c_str());
        return 1;
    }
    // Those of the whole training set, as the other side has them.
    BatchCutter cutter(*set, {0.2860405969887955, 0.3530242445149226}, at::kCPU);
    std::vector<Batch> batches;
    for (std::int64_t i = 0; i < kBatches; ++i) {
        const Batch& batch = cutter.cutRange(i * batchSize, (i + 1) * batchSize);
        batches.push_back({batch.images.clone(), batch.labels.clone()});
    }
    at::manual_seed(1);
    Network network(std::move(*table));
    const auto dense = DenseStep::forNetwork(network);  // As a training on one process does.
    spec::OptimizerSpec sgd;
    Optimizer optimizer(sgd, network.parameters(), network.parameterNames());
    std::vector<double> times;
    std::vector<double> losses;
    double cpuAtWarm = 0;
    const std::int64_t end = base::monotonicNanos() + static_cast<std::int64_t>(seconds * 1e9);
    while (times.size() < kLosses || base::monotonicNanos() < end) {
        if (times.size() == kWarmUp) {
            cpuAtWarm = cpuSeconds();
        }
        const Batch& batch = batches[times.size() % kBatches];
        const std::int64_t begin = base::monotonicNanos();
        optimizer.clearGradients();
        at::Tensor loss;
        if (dense != nullptr) {
            loss = dense->run(batch).loss;
        } else {
            loss = crossEntropy(network.forward(batch.images), batch.labels, 0.0);
            loss.backward();
        }
        optimizer.step(0.02);
        const double value = loss.item<double>();
        times.push_back(static_cast<double>(base::monotonicNanos() - begin) * 1e-9);
        if (losses.size() < kLosses) {
            losses.push_back(value);
        }
    }
    const double cpuPerStep = (cpuSeconds() - cpuAtWarm) / static_cast<double>(times.size() - kWarmUp);
    const std::size_t steps = times.size();
    std::vector<double> steady(times.begin() + kWarmUp, times.end());
    std::ranges::sort(steady);
    const base::Json result = {{"step_seconds", steady[steady.size() / 2]},
                               {"cpu_step_seconds", cpuPerStep},
                               {"steps", steps},
                               {"losses", losses},
                               {"peak_bytes", peakMemory().resident},
                               {"fused", optimizer.isFused()}};
    std::printf("%s\n", base::dumpJson(result).c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    tuneAllocator();
    if (argc != 6) {
        std::fputs("usage: bench_engine_steps DATA FAMILY BATCH THREADS SECONDS\n", stderr);
        return 2;
    }
    return run(argv[1], argv[2], std::atoll(argv[3]), std::atoll(argv[4]), std::atof(argv[5]));
}
