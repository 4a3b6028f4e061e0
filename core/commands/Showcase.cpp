#include "core/commands/Showcase.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "core/base/Clock.h"
#include "core/commands/ShowcaseFurniture.h"
#include "core/commands/ShowcasePictures.h"
#include "core/commands/ShowcaseTraining.h"
#include "core/spec/RunSpec.h"
#include "core/spec/RunState.h"
#include "core/wire/RunStream.h"

namespace trainyard::commands {
namespace {

using base::Json;
using base::Result;
using base::RunId;
using base::Status;
using spec::RunState;
using wire::Record;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;

struct Shape {
    std::string experiment = "fashion-mnist";
    std::string name;
    std::string family = "cnn";
    std::string optimizer = "sgd";
    double learningRate = 0.1;
    std::int64_t batch = 128;
    std::int64_t seed = 1;
    int processes = 1;
    double best = 0.915;  ///< Accuracy that the curve goes towards.
    double speed = 1;     ///< Larger learns sooner.
    RunState state = RunState::Completed;
    std::string reason;
    double done = 1;  ///< Share of the steps that were done.
    bool meetsNaN = false;
    std::int64_t startedAgo = 0;
    std::vector<std::pair<std::string, std::string>> tags;
    std::string notes;
    std::string target = "local";
    std::vector<std::pair<const char*, Json>> told;  ///< Further records of the journal, half a minute old.
};

/// Collects records of one file and writes them at once, one file a run being plenty.
class Sheet {
public:
    void add(std::int64_t t, int rank, const char* kind, Json body) {
        Record record;
        record.t = t;
        record.rank = rank;
        record.kind = kind;
        record.body = std::move(body);
        m_records.push_back(std::move(record));
    }
    Status write(Result<wire::StreamWriter> writer) {
        if (!writer.ok()) return writer.error();
        std::stable_sort(m_records.begin(), m_records.end(),
                         [](const Record& a, const Record& b) { return a.t < b.t; });
        return writer->appendAll(m_records);
    }

private:
    std::vector<Record> m_records;
};

Json state(RunState value, const std::string& reason = {}) {
    Json body{{"state", std::string(spec::toString(value))}};
    if (!reason.empty()) body["reason"] = reason;
    return body;
}

Json document(const Shape& shape, int steps) {
    Json made = spec::defaultRunSpecDocument();
    const auto set = [&made](std::string_view path, Json value) { spec::setValueAt(made, path, std::move(value)); };
    set("experiment", shape.experiment);
    set("name", shape.name);
    set("task.dataset.name", "Fashion-MNIST");
    for (const auto& [field, file] : std::array<std::pair<const char*, const char*>, 4>{
             {{"task.dataset.train_images", "train-images-idx3-ubyte.gz"},
              {"task.dataset.train_labels", "train-labels-idx1-ubyte.gz"},
              {"task.dataset.val_images", "t10k-images-idx3-ubyte.gz"},
              {"task.dataset.val_labels", "t10k-labels-idx1-ubyte.gz"}}}) {
        set(field, std::string("/usr/share/datasets/fashion-mnist/") + file);
    }
    set("task.model.family", shape.family);
    set("task.optimizer.kind", shape.optimizer);
    set("task.optimizer.learning_rate", shape.learningRate);
    set("task.batch_size", shape.batch);
    set("task.seed", shape.seed);
    set("task.epochs", std::max(1, steps / 469));
    set("distribution.processes", shape.processes);
    if (shape.processes > 1) set("distribution.kind", "pytorch");
    set("target", shape.target);
    return made;
}

class RunMaker {
public:
    RunMaker(const wire::WorkspaceLayout& layout, const ShowcaseOptions& options, std::int64_t now)
        : m_layout(layout), m_options(options), m_now(now) {}

