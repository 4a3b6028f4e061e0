#include "core/engine/inspect/Probe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <type_traits>

#include "core/base/Clock.h"
#include "core/engine/Runtime.h"
#include "core/engine/distributed/ProcessGroup.h"
#include "core/engine/train/Outputs.h"
#include "core/engine/train/RankSetup.h"
#include "core/engine/train/Session.h"
#include "core/engine/train/Trainer.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;

/// Of even steps that are timed, and how many at least and at most.
constexpr double kTimedSeconds = 3.0;
constexpr std::int64_t kLeastTimed = 3;
constexpr std::int64_t kMostTimed = 1000;
constexpr double kValidationSeconds = 2.0;
constexpr std::int64_t kProbeTimeoutMillis = 120'000;

double since(std::int64_t nanos) { return static_cast<double>(base::monotonicNanos() - nanos) * 1e-9; }

/// The trial of one rank; throws what libtorch throws.
class Probe {
public:
    Probe(const ProbeRequest& request, const TrainRequest& run, const RankContext& context, const Path& folder)
        : m_request(request), m_run(run), m_context(context), m_folder(folder) {}

    Result<ProbeResult> measure();

private:
    Status prepare();
    /// Steps of `epoch` from its start on.
    Result<Pace> walk(std::int64_t epoch);
    Result<Pace> validate();
    Status save();
    void noteMemory(bool trainedOnly);
    /// Waits for the device.
    void settle() { (void) m_session->meter().take(); }
    [[nodiscard]] bool keepsPictures() const { return m_session->mostKeptBytes() > 0; }

    const ProbeRequest& m_request;
    const TrainRequest& m_run;
    const RankContext& m_context;
    const Path& m_folder;
    std::unique_ptr<ProcessGroup> m_group;
    std::unique_ptr<Session> m_session;
    TrainingState m_state;
    ProbeResult m_result;
    bool m_begun = false;
};

Status Probe::prepare() {
    const spec::TrainTask& task = m_run.spec.train;
    const auto device = chooseDevice(task.device, m_context.localRank);
    if (!device) {
        return device.error();
    }
    const std::int64_t asked = m_run.threads > 0 ? m_run.threads : task.threads;
    const ThreadPlan plan = planThreads(asked, m_context.localWorld);
    auto data = loadData(task, static_cast<int>(std::clamp<std::int64_t>(plan.threads, 1, 16)));
    if (!data) {
        return data.error();
    }
    const std::int64_t ranks = m_context.world * std::max<std::int64_t>(1, m_run.spec.distribution.nodes);
    if (data->trainingCount() < ranks) {
        return Error{"data.few",
                     "There are fewer training samples (" + std::to_string(data->trainingCount()) +
                         ") than processes (" + std::to_string(ranks) + ").",
                     "distribution.processes"};
    }
    m_result.trainingSamples = data->trainingCount();
    m_result.validationSamples = data->validationCount();
    m_result.device = device->str();
    m_result.threads = settleThreads(plan, asked > 0, task, *data, static_cast<int>(ranks));
    auto group = ProcessGroup::join(m_context, backendOf(m_run.spec, *device), *device);
    if (!group) {
        return group.error();
    }
    m_group = std::move(*group);
    m_result.deviceFree = device->is_cuda() ? freeDeviceBytes() : 0;
    TrainRequest run = m_run;
    run.spec.train.batchSize = m_request.share * m_context.world;
    auto session = Session::make(run, std::move(*data), *m_group, *device);
    if (!session) {
        return session.error();
    }
    m_session = std::move(*session);
    const spec::LayerTable& table = m_session->network().table();
    m_result.parameters = table.parameters();
    m_result.activations = table.activations();
    m_result.inputElements = 1;
    for (const std::int64_t side : table.inputShape) {
        m_result.inputElements *= side;
    }
    m_result.mostKept = m_session->mostKeptBytes();
    return {};
}

