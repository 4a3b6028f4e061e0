// What is asked of a run while it goes on: a checkpoint now, and a pause, which is a checkpoint and then the end.
#include <QTimer>

#include <optional>
#include <utility>

#include "core/base/Clock.h"
#include "core/commands/RunCommand.h"
#include "core/commands/RunJson.h"
#include "core/commands/Session.h"
#include "core/runs/RunService.h"
#include "core/store/Reader.h"
#include "core/wire/Layout.h"

namespace trainyard::commands {

namespace {

constexpr int kLookMillis = 400;
constexpr int kMostTexts = 200;
constexpr const char* kCheckpointText = "checkpoint";

/// Asks for a checkpoint and waits until the engine says that it is written. Lives on the session's thread.
class CheckpointCommand : public RunCommand {
public:
    using RunCommand::RunCommand;

protected:
    /// The step that the checkpoint stands at.
    virtual void written(std::int64_t step) {
        finish(Json{{"run", m_row.id.str()}, {"number", m_row.number}, {"step", step}});
    }
    [[nodiscard]] virtual bool scriptsToo() const { return true; }
    [[nodiscard]] const store::RunRow& row() const { return m_row; }
    void abort() override {
        if (const auto ticket = std::exchange(m_ticket, std::nullopt)) {
            session().runs().stop(*ticket);
        }
        Command::abort();
    }

private:
    void runOn(const store::RunRow& row, const Json& parameters) override {
        m_row = row;
        base::ObjectReader reader(parameters, "");
        m_deadline = base::Deadline::inMillis(reader.integer("timeout") * 1000);
        const std::string number = "Run " + std::to_string(row.number);
        if (row.state != spec::RunState::Running) {
            finish(Error{"run.not_running", number + " is not training now, so there is nothing to keep.", "run"});
            return;
        }
        if (row.taskKind != "train" && !scriptsToo()) {
            finish(Error{"run.script",
                         number +
                             " is a script: whether it can go on from where it was is its own affair. Ask it for a "
                             "checkpoint, then cancel it.",
                         "run"});
            return;
        }
        look([this](const std::optional<Place>& newest) {
            m_before = newest;
            m_ticket = session().runs().tell(m_row.id, m_row.target, wire::control::kCheckpoint,
                                             ifWanted([this](const Status& told) { asked(told); }));
        });
    }

    /// Which record it is.
    using Place = std::pair<int, std::int64_t>;

    void asked(const Status& told) {
        m_ticket.reset();
        if (!told.ok()) {
            finish(told.error());
        } else if (m_row.taskKind != "train") {
            // Only the script knows when it has done so.
            finish(Json{{"run", m_row.id.str()}, {"number", m_row.number}, {"step", nullptr}});
        } else {
            waitForIt();
        }
    }

    void waitForIt() {
        look([this](const std::optional<Place>& newest) {
            if (newest && newest != m_before) {
                written(m_step);
            } else if (m_deadline.passed()) {
                finish(Error{"run.no_checkpoint",
                             "The checkpoint was asked for, but run " + std::to_string(m_row.number) +
                                 " has not written it yet. It will at a step's end, unless it is stuck.",
                             "timeout"});
            } else {
                QTimer::singleShot(kLookMillis, this, ifWanted([this] { waitForIt(); }));
            }
        });
    }

    /// The newest checkpoint that the run told of.
    void look(std::function<void(const std::optional<Place>&)> then) {
        session().query(
            this, QStringLiteral("texts"),
            [run = m_row.id](store::Reader& index) { return index.itemHeads(run, {"text"}, kMostTexts); },
            ifWanted([this, then = std::move(then)](const Result<std::vector<store::ItemRow>>& texts) {
                if (!texts.ok()) {
                    finish(texts.error());
                    return;
                }
                std::optional<Place> newest;
                for (const store::ItemRow& text : *texts) {
                    if (text.name == kCheckpointText) {
                        newest = Place{text.attempt, text.seq};
                        m_step = text.step;
                    }
                }
                then(newest);
            }));
    }

    store::RunRow m_row;
    base::Deadline m_deadline = base::Deadline::inMillis(0);
    std::optional<Place> m_before;
    std::int64_t m_step = 0;
    std::optional<runs::Ticket> m_ticket;
};

class PauseCommand final : public CheckpointCommand {
public:
    using CheckpointCommand::CheckpointCommand;

private:
    [[nodiscard]] bool scriptsToo() const override { return false; }
    void written(std::int64_t step) override {
        session().runs().cancel(
            row().id, ifWanted([this, step](const Status& told) {
                finish(told.ok() ? Result<Json>(Json{{"run", row().id.str()}, {"number", row().number}, {"step", step}})
                                 : told.error());
            }));
    }
};

}  // namespace

void addRunControlCommands(CommandTable& table) {
    const auto wait = [](std::int64_t seconds) {
        spec::Field field =
            parameter("timeout", "Wait", spec::FieldType::Integer, seconds, "For the checkpoint at most.");
        field.minimum = 0;
        field.maximum = 86'400;
        field.unit = "seconds";
        return field;
    };
    const auto info = [](const char* id, const char* title, const char* help, spec::Field waits) {
        CommandInfo made = commandInfo(id, title, help, {runField(), std::move(waits)});
        made.writes = true;
        return made;
    };
    table.add<CheckpointCommand>(info("run.checkpoint", "Checkpoint now",
                                      "Asks a run for a checkpoint at the next step; it goes on.", wait(120)));
    table.add<PauseCommand>(info(
        "run.pause", "Pause run",
        "Ends a training once it has written a checkpoint; run.resume goes on from there, as a new run.", wait(600)));
}

}  // namespace trainyard::commands
