#include "core/engine/inspect/CheckVerb.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <limits>
#include <optional>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/export/ChildProcess.h"
#include "core/engine/inspect/Preflight.h"
#include "core/engine/inspect/Probe.h"
#include "core/engine/train/Trainer.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;

/// Samples of a rank in the first, small trial.
constexpr std::int64_t kSmallShare = 8;
constexpr std::int64_t kTrialMillis = 240'000;
/// Of what is free, a run may be promised so much; the rest is the system's and the estimate's own error.
constexpr double kPromised = 0.97;
constexpr double kTight = 0.85;
/// A sample takes at most so many times its layers' outputs; a whole batch is tried unmeasured only where even that
/// fits.
constexpr std::int64_t kWorstFactor = 4;

/// The ranks of one trial.
struct Trial {
    std::vector<ProbeResult> ranks;  ///< Empty: memory did not suffice.
    [[nodiscard]] bool fits() const { return !ranks.empty(); }
};

class PreflightFolder {
public:
    PreflightFolder() {
        std::error_code failed;
        std::string pattern = (std::filesystem::temp_directory_path(failed) / "trainyard-check-XXXXXX").string();
        if (!failed && ::mkdtemp(pattern.data()) != nullptr) {
            m_path = pattern;
        }
    }
    ~PreflightFolder() { (void) base::removeTree(m_path); }
    PreflightFolder(const PreflightFolder&) = delete;
    PreflightFolder& operator=(const PreflightFolder&) = delete;
    [[nodiscard]] const Path& path() const { return m_path; }

private:
    Path m_path;
};

Result<Trial> tryShare(const Json& spec, std::int64_t share, bool timed, int world, const Path& folder) {
    TRAINYARD_TRY(base::makeDirs(folder));
    std::vector<std::future<Result<ChildResult>>> children;
    const ProbeRequest request{spec, share, timed, base::monotonicNanos()};
    TRAINYARD_TRY(base::writeFileAtomically(folder / kProbeRequestFile, base::dumpJson(toJson(request))));
    for (int rank = 0; rank < world; ++rank) {
        const Path own = folder / std::to_string(rank);
        TRAINYARD_TRY(base::makeDirs(own));
        // A thread each: the child dies with the thread that started it.
        children.push_back(std::async(std::launch::async, [=] {
            return runChild(
                {ownProgram(), "check", "--rank", folder.string(), std::to_string(rank), std::to_string(world)}, own,
                base::Deadline::inMillis(kTrialMillis));
        }));
    }
    Trial trial;
    std::optional<Error> failure;
    bool memory = false;
    for (int rank = 0; rank < world; ++rank) {
        const auto ended = children[static_cast<std::size_t>(rank)].get();
        if (!ended) {
            return ended.error();
        }
        if (ended->timedOut) {
            return Error{"check.slow", "The trial did not end within " + std::to_string(kTrialMillis / 1000) +
                                           " s. Take a smaller batch to try, or launch the run without a trial."};
        }
        const auto text = base::readFile(folder / std::to_string(rank) / kProbeResultFile);
        const auto json = text ? base::parseJson(*text) : Result<Json>(text.error());
        if (json && json->contains("error")) {
            const Json& said = (*json)["error"];
            Error error{base::jsonText(said, "code"), base::jsonText(said, "message"), base::jsonText(said, "field")};
            memory = memory || error.code == "engine.memory";
            // Of a rank that fails by itself and those that lose it, the first is the reason.
            if (!failure || failure->code == "train.peer") {
                failure = std::move(error);
            }
            continue;
        }
        if (!json) {
            // Killed without a word is what the kernel does where memory runs out.
            memory = memory || ended->signal == SIGKILL || ended->signal == SIGBUS;
            failure = failure ? failure
                              : Error{"check.failed",
                                      "The trial ended with " +
                                          (ended->signal != 0 ? "signal " + std::to_string(ended->signal)
                                                              : "status " + std::to_string(ended->exitStatus)) +
                                          ". " + std::string(base::trim(ended->errors))};
            continue;
        }
        auto result = probeResultFromJson(*json);
        if (!result) {
            return result.error();
        }
        trial.ranks.push_back(std::move(*result));
    }
    if (failure && !memory) {
        return *failure;
    }
    if (failure) {
        trial.ranks.clear();
    }
    return trial;
}

using MemoryPart = MemoryAt ProbeResult::*;

