#include "tests/helpers/Scratch.h"

#include <QFile>
#include <QString>

namespace trainyard::test {

Scratch::Scratch() {
    if (!m_dir.isValid()) {
        qFatal("No scratch folder: %s", qPrintable(m_dir.errorString()));
    }
    m_path = base::Path(QFile::encodeName(m_dir.path()).toStdString()) / "with späce";
    if (const base::Status made = base::makeDirs(m_path); !made.ok()) {
        qFatal("%s", made.error().message.c_str());
    }
}

void Scratch::isolate() const {
    const auto point = [&](const char* variable, const char* name) {
        const base::Path folder = m_path / name;
        if (const base::Status made = base::makeDirs(folder); !made.ok()) {
            qFatal("%s", made.error().message.c_str());
        }
        qputenv(variable, QByteArray::fromStdString(folder.string()));
    };
    point("HOME", "home");
    point("XDG_DATA_HOME", "home/.local/share");
    point("XDG_CONFIG_HOME", "home/.config");
    point("XDG_CACHE_HOME", "home/.cache");
    point("XDG_STATE_HOME", "home/.local/state");
    point("XDG_RUNTIME_DIR", "runtime");
    point("TRAINYARD_WORK", "work");
    point("TRAINYARD_SLOTS", "slots");
}

base::Path Scratch::write(std::string_view name, std::string_view bytes) const {
    const base::Path file = m_path / name;
    base::Status status = base::makeDirs(file.parent_path());
    if (status.ok()) {
        status = base::writeFileAtomically(file, bytes);
    }
    if (!status.ok()) {
        qFatal("%s", status.error().message.c_str());
    }
    return file;
}

std::string Scratch::read(std::string_view name) const { return base::readFile(m_path / name).valueOr({}); }

base::Path sourceFolder() {
    const QByteArray set = qgetenv("TRAINYARD_SOURCE");
    return set.isEmpty() ? base::Path(TRAINYARD_TEST_SOURCE) : base::Path(set.toStdString());
}

base::Path testData(std::string_view name) { return sourceFolder() / "tests" / "data" / name; }

}  // namespace trainyard::test
