#pragma once
#include <QTemporaryDir>
#include <string>
#include <string_view>

#include "core/base/Files.h"

namespace trainyard::test {

/// A folder of its own for one test, with spaces and non-ASCII letters in its path, removed at the end. With
/// isolate(), HOME and the XDG base folders lie in it too, so that nothing of the user is seen or touched.
class Scratch {
public:
    Scratch();
    [[nodiscard]] const base::Path& path() const { return m_path; }
    [[nodiscard]] base::Path operator/(std::string_view name) const { return m_path / name; }

    /// Sets HOME, XDG_{DATA,CONFIG,CACHE,STATE}_HOME, XDG_RUNTIME_DIR and TRAINYARD_WORK of this process to folders in
    /// here.
    void isolate() const;
    /// Writes a file and the folders above it.
    base::Path write(std::string_view name, std::string_view bytes) const;
    /// Content of a file in here; empty when it cannot be read.
    [[nodiscard]] std::string read(std::string_view name) const;

private:
    QTemporaryDir m_dir;
    base::Path m_path;
};

/// The source tree (TRAINYARD_SOURCE, else where the tests were compiled from) and a file of tests/data.
[[nodiscard]] base::Path sourceFolder();
[[nodiscard]] base::Path testData(std::string_view name);

}  // namespace trainyard::test