/// All ranks of the machine together.
MemoryAt summed(const Trial& trial, MemoryPart part) {
    MemoryAt sum;
    for (const ProbeResult& rank : trial.ranks) {
        sum.share = (rank.*part).share;
        sum.trained += (rank.*part).trained;
        sum.peak += (rank.*part).peak;
    }
    return sum;
}

/// The rank that takes most.
MemoryAt fullest(const Trial& trial, MemoryPart part) {
    MemoryAt most;
    for (const ProbeResult& rank : trial.ranks) {
        most = (rank.*part).peak >= most.peak ? rank.*part : most;
    }
    return most;
}

template <class Number>
Number largest(const Trial& trial, Number ProbeResult::*member) {
    Number most{};
    for (const ProbeResult& rank : trial.ranks) {
        most = std::max(most, rank.*member);
    }
    return most;
}

/// The longest of the ranks: they wait for each other.
double longest(const Trial& trial, Pace ProbeResult::*pace, double count) {
    double most = 0;
    for (const ProbeResult& rank : trial.ranks) {
        most = std::max(most, (rank.*pace).whole(count));
    }
    return most;
}

/// The pre-flight of one specification.
class Preflight {
public:
    Preflight(const TrainRequest& request, Json document, const VerbProgress& progress)
        : m_task(request.spec.train), m_nodes(std::max<std::int64_t>(1, request.spec.distribution.nodes)),
          m_local(static_cast<int>(std::clamp<std::int64_t>(request.spec.distribution.processes, 1, 4096))),
          m_document(std::move(document)), m_progress(progress) {}

    Result<Json> run();

private:
    /// What limits, in terms of one share.
    struct Limit {
        MemoryModel model;
        std::int64_t bytes = 0;  ///< That are there.
        std::string what;        ///< For people: "memory".
    };
    struct Limits {
        std::vector<Limit>
            parts;  ///< The processes' memory first, then their address space if it is limited; a GPU's last.
        [[nodiscard]] bool fit(std::int64_t share) const {
            return tightest(share).model.at(share) <= tightest(share).bytes;
        }
        [[nodiscard]] std::int64_t most() const;
        /// The one that is filled most. Precondition: there is one.
        [[nodiscard]] const Limit& tightest(std::int64_t share) const;
    };
    [[nodiscard]] std::int64_t world() const { return m_nodes * m_local; }
    void settleLimits(const Trial& small, const Trial& large);
    Result<Trial> trial(std::int64_t share, bool timed, const char* text);
    [[nodiscard]] Json answer(const Trial& known, bool measured, std::int64_t share) const;
    void addTimes(Json& json, const Trial& trial) const;
    void judge(Json& json, const Trial& known, bool fits, bool measured, std::int64_t share) const;

    const spec::TrainTask& m_task;
    const std::int64_t m_nodes;
    const int m_local;
    const Json m_document;
    const VerbProgress& m_progress;
    PreflightFolder m_folder;
    MemoryRoom m_room;
    Limits m_limits;
    int m_trials = 0;
    double m_checkpointSeconds = std::numeric_limits<double>::max();  ///< The least of all trials.
    double m_savingSeconds = std::numeric_limits<double>::max();
};

const Preflight::Limit& Preflight::Limits::tightest(std::int64_t share) const {
    return *std::ranges::max_element(parts, {}, [share](const Limit& part) {
        return static_cast<double>(part.model.at(share)) / static_cast<double>(std::max<std::int64_t>(1, part.bytes));
    });
}

std::int64_t Preflight::Limits::most() const {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const Limit& part : parts) {
        least = std::min(least,
                         part.model.mostWithin(static_cast<std::int64_t>(kPromised * static_cast<double>(part.bytes))));
    }
    return least;
}

Result<Trial> Preflight::trial(std::int64_t share, bool timed, const char* text) {
    m_progress(Json{{"stage", "check"}, {"done", m_trials}, {"total", 3}, {"unit", "trials"}, {"text", text}});
    auto tried = tryShare(m_document, share, timed, m_local, m_folder.path() / std::to_string(m_trials++));
    if (tried.ok() && tried->fits()) {
        // Files are as large in each trial, and each may meet a disk that stands still.
        const ProbeResult& lead = tried->ranks.front();
        m_checkpointSeconds = std::min(m_checkpointSeconds, lead.checkpointSeconds);
        m_savingSeconds = std::min(m_savingSeconds, lead.savingSeconds);
    }
    return tried;
}

