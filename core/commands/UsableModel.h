#pragma once
// A trained model by the name that people give it, as the engine can open it.
#include <functional>
#include <optional>
#include <string>

#include "core/base/Files.h"
#include "core/commands/ModelCommand.h"

namespace trainyard::commands {

struct UsableModel {
    base::Path file;                                    ///< The TorchScript file.
    Json card;                                          ///< What the engine wrote beside it.
    Json configuration;                                 ///< The run's specification, or null.
    std::string name;                                   ///< "fashion:3", "run:12"
    std::optional<registry::ModelVersionId> version{};  ///< Of a registered one.
};

/// The parameter that names it.
[[nodiscard]] spec::Field usableModelField();

/// Base of the actions that use a model: "fashion", "fashion:3", "fashion:production" of the registry, or "run:12" for
/// what a finished run left.
class UsableModelCommand : public Command {
public:
    using Command::Command;

protected:
    void run(const Json& parameters) final;
    /// In the main thread. Errors that end the command before: "model.kind" (no model that Trainyard trained),
    /// "model.unknown", "run.no_model", those of the registry's files.
    virtual void useModel(const UsableModel& model, const Json& parameters) = 0;
    void abort() override;

private:
    void findRegistered(const std::string& text, const Json& parameters);
    void findOfRun(const std::string& run, const Json& parameters);

    RegistryWork m_work;
};

}  // namespace trainyard::commands
