#pragma once
// A target on a Slurm cluster, driven by a test.
#include <QObject>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/targets/SlurmScript.h"
#include "core/targets/SlurmTarget.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/SlurmLab.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

/// Of any cluster.
class SlurmDriver {
public:
    using State = targets::SchedulerLook::State;

    targets::SlurmTarget& target() { return *m_target; }
    void use(const spec::TargetSpec& spec) { m_target = std::make_unique<targets::SlurmTarget>(spec); }

    [[nodiscard]] static targets::LaunchPlan plan(std::vector<std::string> command) {
        targets::LaunchPlan launch;
        launch.plan.run = base::RunId::make();
        launch.plan.experiment = "lab";
        launch.plan.runName = "a run";
        launch.plan.command = std::move(command);
        launch.plan.graceSeconds = 2;
        launch.plan.diskReserveBytes = 0;
        return launch;
    }
    [[nodiscard]] static targets::LaunchPlan shell(const std::string& text) { return plan({"/bin/sh", "-c", text}); }

    /// Waits for the callback of an operation.
    template <class T>
    [[nodiscard]] static base::Result<T> await(const std::function<targets::OperationPtr(targets::Done<T>)>& begin,
                                               int timeoutMillis = 60'000) {
        std::optional<base::Result<T>> answer;
        const targets::OperationPtr operation =
            begin([&answer](base::Result<T> result) { answer.emplace(std::move(result)); });
        if (!waitFor([&] { return answer.has_value(); }, timeoutMillis)) {
            return base::Error{"test.timeout", "No answer came."};
        }
        return *answer;
    }

