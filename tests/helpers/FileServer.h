#pragma once
// A small HTTP server on the loopback address with the files of one folder (lab/fileserver.py says what its paths do).
#include <QProcess>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Text.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test {

class FileServer {
public:
    /// Serves `folder`; what it needs itself lies beside it. `port` 0: any.
    explicit FileServer(const base::Path& folder, int port = 0) : m_folder(folder) {
        const base::Path portFile = folder.string() + ".port";
        std::filesystem::remove(portFile);
        QStringList arguments;
        for (const std::string& word : {(sourceFolder() / "tests/helpers/lab/fileserver.py").string(), folder.string(),
                                        std::to_string(port), portFile.string(), logFile().string()}) {
            arguments << QString::fromStdString(word);
        }
        m_process.start(QStringLiteral("/usr/bin/python3"), arguments);
        const bool up = waitFor([&] { return std::filesystem::exists(portFile); }, 20'000);
        m_port = up ? std::stoi(base::readFile(portFile).valueOr("0")) : 0;
    }
    ~FileServer() { stop(); }
    FileServer(const FileServer&) = delete;
    FileServer& operator=(const FileServer&) = delete;

    void stop() {
        m_process.kill();
        m_process.waitForFinished(5000);
    }
    /// 0: it did not come up.
    [[nodiscard]] int port() const { return m_port; }
    [[nodiscard]] std::string address(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(m_port) + "/" + path;
    }
    /// What was asked for: "/birds.tar", "/birds.tar bytes=1000-".
    [[nodiscard]] std::vector<std::string> requests() const {
        std::vector<std::string> lines = base::split(base::readFile(logFile()).valueOr(""), '\n');
        std::erase(lines, std::string());
        return lines;
    }

private:
    [[nodiscard]] base::Path logFile() const { return m_folder.string() + ".log"; }

    base::Path m_folder;
    QProcess m_process;
    int m_port = 0;
};

}  // namespace trainyard::test