    Result<RunId> make(const Shape& shape, std::int64_t number) {
        const RunId id = RunId::make();
        m_random.seed(static_cast<std::mt19937::result_type>(1000 + number));
        TRAINYARD_TRY(base::makeDirs(m_layout.run(id)));
        TRAINYARD_TRY(
            base::writeFileAtomically(m_layout.spec(id), base::dumpJsonPretty(document(shape, m_options.stepsPerRun))));
        const std::int64_t submitted = m_now - shape.startedAgo;
        const std::int64_t running = submitted + 2 * kSecond;
        Sheet journal, stream;
        const std::string name = shape.name.empty() ? shape.experiment + " " + std::to_string(number) : shape.name;
        journal.add(submitted, wire::kNoRank, wire::kind::kSubmit,
                    Json{{"number", number}, {"experiment", shape.experiment}, {"name", name}});
        journal.add(submitted, wire::kNoRank, wire::kind::kState, state(RunState::Preparing));
        Json tags = Json::object();
        for (const auto& [tag, value] : shape.tags) tags[tag] = value;
        if (!tags.empty()) journal.add(submitted + 1, wire::kNoRank, wire::kind::kTags, Json{{"values", tags}});
        if (!shape.notes.empty())
            journal.add(submitted + 2, wire::kNoRank, wire::kind::kNotes, Json{{"text", shape.notes}});

        for (const auto& [kind, body] : shape.told) journal.add(m_now - 30 * kSecond, wire::kNoRank, kind, body);

        const bool started = shape.done > 0;
        if (shape.state != RunState::Preparing) {
            stream.add(submitted + kSecond / 2, wire::kNoRank, wire::kind::kAttempt,
                       Json{{"attempt", 1},
                            {"node", 0},
                            {"nodes", 1},
                            {"host", "workstation"},
                            {"pid", 4711},
                            {"world_size", shape.processes},
                            {"agent", TRAINYARD_VERSION}});
            const bool waitsHere = !started && shape.target == "local";
            stream.add(submitted + kSecond, wire::kNoRank, wire::kind::kState,
                       state(RunState::Queued,
                             waitsHere ? "2 of 2 cores are taken by run #" + std::to_string(number - 1) : ""));
        }
        std::int64_t end = running;
        if (started) {
            stream.add(running, wire::kNoRank, wire::kind::kState, state(RunState::Running));
            stream.add(running + kSecond / 4, wire::kNoRank, wire::kind::kEnvironment,
                       Json{{"name", "trainyard-engine:1"},
                            {"type", "engine"},
                            {"hash", ""},
                            {"cached", true},
                            {"prepare_ns", 21'000'000},
                            {"host", "workstation"},
                            {"kernel", "Linux 6.1.0-18-amd64"},
                            {"facts", {{"engine", TRAINYARD_VERSION}, {"libtorch", "1.13.1"}, {"cuda", "none"}}}});
            end = train(shape, running, stream);
        }
        finish(shape, id, end, journal, stream);
        if (shape.state != RunState::Preparing) {
            TRAINYARD_TRY(base::makeDirs(m_layout.stream(id, 1, 0)));
            TRAINYARD_TRY(stream.write(wire::StreamWriter::open(m_layout.stream(id, 1, 0))));
        }
        TRAINYARD_TRY(journal.write(wire::StreamWriter::openFile(m_layout.journal(id))));
        return id;
    }

private:
    double noise(double scale) { return std::normal_distribution<double>(0, scale)(m_random); }

    /// Loss and accuracy of a share of the way, as such curves go.
    static double lossAt(const Shape& shape, double share) {
        return 0.22 + (0.915 - shape.best) * 1.4 + 2.1 * std::exp(-9.0 * shape.speed * share) +
               0.35 * std::exp(-2.2 * shape.speed * share);
    }
    static double accuracyAt(const Shape& shape, double share) {
        return std::max(0.1, shape.best - 0.62 * std::exp(-10.0 * shape.speed * share) -
                                 0.09 * std::exp(-2.4 * shape.speed * share));
    }