void Preflight::settleLimits(const Trial& small, const Trial& large) {
    const ProbeResult& one = large.ranks.front();
    // The loader's batches at least: made ahead, given out, and what the step holds.
    constexpr std::int64_t kCopies = 5;
    const std::int64_t least = one.inputElements * 4 * kCopies;
    const std::int64_t later = std::max<std::int64_t>(0, one.mostKept - one.kept);
    m_limits.parts.clear();
    m_limits.parts.push_back({MemoryModel(summed(small, &ProbeResult::resident), summed(large, &ProbeResult::resident),
                                          least * m_local, later * m_local),
                              m_room.freeBytes,
                              m_room.limit == "cgroup" ? "the memory that its control group leaves" : "memory"});
    if (m_room.addressBytes >= 0) {
        // It grows in large pieces, so that between small trials it may not grow at all; but what is used has an
        // address.
        const std::int64_t used = m_limits.parts.front().model.perSample() / m_local;
        m_limits.parts.push_back(
            {MemoryModel(fullest(small, &ProbeResult::address), fullest(large, &ProbeResult::address), used, later),
             m_room.addressBytes, "address space for each process (ulimit -v)"});
    }
    if (one.deviceFree > 0) {
        m_limits.parts.push_back({MemoryModel(fullest(small, &ProbeResult::deviceMemory),
                                              fullest(large, &ProbeResult::deviceMemory), least, 0),
                                  one.deviceFree, "GPU memory"});
    }
}

Result<Json> Preflight::run() {
    if (m_folder.path().empty()) {
        return Error{"check.folder", "No temporary folder could be made to try the run in. Is the disk full?"};
    }
    // Before any trial takes its part.
    m_room = memoryRoom();
    std::int64_t share = (m_task.batchSize + world() - 1) / world();
    const std::int64_t smallShare = std::min(kSmallShare, share > 2 ? share / 2 : share);
    auto small = trial(smallShare, /*timed=*/false, "Trying a few samples");
    if (!small) {
        return small.error();
    }
    if (!small->fits()) {
        return answer({}, /*measured=*/false, share);
    }
    const ProbeResult& one = small->ranks.front();
    share = std::min(share, (one.trainingSamples + world() - 1) / world());
    const auto unmeasured = [&](std::int64_t most) {
        return one.activations * 4 * kWorstFactor * (share - smallShare) * m_local +
                   summed(*small, &ProbeResult::resident).peak <=
               most;
    };
    settleLimits(*small, *small);
    const bool clear = m_limits.parts.size() == 1 &&
                       unmeasured(static_cast<std::int64_t>(kTight * static_cast<double>(m_room.freeBytes)));
    if (!clear && share > 2 * smallShare) {
        auto second = trial(2 * smallShare, /*timed=*/false, "Trying some more samples");
        if (!second) {
            return second.error();
        }
        if (!second->fits()) {
            return answer(*small, /*measured=*/false, share);
        }
        settleLimits(*small, *second);
        if (!m_limits.fit(share)) {
            return answer(*second, /*measured=*/false, share);
        }
    }
    auto whole = trial(share, /*timed=*/true, "Trying the whole batch");
    if (!whole) {
        return whole.error();
    }
    if (!whole->fits()) {
        return answer(*small, /*measured=*/false, share);
    }
    if (share > smallShare) {
        settleLimits(*small, *whole);
    } else {
        // One or two samples: what a further one takes shows with twice as many.
        auto more = trial(2 * share, /*timed=*/false, "Trying some more samples");
        settleLimits(*whole, more.ok() && more->fits() ? *more : *whole);
    }
    return answer(*whole, /*measured=*/true, share);
}

