#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/commands/Command.h"
#include "core/registry/Registry.h"
#include "core/targets/LocalOperations.h"

namespace trainyard::commands {

/// The parameter that names a model version.
[[nodiscard]] spec::Field modelField();
/// "fashion:3"
[[nodiscard]] std::string modelText(const registry::ModelVersionId& id);
/// {"model", "name", "version"}: how every answer begins.
[[nodiscard]] Json modelJson(const registry::ModelVersionId& id);
/// Adds what a card says of the model's kind: kind, kind_title, told, main, sha256, export {possible, file, reason,
/// instead}.
void addKind(Json& answer, const Json& card);

/// Does registry work in a pool thread on behalf of one command, one piece after the other. Lives in the command.
class RegistryWork {
public:
    /// Told how far the work is: done of all bytes. False: stop.
    using Report = registry::Progress;

    /// `work(const registry::Registry&, const Report&)` returns Result<T>, in a pool thread; `progress` gets 0–1 and
    /// `done` the result, both in the main thread, and neither after stop() or the end of this object.
    template <class T>
    void start(const wire::WorkspaceLayout& layout,
               std::function<Result<T>(const registry::Registry&, const Report&)> work,
               std::function<void(double)> progress, std::function<void(Result<T>)> done) {
        m_operation = std::make_unique<targets::ThreadOperation<T>>(
            [layout, work = std::move(work)](const targets::KeepGoing& keepGoing) {
                return work(registry::Registry(layout), [&](std::int64_t bytes, std::int64_t total) {
                    return keepGoing(total > 0 ? std::min(bytes * 1000 / total, std::int64_t{1000}) : 0);
                });
            },
            [progress = std::move(progress)](std::int64_t permille) {
                if (progress) {
                    progress(static_cast<double>(permille) / 1000.0);
                }
            },
            std::move(done));
    }
    void stop() { m_operation.reset(); }

private:
    targets::OperationPtr m_operation;
};

/// Base of the actions on one model version, named "fashion", "fashion:3" or "fashion:production".
class ModelCommand : public Command {
public:
    using Command::Command;

protected:
    void run(const Json& parameters) final;
    /// In the main thread, with the version that was found.
    virtual void runOn(const registry::ModelVersionId& id, const Json& parameters) = 0;
    void abort() override;

    /// Registry work whose failure ends the command; `then` gets what it gave.
    template <class T>
    void work(std::function<Result<T>(const registry::Registry&, const RegistryWork::Report&)> what,
              std::function<void(T)> then, double from = -1, double to = -1, std::string text = {}) {
        std::function<void(double)> progress;
        if (to > from) {
            progress = [this, from, to, text](double share) { reportProgress({from + (to - from) * share, text, {}}); };
        }
        m_work.start<T>(layout(), std::move(what), std::move(progress),
                        ifWanted([this, then = std::move(then)](Result<T> result) {
                            if (!result.ok()) {
                                finish(result.error());
                                return;
                            }
                            then(std::move(*result));
                        }));
    }
    [[nodiscard]] const wire::WorkspaceLayout& layout() const;

private:
    RegistryWork m_work;
};

/// Tells the index about cards that changed, then ends the command with `answer`. The cards are the truth: an index
/// that cannot be written now catches up later, so that is a warning in the answer and no failure.
void finishWithIndex(Session& session, QObject* context, std::vector<registry::ModelVersionId> changed, Json answer,
                     std::function<void(Json)> finish);

/// Adds "model.export"; the others are in ModelCommands.cpp.
void addModelExportCommand(CommandTable& table);

}  // namespace trainyard::commands
