#include "app/cli/Runner.h"

#include <unistd.h>

#include <QCoreApplication>
#include <cstdio>
#include <iostream>
#include <utility>

#include "app/cli/Ask.h"
#include "app/cli/JsonText.h"
#include "app/cli/TargetText.h"
#include "core/base/Text.h"
#include "core/commands/Sample.h"
#include "core/runs/RunService.h"

namespace trainyard::cli {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr int kSettleMillis = 3000;
constexpr int kLogMillis = 100;
constexpr int kCliVersion = 1;

Json envelope(const std::string& action) {
    return Json{{"format", "trainyard.cli"}, {"version", kCliVersion}, {"action", action}};
}

bool isAboutOpening(const std::string& action) { return action == "workspace.init" || action == "workspace.open"; }

}  // namespace

Runner::Runner(Request request) : m_request(std::move(request)), m_progress(!m_request.json && !m_request.quiet) {
    m_logTimer.setInterval(kLogMillis);
    connect(&m_logTimer, &QTimer::timeout, this, &Runner::nextLogs);
    connect(&m_session, &commands::Session::questionAsked, this, &Runner::ask);
    connect(&m_session, &commands::Session::troubled, this, [this](const QString& code, const QString& message) {
        if (!code.isEmpty() && !m_request.json && !m_request.quiet) {
            m_progress.clear();
            m_lastTrouble = message.toStdString();
            std::cerr << "trainyard-cli: " << m_lastTrouble << std::endl;
        }
    });
}

Runner::~Runner() = default;

void Runner::start() {
    const commands::CommandInfo* info = commands::allCommands().find(m_request.action);
    const bool mayNeedDraft = !m_request.spec.draft.empty();
    if (isAboutOpening(m_request.action) || !(info->needsWorkspace || mayNeedDraft)) {
        carryOut();
        return;
    }
    openThen([this] { carryOut(); });
}

void Runner::openThen(std::function<void()> next) {
    std::string folder = m_request.workspace;
    if (folder.empty()) {
        folder = qEnvironmentVariable("TRAINYARD_WORKSPACE").toStdString();
    }
    m_session.start("workspace.open", Json{{"folder", folder}}, this,
                    [this, next = std::move(next)](const Result<Json>& opened) {
                        if (!opened.ok()) {
                            fail(opened.error(), kWorkspaceTrouble);
                            return;
                        }
                        // What happened while nobody looked is taken in first, so that the answer is true.
                        m_session.runs().settle(kSettleMillis, next);
                    });
}

void Runner::carryOut() {
    if (takesRunSpec(m_request.action)) {
        submitOrCheck();
        return;
    }
    if (m_request.action == "target.add") {
        defineTarget({});
        return;
    }
    if (m_request.action == "target.edit") {
        m_session.start("target.show", m_request.parameters, this, [this](const Result<Json>& shown) {
            if (shown.ok()) {
                defineTarget(shown->at("spec"));
            } else {
                fail(shown.error());
            }
        });
        return;
    }
    if (m_request.action == "environment.edit") {
        m_session.start("environment.show", m_request.parameters, this, [this](const Result<Json>& shown) {
            if (shown.ok()) {
                startWith(makeEnvironmentDocument(m_request.targetSource, shown->at("spec")));
            } else {
                fail(shown.error());
            }
        });
        return;
    }
    if (definesEnvironment(m_request.action)) {
        startWith(makeEnvironmentDocument(m_request.targetSource, {}));
        return;
    }
    if (asksFirst(m_request.action) && !confirmed()) {
        quit(kActionFailed);
        return;
    }
    if (m_request.action == "workspace.open" && !m_request.parameters.contains("folder") &&
        !m_request.workspace.empty()) {
        m_request.parameters["folder"] = m_request.workspace;
    }
    if (m_request.action == "run.watch" || m_request.action == "run.wait") {
        m_run = textOf(m_request.parameters, "run");
        m_runNumber = m_run;
        watch();
        return;
    }
    startAction(m_request.parameters);
}

void Runner::submitOrCheck() {
    Json draft;
    if (!m_request.spec.draft.empty()) {
        const Result<Json> drafts = commands::listDrafts(m_session.workspace().layout);
        if (!drafts.ok()) {
            fail(drafts.error());
            return;
        }
        for (const Json& one : drafts->at("drafts")) {
            if (textOf(one, "id") == m_request.spec.draft) {
                draft = one.at("spec");
            }
        }
        if (draft.is_null()) {
            fail({"run.unknown", "The workspace has no draft \"" + m_request.spec.draft + "\".", "draft"});
            return;
        }
    }
    startWith(makeDocument(m_request.spec, draft));
}

void Runner::defineTarget(const Json& present) { startWith(makeTargetDocument(m_request.targetSource, present)); }

void Runner::startWith(const Result<Json>& document) {
    if (!document.ok()) {
        fail(document.error());
        return;
    }
    Json parameters = m_request.parameters;
    parameters["spec"] = *document;
    startAction(std::move(parameters));
}