void Preflight::addTimes(Json& json, const Trial& trial) const {
    const ProbeResult& lead = trial.ranks.front();
    const double steps = static_cast<double>(lead.trainingSamples) /
                         static_cast<double>(std::min(m_task.batchSize, lead.trainingSamples));
    const double validated = static_cast<double>((lead.validationSamples + world() - 1) / world());
    const double epochs = static_cast<double>(m_task.epochs);
    // last.ckpt where it is due and in the end; best.ckpt after the first epoch and, as is usual, every second one.
    const double every =
        m_task.checkpointEveryEpochs > 0 ? 1.0 / static_cast<double>(m_task.checkpointEveryEpochs) : 0.0;
    const double saving = m_checkpointSeconds * (0.5 + every);
    const double ending = m_checkpointSeconds * (1.5 - every) + m_savingSeconds;
    const double first =
        longest(trial, &ProbeResult::first, steps) + longest(trial, &ProbeResult::firstValidation, validated) + saving;
    const double laterValidation = longest(trial, &ProbeResult::laterValidation, validated) + saving;
    const double later = longest(trial, &ProbeResult::later, steps) + laterValidation;
    const spec::WeightsSpec& weights = m_task.model.weights;
    const bool unfreezes = lead.unfrozen.done > 0;
    const double frozen = unfreezes ? static_cast<double>(weights.unfreezeEpoch) : epochs;
    const double unfrozen = longest(trial, &ProbeResult::unfrozen, steps) + laterValidation;
    const double setup = largest(trial, &ProbeResult::readySeconds);
    const double total = setup + first + (frozen - 1) * later + (epochs - frozen) * unfrozen + ending;
    json["setup_seconds"] = setup;
    json["first_step_seconds"] = largest(trial, &ProbeResult::firstStep);
    json["step_seconds"] = unfreezes ? lead.unfrozen.each : lead.first.each;
    json["first_epoch_seconds"] = first;
    json["epoch_seconds"] = unfreezes ? unfrozen : later;
    json["seconds_per_epoch"] = json["epoch_seconds"];
    json["total_seconds"] = total;
    json["seconds_total"] = total;
}

Json Preflight::answer(const Trial& known, bool measured, std::int64_t share) const {
    Json json;
    for (const char* name : {"setup_seconds", "first_step_seconds", "step_seconds", "first_epoch_seconds",
                             "epoch_seconds", "seconds_per_epoch", "total_seconds", "seconds_total"}) {
        json[name] = 0.0;
    }
    json["processes"] = m_local;
    json["device"] = "";
    json["threads"] = 0;
    json["parameters"] = 0;
    json["steps_per_epoch"] = 0;
    json["total_steps"] = 0;
    json["disk_bytes"] = 0;
    json["memory_bytes"] = 0;
    json["device_memory_bytes"] = 0;
    json["device_memory_free_bytes"] = 0;
    json["memory_free_bytes"] = m_room.freeBytes;
    json["address_space_bytes"] = 0;
    json["address_space_limit_bytes"] = std::max<std::int64_t>(0, m_room.addressBytes);
    bool fits = measured;
    if (known.fits()) {
        const ProbeResult& lead = known.ranks.front();
        const std::int64_t steps = (lead.trainingSamples + m_task.batchSize - 1) / m_task.batchSize;
        json["device"] = lead.device;
        json["threads"] = lead.threads;
        json["parameters"] = lead.parameters;
        json["steps_per_epoch"] = steps;
        json["total_steps"] = steps * m_task.epochs;
        json["memory_bytes"] = m_limits.parts.front().model.at(share);
        if (m_room.addressBytes >= 0) {
            json["address_space_bytes"] = m_limits.parts[1].model.at(share);
        }
        // last.ckpt and best.ckpt, and for the moment of writing a third.
        constexpr std::int64_t kSmallFiles = 1 << 20;
        json["disk_bytes"] = lead.checkpointBytes * 3 + lead.outputBytes + kSmallFiles;
        if (lead.deviceFree > 0) {
            json["device_memory_bytes"] = m_limits.parts.back().model.at(share);
            json["device_memory_free_bytes"] = lead.deviceFree;
        }
        fits = fits && m_limits.fit(share);
    }
    json["peak_memory_bytes"] = json["memory_bytes"];
    if (measured) {
        addTimes(json, known);
    }
    judge(json, known, fits, measured, share);
    return json;
}

