#include "core/engine/train/Trainer.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/InputPath.h"
#include "core/engine/distributed/SharedFile.h"
#include "core/engine/train/Outputs.h"
#include "core/engine/train/RankSetup.h"
#include "core/engine/train/RankTimes.h"
#include "core/engine/train/Session.h"
#include "core/wire/Layout.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;

/// Ranks agree on stopping and on checkpoints asked for at least every so many steps.
constexpr std::int64_t kAgreeEverySteps = 10;
/// With more classes the confusion matrix is told at the end only, and with more than this the table of classes too.
constexpr std::int64_t kMatrixClasses = 100;
constexpr std::int64_t kTableClasses = 1000;
/// Wrong answers that a confusion matrix names.
constexpr std::size_t kNamedMistakes = 200;

double seconds(std::int64_t nanos) { return static_cast<double>(nanos) * 1e-9; }

std::string percent(double fraction) {
    char text[16];
    std::snprintf(text, sizeof text, "%.2f %%", fraction * 100);
    return text;
}

void reportBadFile(Reporter& reporter, const BadFile& bad) {
    reporter.warning("data.bad", "The picture \"" + base::stripControl(bad.path) +
                                     "\" is left out: " + base::stripControl(bad.why) + ".");
}

/// The loop of one rank.
class TrainingLoop {
public:
    TrainingLoop(const TrainRequest& request, const RankContext& context, Reporter& reporter, ProcessGroup& group,
                 Session& session)
        : m_request(request), m_context(context), m_reporter(reporter), m_group(group), m_session(session),
          m_task(request.spec.train) {}

    Result<TrainSummary> run();

private:
    enum class Next { GoOn, Stop };

    Result<Next> runEpoch();
    Result<Next> agree(bool report, const Session::StepResult& last);
    /// The checkpoint to go on from: in a later attempt the run's own last one, else the one that the request names.
    [[nodiscard]] Result<Path> startingPoint();
    void report(const Session::StepResult& last, const StepTimes& own);
    void tellBadFiles();
    /// Bad pictures count over the whole run: `found` says how many each rank has met since the last call of this, of
    /// which `own` are this rank's. Exchanges them only where there are any.
    Status shareBadFiles(const double* found, const std::vector<std::int64_t>& own);
    /// Of the window that ends now.
    [[nodiscard]] StepTimes windowTimes();
    Status validateAndKeep();
    /// What the last validation came to, class by class; `matrix` with the confusion matrix.
    void reportClasses(bool table, bool matrix);
    Status save(const std::vector<Path>& files);
    [[nodiscard]] Error notFinite(double learningRate) const;
    [[nodiscard]] bool stopsEarly() const;
    [[nodiscard]] Reporter::Position position() const;
    [[nodiscard]] std::int64_t etaNanos() const;
    [[nodiscard]] Path outputs(const char* name) const { return m_context.outputs / name; }
    [[nodiscard]] Path lastCheckpoint() const { return outputs("checkpoints/last.ckpt"); }
    /// Where a rank on another machine keeps rank 0's checkpoint while it reads it.
    [[nodiscard]] Path receivedCheckpoint() const {
        return outputs("checkpoints") / (".received-" + std::to_string(m_context.rank));
    }

    const TrainRequest& m_request;
    const RankContext& m_context;
    Reporter& m_reporter;
    ProcessGroup& m_group;
    Session& m_session;
    const spec::TrainTask& m_task;
    TrainingState m_state;
    Scores m_lastValidation;
    ClassScores m_classes;                  ///< Of the last validation, over all ranks.
    std::vector<Mistakes::One> m_mistakes;  ///< The same, of rank 0.
    bool m_matrixTold = true;
    SlowRanks m_slowRanks;
    double m_agreeSeconds = 0;  ///< In this window.
    double m_rate = 0;          ///< Steps a second, smoothed.
    double m_validationSeconds = 0;
    std::int64_t m_windowStart = 0;
    std::int64_t m_windowSteps = 0;
    double m_windowLocalSamples = 0;
};

Reporter::Position TrainingLoop::position() const {
    // Before the first step of an epoch the one before has just ended, except at the very start.
    const bool between = m_state.stepInEpoch == 0 && m_state.epoch > 0;
    return {between ? m_state.epoch : m_state.epoch + 1, m_task.epochs, m_state.step, m_session.totalSteps()};
}

