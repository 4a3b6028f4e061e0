// Values that a shell, an option parser or a line reader would take for more than text, through every field of a run's
// and a target's JSON that reaches a machine: the far end tells what it got, byte for byte, and the canary never
// appears.
#include <QTest>
#include <optional>

#include "core/runs/RunService.h"
#include "core/runs/TargetBook.h"
#include "core/store/Reader.h"
#include "core/targets/SlurmScript.h"
#include "core/targets/SshTarget.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using namespace trainyard::runs;
using base::Json;
using spec::RunState;
using test::waitFor;

namespace {

/// On the host; the same name here, in the folder of no value.
constexpr const char* kCanary = "/tmp/canary-of-hostile-values";

/// Tells as one JSON object in its outputs what it was given.
constexpr const char* kTeller = R"(import json, os, sys
told = {"argv": sys.argv[1:], "cwd": os.getcwd(), "script": sys.argv[0],
        "variables": {k: v for k, v in os.environ.items() if k.startswith("H_")},
        "inputs": {k: open(v).read() for k, v in os.environ.items() if k.startswith("TRAINYARD_INPUT_")},
        "files": sorted(os.path.relpath(os.path.join(d, f), ".") for d, _, fs in os.walk(".") for f in fs),
        "python": sys.executable, "experiment": os.environ["TRAINYARD_EXPERIMENT"], "name": os.environ["TRAINYARD_RUN_NAME"]}
with open(os.path.join(os.environ["TRAINYARD_OUTPUTS"], "told.json"), "w") as file:
    json.dump(told, file)
)";

Json sshDocument(const std::string& destination) {
    return Json{{"format", spec::kTargetSpecFormat},
                {"version", spec::kTargetSpecVersion},
                {"name", "lab"},
                {"kind", "ssh"},
                {"hosts", Json::array({{{"destination", destination}}})},
                {"connect_seconds", 3}};
}

Json slurmDocument() {
    return Json{{"format", spec::kTargetSpecFormat},
                {"version", spec::kTargetSpecVersion},
                {"name", "cluster"},
                {"kind", "slurm"}};
}

/// Control characters other than the end of a line and a tab.
bool movesCursor(const std::string& text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t'; });
}

/// The field of the first error; empty when the document is valid.
std::string refusedField(const Json& document) {
    const auto errors = spec::validateTargetSpec(document);
    return errors.empty() ? std::string() : errors.front().field;
}

}  // namespace

