// Values that do harm where they are taken for more than text, through every argument of the command line that reaches
// a machine: each arrives byte for byte or is refused with its field named, and the canary never appears.
#include <QTest>
#include <memory>

#include "core/spec/RunSpec.h"
#include "core/spec/TargetSpec.h"
#include "tests/cli/CliRig.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Hostile.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using test::Arguments;
using test::cli;
using test::cliJson;

namespace {

constexpr const char* kTell =
    "import json, os, sys\n"
    "told = {'arguments': sys.argv[1:], 'variables': {k: v for k, v in os.environ.items() if "
    "k.startswith('HOSTILE_')}}\n"
    "json.dump(told, open(os.path.join(os.environ['TRAINYARD_OUTPUTS'], 'told.json'), 'w'))\n";

bool isText(const spec::Field& field) {
    using spec::FieldType;
    return field.type == FieldType::Text || field.type == FieldType::MultilineText || field.type == FieldType::File ||
           field.type == FieldType::Folder;
}

/// Arguments and variables may hold line breaks and tabs, and no other control character.
bool mayTravel(const std::string& value) {
    return std::none_of(value.begin(), value.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    });
}

}  // namespace

class CliHostileTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        qunsetenv("TRAINYARD_WORKSPACE");
        m_canary = "/var/tmp/trainyard-canary-" + std::to_string(::getpid());
        m_values = test::hostileValues(m_canary);
        QCOMPARE(cli({"workspace", "init", (*m_scratch / "w").string()}).exitCode, 0);
    }
    void cleanup() {
        const bool sang = std::filesystem::exists(m_canary);
        std::filesystem::remove(m_canary);
        QVERIFY2(!sang, "A value was run as code.");
        QVERIFY2(m_guard.noneLeft(20'000), m_guard.report().c_str());
    }

    void arguments_arriveHere() { checkArrival("local", *m_scratch / "outputs"); }

    void arguments_arriveOverSsh() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        test::Lab lab;
        QVERIFY2(lab.up(), lab.error().c_str());
        QCOMPARE(cli({"target", "add", "lab", "--kind", "ssh", "--host", "node1"}).exitCode, 0);
        checkArrival("lab", *m_scratch / "outputs");
        QVERIFY(lab.run(1, {"test", "!", "-e", m_canary}).exitCode == 0);
        const Json canceled = cliJson({"target", "clear-cache", "lab", "--yes"});
        QVERIFY2(canceled.contains("freed_bytes"), canceled.dump().c_str());
    }

    /// Each text field of a run, each with a part of the values, all values in turn.
    void runFields_areKeptOrRefused() {
        std::size_t next = 0;
        constexpr std::size_t kEach = 5;
        for (const spec::Field& field : spec::runSpecFields()) {
            // Paths of training data: see trainingPaths_….
            if (!isText(field) || field.path.starts_with("task.dataset") || field.path.starts_with("task.model")) {
                continue;
            }
            for (std::size_t i = 0; i < kEach; ++i) {
                const test::HostileValue& hostile = m_values[next++ % m_values.size()];
                const std::string what = field.path + ", " + hostile.name;
                const Json answer =
                    cliJson({"run", "estimate", "--set", field.path + "=" + hostile.value, "--", "true"});
                const bool refused = answer.contains("error");
                QVERIFY2(answer.is_object() && (!refused || !answer.at("error").at("code").get<std::string>().empty()),
                         what.c_str());
            }
        }
        for (std::size_t i = 0; i < m_values.size(); i += 3) {
            const std::string& value = m_values[i].value;
            const Json made = cliJson({"run", "submit", "--wait", "--set", "name=" + value, "--set",
                                       "description=" + value, "--set", "tags.hostile=" + value, "--", "true"});
            if (made.contains("error")) {
                const std::string field = made.at("error").at("field").get<std::string>();
                QVERIFY2(field == "name" || field == "description" || field.starts_with("tags"), made.dump().c_str());
                continue;
            }
            const Json shown = cliJson({"run", "show", std::to_string(made.at("number").get<int>())});
            if (!value.empty()) {
                QCOMPARE(shown.at("name").get<std::string>(), value);
            }
            QCOMPARE(shown.at("description").get<std::string>(), value);
            QCOMPARE(shown.at("tags").at("hostile").get<std::string>(), value);
        }
    }

    void targetFields_areKeptOrRefused() {
        std::size_t next = 0;
        int made = 0;
        constexpr std::size_t kEach = 6;
        for (const spec::Field& field : spec::targetSpecFields()) {
            if (!isText(field) || field.path == "name") {
                continue;
            }
            const bool slurm = field.path.starts_with("slurm.");
            for (std::size_t i = 0; i < kEach; ++i) {
                const test::HostileValue& hostile = m_values[next++ % m_values.size()];
                const std::string what = field.path + ", " + hostile.name;
                const std::string name = "t" + std::to_string(made++);
                Arguments add{"target", "add", name, "--kind", slurm ? "slurm" : "ssh"};
                if (!slurm) {
                    add.insert(add.end(), {"--host", "node1"});
                }
                add.insert(add.end(), {"--set", field.path + "=" + hostile.value, "--json"});
                const auto ran = cli(add);
                const auto answer = base::parseJson(ran.out);
                QVERIFY2(answer.ok(), (what + ran.err).c_str());
                if (ran.exitCode != 0) {
                    QVERIFY2(ran.exitCode == 4, what.c_str());
                    QVERIFY2(answer->at("error").at("field").get<std::string>() == field.path,
                             (what + ": " + ran.out).c_str());
                    continue;
                }
                const Json shown = cliJson({"target", "show", name});
                const Json* kept = spec::valueAt(shown.at("spec"), field.path);
                QVERIFY2(hostile.value.empty() || (kept != nullptr && *kept == Json(hostile.value)), what.c_str());
            }
        }
        QVERIFY(made > 60);
    }

    /// What is no path of a file here is refused with its field named.
    void trainingPaths_areRefused() {
        writeSamples(*m_scratch / "good");
        std::size_t next = 0;
        int tried = 0;
        constexpr std::size_t kEach = 8;
        for (const spec::Field& field : spec::runSpecFields()) {
            const bool path = field.type == spec::FieldType::File || field.type == spec::FieldType::Folder;
            if (!path || !(field.path.starts_with("task.dataset") || field.path.starts_with("task.model"))) {
                continue;
            }
            const bool folder = field.type == spec::FieldType::Folder;
            for (std::size_t i = 0; i < kEach; ++i) {
                const test::HostileValue& hostile = m_values[next++ % m_values.size()];
                if (hostile.value.empty()) {
                    continue;
                }
                for (const std::string prefix : {"", "/"}) {
                    Arguments submit = trainingArguments("local", *m_scratch / "good");
                    if (folder) {
                        submit.insert(submit.end(), {"--set", "task.dataset.kind=images"});
                    }
                    submit.insert(submit.end(), {"--set", field.path + "=" + prefix + hostile.value});
                    const Json answer = cliJson(submit);
                    const std::string what = field.path + ", " + hostile.name + ": " + answer.dump();
                    QVERIFY2(answer.contains("error"), what.c_str());
                    QVERIFY2(answer.at("error").at("field").get<std::string>() == field.path, what.c_str());
                    ++tried;
                }
            }
        }
        QVERIFY(tried > 60);
    }

    /// Data and weights in a folder whose name holds every value, from there into a training: here, and sent to a host;
    /// weights also where they lie on the host, and those of another run.
    void trainingPaths_arrive() {
        base::Path folder = *m_scratch / "data";
        for (const test::HostileValue& hostile : m_values) {
            if (hostile.oneLine && folder.string().size() + hostile.value.size() < 3000) {
                folder /= hostile.value.empty() ? "empty" : "x" + hostile.value;
            }
        }
        writeSamples(folder);
        const auto trained = cli(trainingArguments("local", folder), {}, 120'000);
        QVERIFY2(trained.exitCode == 0, (trained.out + trained.err).c_str());
        const base::Path weights = folder / "weights; $(touch canary) `x` '\".safetensors";
        QVERIFY(base::copyFile(*m_scratch / "w/runs" / idOf("1") / "outputs/model.safetensors", weights).ok());
        Arguments again = trainingArguments("local", folder);
        again.insert(again.end(), {"--set", "task.model.weights.source=" + weights.string()});
        const auto resumed = cli(again, {}, 120'000);
        QVERIFY2(resumed.exitCode == 0, (resumed.out + resumed.err).c_str());
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        test::Lab lab;
        QVERIFY2(lab.up(), lab.error().c_str());
        QCOMPARE(
            cli({"target", "add", "lab", "--kind", "ssh", "--host", "node1", "--set", "engine=" + lab.giveEngine(1)})
                .exitCode,
            0);
        const base::Path there = lab.home(1) / weights.filename();
        QVERIFY(base::copyFile(weights, there).ok());
        std::filesystem::permissions(there, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
        for (const std::string& source :
             {weights.string(), "target:/home/lab/" + weights.filename().string(), "run:" + idOf("1")}) {
            Arguments remote = trainingArguments("lab", folder);
            remote.insert(remote.end(), {"--set", "task.model.weights.source=" + source});
            const auto ran = cli(remote, {}, 120'000);
            QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
            // What travels is said; the samples do so once.
            const bool says =
                ran.err.find("Sending ") != std::string::npos && ran.err.find(" to node1: ") != std::string::npos;
            QVERIFY2(says || source != weights.string(), ran.err.c_str());
        }
        // One that is not there is told by its name, whatever that holds.
        Arguments gone = trainingArguments("lab", folder);
        gone.insert(gone.end(), {"--set", "task.model.weights.source=target:/$(touch " + m_canary + ")"});
        QVERIFY(cli(gone, {}, 120'000).exitCode != 0);
        QVERIFY(lab.run(1, {"test", "!", "-e", m_canary}).exitCode == 0);
    }

    void hosts_areKeptOrRefused() {
        int made = 0;
        for (const test::HostileValue& hostile : m_values) {
            const std::string name = "h" + std::to_string(made++);
            const auto ran = cli({"target", "add", name, "--kind", "ssh", "--host=" + hostile.value, "--json"});
            const bool good = !hostile.value.empty() && spec::checkDestination(hostile.value, "hosts").ok();
            QVERIFY2((ran.exitCode == 0) == good, (std::string(hostile.name) + ": " + ran.out + ran.err).c_str());
            if (!good) {
                QVERIFY2(ran.exitCode == 4 || ran.exitCode == 2, hostile.name);
            }
        }
    }

    void names_areRefusedOrUnknown() {
        QCOMPARE(cli({"run", "submit", "--wait", "--", "sh", "-c", "echo x > \"$TRAINYARD_OUTPUTS/x\""}).exitCode, 0);
        for (const test::HostileValue& hostile : m_values) {
            const auto oneOf = [&](const Arguments& arguments, std::initializer_list<int> codes) {
                const int code = cli(arguments).exitCode;
                return std::find(codes.begin(), codes.end(), code) != codes.end();
            };
            // Where a value begins with a dash the parser may take it for an option: also refused.
            QVERIFY2(oneOf({"target", "add", hostile.value, "--kind", "ssh", "--host", "node1"}, {2, 4}), hostile.name);
            QVERIFY2(oneOf({"target", "wait", hostile.value}, {1, 2, 3}), hostile.name);
            QVERIFY2(oneOf({"run", "cancel", hostile.value}, {2, 3}), hostile.name);
            QVERIFY2(oneOf({"model", "register", "1", "--files", "x", "--name=" + hostile.value}, {0, 1, 2}),
                     hostile.name);
        }
    }

    void outputNames_comeBackAsTheyAre() {
        const std::vector<std::string> names = test::hostileFileNames();
        Arguments submit{"run",
                         "submit",
                         "--wait",
                         "--",
                         "/usr/bin/python3",
                         "-c",
                         "import os, sys\nfor name in sys.argv[1:]:\n "
                         "open(os.path.join(os.environ['TRAINYARD_OUTPUTS'], name), 'w').write(name)"};
        // What stands for a variable is replaced in arguments, and must not be here.
        Arguments given;
        for (const std::string& name : names) {
            if (name.find('$') == std::string::npos) {
                given.push_back(name);
            }
        }
        submit.insert(submit.end(), given.begin(), given.end());
        const auto ran = cli(submit);
        QVERIFY2(ran.exitCode == 0, ran.err.c_str());
        const auto all = cli({"run", "download", "1", (*m_scratch / "all").string()});
        QVERIFY2(all.exitCode == 0, all.err.c_str());
        Arguments choose{"model", "register", "1", "--name", "odd"};
        for (const std::string& name : given) {
            QCOMPARE(m_scratch->read("all/" + name), name);
            choose.push_back("--files=" + name);
        }
        const auto registered = cli(choose);
        QVERIFY2(registered.exitCode == 0, registered.err.c_str());
        for (const std::string& name : given) {
            const auto one =
                cli({"model", "download", "odd", "--to", (*m_scratch / "one").string(), "--paths=" + name});
            QVERIFY2(one.exitCode == 0, one.err.c_str());
            QCOMPARE(m_scratch->read("one/" + name), name);
        }
    }

private:
    /// A script that tells what it was given; the values as its arguments and as variables.
    void checkArrival(const std::string& target, const base::Path& to) {
        Arguments submit{"run", "submit", "--wait", "--target", target};
        Arguments given;
        for (const test::HostileValue& hostile : m_values) {
            if (!mayTravel(hostile.value)) {
                checkRefusal(target, {"--", "echo", hostile.value}, "task.command");
                checkRefusal(target, {"--set", "variables.HOSTILE=" + hostile.value, "--", "true"}, "variables");
                continue;
            }
            const std::string name = "HOSTILE_" + std::to_string(given.size());
            submit.insert(submit.end(), {"--set", "variables." + name + "=" + hostile.value});
            given.push_back(hostile.value);
        }
        submit.insert(submit.end(), {"--", "/usr/bin/python3", "-c", kTell});
        submit.insert(submit.end(), given.begin(), given.end());
        const auto ran = cli(submit, {}, 120'000);
        QVERIFY2(ran.exitCode == 0, (ran.out + ran.err).c_str());
        const auto fetched = cli({"run", "download", "1", to.string()});
        QVERIFY2(fetched.exitCode == 0, fetched.err.c_str());
        const auto told = base::parseJson(base::readFile(to / "told.json").valueOr(""));
        QVERIFY(told.ok());
        QCOMPARE(told->at("arguments").size(), given.size());
        QVERIFY(given.size() > 30);
        for (std::size_t i = 0; i < given.size(); ++i) {
            const std::string name = "HOSTILE_" + std::to_string(i);
            QVERIFY2(told->at("arguments").at(i) == Json(given[i]), given[i].c_str());
            QVERIFY2(told->at("variables").value(name, std::string("none")) == given[i], given[i].c_str());
        }
    }

    /// A short training on the samples of that folder, waited for.
    static Arguments trainingArguments(const std::string& target, const base::Path& samples) {
        Arguments submit{"run", "submit", "--wait", "--target", target};
        for (const auto& [field, value] : std::initializer_list<std::pair<std::string, std::string>>{
                 {"task.dataset.train_images", (samples / "train images").string()},
                 {"task.dataset.train_labels", (samples / "train labels").string()},
                 {"task.dataset.val_images", (samples / "train images").string()},
                 {"task.dataset.val_labels", (samples / "train labels").string()},
                 {"task.model.family", "mlp"},
                 {"task.epochs", "1"},
                 {"task.threads", "1"},
                 {"task.device", "cpu"},
                 {"limits.disk_reserve_mib", "1"}}) {
            submit.insert(submit.end(), {"--set", field + "=" + value});
        }
        return submit;
    }
    /// 64 images of noise in IDX files, with labels of ten classes.
    static void writeSamples(const base::Path& folder) {
        constexpr int kSamples = 64;
        const auto big = [](int number) {
            return std::string{0, 0, static_cast<char>(number >> 8), static_cast<char>(number & 255)};
        };
        std::string images = std::string("\0\0\x08\x03", 4) + big(kSamples) + big(28) + big(28);
        std::string labels = std::string("\0\0\x08\x01", 4) + big(kSamples);
        for (int i = 0; i < kSamples * 28 * 28; ++i) {
            images += static_cast<char>((i * 7919) >> 3);
        }
        for (int i = 0; i < kSamples; ++i) {
            labels += static_cast<char>(i % 10);
        }
        QVERIFY(base::makeDirs(folder).ok());
        QVERIFY(base::writeFileAtomically(folder / "train images", images).ok());
        QVERIFY(base::writeFileAtomically(folder / "train labels", labels).ok());
    }
    static std::string idOf(const std::string& number) {
        return cliJson({"run", "show", number}).at("run").get<std::string>();
    }

    static void checkRefusal(const std::string& target, const Arguments& rest, const char* field) {
        Arguments submit{"run", "submit", "--target", target};
        submit.insert(submit.end(), rest.begin(), rest.end());
        const Json answer = cliJson(submit);
        QVERIFY2(answer.contains("error"), answer.dump().c_str());
        QCOMPARE(answer.at("error").at("field").get<std::string>(), std::string(field));
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::string m_canary;
    std::vector<test::HostileValue> m_values;
};

QTEST_GUILESS_MAIN(CliHostileTest)
#include "tst_CliHostile.moc"