std::int64_t TrainingLoop::etaNanos() const {
    if (m_rate <= 0) {
        return 0;
    }
    const double training = static_cast<double>(m_session.totalSteps() - m_state.step) / m_rate;
    const double validation = static_cast<double>(m_task.epochs - m_state.epoch) * m_validationSeconds;
    return static_cast<std::int64_t>((training + validation) * 1e9);
}

bool TrainingLoop::stopsEarly() const {
    if (m_task.patience == 0 || m_state.epoch >= m_task.epochs) {
        return false;
    }
    std::int64_t since = 0;
    double lowest = std::numeric_limits<double>::infinity();
    for (const Json& epoch : m_state.history) {
        const double loss = epoch.value("val/loss", lowest);
        since = loss < lowest ? 0 : since + 1;
        lowest = std::min(lowest, loss);
    }
    return since >= m_task.patience;
}

Error TrainingLoop::notFinite(double learningRate) const {
    return {
        "train.nan",
        "The loss is no finite number any more at step " + std::to_string(m_state.step) + " (epoch " +
            std::to_string(m_state.epoch + 1) + "). The learning rate was " + base::formatSignificant(learningRate) +
            ": take a lower one (a tenth is a good try), a longer rise or batch normalisation, and look for damaged "
            "samples.",
        "task.optimizer.learning_rate"};
}

Result<Path> TrainingLoop::startingPoint() {
    std::vector<Path> candidates;
    if (m_context.attempt > 1) {
        candidates.push_back(lastCheckpoint());
    }
    if (!m_request.resumeCheckpoint.empty()) {
        candidates.push_back(m_request.resumeCheckpoint);
    }
    auto file = shareFile(m_group, candidates, receivedCheckpoint());
    if (file.ok() && file->empty() && !m_request.resumeCheckpoint.empty()) {
        return Error{"resume.missing", "The checkpoint " + m_request.resumeCheckpoint.string() + " is not there."};
    }
    return file;
}

Result<TrainSummary> TrainingLoop::run() {
    const std::int64_t begin = base::monotonicNanos();
    auto checkpoint = startingPoint();
    if (!checkpoint) {
        return checkpoint.error();
    }
    if (!checkpoint->empty()) {
        auto state = m_session.resume(*checkpoint);
        if (*checkpoint == receivedCheckpoint()) {
            (void) base::removeTree(*checkpoint);
        }
        if (!state) {
            return state.error();
        }
        m_state = std::move(*state);
        if (!m_state.history.empty() && m_state.history.back().is_object()) {
            const Json& last = m_state.history.back();
            m_lastValidation = {last.value("val/loss", 0.0), last.value("val/accuracy", 0.0), 1.0};
        }
        // A later attempt of this run goes on with what its first began.
        const bool another = m_context.attempt == 1 || m_state.run != m_context.runId;
        if (another && m_task.schedule.span == "rest") {
            m_state.scheduleStart = m_state.step;
        } else if (m_task.schedule.span == "all") {
            m_state.scheduleStart = 0;
        }
        m_reporter.say("going on from step " + std::to_string(m_state.step) + " of epoch " +
                       std::to_string(m_state.epoch + 1));
    }
    m_state.run = m_context.runId;
    TrainSummary summary;
    while (m_state.epoch < m_task.epochs && !summary.stopped) {
        auto next = guarded("training", [&] { return runEpoch(); });
        if (!next) {
            return next.error();
        }
        summary.stopped = *next == Next::Stop;
        if (!summary.stopped && stopsEarly()) {
            m_reporter.say("stopped after epoch " + std::to_string(m_state.epoch) + ": no lower validation loss for " +
                           std::to_string(m_task.patience) + " epochs");
            break;
        }
    }
    if (!summary.stopped) {
        reportClasses(m_classes.classes() > kTableClasses, !m_matrixTold);
        m_reporter.progress("save", position());
        TRAINYARD_TRY(save({lastCheckpoint()}));
        if (m_context.leads()) {
            TRAINYARD_TRY(writeOutputs(m_session, m_state, m_context.runId, m_context.outputs));
        }
    }
    TRAINYARD_TRY(m_group.barrier());
    summary.steps = m_state.step;
    summary.seconds = seconds(base::monotonicNanos() - begin);
    summary.valLoss = m_lastValidation.loss();
    summary.valAccuracy = m_lastValidation.accuracy();
    summary.bestAccuracy = m_state.bestAccuracy;
    return summary;
}