void Runner::ask(std::int64_t question, const targets::Question& what) {
    m_progress.clear();
    const std::optional<std::string> answer = askOnTerminal(what);
    if (!answer && !m_request.json && !hasTerminal()) {
        std::cerr << "trainyard-cli: " << base::stripControl(what.text.substr(0, 2000))
                  << "\nThere is no terminal to ask on, so the answer is no." << std::endl;
    }
    m_session.answerQuestion(question, answer);
}

void Runner::tellUpload(const Json& upload) {
    const std::int64_t total = integerOf(upload, "bytes_total");
    const std::int64_t left = integerOf(upload, "eta_ns");
    const bool whole = integerOf(upload, "bytes_done") >= total;
    const std::string step = textOf(upload, "step");
    if (m_uploadTold || total <= 0 || (left <= 0 && !whole) || (step != "upload" && step != "engine")) {
        return;
    }
    m_uploadTold = true;
    if (!m_request.json && !m_request.quiet) {
        m_progress.clear();
        std::cerr << base::stripControl(textOf(upload, "text")) << ": " << base::formatBytes(total)
                  << (whole ? "" : ", about " + base::formatDuration(left)) << std::endl;
    }
}

void Runner::startAction(Json parameters) {
    commands::Command* command = m_session.start(m_request.action, std::move(parameters));
    connect(command, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        if (m_request.action == "run.submit") {
            tellUpload(progress.detail);
        }
        if (progress.fraction >= 0) {
            const int percent = static_cast<int>(progress.fraction * 100);
            m_progress.show(progress.text + (progress.text.empty() ? "" : " ") + std::to_string(percent) + " %");
        } else if (m_request.action == "target.doctor" || m_request.action == "target.build-engine") {
            if (!m_request.json && !m_request.quiet) {
                std::cerr << (progress.detail.is_object() ? doctorText(progress.detail)
                                                          : base::stripControl(progress.text))
                          << std::endl;
            }
        } else if (!progress.text.empty()) {
            m_progress.show(progress.text);
        }
    });
    connect(command, &commands::Command::finished, this, [this](const Result<Json>& result) { take(result); });
}

void Runner::take(const Result<Json>& result) {
    m_progress.clear();
    if (!result.ok()) {
        fail(result.error());
        return;
    }
    if (m_request.action == "run.logs") {
        takeLogs(result);
        return;
    }
    if (m_request.action == "environment.validate") {
        succeed(*result, memberOf(*result, "errors").empty() ? kOk : kInvalidSpec);
        return;
    }
    if (!m_request.wait) {
        // Pictures that could not be read are named in the answer; a script must not take it for whole.
        succeed(*result, m_request.action == "model.predict" && integerOf(*result, "failed") > 0 ? kActionFailed : kOk);
        return;
    }
    m_run = textOf(*result, "run");
    m_runNumber = textOf(*result, "number");
    if (!m_request.json && !m_request.quiet && m_request.action != "run.cancel") {
        std::cerr << describe(m_request.action, *result) << std::flush;
    }
    watch();
}

// ---------------------------------------------------------------------------------------------------- waiting

void Runner::watch() {
    commands::Command* command = m_session.start("run.watch", Json{{"run", m_run}});
    connect(command, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        const Json& run = progress.detail;
        m_run = textOf(run, "run");
        m_runNumber = textOf(run, "number");
        m_manyRanks = run.at("processes").get<std::int64_t>() > 1;
        const std::string state = textOf(run, "state");
        if (m_progress.isShown()) {
            m_progress.show(progressText(run, m_progress.columns()));
        } else if (state != m_lastState && !m_request.json && !m_request.quiet &&
                   !spec::isFinal(spec::runStateFromString(state).value_or(spec::RunState::Draft))) {
            std::cerr << "Run " << m_runNumber << " " << state << std::endl;
        }
        m_lastState = state;
        if (m_request.log && !m_request.json && !m_logTimer.isActive()) {
            m_logTimer.start();
        }
    });
    connect(command, &commands::Command::finished, this, [this](const Result<Json>& result) { takeWatched(result); });
}

void Runner::takeWatched(const Result<Json>& result) {
    if (!result.ok()) {
        m_progress.clear();
        fail(result.error());
        return;
    }
    m_shown = std::make_unique<Json>(*result);
    if (m_request.log && !m_request.json) {
        m_logTimer.start();
        nextLogs();
        return;
    }
    finishWatch(*m_shown);
}

void Runner::finishWatch(const Json& shown) {
    m_progress.clear();
    const std::string state = textOf(shown, "state");
    int code = state == "Failed" ? kRunFailed : state == "Canceled" ? kRunCanceled : kOk;
    if (m_request.action == "run.wait" && code == kRunFailed) {
        code = exitCodeOfRun(shown).value_or(kRunFailed);
    }
    const bool asked = m_request.action == "run.cancel";
    if (m_request.json) {
        succeed(shown, asked ? kOk : code);
        return;
    }
    print(describe(m_request.action == "run.wait" ? "run.wait" : "run.watch", shown));
    if (const auto compared = shown.find("reproduced");
        compared != shown.end() && compared->is_object() && !m_request.quiet) {
        print(describe("run.compare", *compared));
    }
    quit(asked ? kOk : code);
}