class TestRemoteHostile : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string()));
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{1, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_workspace = initWorkspace(*m_scratch / "w", "").value();
        writeTarget(sshDocument("node1"));
        m_service = std::make_unique<RunService>(m_workspace, ServiceOptions{});
        bool opened = false;
        m_service->open([&](const base::Status& status) { opened = status.ok(); });
        QVERIFY(waitFor([&] { return opened; }));
        m_reader.emplace(store::Reader::open(m_workspace.index).value());
    }
    void cleanup() { QVERIFY2(noCanary(), "a value was run as code"); }
    void cleanupTestCase() {
        m_reader.reset();
        m_service.reset();
        m_lab.reset();
    }

    void run_everyFieldArrivesAsItIs() {
        // Files and folders of the source, and inputs here, of every name that a file system takes.
        const base::Path source = *m_scratch / "source 'x\" $(touch canary) ; #";
        std::vector<std::string> files;
        for (const std::string& name : test::hostileFileNames()) {
            write(source / name, "file");
            write(source / "folder" / ("in " + name) / name, "file");
            files.push_back(name);
            files.push_back("folder/in " + name + "/" + name);
        }
        const std::string script = "folder/it's $(touch canary) `x`; a \"script\".py";
        write(source / script, kTeller);
        files.push_back(script);
        std::sort(files.begin(), files.end());
        Json inputs = Json::object();
        int number = 0;
        for (const std::string& name : test::hostileFileNames()) {
            const base::Path file = *m_scratch / "data" / std::to_string(number) / name;
            write(file, "content " + std::to_string(number));
            inputs["i" + std::to_string(number++)] = file.string();
        }
        const base::Path there = m_lab->home(1) / "declared 'x\" $(touch canary)" / "; data";
        write(there, "declared");
        std::filesystem::permissions(there.parent_path(), std::filesystem::perms::all);
        inputs["there"] = "target:/home/lab/declared 'x\" $(touch canary)/; data";
        std::vector<std::string> arguments;
        Json variables = Json::object();
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            // Lines and tabs are text; what moves a terminal's cursor is refused by name.
            const Json one = document({{"task", {{"kind", "command"}, {"command", {"true", value.value}}}},
                                       {"variables", {{"H", value.value}}}});
            const auto wrong = spec::validateRunSpec(one);
            QCOMPARE(wrong.size(), std::size_t(movesCursor(value.value) ? 2 : 0));
            for (const base::Error& error : wrong) {
                QVERIFY2(error.field.starts_with("task.command") || error.field.starts_with("variables"),
                         error.field.c_str());
            }
            if (wrong.empty()) {
                arguments.push_back(value.value);
                variables["H_" + std::to_string(arguments.size())] = value.value;
            }
        }
        QVERIFY(arguments.size() > 25);
        const Json told = tell({{"experiment", "remote"},
                                {"name", "'; touch canary; $(touch canary) \""},
                                {"task",
                                 {{"kind", "command"},
                                  {"source_folder", source.string()},
                                  {"script", script},
                                  {"interpreter", "/usr/bin/python3"},
                                  {"arguments", arguments}}},
                                {"inputs", inputs},
                                {"variables", variables}});
        QVERIFY(told.is_object());
        QCOMPARE(told.at("argv").get<std::vector<std::string>>(), arguments);
        const Json different = Json::diff(variables, told.at("variables"));  // The order of the names does not matter.
        QVERIFY2(different.empty(), base::dumpJson(different).c_str());
        QCOMPARE(told.at("files").get<std::vector<std::string>>(), files);
        QVERIFY2(told.at("script").get<std::string>().ends_with("/code/" + script),
                 told.at("script").get<std::string>().c_str());
        QCOMPARE(told.at("name").get<std::string>(), std::string("'; touch canary; $(touch canary) \""));
        QCOMPARE(told.at("inputs").at("TRAINYARD_INPUT_THERE").get<std::string>(), std::string("declared"));
        for (int i = 0; i < number; ++i) {
            QCOMPARE(told.at("inputs").at("TRAINYARD_INPUT_I" + std::to_string(i)).get<std::string>(),
                     "content " + std::to_string(i));
        }
    }

    /// Each name of a file as the script itself and as the working folder.
    void run_scriptAndFolder_data() {
        QTest::addColumn<QString>("name");
        for (const std::string& name : test::hostileFileNames()) {
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
        }
    }
    void run_scriptAndFolder() {
        QFETCH(QString, name);
        const std::string file = name.toStdString();
        const base::Path source = *m_scratch / "scripts" / std::to_string(qHash(name));
        write(source / "here" / file / "x", "x");
        write(source / ("s" + file), kTeller);
        const Json told = tell({{"task",
                                 {{"kind", "command"},
                                  {"source_folder", source.string()},
                                  {"script", "s" + file},
                                  {"interpreter", "/usr/bin/python3"},
                                  {"working_folder", "here/" + file}}}});
        QVERIFY(told.is_object());
        QVERIFY2(told.at("cwd").get<std::string>().ends_with("/here/" + file), base::dumpJson(told).c_str());
        QVERIFY2(told.at("script").get<std::string>().ends_with("s" + file), base::dumpJson(told).c_str());
        // At the beginning of a script's name a dash is an option to the interpreter.
        const Json bare =
            document({{"task", {{"kind", "command"}, {"source_folder", source.string()}, {"script", file}}}});
        QCOMPARE(spec::validateRunSpec(bare).empty(), file.front() != '-');
    }

    void run_interpreterAndProgramOfOddNames() {
        const std::string odd = "/home/lab/py 'x\" $(touch canary) `touch canary`; #";
        QCOMPARE(m_lab->run(1, {"ln", "-s", "/usr/bin/python3", odd}).exitCode, 0);
        const base::Path source = *m_scratch / "odd";
        write(source / "t.py", kTeller);
        Json told = tell(
            {{"task",
              {{"kind", "command"}, {"source_folder", source.string()}, {"script", "t.py"}, {"interpreter", odd}}}});
        QVERIFY(told.is_object());
        QCOMPARE(told.at("python").get<std::string>(), odd);
        // The target's own interpreter, which the doctor starts as well.
        Json target = sshDocument("node1");
        target["python"] = odd;
        writeTarget(target);
        told = tell({{"task", {{"kind", "command"}, {"source_folder", source.string()}, {"script", "t.py"}}}});
        QVERIFY(told.is_object());
        QCOMPARE(told.at("python").get<std::string>(), odd);
        const auto lines = doctor();
        const auto python =
            std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line.id == "python"; });
        QVERIFY(python != lines.end());
        QVERIFY2(python->finding == targets::Finding::Ok, python->text.c_str());
        // A program that cannot be one is a reason, not a command line.
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            target["python"] = value.value;
            const auto errors = spec::validateTargetSpec(target);
            QCOMPARE(errors.empty(), value.oneLine && !value.value.empty() && value.value.front() != '-');
            if (!errors.empty()) {
                QCOMPARE(errors.front().field, std::string("python"));
            }
        }
        target["python"] = "$(touch /tmp/canary-of-hostile-values); touch /tmp/canary-of-hostile-values";
        writeTarget(target);
        const auto none = doctor();
        const auto line = std::find_if(none.begin(), none.end(), [](const auto& one) { return one.id == "python"; });
        QVERIFY(line != none.end());
        // It was named in the definition: without it the target is not as it should be.
        QVERIFY2(line->finding == targets::Finding::Failure, line->text.c_str());
        writeTarget(sshDocument("node1"));
    }

    void target_workFolder() {
        // All of them in one path: each is a folder of its own or, with a slash in it, several.
        std::string folder = "~";
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            Json document = sshDocument("node1");
            document["work_folder"] = "~/" + value.value;
            QCOMPARE(refusedField(document), std::string(value.oneLine ? "" : "work_folder"));
            document["work_folder"] = value.value;
            const bool fits = value.oneLine && (value.value.empty() || value.value.starts_with("~/"));
            QCOMPARE(refusedField(document), std::string(fits ? "" : "work_folder"));
            if (value.oneLine && !value.value.empty()) {
                folder += "/w" + value.value;
            }
        }
        Json document = sshDocument("node1");
        document["work_folder"] = folder;
        document["slots_folder"] = "/home/lab/slots 'x\" $(touch canary) ; #";
        Json variables = Json::object();
        int number = 0;
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            if (!movesCursor(value.value)) {
                variables["H_T" + std::to_string(++number)] = value.value;
            }
        }
        document["variables"] = variables;
        writeTarget(document);
        const base::Path source = *m_scratch / "work";
        write(source / "t.py", kTeller);
        const Json told = tell({{"task",
                                 {{"kind", "command"},
                                  {"source_folder", source.string()},
                                  {"script", "t.py"},
                                  {"interpreter", "/usr/bin/python3"}}}});
        QVERIFY(told.is_object());
        const std::string path = std::filesystem::path("/home/lab" + folder.substr(1)).lexically_normal().string();
        QVERIFY2(told.at("cwd").get<std::string>().starts_with(path + "/runs/"),
                 told.at("cwd").get<std::string>().c_str());
        const Json different = Json::diff(variables, told.at("variables"));  // The order of the names does not matter.
        QVERIFY2(different.empty(), base::dumpJson(different).c_str());
        QVERIFY(std::filesystem::exists(m_lab->home(1) / "slots 'x\" $(touch canary) ; #" / "slots.lock"));
        writeTarget(sshDocument("node1"));
    }

    /// What of a host's name, user and port is taken at all comes to ssh as one argument behind "--"; the rest never
    /// starts it.
    void target_destination() {
        const base::Path log = *m_scratch / "ssh.log";
        const base::Path ssh = m_scratch->write(
            "fake-ssh",
            "#!/usr/bin/python3\nimport sys\n"
            "open(" +
                std::string("'") + log.string() +
                "', 'ab').write(b'\\0'.join(a.encode('utf-8', 'surrogateescape') for a in sys.argv) + b'\\0\\n')\n"
                "sys.exit(255)\n");
        std::filesystem::permissions(ssh, std::filesystem::perms::owner_all);
        const QByteArray real = qgetenv("TRAINYARD_SSH");
        qputenv("TRAINYARD_SSH", QByteArray::fromStdString(ssh.string()));
        int taken = 0;
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            for (const std::string& destination :
                 {value.value, "lab@" + value.value, value.value + "@node1", "node1" + value.value}) {
                const Json document = sshDocument(destination);
                const std::string field = refusedField(document);
                if (!field.empty()) {
                    QVERIFY2(field.starts_with("hosts"), (destination + ": " + field).c_str());
                    QVERIFY(!spec::targetSpecFromJson(document).ok());
                    continue;
                }
                ++taken;
                std::filesystem::remove(log);
                targets::SshTarget target(*spec::targetSpecFromJson(document));
                QVERIFY(!test::await<void>([&](targets::DoneStatus done) {
                             return target.connect(base::Deadline::inMillis(5000), std::move(done));
                         }).ok());
                const std::string called = base::readFile(log).valueOr("");
                QVERIFY2(called.find(std::string("\0--\0", 4) + destination + '\0') != std::string::npos,
                         called.c_str());
            }
            Json document = sshDocument("node1");
            document["hosts"][0]["port"] = value.value;
            QVERIFY(!refusedField(document).empty());
            for (const char* member : {"address", "interface"}) {
                document = sshDocument("node1");
                document["hosts"][0][member] = value.value;
                QVERIFY2(refusedField(document).empty() == value.value.empty(),
                         (std::string(member) + ": " + value.value).c_str());
            }
            document = slurmDocument();
            document["slurm"] = {{"login", value.value}};
            QVERIFY2(value.value.empty() || !refusedField(document).empty() ||
                         spec::checkDestination(value.value, "x").ok(),
                     value.value.c_str());
        }
        for (const int port : {-1, 65536, 1 << 30}) {
            Json document = sshDocument("node1");
            document["hosts"][0]["port"] = port;
            QVERIFY(!refusedField(document).empty());
        }
        // What is left are dashes and the empty name behind one that is good.
        QVERIFY2(taken > 0 && taken < 12, qPrintable(QString::number(taken)));
        qputenv("TRAINYARD_SSH", real);
    }

    /// What a Slurm field takes stands in the script as one directive that says nothing else; the rest is refused by
    /// name.
    void target_slurmFields() {
        const char* const fields[] = {
            "partition", "account", "qos", "constraint", "gpu_type", "low_priority_partition", "low_priority_qos"};
        targets::SlurmJob job;
        job.run = base::RunId::make();
        job.gpus = 1;
        job.runFolder = "/w/runs/" + job.run.str();
        job.agent = "/w/bin/agent";
        Json plain = slurmDocument();
        const std::string usual = targets::slurmScript(spec::targetSpecFromJson(plain)->slurm, job).valueOr("");
        QVERIFY(!usual.empty());
        const auto linesOf = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
        for (const test::HostileValue& value : test::hostileValues(kCanary)) {
            for (const char* field : fields) {
                Json document = plain;
                document["slurm"] = {{field, value.value}, {"low_priority", true}};
                const std::string refused = refusedField(document);
                if (!refused.empty()) {
                    QCOMPARE(refused, std::string("slurm.") + field);
                    continue;
                }
                const auto script = targets::slurmScript(spec::targetSpecFromJson(document)->slurm, job);
                if (!script.ok()) {
                    QVERIFY2(script.error().field == std::string("slurm.") + field,
                             (value.value + ": " + script.error().message).c_str());
                    continue;
                }
                QVERIFY2(linesOf(*script) <= linesOf(usual) + 3, script->c_str());
                QVERIFY2(script->find("canary") == std::string::npos, script->c_str());
            }
            Json document = plain;
            document["slurm"] = {{"extra_lines", Json::array({value.value})}};
            if (const std::string refused = refusedField(document); !refused.empty()) {
                QVERIFY2(refused.starts_with("slurm.extra_lines"), value.value.c_str());
                continue;
            }
            const auto script = targets::slurmScript(spec::targetSpecFromJson(document)->slurm, job);
            QVERIFY2(!script.ok(), value.value.c_str());
            QCOMPARE(script.error().field, std::string("slurm.extra_lines"));
        }
    }

