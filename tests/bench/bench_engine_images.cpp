// The engine's side of engine_images: FOLDER SIZE BATCH THREADS ROUNDS. Reads every picture ROUNDS times with random
// crops and flips; the last line is a JSON object.
#include <ATen/ATen.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "core/engine/data/ImageFolder.h"
#include "core/engine/data/ImageLoader.h"

using namespace trainyard;
using namespace trainyard::engine;

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: bench_engine_images FOLDER SIZE BATCH THREADS ROUNDS\n");
        return 2;
    }
    const auto number = [&](int i) { return std::strtoll(argv[i], nullptr, 10); };
    spec::DatasetSpec dataset;
    dataset.folder = argv[1];
    const auto folder = scanImageFolder(dataset, static_cast<int>(number(4)));
    if (!folder) {
        std::fprintf(stderr, "%s\n", folder.error().message.c_str());
        return 1;
    }
    ImageLoaderOptions options;
    options.augment = true;
    options.size = static_cast<int>(number(2));
    options.threads = static_cast<int>(number(4));
    options.normalization = imageNetNormalization();
    ImageLoader loader(folder->root, folder->training, options);
    const auto count = static_cast<std::int64_t>(folder->training.size());
    std::vector<double> rates;
    double checksum = 0;
    for (long long round = 0; round < number(5); ++round) {
        std::vector<std::vector<std::int64_t>> batches;
        for (std::int64_t i = 0; i < count; ++i) {
            if (i % number(3) == 0) {
                batches.emplace_back();
            }
            batches.back().push_back(i);
        }
        const std::size_t steps = batches.size();
        const std::int64_t begin = base::monotonicNanos();
        loader.plan(std::move(batches), round);
        for (std::size_t step = 0; step < steps; ++step) {
            checksum += loader.next().images[0][0][0][0].item<double>();
        }
        rates.push_back(static_cast<double>(count) * 1e9 / static_cast<double>(base::monotonicNanos() - begin));
    }
    const base::Json answer{{"images", count}, {"images_per_second", rates}, {"checksum", checksum}};
    std::printf("%s\n", base::dumpJson(answer).c_str());
    return 0;
}
