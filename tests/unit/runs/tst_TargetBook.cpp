#include <QTest>
#include <fstream>

#include "core/runs/TargetBook.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;

namespace {

Json sshDocument() {
    return Json{{"format", spec::kTargetSpecFormat},
                {"version", spec::kTargetSpecVersion},
                {"name", "lab-2.x"},
                {"kind", "ssh"},
                {"hosts", Json::array({"gpu1", Json{{"destination", "me@gpu2"},
                                                    {"port", 2222},
                                                    {"address", "10.0.0.2"},
                                                    {"interface", "eth0"}}})},
                {"variables", {{"OMP_NUM_THREADS", "4"}}},
                {"retention", "days"},
                {"retention_days", 3}};
}

Json slurmDocument() {
    return Json{{"format", spec::kTargetSpecFormat},
                {"version", spec::kTargetSpecVersion},
                {"name", "cluster"},
                {"kind", "slurm"},
                {"slurm",
                 {{"login", "login1"},
                  {"partition", "gpu"},
                  {"max_nodes", 4},
                  {"low_priority", true},
                  {"low_priority_partition", "spare"},
                  {"extra_lines", {"--exclusive"}}}}};
}

}  // namespace

class TestTargetBook : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_layout = initWorkspace(*m_scratch / "w", "").value().layout;
    }

    void spec_roundTrip() {
        for (const Json& document : {sshDocument(), slurmDocument()}) {
            const auto errors = spec::validateTargetSpec(document);
            QVERIFY2(errors.empty(), errors.empty() ? "" : (errors[0].field + ": " + errors[0].message).c_str());
            const spec::TargetSpec spec = spec::targetSpecFromJson(document).value();
            const Json whole = spec::toJson(spec);
            QVERIFY(spec::validateTargetSpec(whole).empty());
            QCOMPARE(base::dumpJson(spec::toJson(spec::targetSpecFromJson(whole).value())), base::dumpJson(whole));
        }
        const spec::TargetSpec ssh = spec::targetSpecFromJson(sshDocument()).value();
        QCOMPARE(ssh.hosts.size(), std::size_t{2});
        QCOMPARE(ssh.hosts[1].port, std::int64_t{2222});
        QCOMPARE(ssh.retentionDays, std::int64_t{3});
        const spec::TargetSpec slurm = spec::targetSpecFromJson(slurmDocument()).value();
        QCOMPARE(slurm.slurm.lowPriorityPartition, "spare");
        QCOMPARE(slurm.slurm.extraLines, std::vector<std::string>{"--exclusive"});
    }

    void spec_refuses_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("field");
        const auto row = [](const char* name, const char* path, const char* value, const char* field) {
            QTest::newRow(name) << QByteArray(path) << QByteArray(value) << QByteArray(field);
        };
        row("no name", "name", "\"\"", "name");
        row("name with a slash", "name", "\"../x\"", "name");
        row("capital", "name", "\"Lab\"", "name");
        row("the local name", "name", "\"local\"", "name");
        row("no hosts", "hosts", "[]", "hosts");
        row("option as host", "hosts", "[\"-oProxyCommand=touch /tmp/x\"]", "hosts.0");
        row("blank in host", "hosts", "[\"a b\"]", "hosts.0");
        row("newline in host", "hosts", "[\"a\\nb\"]", "hosts.0");
        row("quote in host", "hosts", "[\"a'b\"]", "hosts.0");
        row("second host", "hosts", "[\"a\",{\"destination\":\"-x\"}]", "hosts.1");
        row("port", "hosts", "[{\"destination\":\"a\",\"port\":65536}]", "hosts.0");
        row("address", "hosts", "[{\"destination\":\"a\",\"address\":\"$(id)\"}]", "hosts.0");
        row("interface", "hosts", "[{\"destination\":\"a\",\"interface\":\"-x\"}]", "hosts.0");
        row("unknown member of a host", "hosts", "[{\"destination\":\"a\",\"user\":\"b\"}]", "hosts.0");
        row("relative work folder", "work_folder", "\"work\"", "work_folder");
        row("relative slots", "slots_folder", "\"~/slots\"", "slots_folder");
        row("engine", "engine", "\"other\"", "engine");
        row("kind", "kind", "\"cloud\"", "kind");
        row("retention", "retention", "\"never\"", "retention");
        row("unknown", "partition", "\"x\"", "partition");
    }
    void spec_refuses() {
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, field);
        Json document = sshDocument();
        spec::setValueAt(document, path.toStdString(), base::parseJson(value.toStdString()).value());
        const auto errors = spec::validateTargetSpec(document);
        QVERIFY(!errors.empty());
        QCOMPARE(QByteArray::fromStdString(errors.front().field), field);
    }

    void spec_refusesForSlurm_data() {
        QTest::addColumn<QByteArray>("path");
        QTest::addColumn<QByteArray>("value");
        const auto row = [](const char* path, const char* value) {
            QTest::newRow(path) << QByteArray(path) << QByteArray(value);
        };
        row("slurm.login", "\"-x\"");
        row("slurm.partition", "\"a b\"");
        row("slurm.account", "\"$(id)\"");
        row("slurm.qos", "\"-x\"");
        row("slurm.constraint", "\"a'b\"");
        row("slurm.gpu_type", "\"a`b\"");
        row("slurm.low_priority_partition", "\"a\\\\b\"");
        row("slurm.min_nodes", "5");
        row("slurm.extra_lines", "[\"rm -rf\"]");
        row("slurm.launcher", "\"ssh\"");
    }
    void spec_refusesForSlurm() {
        QFETCH(QByteArray, path);
        QFETCH(QByteArray, value);
        Json document = slurmDocument();
        spec::setValueAt(document, path.toStdString(), base::parseJson(value.toStdString()).value());
        const auto errors = spec::validateTargetSpec(document);
        QVERIFY(!errors.empty());
        QCOMPARE(QByteArray::fromStdString(errors.front().field), path);
    }

    void book_keepsVersions() {
        QCOMPARE(readTargets(m_layout).size(), std::size_t{1});
        QCOMPARE(readTarget(m_layout, "local")->version, 0);
        QCOMPARE(readTarget(m_layout, "lab-2.x").error().code, "target.unknown");
        QCOMPARE(readTarget(m_layout, "../w").error().code, "target.unknown");
        spec::TargetSpec spec = spec::targetSpecFromJson(sshDocument()).value();
        QCOMPARE(writeTarget(m_layout, spec).value(), 1);
        spec.disabled = true;
        QCOMPARE(writeTarget(m_layout, spec).value(), 2);
        QVERIFY(std::filesystem::exists(m_layout.target("lab-2.x", 1)));
        QVERIFY(readTarget(m_layout, "lab-2.x")->spec.disabled);
        QCOMPARE(readTarget(m_layout, "lab-2.x")->version, 2);
        QVERIFY(readTarget(m_layout, "lab-2.x")->doctor.is_null());
        QVERIFY(writeTargetDoctor(m_layout, "lab-2.x", Json{{"t", 5}}).ok());
        QCOMPARE(readTarget(m_layout, "lab-2.x")->doctor.at("t").get<int>(), 5);
        const auto all = readTargets(m_layout);
        QCOMPARE(all.size(), std::size_t{2});
        QCOMPARE(all[0].spec.name, "local");
        spec.name = "Bad Name";
        QCOMPARE(writeTarget(m_layout, spec).error().field, "name");
        QVERIFY(removeTarget(m_layout, "lab-2.x").ok());
        QCOMPARE(removeTarget(m_layout, "lab-2.x").error().code, "target.unknown");
        QCOMPARE(readTargets(m_layout).size(), std::size_t{1});
    }

    void book_namesDamage() {
        const spec::TargetSpec spec = spec::targetSpecFromJson(sshDocument()).value();
        QVERIFY(writeTarget(m_layout, spec).ok());
        std::ofstream(m_layout.target("lab-2.x", 2)) << "{";
        QCOMPARE(readTarget(m_layout, "lab-2.x").error().code, "target.damaged");
        std::vector<base::Error> problems;
        QCOMPARE(readTargets(m_layout, &problems).size(), std::size_t{1});
        QCOMPARE(problems.size(), std::size_t{1});
        // A definition that was copied into another's folder is not taken for it.
        QVERIFY(base::makeDirs(m_layout.targets() / "other").ok());
        std::filesystem::copy_file(m_layout.target("lab-2.x", 1), m_layout.target("other", 1));
        QCOMPARE(readTarget(m_layout, "other").error().code, "target.damaged");
    }

private:
    std::unique_ptr<test::Scratch> m_scratch;
    wire::WorkspaceLayout m_layout;
};

QTEST_GUILESS_MAIN(TestTargetBook)
#include "tst_TargetBook.moc"