    /// Writes what ranks and agent report while it runs; returns when the last of it was said.
    std::int64_t train(const Shape& shape, std::int64_t begin, Sheet& stream) {
        const int steps = m_options.stepsPerRun;
        const int last = static_cast<int>(steps * shape.done);
        const int epochs = std::max(1, steps / 469);
        const std::int64_t perStep = static_cast<std::int64_t>(150 * kSecond / steps / (shape.family == "mlp" ? 4 : 1));
        wire::SeriesPoints loss{"train/loss", {}, {}, {}}, accuracy{"train/accuracy", {}, {}, {}},
            rate{"train/learning_rate", {}, {}, {}}, speed{"train/samples_per_second", {}, {}, {}};
        std::int64_t t = begin;
        int logged = 0;
        for (int step = 1; step <= last; ++step) {
            t = begin + step * perStep;
            const double share = static_cast<double>(step) / steps;
            if (step % 10 == 0 || step == 1 || step == last) {
                const bool broken = shape.meetsNaN && step > last - 60;
                put(loss, step, t,
                    broken ? std::nan("")
                           : lossAt(shape, share) * (1 + noise(0.06)) + (shape.meetsNaN ? 3 * share : 0));
                put(accuracy, step, t, std::clamp(accuracyAt(shape, share) + noise(0.018), 0.0, 1.0));
                put(rate, step, t,
                    shape.learningRate *
                        (share < 0.3 ? share / 0.3 : 0.5 + 0.5 * std::cos(3.14159 * (share - 0.3) / 0.7)));
                put(speed, step, t, (shape.family == "mlp" ? 52000 : 13800) * shape.processes * 0.93 + noise(500));
            }
            if (step % 200 == 0 || step == last) {
                const Json body = wire::metricsBody({loss, accuracy, rate, speed}, t);
                stream.add(t, 0, wire::kind::kMetrics, body);
                for (auto* series : {&loss, &accuracy, &rate, &speed}) {
                    series->step.clear();
                    series->value.clear();
                    series->t.clear();
                }
                stream.add(t, 0, wire::kind::kProgress,
                           Json{{"stage", "train"},
                                {"epoch", step * epochs / steps + 1},
                                {"epochs", epochs},
                                {"step", step},
                                {"steps", steps},
                                {"done", step},
                                {"total", steps},
                                {"unit", "steps"},
                                {"rate", 1e6 / static_cast<double>(perStep)},
                                {"eta_ns", (steps - step) * perStep * 1000}});
            }
            if (steps / epochs > 0 && step % (steps / epochs) == 0) {
                wire::SeriesPoints valLoss{"val/loss", {step}, {lossAt(shape, share) * 1.06 + noise(0.004)}, {}},
                    valAccuracy{"val/accuracy", {step}, {accuracyAt(shape, share) - 0.002 + noise(0.001)}, {}};
                stream.add(t, 0, wire::kind::kMetrics, wire::metricsBody({valLoss, valAccuracy}, t));
                if (m_options.furnished) evaluate(accuracyAt(shape, share), step, t, stream);
            }
            const int due = m_options.logLines * step / std::max(1, steps);
            if (due > logged) {
                Json lines = Json::array();
                for (; logged < due; ++logged) {
                    char text[160];
                    std::snprintf(text, sizeof text, "epoch %d/%d  step %d/%d  loss %.4f  accuracy %.4f",
                                  step * epochs / steps + 1, epochs, step, steps, lossAt(shape, share),
                                  accuracyAt(shape, share));
                    lines.push_back(text);
                }
                stream.add(t, logged % std::max(1, shape.processes), wire::kind::kLog,
                           Json{{"out", "stdout"}, {"lines", lines}});
            }
        }
        for (std::int64_t at = begin; at < t; at += 4 * kSecond) {
            stream.add(at, wire::kNoRank, wire::kind::kSystem,
                       Json{{"values", Json{{"cpu_percent", 91 + noise(3)},
                                            {"memory_bytes", 5'200'000'000 + noise(4e7)},
                                            {"run_cpu_percent", 176 + noise(6)},
                                            {"run_memory_bytes", 612'000'000 + noise(5e6)}}}});
        }
        return t;
    }

    /// What an evaluation reports beside numbers: who is taken for whom, figures of each class, how sure the model is.
    static void evaluate(double accuracy, int step, std::int64_t t, Sheet& stream) {
        static constexpr std::array<const char*, 10> kClasses = {
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
        static constexpr double kEach = 1000;
        // Shirts are what such models take for other things; each class has one that it is like.
        static constexpr std::array<int, 10> kLike = {6, 3, 4, 0, 2, 7, 0, 9, 3, 7};
        static constexpr std::array<double, 10> kHard = {1.3, 0.2, 1.6, 0.9, 1.5, 0.4, 3.0, 0.5, 0.2, 0.4};
        Json matrix = Json::array(), samples = Json::array(), figures = Json::array();
        std::array<double, 10> found{}, taken{};
        for (std::size_t row = 0; row < kClasses.size(); ++row) {
            const double wrong = std::min(600.0, std::round(kEach * (1 - accuracy) * kHard[row]));
            std::array<double, 10> counts{};
            for (std::size_t column = 0; column < kClasses.size(); ++column)
                counts[column] = column == row ? 0 : std::floor(wrong * 0.04 * static_cast<double>((row + column) % 3));
            counts[static_cast<std::size_t>(kLike[row])] += std::floor(wrong * 0.6);
            double others = 0;
            for (const double count : counts) others += count;
            counts[row] = kEach - others;
            found[row] = counts[row];
            for (std::size_t column = 0; column < kClasses.size(); ++column) taken[column] += counts[column];
            matrix.push_back(counts);
            for (int i = 0; i < 4; ++i)
                samples.push_back(
                    Json{{"row", row},
                         {"column", kLike[row]},
                         {"path", "val/" + std::to_string(1000 * row + 37 * static_cast<std::size_t>(i)) + ".png"},
                         {"probability", 0.97 - 0.06 * i}});
        }
        for (std::size_t i = 0; i < kClasses.size(); ++i) {
            const double precision = found[i] / taken[i], recall = found[i] / kEach;
            figures.push_back(
                Json::array({kClasses[i], precision, recall, 2 * precision * recall / (precision + recall), kEach}));
        }
        stream.add(t, 0, wire::kind::kTable,
                   Json{{"name", "val/confusion"},
                        {"type", "confusion_matrix"},
                        {"step", step},
                        {"columns", kClasses},
                        {"rows", std::move(matrix)},
                        {"samples", std::move(samples)},
                        {"description", "10,000 validation images"}});
        stream.add(t, 0, wire::kind::kTable,
                   Json{{"name", "val/classes"},
                        {"step", step},
                        {"columns", {"class", "precision", "recall", "f1", "images"}},
                        {"rows", std::move(figures)}});
        Json counts = Json::array(), edges = Json::array();
        for (int i = 0; i <= 20; ++i) {
            edges.push_back(i / 20.0);
            if (i < 20)
                counts.push_back(std::round(9000 * std::exp(-(19 - i) * (0.1 + 0.9 * accuracy * accuracy)) + 40));
        }
        stream.add(t, 0, wire::kind::kHistogram,
                   Json{{"name", "val/confidence"},
                        {"step", step},
                        {"counts", std::move(counts)},
                        {"edges", std::move(edges)}});
    }

    static void put(wire::SeriesPoints& series, std::int64_t step, std::int64_t t, double value) {
        series.step.push_back(step);
        series.value.push_back(value);
        series.t.push_back(t);
    }

    void finish(const Shape& shape, const RunId& id, std::int64_t end, Sheet& journal, Sheet& stream) {
        if (shape.state == RunState::Lost) {
            journal.add(end + 30 * kSecond, wire::kNoRank, wire::kind::kState, state(RunState::Lost, shape.reason));
            return;
        }
        if (!spec::isFinal(shape.state)) return;
        const bool completed = shape.state == RunState::Completed, failed = shape.state == RunState::Failed;
        Json ranks = Json::array();
        for (int rank = 0; rank < shape.processes; ++rank) {
            Json one{{"rank", rank}};
            if (completed) one["exit"] = 0;
            if (failed) one["exit"] = 3;
            if (failed) one["reason"] = shape.reason;
            if (!completed && !failed) one["signal"] = 15;
            ranks.push_back(std::move(one));
        }
        if (failed) {
            stream.add(end, 0, wire::kind::kLog,
                       Json{{"out", "stderr"},
                            {"lines",
                             Json::array({"trainyard-engine: " + shape.reason,
                                          "trainyard-engine: stopping after step " +
                                              std::to_string(static_cast<int>(m_options.stepsPerRun * shape.done))})}});
            if (shape.meetsNaN) {
                stream.add(end, 0, wire::kind::kWarning,
                           Json{{"code", "train.nan"},
                                {"message",
                                 "train/loss became NaN at step " +
                                     std::to_string(static_cast<int>(m_options.stepsPerRun * shape.done) - 50) + "."}});
            }
        }
        Json outputs = Json::array();
        if (completed) {
            for (const auto& [path, size] :
                 std::array<std::pair<const char*, int>, 3>{{{"model.pt", 1'742'336},
                                                             {"model.safetensors", 1'694'208},
                                                             {"checkpoints/last.ckpt", 3'401'900}}}) {
                outputs.push_back(
                    Json{{"path", path}, {"size", size}, {"sha256", std::string(64, "0123456789abcdef"[size % 16])}});
            }
        }
        stream.add(end + kSecond / 2, wire::kNoRank, wire::kind::kState, state(RunState::Finalizing));
        stream.add(end + kSecond, wire::kNoRank, wire::kind::kEnded,
                   Json{{"outcome", completed ? "completed"
                                    : failed  ? "failed"
                                              : "canceled"},
                        {"reason", shape.reason},
                        {"ranks", ranks},
                        {"outputs", outputs}});
        journal.add(end + 2 * kSecond, wire::kNoRank, wire::kind::kState, state(shape.state, shape.reason));
        (void) id;
    }

    const wire::WorkspaceLayout& m_layout;
    const ShowcaseOptions& m_options;
    std::int64_t m_now;
    std::mt19937 m_random;
};

std::vector<Shape> shapes(const ShowcaseOptions& options, std::int64_t now) {
    std::vector<Shape> list;
    std::mt19937 random(7);
    static constexpr std::array<const char*, 3> kOptimizers = {"sgd", "adam", "adamw"};
    for (int i = 0; i < options.completed; ++i) {
        Shape shape;
        const bool mlp = i % 4 == 2;
        shape.family = mlp ? "mlp" : "cnn";
        shape.optimizer = kOptimizers[static_cast<std::size_t>(i) % 3];
        shape.learningRate = i % 3 == 0 ? 0.1 : 0.002 * (1 + i % 4);
        shape.batch = 64 << (i % 3);
        shape.seed = 1 + i % 5;
        shape.processes = i % 5 == 3 ? 2 : 1;
        shape.best = (mlp ? 0.884 : 0.912) + std::uniform_real_distribution<double>(-0.006, 0.006)(random);
        shape.speed = std::uniform_real_distribution<double>(0.7, 1.4)(random);
        shape.name = std::string(mlp ? "mlp" : "cnn") + "-" + shape.optimizer + "-b" + std::to_string(shape.batch);
        shape.startedAgo = (options.completed - i) * 47 * kMinute + 20 * kMinute;
        if (i % 3 == 0) shape.tags.emplace_back("baseline", "");
        if (i % 4 == 1) shape.tags.emplace_back("sweep", "lr");
        if (i == 0) shape.notes = "First run with the one-cycle schedule.";
        list.push_back(std::move(shape));
    }
    const auto add = [&list](const char* name, RunState state, double done, std::int64_t startedAgo) -> Shape& {
        Shape& shape = list.emplace_back();
        shape.name = name;
        shape.state = state;
        shape.done = done;
        shape.startedAgo = startedAgo;
        return shape;
    };
    if (options.troubled) {
        Shape& failed = add("cnn-high-learning-rate", RunState::Failed, 0.34, 18 * kMinute);
        failed.learningRate = 4;
        failed.best = 0.31;
        failed.reason = "The loss became NaN at step 590; a learning rate of 4 is too high for this model.";
        failed.meetsNaN = true;
        Shape& canceled = add("mlp-wide-do-not-use", RunState::Canceled, 0.5, 15 * kMinute);
        canceled.family = "mlp";
        canceled.reason = "Canceled from the window.";
        canceled.best = 0.87;
        add("cnn-on-a-machine-that-went-away", RunState::Lost, 0.6, 14 * kMinute).reason =
            "This machine was started anew since; the run's processes are gone.";
        Shape& longName = add("convolutional-network-with-batch-normalisation-and-dropout-0.25-adamw-weight-decay-0.01-"
                              "seed-42-after-fixing-the-loader",
                              RunState::Completed, 1, 12 * kMinute);
        longName.experiment =
            "a comparison of learning rate schedules on Fashion-MNIST with and without warm-up, third attempt";
        longName.tags = {
            {"comparison", "schedules"}, {"owner", "someone with quite a long name"}, {"paper", "figure 3"}};
    }
    if (options.active) {
        Shape& running = add("cnn-adamw-b128", RunState::Running, 0.62, 95 * kSecond);
        running.optimizer = "adamw";
        running.learningRate = 0.003;
        running.processes = 2;
        add("cnn-adamw-b256", RunState::Queued, 0, 40 * kSecond);
        add("mlp-sgd-b64", RunState::Preparing, 0, 3 * kSecond).family = "mlp";
    }
    if (options.active && options.furnished) {
        Shape& cut = add("cnn-on-the-rig", RunState::Running, 0.4, 130 * kSecond);
        cut.target = "two-gpu-rig";
        const Json why{{"since", now - 40 * kSecond},
                       {"reason", "ssh: connect to host rig-1 port 22: No route to host"}};
        cut.told = {{wire::kind::kUnreachable, why}, {wire::kind::kCancelAsked, Json::object()}};
        Shape& waiting = add("cnn-on-the-cluster", RunState::Queued, 0, 9 * kMinute);
        waiting.target = "university-cluster";
        const Json said{{"job", "48213"},
                        {"state", "PENDING"},
                        {"reason", "Resources"},
                        {"estimated_start", now + 25 * kMinute},
                        {"restarts", 0}};
        waiting.told.emplace_back(wire::kind::kScheduler, said);
    }
    return list;
}

}  // namespace

Result<Showcase> makeShowcase(const wire::WorkspaceLayout& layout, const ShowcaseOptions& options) {
    Showcase made;
    const std::int64_t now = options.now > 0 ? options.now : base::wallMicros();
    RunMaker maker(layout, options, now);
    std::int64_t number = 0;
    for (const Shape& shape : shapes(options, now)) {
        Result<RunId> id = maker.make(shape, ++number);
        if (!id.ok()) return id.error();
        if (!spec::isFinal(shape.state)) {
            Result<base::FileLock> lock = base::FileLock::tryExclusive(layout.lock(*id), "showcase");
            if (!lock.ok()) return lock.error();
            made.locks.push_back(std::move(*lock));
        }
        made.runs.push_back(*id);
    }
    if (options.furnished) {
        TRAINYARD_TRY(addShowcaseModels(layout, made.runs, now));
        TRAINYARD_TRY(addShowcaseTargets(layout, now));
        TRAINYARD_TRY(addShowcaseEnvironments(layout));
        TRAINYARD_TRY(addShowcaseDatasets(layout, now));
    }
    if (!options.trained.empty()) TRAINYARD_TRY(addTrainedModel(layout, options.trained));
    return made;
}

}  // namespace trainyard::commands