Result<Pace> Probe::walk(std::int64_t epoch) {
    m_session->startEpoch(epoch);
    m_state.epoch = epoch;
    m_state.stepInEpoch = 0;
    TRAINYARD_TRY(m_group->barrier());
    (void) m_session->takeTimes();
    // A loader runs evenly once what it made ahead is used up.
    const std::int64_t warm = m_session->data().folder ? 5 : 2;
    const std::int64_t steps = m_session->stepsPerEpoch();
    std::int64_t goal = std::min(steps, warm);
    Pace pace;
    double warmSeconds = 0;
    double before = 0;
    const std::int64_t begin = base::monotonicNanos();
    for (std::int64_t i = 1; i <= goal; ++i) {
        const Session::StepResult step = m_session->step(m_state);
        if (!step.finite && !m_begun) {
            return Error{"train.nan",
                         "The loss is no finite number at step " + std::to_string(m_state.step) +
                             " already. Take a lower learning rate.",
                         "task.optimizer.learning_rate"};
        }
        if (i == 1) {
            settle();
            m_result.firstWait = std::max(m_result.firstWait, m_session->takeTimes().data);
            m_result.firstStep = m_begun ? m_result.firstStep : since(begin);
            before = since(begin);
        }
        if (i == warm && m_request.timed && steps > warm) {
            settle();
            warmSeconds = since(begin);
            // Ranks make the same number of steps.
            std::vector<double> each{(warmSeconds - before) / static_cast<double>(warm - 1) / m_context.world};
            TRAINYARD_TRY(m_group->sum(each));
            const auto wanted = static_cast<std::int64_t>(kTimedSeconds / std::max(each[0], 1e-6));
            goal = std::min(steps, warm + std::clamp(wanted, kLeastTimed, kMostTimed));
        }
    }
    settle();
    m_begun = true;
    pace.seconds = since(begin);
    pace.done = static_cast<double>(goal);
    pace.each = goal > warm ? (pace.seconds - warmSeconds) / static_cast<double>(goal - warm)
                : goal > 1  ? (pace.seconds - before) / static_cast<double>(goal - 1)
                            : pace.seconds;
    return pace;
}

Result<Pace> Probe::validate() {
    TRAINYARD_TRY(m_group->broadcast(m_session->network().buffers()));
    Pace pace;
    double before = 0;
    std::int64_t first = 0;
    int batches = 0;
    const std::int64_t begin = base::monotonicNanos();
    (void) m_session->validate([&](std::int64_t done) {
        ++batches;
        pace.seconds = since(begin);
        pace.done = static_cast<double>(done);
        if (batches == 1) {
            before = pace.seconds;
            first = done;
        }
        return m_request.timed && (pace.seconds < kValidationSeconds || batches < 3);
    });
    const double more = pace.done - static_cast<double>(first);
    pace.each = more > 0 ? (pace.seconds - before) / more : pace.seconds / std::max(1.0, pace.done);
    return pace;
}

Status Probe::save() {
    const Path checkpoint = m_folder / "checkpoint";
    // Twice, as after an epoch: a disk now and then stands still for longer than the writing takes.
    std::int64_t begin = base::monotonicNanos();
    TRAINYARD_TRY(m_session->checkpoint({checkpoint}, m_state));
    m_result.checkpointSeconds = since(begin);
    begin = base::monotonicNanos();
    TRAINYARD_TRY(m_session->checkpoint({m_folder / "best"}, m_state));
    m_result.checkpointSeconds = std::min(m_result.checkpointSeconds, since(begin));
    if (!m_context.leads()) {
        return {};
    }
    const Path outputs = m_folder / "outputs";
    TRAINYARD_TRY(base::makeDirs(outputs));
    begin = base::monotonicNanos();
    TRAINYARD_TRY(writeOutputs(*m_session, m_state, {}, outputs));
    m_result.savingSeconds = since(begin);
    const auto size = [](const Path& file) {
        std::error_code failed;
        const auto bytes = std::filesystem::file_size(file, failed);
        return failed ? std::int64_t{0} : static_cast<std::int64_t>(bytes);
    };
    m_result.checkpointBytes = size(checkpoint);
    for (const auto& entry : std::filesystem::directory_iterator(outputs)) {
        m_result.outputBytes += size(entry.path());
    }
    return {};
}