private:
    static void write(const base::Path& path, const std::string& bytes) {
        QVERIFY(base::makeDirs(path.parent_path()).ok());
        QVERIFY2(base::writeFileAtomically(path, bytes, 0644).ok(), path.c_str());
    }
    void writeTarget(const Json& document) {
        const auto spec = spec::targetSpecFromJson(document);
        QVERIFY2(spec.ok(), spec.ok() ? "" : (spec.error().field + ": " + spec.error().message).c_str());
        const auto written = runs::writeTarget(m_workspace.layout, *spec);
        QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
        if (m_service) {
            m_service->targetChanged("lab");
        }
    }
    bool noCanary() {
        const bool here = std::filesystem::exists(kCanary) || std::filesystem::exists("canary");
        const auto there = m_lab->run(
            1, {"sh", "-c", "ls -d " + std::string(kCanary) + " /home/lab/canary /tmp/canary /canary 2>/dev/null"});
        return !here && there.out.empty();
    }
    static Json document(const Json& more) {
        Json spec{{"format", spec::kRunSpecFormat},
                  {"version", spec::kRunSpecVersion},
                  {"experiment", "hostile"},
                  {"target", "lab"},
                  {"limits", {{"grace_seconds", 1}, {"disk_reserve_mib", 1}}}};
        spec.update(more);
        return spec;
    }
    /// Submits, waits for the end, and gives what the run told; null with a warning otherwise.
    Json tell(const Json& more) {
        std::optional<base::Result<Submitted>> answer;
        m_service->submit(document(more), [&](const auto& result) { answer = result; });
        if (!waitFor([&] { return answer.has_value(); }, 60'000) || !answer->ok()) {
            qWarning("%s", answer ? (answer->error().field + ": " + answer->error().message).c_str() : "no answer");
            return {};
        }
        const base::RunId run = (*answer)->run;
        const auto ended = [&] {
            const auto row = m_reader->run(run);
            return row.ok() && spec::isFinal(row->state);
        };
        if (!waitFor(ended, 60'000) || m_reader->run(run)->state != RunState::Completed) {
            const auto row = m_reader->run(run);
            qWarning("%s", row.ok() ? row->stateReason.c_str() : "no run");
            return {};
        }
        const auto told = base::parseJson(base::readFile(m_workspace.layout.outputs(run) / "told.json").valueOr(""));
        return told.ok() ? *told : Json();
    }
    std::vector<targets::DoctorLine> doctor() {
        std::optional<base::Result<std::vector<targets::DoctorLine>>> found;
        if (m_service->doctor("lab", {}, [&](const auto& lines) { found = lines; }) == 0 ||
            !waitFor([&] { return found.has_value(); }, 60'000) || !found->ok()) {
            return {};
        }
        return **found;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    Workspace m_workspace;
    std::unique_ptr<RunService> m_service;
    std::optional<store::Reader> m_reader;
};

QTEST_GUILESS_MAIN(TestRemoteHostile)
#include "tst_RemoteHostile.moc"