void Runner::nextLogs() {
    if (std::exchange(m_logRuns, true)) {
        return;
    }
    Json parameters = m_request.action == "run.logs" ? m_request.parameters : Json{{"run", m_run}};
    const auto search = parameters.find("search");
    if (search != parameters.end() && *search != "") {
        parameters["after"] = m_logNext;
    } else {
        parameters.erase("after");
        parameters["place"] = m_logPlace.empty() ? "start" : m_logPlace;
    }
    parameters.erase("tail");
    m_session.start("run.logs", std::move(parameters), this, [this](const Result<Json>& result) { takeLogs(result); });
}

void Runner::takeLogs(const Result<Json>& result) {
    m_logRuns = false;
    if (m_finished) {
        return;
    }
    if (!result.ok()) {
        fail(result.error());
        return;
    }
    const Json& lines = result->at("lines");
    m_logNext = result->value("next", m_logNext);
    m_logPlace = textOf(*result, "place");
    const bool manyNodes = result->at("nodes").get<int>() > 1;
    const bool more = lines.size() >= 10'000;
    if (m_request.json && !m_request.follow) {
        succeed(*result);
        return;
    }
    std::string out;
    for (const Json& line : lines) {
        const bool ofRank = !line.at("rank").is_null() && line.at("rank").get<int>() > 0;
        m_manyRanks = m_manyRanks || ofRank;
        // With --json and --follow: a line of JSON each, as they come.
        out += (m_request.json ? base::dumpJson(line) : logText(line, m_manyRanks, manyNodes)) + "\n";
    }
    if (!out.empty()) {
        m_progress.clear();
        print(out);
    }
    if (m_request.action != "run.logs") {
        if (m_shown && !more) {
            finishWatch(*m_shown);
        } else if (more) {
            nextLogs();
        }
        return;
    }
    const bool ended = result->at("ended").get<bool>();
    if (more) {
        nextLogs();
    } else if (!m_request.follow || (ended && lines.empty())) {
        quit(kOk);
    } else if (!m_logTimer.isActive()) {
        m_logTimer.start();
    }
}

void Runner::interrupt() {
    m_progress.clear();
    if (!m_run.empty() && !m_request.json) {
        std::cerr << "Run " << m_runNumber << " goes on. Come back with: trainyard-cli run watch " << m_runNumber
                  << "\nStop it with: trainyard-cli run cancel " << m_runNumber << std::endl;
    }
    quit(kInterrupted);
}

// ---------------------------------------------------------------------------------------------------- ending

bool Runner::confirmed() const {
    if (m_request.yes || m_request.json || ::isatty(STDIN_FILENO) != 1) {
        return true;
    }
    if (m_request.action == "run.give-up") {
        std::cerr << "Give up run " << textOf(m_request.parameters, "run")
                  << ", whatever becomes of it on its target? [y/N] " << std::flush;
    } else if (m_request.action == "target.clear-cache" || m_request.action == "environment.clear") {
        std::cerr << "Clear the cache of target " << textOf(m_request.parameters, "target") << "? [y/N] " << std::flush;
    } else {
        const std::string what = m_request.action.substr(0, m_request.action.find('.'));
        std::cerr << "Delete " << what << " " << textOf(m_request.parameters, what.c_str())
                  << (what == "target" || what == "environment" || what == "dataset" ? "? [y/N] "
                                                                                     : " with all its files? [y/N] ")
                  << std::flush;
    }
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

void Runner::succeed(const Json& result, int exitCode) {
    if (m_request.json) {
        Json document = envelope(m_request.action);
        document["result"] = result;
        print(base::dumpJson(document) + "\n");
    } else {
        print(describe(m_request.action, result));
    }
    quit(exitCode);
}

void Runner::fail(const Error& error, int otherwise) {
    m_progress.clear();
    if (m_request.json) {
        Json document = envelope(m_request.action);
        document["error"] = Json{{"code", error.code}, {"message", error.message}, {"field", error.field}};
        print(base::dumpJson(document) + "\n");
    } else if (error.message != m_lastTrouble || !error.field.empty()) {
        std::cerr << "trainyard-cli: " << error.message;
        if (!error.field.empty()) {
            std::cerr << " (" << error.field << ")";
        }
        std::cerr << std::endl;
    }
    const bool hasSpec = takesRunSpec(m_request.action) || m_request.action == "run.resume" ||
                         m_request.action == "run.reproduce" || m_request.action == "target.add" ||
                         m_request.action == "target.edit" || definesEnvironment(m_request.action) ||
                         m_request.action == "environment.import";
    const int known = exitCodeOf(error);
    const int code = known == kActionFailed ? otherwise : known;
    // What is wrong with a parameter of another action was wrong on the command line.
    quit(code == kInvalidSpec && !hasSpec ? kUsage : code);
}

void Runner::quit(int exitCode) {
    if (!std::exchange(m_finished, true)) {
        m_logTimer.stop();
        QCoreApplication::exit(exitCode);
    }
}

void Runner::print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace trainyard::cli