Result<TrainingLoop::Next> TrainingLoop::runEpoch() {
    m_session.startEpoch(m_state.epoch);
    m_windowStart = base::monotonicNanos();
    m_windowSteps = 0;
    m_windowLocalSamples = 0;
    m_reporter.progress("train", position(), m_rate, etaNanos());
    const std::int64_t agreeEvery = m_group.world() == 1 ? 1 : std::min(kAgreeEverySteps, m_task.logEverySteps);
    while (m_state.stepInEpoch < m_session.stepsPerEpoch()) {
        const Session::StepResult last = m_session.step(m_state);
        ++m_windowSteps;
        m_windowLocalSamples += static_cast<double>(last.localCount);
        if (!last.finite) {
            return notFinite(last.learningRate);
        }
        const bool epochEnds = m_state.stepInEpoch == m_session.stepsPerEpoch();
        const bool reportNow = m_state.step == 1 || m_state.step % m_task.logEverySteps == 0 || epochEnds;
        if (!reportNow && m_state.step % agreeEvery != 0) {
            continue;
        }
        auto next = agree(reportNow, last);
        if (!next || *next == Next::Stop) {
            return next;
        }
    }
    TRAINYARD_TRY(validateAndKeep());
    return Next::GoOn;
}

Result<TrainingLoop::Next> TrainingLoop::agree(bool reportNow, const Session::StepResult& last) {
    std::error_code unreadable;
    const bool asked = m_context.leads() && !m_context.control.empty() &&
                       std::filesystem::exists(m_context.control / wire::control::kCheckpoint, unreadable);
    const bool signalled = takeCheckpointRequest();
    std::vector<double> sums{stopRequested() ? 1.0 : 0.0, asked || signalled ? 1.0 : 0.0};
    StepTimes times;
    std::vector<std::int64_t> badFiles;
    const auto world = static_cast<std::size_t>(m_group.world());
    if (reportNow) {
        const Scores own = m_session.meter().take();
        sums.insert(sums.end(), {own.lossSum, own.correct, own.count});
        times = windowTimes();
        // Each rank fills its own place.
        sums.resize(sums.size() + 3 * world, 0.0);
        double* place = sums.data() + sums.size() - 3 * (world - static_cast<std::size_t>(m_group.rank()));
        place[0] = times.step;
        place[1] = times.data;
        place[2] = times.exchange;
        badFiles = m_session.takeBadNumbers();
        sums.resize(sums.size() + world, 0.0);
        sums[sums.size() - world + static_cast<std::size_t>(m_group.rank())] = static_cast<double>(badFiles.size());
    }
    const std::int64_t waitBegin = base::monotonicNanos();
    TRAINYARD_TRY(m_group.sum(sums));
    if (!reportNow) {  // A report's own wait lies between two windows.
        m_agreeSeconds += seconds(base::monotonicNanos() - waitBegin);
    }
    if (reportNow) {
        const Scores joint{sums[2], sums[3], sums[4]};
        if (!std::isfinite(joint.lossSum)) {
            return notFinite(last.learningRate);
        }
        m_state.window.add(joint);
        m_state.epochScores.add(joint);
        report(last, times);
        m_state.window = {};
        TRAINYARD_TRY(shareBadFiles(sums.data() + sums.size() - world, badFiles));
        std::vector<StepTimes> byRank;
        for (std::size_t at = sums.size() - 4 * world; at < sums.size() - world; at += 3) {
            byRank.push_back({sums[at], sums[at + 1], sums[at + 2]});
        }
        if (const std::string slow = m_slowRanks.look(byRank); !slow.empty() && m_context.leads()) {
            m_reporter.warning("train.slow_rank", slow);
        }
    }
    const bool stop = sums[0] > 0;
    if (stop || sums[1] > 0) {
        if (!reportNow) {
            // What the meter holds belongs to the next point; a resumed run must report the same.
            const Scores own = m_session.meter().take();
            std::vector<double> rest{own.lossSum, own.correct, own.count};
            TRAINYARD_TRY(m_group.sum(rest));
            const Scores joint{rest[0], rest[1], rest[2]};
            m_state.window.add(joint);
            m_state.epochScores.add(joint);
        }
        const std::int64_t saveBegin = base::monotonicNanos();
        TRAINYARD_TRY(save({lastCheckpoint()}));
        m_windowStart += base::monotonicNanos() - saveBegin;
        if (asked) {
            std::error_code ignored;
            std::filesystem::remove(m_context.control / wire::control::kCheckpoint, ignored);
        }
        const std::string written = "checkpoint written at step " + std::to_string(m_state.step);
        m_reporter.note("checkpoint", m_state.step, written);
        m_reporter.say(written);
    }
    return stop ? Next::Stop : Next::GoOn;
}

