#include "tests/helpers/Program.h"

#include <QFile>
#include <QProcess>
#include <QProcessEnvironment>
#include <QStringList>
#include <csignal>

namespace trainyard::test {

ProgramResult runProgram(const base::Path& program, const std::vector<std::string>& arguments,
                         const ProgramOptions& options) {
    QProcess process;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    for (const auto& [name, value] : options.variables) {
        environment.insert(QString::fromStdString(name), QString::fromStdString(value));
    }
    process.setProcessEnvironment(environment);
    if (!options.folder.empty()) {
        process.setWorkingDirectory(QString::fromStdString(options.folder.string()));
    }
    QStringList list;
    for (const std::string& argument : arguments) {
        list << QString::fromStdString(argument);
    }
    ProgramResult result;
    process.start(QString::fromStdString(program.string()), list);
    if (!process.waitForStarted(options.timeoutMillis)) {
        return result;
    }
    result.started = true;
    process.write(QByteArray::fromStdString(options.input));
    process.closeWriteChannel();
    if (!process.waitForFinished(options.timeoutMillis)) {
        result.timedOut = true;
        process.kill();
        process.waitForFinished(5000);
    }
    result.out = process.readAllStandardOutput().toStdString();
    result.err = process.readAllStandardError().toStdString();
    if (process.exitStatus() == QProcess::NormalExit) {
        result.exitCode = process.exitCode();
    } else {
        result.signal = process.exitCode();  // On Unix QProcess gives the signal's number here.
    }
    return result;
}

base::Path builtProgram(std::string_view name) {
    const QByteArray folder = qgetenv("TRAINYARD_BIN");
    const base::Path bin =
        folder.isEmpty() ? base::executableFolder().parent_path() / "bin" : base::Path(folder.toStdString());
    return bin / name;
}

}  // namespace trainyard::test