    [[nodiscard]] base::Status launch(const targets::LaunchPlan& launch) {
        m_progress.clear();
        return await<void>([&](targets::DoneStatus done) {
            return m_target->launch(
                launch, [this](const targets::LaunchProgress& progress) { m_progress.push_back(progress.text); },
                std::move(done));
        });
    }
    [[nodiscard]] const std::vector<std::string>& progress() const { return m_progress; }
    [[nodiscard]] base::Result<targets::RunLook> look(const base::RunId& run) {
        return await<targets::RunLook>([&](targets::Done<targets::RunLook> done) {
            return m_target->look(run, base::Deadline::inMillis(30'000), std::move(done));
        });
    }
    [[nodiscard]] base::Status command(const base::RunId& run, const std::string& name) {
        return await<void>([&](targets::DoneStatus done) {
            return m_target->command(run, name, base::Deadline::inMillis(30'000), std::move(done));
        });
    }
    [[nodiscard]] State state(const base::RunId& run) {
        const auto found = look(run);
        return found.ok() && found->scheduler ? found->scheduler->state : State::Unknown;
    }
    [[nodiscard]] bool waitForState(const base::RunId& run, State wanted, int timeoutMillis = 30'000) {
        return waitFor([&] { return state(run) == wanted; }, timeoutMillis);
    }

    using Streams = std::map<std::pair<int, int>, std::vector<base::Json>>;  ///< Records by (attempt, node).
    /// Follows the run from the beginning until `enough` holds; what came, in order.
    [[nodiscard]] Streams follow(const base::RunId& run, const std::function<bool(const Streams&)>& enough,
                                 int timeoutMillis = 60'000) {
        Streams streams;
        std::map<std::pair<int, int>, std::string> bytes;
        bool failed = false;
        const targets::OperationPtr operation = m_target->follow(
            run, {},
            [&](const targets::StreamChunk& chunk) {
                const std::pair key{chunk.attempt, chunk.node};
                std::string& rest = bytes[key];
                rest += chunk.bytes;
                for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
                    const auto record = base::parseJson(rest.substr(0, end));
                    rest.erase(0, end + 1);
                    if (record.ok()) {
                        streams[key].push_back(*record);
                    }
                }
            },
            [&](const base::Error& error) {
                failed = true;
                qWarning("following ended: %s", error.message.c_str());
            });
        [[maybe_unused]] const bool done = waitFor([&] { return failed || enough(streams); }, timeoutMillis);
        return streams;
    }
    /// Waits until a line of the attempt's log has the text.
    [[nodiscard]] bool waitForLog(const base::RunId& run, const std::string& text, int attempt = 1,
                                  int timeoutMillis = 60'000) {
        const auto has = [&](const Streams& streams) {
            return logOf(streams, attempt).find(text) != std::string::npos;
        };
        return has(follow(run, has, timeoutMillis));
    }
    [[nodiscard]] static std::function<bool(const Streams&)> ended(int attempt = 1) {
        return [attempt](const Streams& streams) { return !endOf(streams, attempt).is_null(); };
    }
    /// The attempt's last record; null when it has none.
    [[nodiscard]] static base::Json endOf(const Streams& streams, int attempt = 1, int node = 0) {
        const auto found = streams.find({attempt, node});
        if (found != streams.end()) {
            for (const base::Json& record : found->second) {
                if (record.value("kind", std::string()) == "ended") {
                    return record;
                }
            }
        }
        return {};
    }
    /// All log lines of an attempt, from every node.
    [[nodiscard]] static std::string logOf(const Streams& streams, int attempt = 1) {
        std::string text;
        for (const auto& [key, records] : streams) {
            if (key.first != attempt) {
                continue;
            }
            for (const base::Json& record : records) {
                if (record.value("kind", std::string()) == "log") {
                    for (const base::Json& line : record.value("lines", base::Json::array())) {
                        text += line.get<std::string>() + "\n";
                    }
                }
            }
        }
        return text;
    }
    /// Numbers are without gaps in every stream: nothing lost, nothing twice.
    [[nodiscard]] static bool gapless(const Streams& streams) {
        return std::all_of(streams.begin(), streams.end(), [](const auto& stream) {
            std::int64_t next = 1;
            return std::all_of(stream.second.begin(), stream.second.end(), [&next](const base::Json& record) {
                return record.value("seq", std::int64_t{0}) == next++;
            });
        });
    }
    [[nodiscard]] static std::string nameOf(const base::RunId& run) { return targets::slurmJobName(run); }
    /// For a failing test: what the job and its agents said.
    [[nodiscard]] static std::string jobOutput(const base::Path& runFolder) {
        std::string text;
        std::error_code error;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(runFolder, error)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with("slurm-") || name == "agent.log" || name.ends_with(".jsonl")) {
                constexpr std::size_t kTail = 3000;
                const std::string bytes = base::readFile(entry.path()).valueOr(std::string());
                text += entry.path().string() + ":\n" + bytes.substr(bytes.size() > kTail ? bytes.size() - kTail : 0) +
                        "\n";
            }
        }
        return text;
    }

private:
    std::unique_ptr<targets::SlurmTarget> m_target;
    std::vector<std::string> m_progress;
};

/// With a cluster on this machine.
class SlurmRig : public SlurmDriver {
public:
    [[nodiscard]] base::Status start(const SlurmLabOptions& options = {}) {
        TRAINYARD_TRY(m_lab.start(options));
        use(spec());
        return {};
    }
    SlurmLab& lab() { return m_lab; }

    /// The cluster's commands on this machine, the engine of this build where it lies.
    [[nodiscard]] spec::TargetSpec spec() const {
        spec::TargetSpec spec;
        spec.name = "cluster";
        spec.kind = spec::TargetKind::Slurm;
        spec.workFolder = (m_lab.shared() / "work").string();
        spec.engine = builtProgram("trainyard-engine").string();
        spec.python = "/usr/bin/python3";
        spec.slurm.maxNodes = 2;
        spec.slurm.signalSeconds = 0;
        return spec;
    }
    [[nodiscard]] base::Path runFolder(const base::RunId& run) const {
        return m_lab.shared() / "work" / "runs" / run.str();
    }

private:
    SlurmLab m_lab;
};

}  // namespace trainyard::test
