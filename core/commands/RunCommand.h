#pragma once
#include <functional>
#include <string>

#include "core/commands/Command.h"
#include "core/store/Types.h"

namespace trainyard::commands {

/// Base of the actions on one run, named by its whole id, a unique beginning of it, its number or its name.
class RunCommand : public Command {
public:
    using Command::Command;

protected:
    void run(const Json& parameters) final;
    virtual void runOn(const store::RunRow& row, const Json& parameters) = 0;
};

/// What an action is, with the members that most set.
[[nodiscard]] CommandInfo commandInfo(std::string id, std::string title, std::string help,
                                      std::vector<spec::Field> parameters = {});
/// run.checkpoint and run.pause.
void addRunControlCommands(CommandTable& table);
/// The parameter that names the run.
[[nodiscard]] spec::Field runField();
/// A parameter with the usual members set.
[[nodiscard]] spec::Field parameter(std::string path, std::string label, spec::FieldType type, Json defaultValue,
                                    std::string help, bool required = false);

}  // namespace trainyard::commands