void Preflight::judge(Json& json, const Trial& known, bool fits, bool measured, std::int64_t share) const {
    Json messages = Json::array();
    const auto say = [&messages](const char* severity, const char* field, std::string text) {
        messages.push_back({{"severity", severity}, {"field", field}, {"text", std::move(text)}});
    };
    const std::int64_t samples = known.fits() ? known.ranks.front().trainingSamples : 0;
    const std::int64_t mostShare = known.fits() ? m_limits.most() : 0;
    const std::int64_t largestBatch =
        mostShare >= std::numeric_limits<std::int64_t>::max() / world() ? 0 : mostShare * world();
    json["largest_batch"] = largestBatch > 0 && largestBatch < samples && (fits || largestBatch < m_task.batchSize)
                                ? Json(largestBatch)
                                : Json();
    json["fits"] = fits;
    json["measured"] = measured;
    const std::string batch = base::formatCount(m_task.batchSize);
    const Limit* tight = known.fits() ? &m_limits.tightest(share) : nullptr;
    const std::int64_t need = tight != nullptr ? tight->model.at(share) : 0;
    const std::int64_t there = tight != nullptr ? tight->bytes : m_room.freeBytes;
    const std::string what = tight != nullptr ? tight->what : "memory";
    const std::string pictures = m_task.dataset.kind == "images" ? ", smaller images (task.dataset.image_size)" : "";
    const std::string ranks = m_local > 1 ? ", fewer processes (distribution.processes)" : "";
    if (!fits && largestBatch > 0 && largestBatch < m_task.batchSize) {
        // As many parts as bring one down to what fits.
        const std::int64_t parts = m_task.accumulation * ((share + mostShare - 1) / mostShare);
        say("error", "task.batch_size",
            "A batch of " + std::to_string(m_task.batchSize) + " needs about " + base::formatBytes(need) + " of " +
                what + (m_local > 1 ? " in " + std::to_string(m_local) + " processes" : "") + ", and " +
                base::formatBytes(there) + " are there. The largest batch that fits is " +
                std::to_string(largestBatch) + "; or set task.accumulation to " + std::to_string(parts) +
                ", which takes the same steps in parts that fit.");
    } else if (!fits && known.fits() && need <= there) {
        say("error", "task.batch_size",
            "Memory ran out when a batch of " + std::to_string(m_task.batchSize) + " was tried, though " +
                base::formatBytes(there) + " of " + what +
                " seemed enough. Take a smaller one, or set task.accumulation to " +
                std::to_string(2 * m_task.accumulation) + ": the same steps with half as much at once.");
    } else if (!fits) {
        const std::int64_t kept = known.fits() ? known.ranks.front().mostKept * m_local : 0;
        const bool cache = kept > 0 && need - kept < there;
        say("error", cache ? "task.dataset.cache_mib" : "task.batch_size",
            known.fits() ? "The run needs about " + base::formatBytes(need) + " of " + what + ", and " +
                               base::formatBytes(there) + " are there. " +
                               (cache ? "Of that " + base::formatBytes(kept) +
                                            " are pictures kept decoded: lower task.dataset.cache_mib."
                                      : "Take a smaller model" + pictures + ranks + ".")
                         : "Not even a few samples fit into the " + base::formatBytes(m_room.freeBytes) +
                               " of memory that are free" +
                               (m_room.addressBytes >= 0 ? " and the " + base::formatBytes(m_room.addressBytes) +
                                                               " of address space that ulimit -v leaves each process"
                                                         : std::string()) +
                               ". Take a smaller model" + pictures + ranks + ".");
    } else if (static_cast<double>(need) > kTight * static_cast<double>(there)) {
        say("warning", "task.batch_size",
            "About " + base::formatBytes(need) + " of the " + base::formatBytes(there) + " of " + what +
                " that are there will be needed; little is left for anything else.");
    }
    if (samples > 0 && m_task.batchSize > samples) {
        say("warning", "task.batch_size",
            "The batch (" + batch + ") is larger than the training data (" + base::formatCount(samples) +
                " samples), so each epoch is one step.");
    }
    if (m_local > usableCores() && known.fits() && known.ranks.front().device == "cpu") {
        say("warning", "distribution.processes",
            std::to_string(m_local) + " processes share " + std::to_string(usableCores()) +
                " cores of this machine; each gets one thread, and it will be slow.");
    }
    if (m_nodes > 1) {
        say("info", "distribution.nodes",
            "Tried with the " + std::to_string(m_local) + " processes of one machine; the exchange between the " +
                std::to_string(m_nodes) + " machines is not in the times.");
    }
    json["messages"] = std::move(messages);
}

}  // namespace

Result<Json> runCheckVerb(const Json& request, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    reader.require("spec");
    const Json document = reader.object("spec");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const auto train = trainRequestFromJson(document);
    if (!train) {
        return train.error();
    }
    return Preflight(*train, document, progress).run();
}

}  // namespace trainyard::engine
