// Data-parallel training with real processes: this program starts itself as the ranks.
#include <ATen/ATen.h>
#include <unistd.h>

#include <QProcess>
#include <QtTest>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "core/base/Clock.h"
#include "core/engine/Runtime.h"
#include "core/engine/distributed/GradientReducer.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/train/Session.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::engine;

namespace {

/// What a rank of this test does; as words of its command line.
struct Job {
    int samples = 64;
    int batch = 16;
    int steps = 1;
    /// "session", "broken" (no exchange), "die", "stop": what rank 1 does at its third step; "sync" (batch
    /// normalisation over all ranks), "apart" (by each for itself), "parts" (accumulation), "classes" (weighted loss).
    std::string mode = "session";
    std::string output;
};

LoadedData makeData(int samples) {
    LoadedData data;
    data.classes = 10;
    for (ImageSet* set : {&data.training, &data.validation}) {
        set->count = samples;
        set->height = set->width = 12;
        for (int i = 0; i < samples; ++i) {
            set->labels.push_back(static_cast<std::uint8_t>(i % 10));
            for (int p = 0; p < 144; ++p) {
                set->pixels.push_back(static_cast<std::uint8_t>(
                    mixSeeds(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(p)) % 256));
            }
        }
    }
    data.normalization = measureNormalization(data.training);
    return data;
}

TrainRequest makeRequest(const Job& job) {
    TrainRequest request;
    spec::TrainTask& task = request.spec.train;
    // Batch statistics differ between one process and several by design, so this model has none.
    task.model.options = {{"batch_norm", false}, {"width", 4}, {"convolutions", 1}};
    task.optimizer.learningRate = 0.05;
    task.schedule.kind = "constant";
    task.batchSize = job.batch;
    task.epochs = 1000;
    if (job.mode.starts_with("sync") || job.mode == "apart") {
        task.model.options = {{"batch_norm", true}, {"width", 4}, {"convolutions", 2}};
        task.syncBatchNorm = job.mode != "apart";
    }
    if (job.mode.ends_with("parts")) {
        task.accumulation = 3;
    }
    if (job.mode == "classes") {
        task.accumulation = 2;
        task.classWeights = "list";
        task.classWeightList = {0.1, 3, 1, 1, 2, 0.5, 1, 8, 1, 0.25};
    }
    return request;
}

/// Bytes that this process has handed to write calls, which is how Gloo sends; -1 where the kernel does not count them.
std::int64_t writtenBytes() {
    std::ifstream counts("/proc/self/io");
    std::string name;
    for (std::int64_t value = 0; counts >> name >> value;) {
        if (name == "wchar:") {
            return value;
        }
    }
    return -1;
}

/// Runs the job's steps and returns the last step's gradients and the weights after it. `sent`: bytes that the steps
/// wrote, to whomever.
Result<NamedTensors> runJob(const Job& job, const RankContext& context, std::int64_t* sent = nullptr) {
    setThreads(1, 1);
    auto group = ProcessGroup::join(context, "gloo", at::kCPU);
    if (!group) {
        return group.error();
    }
    auto session = Session::make(makeRequest(job), makeData(job.samples), **group, at::kCPU);
    if (!session) {
        return session.error();
    }
    const auto ran = guarded("training", [&]() -> Status {
        TrainingState state;
        Sampler sampler(job.samples, job.batch, 1, context.rank, context.world);
        Optimizer optimizer(makeRequest(job).spec.train.optimizer, (*session)->network().parameters(),
                            (*session)->network().parameterNames());
        const LoadedData data = makeData(job.samples);
        BatchCutter cutter(data.training, data.normalization, at::kCPU);
        const std::int64_t before = writtenBytes();
        for (int i = 0; i < job.steps; ++i) {
            if (state.stepInEpoch == (*session)->stepsPerEpoch()) {
                ++state.epoch;
                state.stepInEpoch = 0;
                (*session)->startEpoch(state.epoch);
            }
            if (context.rank == 1 && i == 2 && job.mode == "die") {
                ::_exit(9);
            }
            if (context.rank == 1 && i == 2 && job.mode == "stop") {
                ::raise(SIGSTOP);
            }
            if (job.mode != "broken") {
                (void) (*session)->step(state);
                continue;
            }
            // Trains on the shard without ever handing the gradients to the reducer.
            sampler.startEpoch(state.epoch);
            const auto shard = sampler.shard(state.stepInEpoch++);
            const Batch& batch = cutter.cut(shard.indices, shard.count);
            optimizer.clearGradients();
            crossEntropy((*session)->network().forward(batch.images), batch.labels, 0.0).backward();
            optimizer.step(0.05);
        }
        if (sent != nullptr) {
            *sent = before < 0 ? -1 : writtenBytes() - before;
        }
        return {};
    });
    if (!ran) {
        return (*group)->explain(ran.error());
    }
    NamedTensors result;
    const Network& network = (*session)->network();
    for (std::size_t i = 0; i < network.parameters().size(); ++i) {
        const at::Tensor& parameter = network.parameters()[i];
        result.emplace_back("gradient." + network.parameterNames()[i], parameter.grad().clone());
        result.emplace_back("weight." + network.parameterNames()[i], parameter.detach().clone());
    }
    for (std::size_t i = 0; i < network.buffers().size(); ++i) {
        result.emplace_back("buffer." + std::to_string(i), network.buffers()[i].to(at::kFloat));
    }
    TRAINYARD_TRY((*group)->barrier());
    return result;
}

int rankMain(char** words) {
    const Job job{std::atoi(words[0]), std::atoi(words[1]), std::atoi(words[2]), words[3], words[4]};
    const auto context = RankContext::fromEnvironment();
    if (!context) {
        std::puts(context.error().message.c_str());
        return 2;
    }
    std::int64_t sent = 0;
    const auto result = runJob(job, *context, &sent);
    if (!result) {
        std::printf("%s: %s\n", result.error().code.c_str(), result.error().message.c_str());
        return 1;
    }
    return writeSafeTensors({*result, {{"sent", std::to_string(sent)}}}, job.output + std::to_string(context->rank))
                   .ok()
               ? 0
               : 3;
}

/// Ranks running at the same time.
class Ranks {
public:
    Ranks(const Job& job, int world, const base::Path& folder, int timeoutSeconds = 60, int onlyRank = -1) {
        for (int rank = 0; rank < world; ++rank) {
            if (onlyRank >= 0 && rank != onlyRank) {
                continue;
            }
            auto process = std::make_unique<QProcess>();
            QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
            const auto set = [&](const char* name, const std::string& value) {
                environment.insert(QString::fromLatin1(name), QString::fromStdString(value));
            };
            set("RANK", std::to_string(rank));
            set("WORLD_SIZE", std::to_string(world));
            set("TRAINYARD_RENDEZVOUS", (folder / "rendezvous.json").string());
            set("TRAINYARD_PEER_TIMEOUT", std::to_string(timeoutSeconds));
            process->setProcessEnvironment(environment);
            process->setProcessChannelMode(QProcess::MergedChannels);
            QStringList words{QStringLiteral("--rank")};
            for (const std::string& word : {std::to_string(job.samples), std::to_string(job.batch),
                                            std::to_string(job.steps), job.mode, (folder / "out").string()}) {
                words << QString::fromStdString(word);
            }
            process->start(QCoreApplication::applicationFilePath(), words);
            m_processes.push_back(std::move(process));
        }
    }
    ~Ranks() {
        for (const auto& process : m_processes) {
            process->kill();
            process->waitForFinished(5000);
        }
    }
    bool finished(std::size_t index, int millis) {
        return m_processes[index]->waitForFinished(millis) || m_processes[index]->state() == QProcess::NotRunning;
    }
    int exitCode(std::size_t index) { return m_processes[index]->exitCode(); }
    std::string output(std::size_t index) { return m_processes[index]->readAll().toStdString(); }

private:
    std::vector<std::unique_ptr<QProcess>> m_processes;
};

/// Largest difference between two results, relative to the largest value of its tensor.
double largestDifference(const NamedTensors& left, const NamedTensors& right) {
    double largest = left.size() == right.size() ? 0 : 1e9;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
        const double scale = std::max(1e-6, right[i].second.abs().max().item<double>());
        largest = std::max(largest, (left[i].second - right[i].second).abs().max().item<double>() / scale);
    }
    return largest;
}

}  // namespace

