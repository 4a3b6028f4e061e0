// Any file or folder of a run's outputs as a model, by the command line: what it is told to be, what may be done with
// it.
#include <QTest>
#include <memory>

#include "core/base/Hash.h"
#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

namespace {

constexpr const char* kScript = "import os, torch\n"
                                "os.chdir(os.environ['TRAINYARD_OUTPUTS'])\n"
                                "torch.manual_seed(1)\n"
                                "net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())\n"
                                "torch.save(net.state_dict(), 'state.pt')\n"
                                "torch.save(net, 'module.pt')\n"
                                "os.makedirs('final/tokens')\n"
                                "torch.jit.script(net).save('final/scripted.pt')\n"
                                "open('final/tokens/words.txt', 'w').write('one two')\n"
                                "os.symlink('/etc/passwd', 'final/leak')\n";

}  // namespace

class CliModelsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
    }
    void cleanup() { QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str()); }

    void anyOutput_isRegistered() {
        const auto ran = cli({"run", "submit", "--wait", "--", "/usr/bin/python3", "-c", kScript}, {}, 120'000);
        if (ran.exitCode != 0 && cli({"run", "logs", "1"}).out.find("No module named") != std::string::npos) {
            TRAINYARD_SKIP("Needs python3-torch.");
        }
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());

        const auto nothing = cli({"model", "register", "1"});
        QCOMPARE(nothing.exitCode, 1);
        QVERIFY2(nothing.err.find("state.pt") != std::string::npos, nothing.err.c_str());
        QCOMPARE(cli({"model", "register", "1", "--files", "none.pt"}).exitCode, 3);

        const auto weights = cli({"model", "register", "1", "--name", "net", "--files", "state.pt"});
        QVERIFY2(weights.exitCode == 0, weights.err.c_str());
        QVERIFY2(weights.out.find("net:1 (Weights (state_dict))") != std::string::npos, weights.out.c_str());
        QVERIFY2(weights.out.find("torch.jit.script(model)") != std::string::npos, weights.out.c_str());
        const auto refused = cli({"model", "export", "net:1", "--input-shape", "4"});
        QCOMPARE(refused.exitCode, 1);
        QVERIFY2(refused.err.find("no graph") != std::string::npos &&
                     refused.err.find("torch.jit.script(model)") != std::string::npos,
                 refused.err.c_str());

        const Json module = cliJson({"model", "register", "1", "--name", "net", "--files", "module.pt"});
        QCOMPARE(module.value("kind", std::string()), std::string("module"));
        QCOMPARE(module.at("export").value("possible", true), false);

        const Json folder = cliJson({"model", "register", "1", "--name", "net", "--files", "final/"});
        QCOMPARE(folder.value("kind", std::string()), std::string("folder"));
        QCOMPARE(folder.value("main", std::string()), std::string("final/scripted.pt"));
        QCOMPARE(folder.at("files"), Json::array({"final/scripted.pt", "final/tokens/words.txt"}));
        QCOMPARE(folder.at("export").value("possible", false), true);

        const Json shown = cliJson({"model", "show", "net:3"});
        QCOMPARE(shown.at("files").at(0).value("kind", std::string()), std::string("torchscript"));
        QVERIFY(!shown.at("files").at(0).value("told", std::string()).empty());
        const Json versions = cliJson({"model", "list", "--name", "net"});
        QCOMPARE(versions.at("models").size(), std::size_t{3});
        QVERIFY2(cli({"model", "list"}).out.find("folder") != std::string::npos, cli({"model", "list"}).out.c_str());

        const auto copied = cli({"model", "download", "net:3", "--to", (*m_scratch / "copy").string()});
        QVERIFY2(copied.exitCode == 0, copied.err.c_str());
        QCOMPARE(m_scratch->read("copy/final/tokens/words.txt"), std::string("one two"));
        QCOMPARE(*base::sha256File(*m_scratch / "copy/final/scripted.pt"),
                 shown.at("files").at(0).at("sha256").get<std::string>());
        QCOMPARE(cli({"model", "download", "net:3", "--to", (*m_scratch / "part").string(), "--paths", "final/tokens"})
                     .exitCode,
                 0);
        QVERIFY(!std::filesystem::exists(*m_scratch / "part/final/scripted.pt"));

        const auto withoutShape = cli({"model", "export", "net:3"});
        QCOMPARE(withoutShape.exitCode, 1);
        QVERIFY2(withoutShape.err.find("input_shape") != std::string::npos, withoutShape.err.c_str());
        const auto exported =
            cli({"model", "export", "net:3", "--input-shape", "4", "--out", (*m_scratch / "net.onnx").string()}, {},
                180'000);
        if (exported.exitCode != 0 && exported.err.find("untime") != std::string::npos) {
            TRAINYARD_SKIP("No runtime that could prove the export is here.");
        }
        QVERIFY2(exported.exitCode == 0, exported.err.c_str());
        QVERIFY(std::filesystem::file_size(*m_scratch / "net.onnx") > 100);
    }

private:
    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
};

QTEST_GUILESS_MAIN(CliModelsTest)
#include "tst_CliModels.moc"