void Probe::noteMemory(bool trainedOnly) {
    const PeakMemory peak = peakMemory();
    const std::int64_t device = m_result.deviceFree > 0 ? m_result.deviceFree - freeDeviceBytes() : 0;
    for (auto [at, bytes] : {std::pair{&m_result.resident, peak.resident}, std::pair{&m_result.address, peak.address},
                             std::pair{&m_result.deviceMemory, device}}) {
        at->share = m_request.share;
        at->peak = bytes;
        at->trained = trainedOnly ? bytes : at->trained;
    }
}

Result<ProbeResult> Probe::measure() {
    TRAINYARD_TRY(prepare());
    m_result.readySeconds = since(m_request.startedNanos);
    auto first = walk(0);
    if (!first) {
        return first.error();
    }
    m_result.first = *first;
    noteMemory(true);
    auto validation = validate();
    if (!validation) {
        return validation.error();
    }
    m_result.firstValidation = *validation;
    m_result.laterValidation = {0, 0, validation->each};
    m_result.later = {m_result.firstWait, 0, first->each};
    // Once decoded, kept pictures are not decoded again.
    if (m_request.timed && keepsPictures()) {
        auto later = walk(0);
        if (!later) {
            return later.error();
        }
        m_result.later = *later;
        auto again = validate();
        if (!again) {
            return again.error();
        }
        m_result.laterValidation = *again;
    }
    const spec::TrainTask& task = m_run.spec.train;
    if (const spec::WeightsSpec& weights = task.model.weights;
        weights.freeze && weights.unfreezeEpoch > 0 && weights.unfreezeEpoch < task.epochs) {
        auto unfrozen = walk(weights.unfreezeEpoch);
        if (!unfrozen) {
            return unfrozen.error();
        }
        m_result.unfrozen = *unfrozen;
        noteMemory(true);
        // What the whole body's gradients and the optimizer take is there in the validations from now on.
        if (auto after = validate(); !after) {
            return after.error();
        }
    }
    TRAINYARD_TRY(save());
    noteMemory(false);
    m_result.kept = m_session->keptBytes();
    TRAINYARD_TRY(m_group->barrier());
    return m_result;
}

Json paceJson(const Pace& pace) { return Json::array({pace.seconds, pace.done, pace.each}); }
Pace paceOf(const Json& json) { return {json.at(0).get<double>(), json.at(1).get<double>(), json.at(2).get<double>()}; }
Json memoryJson(const MemoryAt& at) { return Json::array({at.share, at.trained, at.peak}); }
MemoryAt memoryOf(const Json& json) {
    return {json.at(0).get<std::int64_t>(), json.at(1).get<std::int64_t>(), json.at(2).get<std::int64_t>()};
}

/// Each member with its name, for both ways.
template <class Visit, class Of>
void eachNumber(Of& result, Visit&& visit) {
    visit("threads", result.threads);
    visit("parameters", result.parameters);
    visit("activations", result.activations);
    visit("input_elements", result.inputElements);
    visit("training_samples", result.trainingSamples);
    visit("validation_samples", result.validationSamples);
    visit("ready_seconds", result.readySeconds);
    visit("first_step", result.firstStep);
    visit("first_wait", result.firstWait);
    visit("checkpoint_seconds", result.checkpointSeconds);
    visit("saving_seconds", result.savingSeconds);
    visit("device_free", result.deviceFree);
    visit("kept", result.kept);
    visit("most_kept", result.mostKept);
    visit("checkpoint_bytes", result.checkpointBytes);
    visit("output_bytes", result.outputBytes);
}