class TestDistributed : public QObject {
    Q_OBJECT

    test::ChildGuard m_guard;

private Q_SLOTS:
    void cleanup() { QVERIFY2(m_guard.noneLeft(), m_guard.report().c_str()); }

    void gradients_equalTheJointBatch_data() {
        QTest::addColumn<int>("samples");
        QTest::addColumn<int>("batch");
        QTest::addColumn<int>("steps");
        QTest::addColumn<int>("world");
        QTest::addColumn<double>("tolerance");
        QTest::addColumn<QString>("mode");
        const auto row = [](const char* name, int samples, int batch, int steps, int world, double tolerance,
                            const char* mode = "session") {
            QTest::newRow(name) << samples << batch << steps << world << tolerance << QString::fromLatin1(mode);
        };
        row("equal shards, 1 step", 64, 16, 1, 2, 2e-6);
        row("equal shards, 20 steps", 64, 16, 20, 2, 2e-4);
        row("unequal shards, 1 step", 64, 15, 1, 2, 2e-6);
        row("unequal shards and ends, 20 steps", 53, 15, 20, 2, 2e-4);
        row("three ranks, a batch with one sample", 33, 16, 6, 3, 1e-4);
        row("added up over parts", 53, 15, 20, 2, 2e-4, "parts");
        row("parts, three ranks, a batch with one sample", 33, 16, 6, 3, 1e-4, "parts");
        row("weighted classes in parts", 53, 15, 20, 2, 2e-4, "classes");
        row("joint statistics, 1 step", 64, 15, 1, 2, 1e-4, "sync");
        row("joint statistics, unequal ends, 12 steps", 53, 15, 12, 2, 5e-3, "sync");
        row("joint statistics, three ranks, a batch with one sample", 33, 16, 3, 3, 1e-3, "sync");
    }
    void gradients_equalTheJointBatch() {
        QFETCH(int, samples);
        QFETCH(int, batch);
        QFETCH(int, steps);
        QFETCH(int, world);
        QFETCH(double, tolerance);
        QFETCH(QString, mode);
        const test::Scratch scratch;
        const Job job{samples, batch, steps, mode.toStdString(), {}};
        Ranks ranks(job, world, scratch.path());
        const auto expected = runJob(job, RankContext{});
        QVERIFY(expected.ok());
        for (int rank = 0; rank < world; ++rank) {
            QVERIFY(ranks.finished(static_cast<std::size_t>(rank), 60000));
            QVERIFY2(ranks.exitCode(static_cast<std::size_t>(rank)) == 0,
                     ranks.output(static_cast<std::size_t>(rank)).c_str());
            const auto result = readSafeTensors(scratch / ("out" + std::to_string(rank)));
            QVERIFY(result.ok());
            const double difference = largestDifference(result->tensors, *expected);
            QVERIFY2(difference < tolerance, std::to_string(difference).c_str());
        }
    }