StepTimes TrainingLoop::windowTimes() {
    StepTimes times = m_session.takeTimes();
    const auto steps = static_cast<double>(std::max<std::int64_t>(1, m_windowSteps));
    times.step = seconds(base::monotonicNanos() - m_windowStart) / steps;
    times.data /= steps;
    times.exchange = (times.exchange + std::exchange(m_agreeSeconds, 0)) / steps;
    return times;
}

void TrainingLoop::tellBadFiles() {
    for (const BadFile& bad : m_session.takeBadFiles()) {
        reportBadFile(m_reporter, bad);
    }
}

Status TrainingLoop::shareBadFiles(const double* found, const std::vector<std::int64_t>& own) {
    std::vector<double> files;
    for (int rank = 0; rank < m_group.world(); ++rank) {
        if (rank == m_group.rank()) {
            files.insert(files.end(), own.begin(), own.end());
        } else {
            files.resize(files.size() + static_cast<std::size_t>(found[rank]), 0.0);
        }
    }
    if (files.empty()) {
        return {};
    }
    TRAINYARD_TRY(m_group.sum(files));
    return m_session.learnBadNumbers({files.begin(), files.end()});
}

void TrainingLoop::report(const Session::StepResult& last, const StepTimes& own) {
    tellBadFiles();
    const std::int64_t now = base::monotonicNanos();
    const double elapsed = std::max(1e-9, seconds(now - m_windowStart));
    const double rate = static_cast<double>(m_windowSteps) / elapsed;
    m_rate = m_rate == 0 || m_state.step <= m_task.logEverySteps ? rate : 0.8 * m_rate + 0.2 * rate;
    std::vector<std::pair<std::string, double>> values;
    if (m_context.leads()) {
        values = {{"train/loss", m_state.window.loss()},
                  {"train/accuracy", m_state.window.accuracy()},
                  {"train/learning_rate", last.learningRate}};
    }
    values.emplace_back("train/samples_per_second", m_windowLocalSamples / elapsed);
    values.emplace_back("train/step_seconds", own.step);
    values.emplace_back("train/data_seconds", own.data);
    if (m_group.world() > 1) {
        values.emplace_back("train/exchange_seconds", own.exchange);
        if (const double hidden = m_session.hiddenExchangeSeconds(); hidden > 0) {
            values.emplace_back("train/exchange_hidden_seconds", hidden);
        }
    }
    m_reporter.metrics(m_state.step, values);
    m_reporter.progress("train", position(), m_rate, etaNanos());
    m_windowStart = now;
    m_windowSteps = 0;
    m_windowLocalSamples = 0;
}