template <class Visit, class Of>
void eachPace(Of& result, Visit&& visit) {
    visit("first", result.first);
    visit("later", result.later);
    visit("unfrozen", result.unfrozen);
    visit("first_validation", result.firstValidation);
    visit("later_validation", result.laterValidation);
}

template <class Visit, class Of>
void eachMemory(Of& result, Visit&& visit) {
    visit("resident", result.resident);
    visit("address", result.address);
    visit("device_memory", result.deviceMemory);
}

Result<ProbeResult> tryRank(const Path& folder, const RankContext& context, const Path& own) {
    auto text = base::readFile(folder / kProbeRequestFile);
    if (!text) {
        return text.error();
    }
    auto json = base::parseJson(*text);
    if (!json) {
        return json.error();
    }
    auto request = probeRequestFromJson(*json);
    if (!request) {
        return request.error();
    }
    auto run = trainRequestFromJson(request->spec);
    if (!run) {
        return run.error();
    }
    return Probe(*request, *run, context, own).measure();
}

}  // namespace

Json toJson(const ProbeRequest& request) {
    return {{"spec", request.spec},
            {"share", request.share},
            {"timed", request.timed},
            {"started_ns", request.startedNanos}};
}

Result<ProbeRequest> probeRequestFromJson(const Json& json) {
    base::ObjectReader reader(json, "");
    ProbeRequest request;
    request.spec = reader.object("spec");
    request.share = reader.integer("share", 1);
    request.timed = reader.boolean("timed", true);
    request.startedNanos = reader.integer("started_ns");
    TRAINYARD_TRY(reader.status());
    return request;
}

Json toJson(const ProbeResult& result) {
    Json json{{"device", result.device}};
    eachNumber(result, [&](const char* name, const auto& value) { json[name] = value; });
    eachPace(result, [&](const char* name, const Pace& pace) { json[name] = paceJson(pace); });
    eachMemory(result, [&](const char* name, const MemoryAt& at) { json[name] = memoryJson(at); });
    return json;
}

Result<ProbeResult> probeResultFromJson(const Json& json) {
    return guarded("reading a rank's trial", [&]() -> Result<ProbeResult> {
        ProbeResult result;
        result.device = json.at("device").get<std::string>();
        eachNumber(result, [&](const char* name, auto& value) {
            value = json.at(name).get<std::remove_reference_t<decltype(value)>>();
        });
        eachPace(result, [&](const char* name, Pace& pace) { pace = paceOf(json.at(name)); });
        eachMemory(result, [&](const char* name, MemoryAt& at) { at = memoryOf(json.at(name)); });
        return result;
    });
}

int runProbeRank(const std::vector<std::string>& words) {
    RankContext context;
    const auto number = [](const std::string& text, int& into) {
        return std::from_chars(text.data(), text.data() + text.size(), into).ec == std::errc();
    };
    if (words.size() != 3 || !number(words[1], context.rank) || !number(words[2], context.world)) {
        std::fputs("check --rank needs FOLDER RANK WORLD\n", stderr);
        return 2;
    }
    // Where memory runs out, it is this process that goes.
    if (std::FILE* score = std::fopen("/proc/self/oom_score_adj", "w"); score != nullptr) {
        std::fputs("1000", score);
        std::fclose(score);
    }
    const Path folder = words[0];
    const Path own = folder / words[1];
    context.localRank = context.rank;
    context.localWorld = context.world;
    context.rendezvous = folder / "rendezvous.json";
    context.timeoutMillis = kProbeTimeoutMillis;
    const auto result = guarded("trying some steps", [&] { return tryRank(folder, context, own); });
    Json answer;
    if (result) {
        answer = toJson(*result);
    } else {
        answer["error"] = {
            {"code", result.error().code}, {"message", result.error().message}, {"field", result.error().field}};
    }
    const Status written = base::writeFileAtomically(own / kProbeResultFile, base::dumpJson(answer));
    return written.ok() && result.ok() ? 0 : 1;
}

}  // namespace trainyard::engine