    void parts_areNotExchanged() {
        // Three parts a batch send no more than one does: the same number of steps, the same number of bytes.
        std::vector<std::int64_t> sent;
        std::int64_t gradients = 0;
        for (const char* mode : {"session", "parts"}) {
            const test::Scratch scratch;
            Ranks ranks({64, 16, 24, mode, {}}, 2, scratch.path());
            for (std::size_t rank : {0U, 1U}) {
                QVERIFY(ranks.finished(rank, 60000));
                QVERIFY2(ranks.exitCode(rank) == 0, ranks.output(rank).c_str());
            }
            const auto result = readSafeTensors(scratch / "out0");
            QVERIFY(result.ok());
            sent.push_back(std::stoll(*result->meta("sent")));
            gradients = 0;
            for (const auto& [name, tensor] : result->tensors) {
                gradients += name.starts_with("gradient.") ? tensor.numel() * 4 : 0;
            }
        }
        if (sent[0] < 0) {
            QSKIP("this kernel does not count what a process writes");
        }
        QVERIFY2(sent[0] >= 12 * gradients, std::to_string(sent[0]).c_str());  // The count does count the exchange.
        QVERIFY2(std::abs(sent[1] - sent[0]) * 5 < sent[0],
                 (std::to_string(sent[0]) + " " + std::to_string(sent[1])).c_str());
    }

    void jointStatistics_inParts() {
        // What a part is differs from one process to several, so ranks are compared with each other alone.
        const test::Scratch scratch;
        const Job job{53, 15, 8, "sync parts", {}};
        Ranks ranks(job, 3, scratch.path());
        std::vector<NamedTensors> results;
        for (std::size_t rank = 0; rank < 3; ++rank) {
            QVERIFY(ranks.finished(rank, 60000));
            QVERIFY2(ranks.exitCode(rank) == 0, ranks.output(rank).c_str());
            const auto result = readSafeTensors(scratch / ("out" + std::to_string(rank)));
            QVERIFY(result.ok());
            results.push_back(result->tensors);
        }
        QVERIFY(largestDifference(results[1], results[0]) == 0);
        QVERIFY(largestDifference(results[2], results[0]) == 0);
    }

