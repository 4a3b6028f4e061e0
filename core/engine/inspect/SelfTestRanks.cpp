#include <ATen/ATen.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <string_view>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/distributed/GradientReducer.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/export/ChildProcess.h"
#include "core/engine/inspect/SelfTest.h"
#include "core/engine/inspect/SelfTestParts.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

namespace {

using base::Path;

constexpr std::int64_t kRankSeconds = 120;

Error wrong(const std::string& what) { return {"selftest.ranks", what}; }

/// The gradients of all ranks together must be those of the joint batch.
Status checkGradients(ProcessGroup& group) {
    auto table = spec::buildLayerTable("mlp", base::Json::object(), {1, 8, 8}, 4);
    if (!table) {
        return table.error();
    }
    at::manual_seed(7);
    constexpr std::int64_t kPerRank = 4;
    const std::int64_t world = group.world();
    const at::Tensor images = at::randn({kPerRank * world, 1, 8, 8});
    const at::Tensor labels = at::arange(kPerRank * world, at::kLong).remainder(4);
    Network joint(*table);
    Network shared(std::move(*table), group.device());
    TRAINYARD_TRY(shared.load(joint.state()));
    joint.train(false);
    shared.train(false);
    crossEntropy(joint.forward(images), labels, 0.0).backward();

    GradientReducer reducer(group, shared.parameters(), shared.parameterNames());
    const std::int64_t begin = kPerRank * group.rank();
    reducer.beforeForward();
    const at::Tensor logits = shared.forward(images.slice(0, begin, begin + kPerRank).to(group.device()));
    const at::Tensor loss = crossEntropy(logits, labels.slice(0, begin, begin + kPerRank).to(group.device()), 0.0);
    reducer.backward(loss);
    for (std::size_t i = 0; i < joint.parameters().size(); ++i) {
        const at::Tensor expected = joint.parameters()[i].grad();
        const double difference = (shared.parameters()[i].grad().to(at::kCPU) - expected).abs().max().item<double>();
        const double scale = std::max(1e-3, expected.abs().max().item<double>());
        if (!(difference <= 1e-3 * scale)) {
            return wrong("the gradient of " + joint.parameterNames()[i] + " differs from one process' by " +
                         std::to_string(difference));
        }
    }
    return {};
}

Status rankWork(const RankContext& context, const std::string& backend) {
    const auto device = chooseDevice(backend == "nccl" ? "cuda" : "cpu", context.rank);
    if (!device) {
        return device.error();
    }
    setThreads(1, 1);
    auto group = ProcessGroup::join(context, backend, *device);
    if (!group) {
        return group.error();
    }
    std::vector<double> values{1.0, static_cast<double>(context.rank)};
    TRAINYARD_TRY((*group)->sum(values));
    const double world = context.world;
    if (values[0] != world || values[1] != world * (world - 1) / 2) {
        return wrong("a sum over the ranks is wrong");
    }
    const at::Tensor tensor = at::full({1000}, context.rank + 1, at::TensorOptions(at::kFloat).device(*device));
    auto gathered = (*group)->gather(tensor);
    if (!gathered) {
        return gathered.error();
    }
    for (int rank = 0; rank < context.world; ++rank) {
        if (!(*gathered)[static_cast<std::size_t>(rank)].eq(rank + 1).all().item<bool>()) {
            return wrong("values gathered from rank " + std::to_string(rank) + " are wrong");
        }
    }
    TRAINYARD_TRY((*group)->broadcast({tensor}));
    if (!tensor.eq(1).all().item<bool>()) {
        return wrong("values that rank 0 sent did not arrive");
    }
    TRAINYARD_TRY(checkGradients(**group));
    return (*group)->barrier();
}

}  // namespace

Result<std::string> checkCollectives(const Path& folder, const std::string& backend, int world) {
    const std::int64_t begin = base::monotonicNanos();
    const Path meeting = folder / backend;
    TRAINYARD_TRY(base::makeDirs(meeting));
    std::vector<std::future<Result<ChildResult>>> ranks;
    for (int rank = 0; rank < world; ++rank) {
        const Path own = meeting / std::to_string(rank);
        TRAINYARD_TRY(base::makeDirs(own));
        // A thread each: the child dies with the thread that started it.
        ranks.push_back(std::async(std::launch::async, [=] {
            return runChild({ownProgram(), "selftest", "--rank", meeting.string(), std::to_string(rank),
                             std::to_string(world), backend},
                            own, base::Deadline::inMillis(kRankSeconds * 1000));
        }));
    }
    std::string failure;
    for (int rank = 0; rank < world; ++rank) {
        const auto ended = ranks[static_cast<std::size_t>(rank)].get();
        if (ended.ok() && !ended->timedOut && ended->signal == 0 && ended->exitStatus == 0) {
            continue;
        }
        const std::string said = !ended.ok()          ? ended.error().message
                                 : ended->timedOut    ? "it did not end within " + std::to_string(kRankSeconds) + " s"
                                 : ended->signal != 0 ? "signal " + std::to_string(ended->signal) + "; " + ended->errors
                                                      : ended->errors;
        failure += (failure.empty() ? "" : "; ") + std::string("rank ") + std::to_string(rank) + ": " +
                   std::string(base::trim(said));
    }
    if (!failure.empty()) {
        return wrong(failure);
    }
    return std::to_string(world) + " processes agree, " + std::to_string((base::monotonicNanos() - begin) / 1'000'000) +
           " ms";
}

int runSelfTestRank(const std::vector<std::string>& words) {
    RankContext context;
    const auto number = [](const std::string& text, int& into) {
        return std::from_chars(text.data(), text.data() + text.size(), into).ec == std::errc();
    };
    if (words.size() != 4 || !number(words[1], context.rank) || !number(words[2], context.world)) {
        std::fputs("selftest --rank needs FOLDER RANK WORLD BACKEND\n", stderr);
        return 2;
    }
    context.localRank = context.rank;
    context.localWorld = context.world;
    context.rendezvous = Path(words[0]) / "rendezvous.json";
    context.timeoutMillis = kRankSeconds * 1000 / 2;
    const Status done = guarded("exchanging values with the other ranks", [&] { return rankWork(context, words[3]); });
    if (!done) {
        std::fprintf(stderr, "%s\n", done.error().message.c_str());
    }
    return done.ok() ? 0 : 1;
}

}  // namespace trainyard::engine
