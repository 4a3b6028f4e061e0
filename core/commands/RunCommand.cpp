#include "core/commands/RunCommand.h"

#include <utility>

#include "core/commands/Session.h"
#include "core/store/Reader.h"

namespace trainyard::commands {

spec::Field parameter(std::string path, std::string label, spec::FieldType type, Json defaultValue, std::string help,
                      bool required) {
    spec::Field field;
    field.path = std::move(path);
    field.label = std::move(label);
    field.type = type;
    field.defaultValue = std::move(defaultValue);
    field.help = std::move(help);
    field.required = required;
    return field;
}

CommandInfo commandInfo(std::string id, std::string title, std::string help, std::vector<spec::Field> parameters) {
    CommandInfo made;
    made.id = std::move(id);
    made.title = std::move(title);
    made.help = std::move(help);
    made.parameters = std::move(parameters);
    return made;
}

spec::Field runField() {
    return parameter("run", "Run", spec::FieldType::Text, Json(),
                     "A run's number, its id or the unique beginning of it, or its name.", true);
}

void RunCommand::run(const Json& parameters) {
    base::ObjectReader reader(parameters, "");
    const std::string text = reader.string("run");
    session().query(
        this, QStringLiteral("resolve"), [text](store::Reader& index) { return index.findRun(text); },
        ifWanted([this, parameters](const Result<store::RunRow>& row) {
            if (row.ok()) {
                runOn(*row, parameters);
                return;
            }
            finish(Error{row.error().code, row.error().message, "run"});
        }));
}

}  // namespace trainyard::commands