Status TrainingLoop::validateAndKeep() {
    const std::int64_t begin = base::monotonicNanos();
    m_reporter.progress("validate", position(), m_rate, etaNanos());
    // Each rank's batch statistics followed its own shards; rank 0's count.
    TRAINYARD_TRY(m_group.broadcast(m_session.network().buffers()));
    Session::Validation own = m_session.validate();
    std::vector<double> sums{own.scores.lossSum, own.scores.correct, own.scores.count};
    sums.insert(sums.end(), own.classes.sums().begin(), own.classes.sums().end());
    const auto world = static_cast<std::size_t>(m_group.world());
    const std::vector<std::int64_t> badFiles = m_session.takeBadNumbers();
    sums.resize(sums.size() + world, 0.0);
    sums[sums.size() - world + static_cast<std::size_t>(m_group.rank())] = static_cast<double>(badFiles.size());
    TRAINYARD_TRY(m_group.sum(sums));
    tellBadFiles();
    TRAINYARD_TRY(shareBadFiles(sums.data() + sums.size() - world, badFiles));
    m_lastValidation = {sums[0], sums[1], sums[2]};
    m_classes = std::move(own.classes);
    m_classes.setSums({sums.begin() + 3, sums.end() - static_cast<std::ptrdiff_t>(world)});
    auto mistakes = m_group.gather(own.mistakes.packed());
    if (!mistakes) {
        return mistakes.error();
    }
    m_mistakes = Mistakes::merged(*mistakes);
    m_validationSeconds = seconds(base::monotonicNanos() - begin);

    const double accuracy = m_lastValidation.accuracy();
    std::vector<std::pair<std::string, double>> values{{"val/loss", m_lastValidation.loss()},
                                                       {"val/accuracy", accuracy}};
    if (m_classes.classes() > 5) {
        values.emplace_back("val/top5", m_classes.top5());
    }
    values.emplace_back("val/f1", m_classes.macroF1());
    Json entry{{"epoch", m_state.epoch + 1}, {"step", m_state.step}};
    for (const auto& [name, value] : values) {
        entry[name] = value;
    }
    m_state.history.push_back(std::move(entry));
    if (m_context.leads()) {
        m_reporter.metrics(m_state.step, values);
    }
    m_matrixTold = m_classes.classes() <= kMatrixClasses;
    reportClasses(m_classes.classes() <= kTableClasses, m_matrixTold);
    m_reporter.say("epoch " + std::to_string(m_state.epoch + 1) + "/" + std::to_string(m_task.epochs) + ": loss " +
                   base::formatSignificant(m_state.epochScores.loss()) + ", accuracy " +
                   percent(m_state.epochScores.accuracy()) + "; validation loss " +
                   base::formatSignificant(m_lastValidation.loss()) + ", accuracy " + percent(accuracy));
    ++m_state.epoch;
    m_state.stepInEpoch = 0;
    m_state.epochScores = {};

    std::vector<Path> files;
    const bool last = m_state.epoch == m_task.epochs;
    if (!last && m_task.checkpointEveryEpochs > 0 && m_state.epoch % m_task.checkpointEveryEpochs == 0) {
        files.push_back(lastCheckpoint());
    }
    if (accuracy > m_state.bestAccuracy) {
        m_state.bestAccuracy = accuracy;
        m_state.bestEpoch = m_state.epoch;
        files.push_back(outputs("checkpoints/best.ckpt"));
    }
    if (!std::isfinite(m_lastValidation.loss())) {
        m_reporter.warning("train.val_nan", "The validation loss is no finite number after epoch " +
                                                std::to_string(m_state.epoch) + ".");
    }
    return files.empty() ? Status() : save(files);
}

void TrainingLoop::reportClasses(bool table, bool matrix) {
    if (!m_context.leads() || m_classes.classes() == 0) {
        return;
    }
    const std::vector<std::string>& names = m_session.data().classNames;
    if (table) {
        m_reporter.table("val/classes", m_state.step, m_classes.table(names));
    }
    if (matrix && m_classes.hasMatrix()) {
        Json body = m_classes.matrix(names);
        Json samples = Json::array();
        for (const Mistakes::One& one : m_mistakes) {
            if (samples.size() < kNamedMistakes) {
                samples.push_back({{"row", one.label},
                                   {"column", one.predicted},
                                   {"path", m_session.data().validationName(one.sample)},
                                   {"probability", one.probability}});
            }
        }
        body["samples"] = std::move(samples);
        m_reporter.table("val/confusion", m_state.step, std::move(body));
    }
}

Status TrainingLoop::save(const std::vector<Path>& files) { return m_session.checkpoint(files, m_state); }

