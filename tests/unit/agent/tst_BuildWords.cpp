// What tools say when a build fails, as they say it, and what is told of it.
#include <QtTest>

#include "core/agent/BuildWords.h"
#include "core/base/Text.h"

using namespace trainyard;
using namespace trainyard::agent;

class TestBuildWords : public QObject {
    Q_OBJECT

private:
    static std::string wentWrong(const char* log) {
        std::vector<std::string> lines;
        for (const std::string& line : base::split(log, '\n')) lines.emplace_back(base::trim(line));
        return whatWentWrong(lines);
    }

private Q_SLOTS:
    void tools_data() {
        QTest::addColumn<QByteArray>("log");
        QTest::addColumn<QByteArray>("error");
        QTest::addColumn<QByteArray>("remedy");
        const auto row = [](const char* name, const char* log, const char* error, const char* remedy) {
            QTest::newRow(name) << QByteArray(log) << QByteArray(error) << QByteArray(remedy);
        };
        row("conda, a package that is not there",
            "Channels:\n - conda-forge\nPlatform: linux-64\nCollecting package metadata (repodata.json): done\nSolving "
            "environment: failed\n"
            "PackagesNotFoundError: The following packages are not available from current channels:\n\n  - "
            "nosuchpackage\n  - other=1\n\n"
            "Current channels:\n\n  - https://conda.example/conda-forge\n\nTo search for alternate channels that may "
            "provide the conda package you're\n"
            "looking for, navigate to\n\n    https://conda.example\n\nand use the search bar at the top of the page.\n",
            "PackagesNotFoundError: The following packages are not available from current channels: - nosuchpackage - "
            "other=1",
            "Check the name");
        row("conda, the older solver",
            "Collecting package metadata (repodata.json): ...working... done\nSolving environment: ...working... "
            "failed\n\nResolvePackageNotFound: \n  - nosuchpackage=1.0\n\n",
            "ResolvePackageNotFound: - nosuchpackage=1.0", "Check the name");
        row("conda, versions that exclude each other",
            "Solving environment: failed\n\nLibMambaUnsatisfiableError: Encountered problems while solving:\n  - "
            "package package-a-2.0-py311 requires python >=3.11, but none of the providers can be installed\n\n"
            "Could not solve for environment specs\nThe following packages are incompatible\n",
            "LibMambaUnsatisfiableError: Encountered problems while solving: - package package-a-2.0-py311 requires "
            "python >=3.11, but none of the providers can be installed",
            "Loosen");
        row("conda, no network",
            "\nCondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://conda.example/repodata.json>\nElapsed: "
            "-\n\nAn HTTP error occurred when trying to retrieve this URL.\n",
            "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://conda.example/repodata.json>",
            "reaches the index");
        row("conda, its pip part",
            "Installing pip dependencies: ...working... Pip subprocess error:\nERROR: Could not find a version that "
            "satisfies the requirement nosuch (from versions: none)\n"
            "ERROR: No matching distribution found for nosuch\n\nfailed\n\nCondaEnvException: Pip failed\n",
            "ERROR: No matching distribution found for nosuch", "Check the name");
        row("micromamba, no solution",
            "error    libmamba Could not solve for environment specs\n    The following packages are incompatible\n    "
            "├─ libstdcxx-ng >=3.4,<13.0 does not exist (perhaps a typo or a missing channel);\n"
            "    └─ python >=3.7,<4 *cpython* does not exist (perhaps a typo or a missing channel).\ncritical libmamba "
            "Could not solve for environment specs\n",
            "error    libmamba Could not solve for environment specs The following packages are incompatible ├─ "
            "libstdcxx-ng >=3.4,<13.0 does not exist (perhaps a typo or a missing channel); "
            "└─ python >=3.7,<4 *cpython* does not exist (perhaps a typo or a missing channel).",
            "Check the name");
        row("micromamba, an unknown word",
            "The following arguments were not expected: --files\nRun with --help for more information.\n",
            "Run with --help for more information.", "Mend");
        row("pip, conflict",
            "ERROR: Cannot install toplevel==2.0 and lowlevel==1.2 because these package versions have conflicting "
            "dependencies.\n\nThe conflict is caused by:\n    The user requested lowlevel==1.2\n"
            "    toplevel 2.0 depends on lowlevel>=5\n\nTo fix this you could try to:\n1. loosen the range of package "
            "versions you've specified\n\nERROR: ResolutionImpossible: for help visit https://pip.example/conflicts\n",
            "ERROR: Cannot install toplevel==2.0 and lowlevel==1.2 because these package versions have conflicting "
            "dependencies.",
            "Loosen");
        row("pip, a wheel for another Python",
            "ERROR: ancient-1.0-cp27-cp27m-manylinux1_x86_64.whl is not a supported wheel on this platform.\n",
            "ERROR: ancient-1.0-cp27-cp27m-manylinux1_x86_64.whl is not a supported wheel on this platform.",
            "another Python");
        row("pip, the disk",
            "Installing collected packages: torch\nERROR: Could not install packages due to an OSError: [Errno 28] No "
            "space left on device\n\nERROR: cleanup failed\n",
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "Clear the target's cache");
        row("podman, the disk",
            "STEP 3/4: RUN cat /dev/zero > /filler\ncat: write error: No space left on "
            "device\ntime=\"2026-11-24T00:13:03Z\" "
            "level=error msg=\"error unmounting container: saving builder state: no space left on device\"\nError: "
            "building at "
            "STEP \"RUN cat /dev/zero > /filler\": while running runtime: exit status 1\n",
            "cat: write error: No space left on device", "Clear the target's cache");
        row("the disk, behind a long path",
            ("Error: write /" + std::string(600, 'p') + "ü: no space left on device\n").c_str(),
            ("…" + std::string(473, 'p') + "ü: no space left on device").c_str(), "Clear the target's cache");
        row("venv without ensurepip",
            "The virtual environment was not created successfully because ensurepip is not\navailable.  On "
            "Debian/Ubuntu systems, you need to install the python3-venv\npackage\n\n    apt install python3.11-venv\n",
            "The virtual environment was not created successfully because ensurepip is not", "python3-venv");
        row("podman, an image that is not there",
            "STEP 1/1: FROM localhost/nothere:1\nTrying to pull localhost/nothere:1...\nError: creating build "
            "container: initializing source docker://localhost/nothere:1: pinging container registry "
            "localhost: Get \"https://localhost/v2/\": dial tcp 127.0.0.1:443: connect: connection refused\n",
            "Error: creating build container: initializing source docker://localhost/nothere:1: pinging container "
            "registry localhost: Get \"https://localhost/v2/\": dial tcp 127.0.0.1:443: "
            "connect: connection refused",
            "Check the image's name");
        row("podman, half-way",
            "STEP 1/3: FROM localhost/base:1\nSTEP 2/3: RUN true\nSTEP 3/3: RUN exit 3\nError: building at STEP \"RUN "
            "exit 3\": while running runtime: exit status 3\n",
            "Error: building at STEP \"RUN exit 3\": while running runtime: exit status 3", "Mend");
        row("docker, an image that is not there",
            "Sending build context to Docker daemon  3.072kB\nStep 1/1 : FROM nothere:1\npull access denied for "
            "nothere, repository does not exist or may require 'docker login': denied\n",
            "pull access denied for nothere, repository does not exist or may require 'docker login': denied",
            "Check the image's name");
        row("apptainer, an image that is not there",
            "INFO:    Starting build...\nFATAL:   While performing build: conveyor failed to get: loading registries "
            "configuration: reading manifest 1 in docker.example/nothere: manifest unknown\n",
            "FATAL:   While performing build: conveyor failed to get: loading registries configuration: reading "
            "manifest 1 in docker.example/nothere: manifest unknown",
            "Check the image's name");
        row("nothing", "", "", "Mend");
        row("no error among it", "one\ntwo\n\n", "two", "Mend");
    }
    void tools() {
        QFETCH(QByteArray, log);
        QFETCH(QByteArray, error);
        QFETCH(QByteArray, remedy);
        const std::string said = wentWrong(log.constData());
        QCOMPARE(said, error.toStdString());
        QVERIFY2(remedyOf(said).find(remedy.toStdString()) != std::string::npos, remedyOf(said).c_str());
    }

    void length_isLimited_betweenCharacters() {
        std::string line = "Error: ";
        for (int i = 0; i < 400; ++i) line += "\u00fc";
        const std::string said = whatWentWrong({line});
        QVERIFY(said.size() <= 500 && said.size() > 490);
        QVERIFY(base::isValidUtf8(said));
    }
};

QTEST_GUILESS_MAIN(TestBuildWords)
#include "tst_BuildWords.moc"
