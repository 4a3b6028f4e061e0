#pragma once
// A session on a workspace of its own, driven as a face would drive it.
#include <QObject>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/commands/Session.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

class SessionDriver {
public:
    explicit SessionDriver(commands::SessionOptions options = {}) : m_session(options) {}

    commands::Session& session() { return m_session; }

    base::Result<base::Json> run(std::string_view id, base::Json parameters, int timeoutMillis = 30'000) {
        std::optional<base::Result<base::Json>> answer;
        QObject context;
        m_session.start(id, std::move(parameters), &context,
                        [&](const base::Result<base::Json>& result) { answer = result; });
        if (!waitFor([&] { return answer.has_value(); }, timeoutMillis)) {
            return base::Error{"test.timeout", "No answer came to " + std::string(id) + "."};
        }
        return *answer;
    }
    /// The result, or null with the error in lastError().
    base::Json get(std::string_view id, base::Json parameters, int timeoutMillis = 30'000) {
        base::Result<base::Json> result = run(id, std::move(parameters), timeoutMillis);
        m_lastError = result.ok() ? base::Error{} : result.error();
        return result.ok() ? *result : base::Json();
    }
    [[nodiscard]] const std::string& lastError() const { return m_lastError.message; }

    /// Submits a shell script; the run's id, or empty.
    std::string submit(const std::string& script, base::Json more = base::Json::object()) {
        base::Json spec{{"format", "trainyard.run-spec"},
                        {"version", 1},
                        {"experiment", "test"},
                        {"task", {{"kind", "command"}, {"command", {"sh", "-c", script}}}},
                        {"limits", {{"grace_seconds", 1}}}};
        spec.update(more, true);
        const base::Json submitted = get("run.submit", {{"spec", spec}});
        return submitted.is_null() ? std::string() : submitted.at("run").get<std::string>();
    }
    std::string state(const std::string& run) {
        const base::Json shown = get("run.show", {{"run", run}});
        return shown.is_null() ? "?" : shown.at("state").get<std::string>();
    }
    bool waitForState(const std::string& run, const std::string& wanted, int timeoutMillis = 15'000) {
        return waitFor([&] { return state(run) == wanted; }, timeoutMillis);
    }
    /// The run as run.show gives it once it has ended.
    base::Json watch(const std::string& run, int timeoutMillis = 30'000) {
        return get("run.watch", {{"run", run}}, timeoutMillis);
    }
    std::vector<std::string> log(const std::string& run, const std::string& out = {}) {
        std::vector<std::string> lines;
        const base::Json page = get("run.logs", {{"run", run}, {"out", out}});
        if (page.is_object()) {
            for (const base::Json& line : page.at("lines")) {
                lines.push_back(line.at("text").get<std::string>());
            }
        }
        return lines;
    }

private:
    commands::Session m_session;
    base::Error m_lastError;
};

/// The CLI on a workspace.
inline ProgramResult cli(const base::Path& workspace, std::vector<std::string> arguments, int timeoutMillis = 30'000) {
    arguments.insert(arguments.begin(), {"--workspace", workspace.string()});
    ProgramOptions options;
    options.timeoutMillis = timeoutMillis;
    return runProgram(builtProgram("trainyard-cli"), arguments, options);
}

/// The "result" of a call with --json; null when it failed.
inline base::Json cliJson(const base::Path& workspace, std::vector<std::string> arguments, int timeoutMillis = 30'000) {
    arguments.emplace_back("--json");
    const ProgramResult ran = cli(workspace, std::move(arguments), timeoutMillis);
    const auto parsed = base::parseJson(ran.out);
    return parsed.ok() && parsed->contains("result") ? parsed->at("result") : base::Json();
}

}  // namespace trainyard::test