void reportSetup(Reporter& reporter, const TrainRequest& request, const RankContext& context, Session& session,
                 at::Device device, std::int64_t threads) {
    const LoadedData& data = session.data();
    const spec::LayerTable& table = session.network().table();
    base::Json params{{"model", table.family},
                      {"parameters", table.parameters()},
                      {"multiply_adds", table.multiplyAdds()},
                      {"device", device.str()},
                      {"threads", threads},
                      {"processes", context.world},
                      {"batch_size", request.spec.train.batchSize},
                      {"epochs", request.spec.train.epochs},
                      {"steps", session.totalSteps()},
                      {"optimizer", request.spec.train.optimizer.kind},
                      {"learning_rate", request.spec.train.optimizer.learningRate},
                      {"schedule", request.spec.train.schedule.kind},
                      {"seed", request.spec.train.seed},
                      {"train_samples", data.trainingCount()},
                      {"val_samples", data.validationCount()},
                      {"libtorch", TORCH_VERSION}};
    if (data.folder) {
        params["classes"] = data.classes;
        params["unreadable"] = data.folder->bad.size();
        for (const BadFile& bad : data.folder->bad) {
            reportBadFile(reporter, bad);
        }
    } else {
        params["mean"] = data.normalization.mean;
        params["std"] = data.normalization.deviation;
    }
    if (const Json& weights = session.startingWeights(); weights.is_object()) {
        params["weights"] = weights["kind"];
        params["weights_matched"] = weights["matched"]["count"];
        params["weights_reinitialised"] = weights["reinitialised"]["count"];
        params["weights_missing"] = weights["missing"]["count"];
        reporter.say("started from " + weights["matched"]["count"].dump() + " tensors of the weights; " +
                     weights["reinitialised"]["count"].dump() + " have another shape and begin anew, " +
                     weights["missing"]["count"].dump() + " were not in the file, " +
                     weights["unused"]["count"].dump() + " of the file were not used");
    }
    if (!session.whyTailDropped().empty() && reporter.leads()) {
        reporter.warning("train.tail", session.whyTailDropped());
    }
    reporter.params(params);
    reporter.say(table.family + " with " + base::formatCount(table.parameters()) + " parameters on " + device.str() +
                 ", " + std::to_string(context.world) + (context.world == 1 ? " process, " : " processes, ") +
                 std::to_string(threads) + (threads == 1 ? " thread" : " threads") + "; " +
                 std::to_string(data.trainingCount()) + " training and " + std::to_string(data.validationCount()) +
                 " validation samples, " + std::to_string(session.stepsPerEpoch()) + " steps an epoch");
}

/// Memory that ran out, in terms of what can be lowered.
Error memoryError(const Error& error, const TrainRequest& request, const RankContext& context) {
    const spec::TrainTask& task = request.spec.train;
    const std::int64_t share = (task.batchSize + context.world - 1) / context.world;
    const std::int64_t part = (share + task.accumulation - 1) / task.accumulation;
    std::string batch = "a batch of " + std::to_string(task.batchSize) + " samples";
    if (part < task.batchSize) {
        batch += ", of which " + std::to_string(part) + " go through the model at once";
    }
    const std::string pictures = task.dataset.kind == "images"
                                     ? ", the image size (" + std::to_string(task.dataset.imageSize) + " pixels)"
                                     : std::string();
    const std::string ranks = context.localWorld > 1
                                  ? ", the processes on one machine (" + std::to_string(context.localWorld) + ")"
                                  : std::string();
    // What libtorch said stands in brackets at the end.
    const std::size_t bracket = error.message.find(" (");
    const std::string detail =
        bracket == std::string::npos ? " (" + error.message + ")" : error.message.substr(bracket);
    return {error.code,
            "Memory ran out in training with " + batch + ". Set task.accumulation to " +
                std::to_string(2 * task.accumulation) +
                ": the same steps with half as much at once. Or lower task.batch_size" + pictures + ranks +
                ", or take a smaller model." + detail,
            "task.batch_size"};
}

}  // namespace

