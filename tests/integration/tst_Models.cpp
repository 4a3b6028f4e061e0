// From a finished training run to a registered model and its proved ONNX file, with the real engine and ONNX Runtime.
#include <QSignalSpy>
#include <QTest>
#include <algorithm>

#include "core/base/Hash.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Children.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;
using test::SessionDriver;

class TestModels : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// One small run for all tests.
    void initTestCase() {
        m_scratch.isolate();
        m_workspace = m_scratch / "w";
        m_driver = std::make_unique<SessionDriver>();
        QVERIFY2(!m_driver->get("workspace.init", {{"folder", m_workspace.string()}}).is_null(),
                 m_driver->lastError().c_str());
        QVERIFY2(!m_driver->get("workspace.sample", Json::object()).is_null(), m_driver->lastError().c_str());
        Json spec = m_driver->get("workspace.drafts", Json::object()).at("drafts").at(0).at("spec");
        spec::setValueAt(spec, "task.dataset.train_limit", 512);
        spec::setValueAt(spec, "task.dataset.val_limit", 256);
        spec::setValueAt(spec, "task.epochs", 1);
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(!submitted.is_null(), m_driver->lastError().c_str());
        m_run = submitted.at("run").get<std::string>();
        const Json shown = m_driver->watch(m_run, 90'000);
        QVERIFY2(shown.is_object() && shown.at("state").get<std::string>() == "Completed",
                 base::dumpJson(shown).c_str());
    }
    void cleanupTestCase() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str());
    }

    void register_keepsWhatTheRunMade() {
        QSignalSpy changed(&m_driver->session(), &commands::Session::modelsChanged);
        const Json registered = m_driver->get(
            "model.register",
            {{"run", m_run}, {"name", "fashion"}, {"description", "First"}, {"tags", {{"stage", "trial"}}}});
        QVERIFY2(registered.is_object(), m_driver->lastError().c_str());
        QCOMPARE(registered.at("model").get<std::string>(), "fashion:1");
        QCOMPARE(registered.at("version").get<int>(), 1);
        QVERIFY(!registered.contains("warning"));
        QVERIFY(changed.size() >= 1);
        const Json shown = m_driver->get("model.show", {{"model", "fashion"}});
        QVERIFY2(shown.is_object(), m_driver->lastError().c_str());
        QCOMPARE(shown.at("run").get<std::string>(), m_run);
        QCOMPARE(shown.at("description").get<std::string>(), "First");
        QCOMPARE(shown.at("card").at("format").get<std::string>(), "trainyard.model-card");
        QCOMPARE(shown.at("configuration").at("task").at("dataset").at("train_limit").get<int>(), 512);
        QVERIFY(std::any_of(shown.at("metrics").begin(), shown.at("metrics").end(),
                            [](const Json& metric) { return metric.at("name").get<std::string>() == "val/accuracy"; }));
        const Json second = m_driver->get("model.register", {{"run", m_run}, {"name", "fashion"}});
        QCOMPARE(second.at("version").get<int>(), 2);
        const Json list = m_driver->get("model.list", Json::object());
        QCOMPARE(list.at("models").size(), std::size_t{1});
        QCOMPARE(list.at("models").at(0).at("versions").get<int>(), 2);
        QCOMPARE(m_driver->get("model.list", {{"name", "fashion"}}).at("models").size(), std::size_t{2});
    }

    void register_refuses() {
        const auto code = [&](Json parameters) {
            return m_driver->run("model.register", std::move(parameters)).error();
        };
        QCOMPARE(code({{"run", m_run}, {"name", "../up"}}).code, "model.name");
        QCOMPARE(code({{"run", m_run}, {"name", "../up"}}).field, "name");
        QCOMPARE(code({{"run", "999"}}).code, "store.run_unknown");
        QCOMPARE(code({{"run", m_run}, {"files", {"no such file"}}}).code, "run.output_unknown");
        const std::string command = m_driver->submit("echo x > \"$TRAINYARD_OUTPUTS/x\"");
        QVERIFY(!m_driver->watch(command).is_null());
        QCOMPARE(code({{"run", command}}).code, "model.files");
        const Json own = m_driver->get("model.register", {{"run", command}, {"name", "own"}, {"files", {"x"}}});
        QVERIFY2(own.is_object(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->run("model.export", {{"model", "own"}}).error().code, "model.kind");
        const std::string running = m_driver->submit("sleep 30");
        QVERIFY(m_driver->waitForState(running, "Running"));
        QCOMPARE(code({{"run", running}}).code, "run.running");
        QVERIFY(!m_driver->get("run.cancel", {{"run", running}}).is_null());
        QVERIFY(!m_driver->watch(running).is_null());
    }

    void edit_reachesTheIndex() {
        QVERIFY2(!m_driver
                      ->get("model.edit", {{"model", "fashion:1"},
                                           {"description", "Größer"},
                                           {"set", {{"owner", "Ada"}}},
                                           {"remove", {"stage"}},
                                           {"aliases", {"production"}}})
                      .is_null(),
                 m_driver->lastError().c_str());
        const Json rows = m_driver->get("model.list", {{"name", "fashion"}}).at("models");
        QCOMPARE(rows.at(1).at("description").get<std::string>(), "Größer");
        QCOMPARE(rows.at(1).at("tags"), (Json{{"owner", "Ada"}}));
        QCOMPARE(rows.at(1).at("aliases"), Json::array({"production"}));
        QCOMPARE(m_driver->get("model.show", {{"model", "fashion:production"}}).at("version").get<int>(), 1);
        QCOMPARE(m_driver->run("model.show", {{"model", "fashion:9"}}).error().code, "model.unknown");
    }

    void download_isTheRunsModel() {
        const base::Path to = m_scratch / "here";
        const Json copied = m_driver->get("model.download", {{"model", "fashion:1"}, {"to", to.string()}});
        QVERIFY2(copied.is_object(), m_driver->lastError().c_str());
        const Json outputs = m_driver->get("run.show", {{"run", m_run}}).at("outputs");
        for (const Json& output : outputs) {
            if (output.at("path").get<std::string>() == "model.pt") {
                QCOMPARE(*base::sha256File(to / "model.pt"), output.at("sha256").get<std::string>());
            }
        }
        QVERIFY(base::writeFileAtomically(to / "model.pt", "mine").ok());
        QCOMPARE(m_driver->run("model.download", {{"model", "fashion:1"}, {"to", to.string()}}).error().code,
                 "model.exists");
        QCOMPARE(m_driver->run("model.download", {{"model", "fashion:1"}}).error().field, "to");
    }

    void export_isProvedAndKept() {
        const base::Path out = m_scratch / "exported/model.onnx";
        const Json exported = m_driver->get("model.export", {{"model", "fashion:1"}, {"out", out.string()}}, 120'000);
        QVERIFY2(exported.is_object(), m_driver->lastError().c_str());
        QCOMPARE(*base::sha256File(out), exported.at("sha256").get<std::string>());
        const Json& proof = exported.at("proof");
        QVERIFY(proof.at("passed").get<bool>());
        QCOMPARE(proof.at("runtime").at("name").get<std::string>(), "ONNX Runtime");
        QCOMPARE(proof.at("real_samples").get<int>(), 32);
        QVERIFY(proof.at("max_abs_diff").get<double>() < 1e-5);
        qInfo("export %.3f s, proof %.2f s, largest difference %.2e", exported.at("export_seconds").get<double>(),
              proof.at("seconds").get<double>(), proof.at("max_abs_diff").get<double>());
        const Json shown = m_driver->get("model.show", {{"model", "fashion:1"}});
        QCOMPARE(shown.at("exports").size(), std::size_t{1});
        QCOMPARE(m_driver->get("model.list", {{"name", "fashion"}}).at("models").at(1).at("exports").size(),
                 std::size_t{1});
        const Json fixed = m_driver->get(
            "model.export", {{"model", "fashion:1"}, {"opset", 13}, {"dynamic_batch", false}, {"batch", 4}}, 120'000);
        QVERIFY2(fixed.is_object(), m_driver->lastError().c_str());
        QCOMPARE(fixed.at("batch").get<int>(), 4);
        QVERIFY(std::filesystem::exists(fixed.at("onnx").get<std::string>()));
        for (const auto& entry : std::filesystem::directory_iterator(m_workspace / "trash")) {
            QFAIL(("left over: " + entry.path().string()).c_str());
        }
    }

    void export_refuses_data() {
        QTest::addColumn<QString>("parameters");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("field");
        const auto row = [](const char* parameters, const char* code, const char* field) {
            QTest::newRow(parameters) << QString::fromUtf8(parameters) << QString::fromUtf8(code)
                                      << QString::fromUtf8(field);
        };
        row(R"({"opset": 10})", "spec.range", "opset");
        row(R"({"input_shape": "1,0,28"})", "model.input_shape", "input_shape");
        row(R"({"input_shape": "one"})", "model.input_shape", "input_shape");
        row(R"({"input_shape": "3,28,28"})", "export.raises", "input_shape");
        row(R"({"runtime": "crystal ball"})", "spec.choice", "runtime");
    }
    void export_refuses() {
        QFETCH(QString, parameters);
        QFETCH(QString, code);
        QFETCH(QString, field);
        Json given = *base::parseJson(parameters.toStdString());
        given["model"] = "fashion:1";
        const auto result = m_driver->run("model.export", given, 60'000);
        QVERIFY(!result.ok());
        QCOMPARE(QString::fromStdString(result.error().code), code);
        QCOMPARE(QString::fromStdString(result.error().field), field);
    }

    void export_canBeCanceled() {
        const std::size_t before = m_driver->get("model.show", {{"model", "fashion:2"}}).at("exports").size();
        std::optional<base::Result<Json>> answer;
        QObject context;
        commands::Command* command =
            m_driver->session().start("model.export", {{"model", "fashion:2"}}, &context,
                                      [&](const base::Result<Json>& result) { answer = result; });
        bool asked = false;
        connect(command, &commands::Command::progressed, &context, [&](const commands::CommandProgress& progress) {
            if (!asked && progress.fraction >= 0.3) {
                asked = true;
                command->cancel();
            }
        });
        QVERIFY(test::waitFor([&] { return answer.has_value(); }, 60'000));
        QVERIFY(asked);
        QVERIFY(!answer->ok());
        QCOMPARE(answer->error().code, "canceled");
        QCOMPARE(m_driver->get("model.show", {{"model", "fashion:2"}}).at("exports").size(), before);
    }

    void damagedObject_isNamed() {
        const Json shown = m_driver->get("model.show", {{"model", "fashion:1"}});
        base::Path object;
        for (const Json& file : shown.at("files")) {
            if (file.at("path").get<std::string>() == "model.pt") {
                object = m_workspace / "objects" / file.at("sha256").get<std::string>();
            }
        }
        const auto bytes = base::readFile(object);
        QVERIFY(bytes.ok());
        std::string changed = *bytes;
        changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
        QVERIFY(base::writeFileAtomically(object, changed).ok());
        QCOMPARE(m_driver->run("model.export", {{"model", "fashion:1"}}).error().code, "model.object_damaged");
        QVERIFY(base::writeFileAtomically(object, *bytes).ok());
    }

    void modelsSurvive_rebuildAndTheRunsDeletion() {
        const Json before = m_driver->get("model.list", {{"name", "fashion"}});
        QVERIFY2(!m_driver->get("workspace.rebuild", Json::object(), 60'000).is_null(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->get("model.list", {{"name", "fashion"}}), before);
        QVERIFY2(!m_driver->get("run.delete", {{"run", m_run}}).is_null(), m_driver->lastError().c_str());
        QCOMPARE(m_driver->get("model.list", {{"name", "fashion"}}), before);
        QVERIFY(!m_driver->get("model.download", {{"model", "fashion:1"}, {"to", (m_scratch / "later").string()}})
                     .is_null());
    }

    void commandLine_showsAndDeletes() {
        const Json shown = test::cliJson(m_workspace, {"model", "show", "fashion:1"});
        QCOMPARE(shown.at("model").get<std::string>(), "fashion:1");
        const Json copied = test::cliJson(
            m_workspace, {"model", "download", "fashion:1", "--to", (m_scratch / "cli").string(), "--onnx"});
        QVERIFY(copied.is_object());
        QVERIFY(std::filesystem::exists(m_scratch / "cli/model.onnx"));
        QCOMPARE(test::cli(m_workspace, {"model", "show", "fashion:77"}).exitCode, 3);
        const Json gone = test::cliJson(m_workspace, {"model", "delete", "fashion:2"});
        QVERIFY(gone.is_object());
        QVERIFY(test::waitFor([&] {
            return m_driver->get("model.list", {{"name", "fashion"}}).at("models").size() == 1;
        }));
    }

private:
    test::ChildGuard m_guard;
    test::Scratch m_scratch;
    base::Path m_workspace;
    std::unique_ptr<SessionDriver> m_driver;
    std::string m_run;
};

QTEST_GUILESS_MAIN(TestModels)
#include "tst_Models.moc"