    void jointStatistics_withoutThemItDiffers() {
        const test::Scratch scratch;
        Job job{64, 15, 1, "apart", {}};
        Ranks ranks(job, 2, scratch.path());
        job.mode = "sync";
        const auto expected = runJob(job, RankContext{});
        QVERIFY(expected.ok());
        for (std::size_t rank : {0U, 1U}) {
            QVERIFY(ranks.finished(rank, 60000));
            QVERIFY2(ranks.exitCode(rank) == 0, ranks.output(rank).c_str());
            const auto result = readSafeTensors(scratch / ("out" + std::to_string(rank)));
            QVERIFY(result.ok());
            QVERIFY(largestDifference(result->tensors, *expected) > 1e-2);
        }
    }

    void gradients_aBrokenReducerIsSeen() {
        const test::Scratch scratch;
        for (const int steps : {1, 20}) {
            Job job{64, 16, steps, "broken", {}};
            Ranks ranks(job, 2, scratch.path());
            job.mode = "session";
            const auto expected = runJob(job, RankContext{});
            QVERIFY(expected.ok());
            for (std::size_t rank : {0U, 1U}) {
                QVERIFY(ranks.finished(rank, 60000));
                QVERIFY2(ranks.exitCode(rank) == 0, ranks.output(rank).c_str());
                const auto result = readSafeTensors(scratch / ("out" + std::to_string(rank)));
                QVERIFY(result.ok());
                QVERIFY(largestDifference(result->tensors, *expected) > 1e-2);
            }
            QVERIFY(base::removeTree(scratch / "rendezvous.json").ok());
        }
    }

    void peer_thatDiesIsNamed() {
        const test::Scratch scratch;
        Ranks ranks({64, 16, 100000, "die", {}}, 2, scratch.path());
        QVERIFY(ranks.finished(1, 30000));
        QCOMPARE(ranks.exitCode(1), 9);
        QVERIFY(ranks.finished(0, 10000));
        const std::string said = ranks.output(0);
        QVERIFY2(said.find("train.peer: Rank 1 ended") != std::string::npos, said.c_str());
    }

    void peer_thatHangsIsNamed() {
        const test::Scratch scratch;
        Ranks ranks({64, 16, 100000, "stop", {}}, 2, scratch.path(), 3);
        QVERIFY(ranks.finished(0, 30000));
        const std::string said = ranks.output(0);
        QVERIFY2(said.find("train.peer: Rank 1 does not answer") != std::string::npos, said.c_str());
    }

    void peer_thatNeverCameIsNamed() {
        const test::Scratch scratch;
        {
            Ranks lead({64, 16, 1, "session", {}}, 2, scratch.path(), 2, 0);
            QVERIFY(lead.finished(0, 30000));
            const std::string said = lead.output(0);
            QVERIFY2(said.find("train.peer: Rank 1 did not come") != std::string::npos, said.c_str());
        }
        QVERIFY(base::removeTree(scratch / "rendezvous.json").ok());
        Ranks follower({64, 16, 1, "session", {}}, 2, scratch.path(), 2, 1);
        QVERIFY(follower.finished(0, 30000));
        const std::string said = follower.output(0);
        QVERIFY2(said.find("train.peer: Rank 0 did not say") != std::string::npos, said.c_str());
    }

    void context_readsTheEnvironment() {
        const auto with = [](std::initializer_list<std::pair<const char*, const char*>> variables) {
            for (const char* name :
                 {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT", "TRAINYARD_RENDEZVOUS"}) {
                qunsetenv(name);
            }
            for (const auto& [name, value] : variables) {
                qputenv(name, value);
            }
            return RankContext::fromEnvironment();
        };
        QCOMPARE(with({})->world, 1);
        const auto two = with({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "2345"}});
        QVERIFY(two.ok());
        QCOMPARE(two->localRank, 1);
        QCOMPARE(two->masterPort, std::int64_t{2345});
        QCOMPARE(with({{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}}).error().code,
                 std::string("env.rank"));
        QCOMPARE(with({{"RANK", "x"}}).error().field, std::string("RANK"));
        QCOMPARE(with({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).error().code, std::string("env.rank"));
        (void) with({});
    }
};

int main(int argc, char** argv) {
    if (argc == 7 && std::string_view(argv[1]) == "--rank") {
        return rankMain(argv + 2);
    }
    QCoreApplication app(argc, argv);
    TestDistributed test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_Distributed.moc"