Result<TrainRequest> trainRequestFromJson(base::Json document) {
    TrainRequest request;
    if (document.is_object() && document.contains("resolved")) {
        base::ObjectReader resolved(document["resolved"], "resolved");
        auto checkpoint = expandInputPath(resolved.string("resume_checkpoint"), "resolved.resume_checkpoint");
        if (!checkpoint) {
            return checkpoint.error();
        }
        request.resumeCheckpoint = *checkpoint;
        request.threads = resolved.integer("threads");
        TRAINYARD_TRY(resolved.status(/*rejectUnknown=*/false));
        document.erase("resolved");
    }
    auto spec = spec::runSpecFromJson(document);
    if (!spec) {
        return spec.error();
    }
    if (spec->taskKind != spec::TaskKind::Train) {
        return Error{"spec.choice", "The engine trains; this run's task is a command.", "task.kind"};
    }
    request.spec = std::move(*spec);
    spec::DatasetSpec& dataset = request.spec.train.dataset;
    for (auto [path, field] :
         {std::pair{&dataset.trainImages, "task.dataset.train_images"},
          std::pair{&dataset.trainLabels, "task.dataset.train_labels"},
          std::pair{&dataset.valImages, "task.dataset.val_images"},
          std::pair{&dataset.valLabels, "task.dataset.val_labels"}, std::pair{&dataset.folder, "task.dataset.folder"},
          std::pair{&request.spec.train.model.weights.source, "task.model.weights.source"}}) {
        auto expanded = expandInputPath(*path, field);
        if (!expanded) {
            return expanded.error();
        }
        *path = std::move(*expanded);
    }
    return request;
}

Result<TrainSummary> train(const TrainRequest& request, const RankContext& context, Reporter& reporter) {
    const spec::TrainTask& task = request.spec.train;
    reporter.progress("prepare", {1, task.epochs, 0, 0});
    if (context.outputs.empty()) {
        return Error{"env.outputs", "TRAINYARD_OUTPUTS does not say where results go."};
    }
    TRAINYARD_TRY(base::makeDirs(context.outputs / "checkpoints"));
    const std::int64_t asked = request.threads > 0 ? request.threads : task.threads;
    const ThreadPlan plan = planThreads(asked, context.localWorld);
    if (plan.oversubscribed && context.leads()) {
        reporter.warning("train.cores", std::to_string(context.localWorld) + " processes share " +
                                            std::to_string(usableCores()) +
                                            " cores of this machine; each gets one thread, and it will be slow.");
    }
    const auto device = chooseDevice(task.device, context.localRank);
    if (!device) {
        return device.error();
    }
    auto data = loadData(task, static_cast<int>(std::clamp<std::int64_t>(plan.threads, 1, 16)));
    if (!data) {
        return data.error();
    }
    if (data->trainingCount() < context.world) {
        return Error{"data.few",
                     "There are fewer training samples (" + std::to_string(data->trainingCount()) +
                         ") than processes (" + std::to_string(context.world) + ").",
                     "distribution.processes"};
    }
    const std::int64_t threads = settleThreads(plan, asked > 0, task, *data, context.world);
    const std::string backend = backendOf(request.spec, *device);
    if (context.world > 1 && device->is_cuda() && backend == "gloo" && context.leads()) {
        reporter.warning("train.backend",
                         "The ranks' GPUs talk through Gloo, over the processors' memory, which is slow" +
                             std::string(request.spec.distribution.backend == "auto"
                                             ? ": this engine is built without NCCL."
                                             : "; NCCL connects GPUs directly."));
    }
    auto group = ProcessGroup::join(context, backend, *device);
    if (!group) {
        return group.error();
    }
    const auto blamePeers = [&](const Error& error) {
        // A backward pass that fails for want of a peer shows as an error of libtorch's or of Gloo's.
        if (error.code == "engine.memory") {
            return memoryError(error, request, context);
        }
        const bool maybePeer = error.code == "engine.torch" || error.code == "engine.failed";
        return context.world > 1 && maybePeer ? (*group)->explain(error) : error;
    };
    auto session = Session::make(request, std::move(*data), **group, *device);
    if (!session) {
        return blamePeers(session.error());
    }
    reportSetup(reporter, request, context, **session, *device, threads);
    TrainingLoop loop(request, context, reporter, **group, **session);
    auto summary = loop.run();
    if (!summary) {
        return blamePeers(summary.error());
    }
    return summary;
}

}  // namespace trainyard::engine
