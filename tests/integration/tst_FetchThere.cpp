// Data sets and published weights on a host over ssh that fetches them itself, from a server that nobody else can
// reach; and sent from here where it cannot.
#include <QTest>

#include "core/base/Hash.h"
#include "core/runs/TargetBook.h"
#include "core/wire/Layout.h"
#include "tests/helpers/Archives.h"
#include "tests/helpers/FileServer.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/LabTarget.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

class TestFetchThere : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        qputenv("TRAINYARD_BIN", QByteArray::fromStdString(test::builtProgram("").string()));
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        if (const std::string missing = test::Lab::missing(); !missing.empty()) {
            TRAINYARD_SKIP(missing.c_str());
        }
        m_lab = std::make_unique<test::Lab>(test::LabOptions{2, false, false});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY2(!m_driver->get("workspace.init", {{"folder", (*m_scratch / "w").string()}}).is_null(),
                 m_driver->lastError().c_str());
        for (const int host : {1, 2}) {
            spec::TargetSpec target = test::labTarget("node" + std::to_string(host), host, host);
            target.engine = m_lab->giveEngine(host);
            QVERIFY(!target.engine.empty());
            const auto written = runs::writeTarget(m_driver->session().workspace().layout, target);
            QVERIFY2(written.ok(), written.ok() ? "" : written.error().message.c_str());
            target.name = "closed" + std::to_string(host);
            target.fetchHere = true;
            QVERIFY(runs::writeTarget(m_driver->session().workspace().layout, target).ok());
        }
        // The archive is looked at here, from a server that is gone when the runs begin.
        std::filesystem::create_directories(*m_scratch / "site");
        QVERIFY(test::writeArchive(*m_scratch / "site/birds.tar.gz", birds(), "tar", "gzip"));
        test::FileServer here(*m_scratch / "site");
        QVERIFY(here.port() > 0);
        m_port = here.port();
        m_address = here.address("birds.tar.gz");
        const Json added = m_driver->get("dataset.add",
                                         {{"name", "birds"},
                                          {"source", m_address},
                                          {"sha256", base::sha256File(*m_scratch / "site/birds.tar.gz").valueOr("")}},
                                         60'000);
        QVERIFY2(!added.is_null(), m_driver->lastError().c_str());
        // Weights that somebody has published: those of a training here.
        const std::string run = train("local", Json::object());
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        const base::Path model = m_driver->session().workspace().layout.outputs(base::RunId(run)) / "model.safetensors";
        m_weights = base::sha256File(model).valueOr("");
        QCOMPARE(m_weights.size(), std::size_t{64});
        m_weightsName = "tiny-" + m_weights.substr(0, 8) + ".safetensors";
        std::filesystem::copy_file(model, *m_scratch / "site" / m_weightsName);
        const base::Path list = base::xdgConfigHome() / "trainyard/weights.json";
        std::filesystem::create_directories(list.parent_path());
        const Json entry{{"id", "tiny"},
                         {"title", "Two birds"},
                         {"family", "mobilenet_v3_small"},
                         {"address", here.address(m_weightsName)},
                         {"sha256_prefix", m_weights.substr(0, 8)},
                         {"classes", {{"count", 2}}},
                         {"licence", "CC0"}};
        const Json weights{
            {"format", "trainyard.pretrained-weights"}, {"version", 1}, {"weights", Json::array({entry})}};
        QVERIFY(base::writeFileAtomically(list, base::dumpJsonPretty(weights)).ok());
        // Only node1 has the server from here on, on its own loopback.
        for (const auto& file : std::filesystem::directory_iterator(*m_scratch / "site")) {
            std::filesystem::create_directories(m_lab->home(1) / "site");
            std::filesystem::copy_file(file.path(), m_lab->home(1) / "site" / file.path().filename());
        }
        std::filesystem::copy_file(test::sourceFolder() / "tests/helpers/lab/fileserver.py",
                                   m_lab->home(1) / "fileserver.py");
        here.stop();
        QVERIFY(serveOnNode1("site"));
    }
    void cleanupTestCase() {
        m_driver.reset();
        m_lab.reset();
    }

    /// A named data set and published weights: both come from a server that only that host can reach, once.
    void training_withDataAndWeightsFromThere() {
        for (int round = 0; round < 2; ++round) {
            const std::string run =
                train("node1", {{"task", {{"model", {{"weights", {{"source", "pretrained:tiny"}}}}}}}});
            QVERIFY2(!run.empty(), m_driver->lastError().c_str());
            const auto inputs = inputsOf(run);
            QCOMPARE(inputs.at("weights"), m_weights);
            QCOMPARE(inputs.at("dataset"),
                     m_driver->get("dataset.show", {{"dataset", "birds"}})["sha256"].get<std::string>());
        }
        QCOMPARE(asked("/birds.tar.gz"), 1);
        QCOMPARE(asked("/" + m_weightsName), 1);
        const wire::WorkLayout work{m_lab->home(1) / ".local/share/trainyard/work"};
        QVERIFY(std::filesystem::exists(work.dataEntry(m_weights) / "files" / m_weightsName));
        QVERIFY(!std::filesystem::exists(base::xdgCacheHome() / "trainyard/weights" / m_weightsName));  // Never here.
        // The cache's list names both.
        const Json cache = m_driver->get("target.cache", {{"target", "node1"}});
        int data = 0;
        for (const Json& entry : cache.at("entries")) {
            data += entry.at("kind") == "data" ? 1 : 0;
        }
        QCOMPARE(data, 2);
    }

    /// What travels is told before: nothing of what the host fetches itself.
    void estimate_saysWhoFetches() {
        Json spec = document("node2", Json::object());
        const Json estimate = m_driver->get("run.estimate", {{"spec", spec}}, 60'000);
        QVERIFY2(!estimate.is_null(), m_driver->lastError().c_str());
        QCOMPARE(estimate.at("upload").at("fetches"), Json::array({"dataset"}));
        QCOMPARE(estimate.at("upload").at("bytes"), Json(0));
        const Json disk = estimate.at("upload").at("disk");
        QCOMPARE(disk.at("host"), Json("node2"));
        QVERIFY(disk.at("free_bytes").get<std::int64_t>() > 0);
        QVERIFY(disk.at("needed_bytes") > estimate.at("upload").at("fetch_bytes") &&
                estimate.at("upload").at("fetch_bytes") > 0);
        spec["target"] = "closed2";
        const Json sent = m_driver->get("run.estimate", {{"spec", spec}}, 60'000);
        QVERIFY2(!sent.is_null(), m_driver->lastError().c_str());
        QCOMPARE(sent.at("upload").at("fetches"), Json::array());
        QVERIFY(sent.at("upload").at("bytes").get<std::int64_t>() > 0);
    }

    /// No way to the server from node2: the data set is sent from here, and the run's log says why.
    void unreachableAddress_isSentFromHere() {
        const std::string run = train("node2", Json::object());
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QVERIFY2(toldInstead(run, "It is sent from here"), m_driver->lastError().c_str());
        // Weights that neither can fetch: the run fails with both reasons.
        const Json spec = document("node2", {{"task", {{"model", {{"weights", {{"source", "pretrained:tiny"}}}}}}}});
        const Json submitted = m_driver->get("run.submit", {{"spec", spec}});
        const std::string reason =
            submitted.is_null() ? m_driver->lastError() : failedReason(submitted.at("run").get<std::string>());
        QVERIFY2(reason.find("node2 cannot fetch weights itself") != std::string::npos &&
                     reason.find("Nor can this machine") != std::string::npos,
                 reason.c_str());
    }

    /// A script's input from an address goes the same way, also to a target that is not to fetch itself.
    void script_input_onAClosedNetwork() {
        test::FileServer here(*m_scratch / "site", m_port);
        QVERIFY(here.port() == m_port);
        const std::size_t before = here.requests().size();
        const int askedThere = asked("/birds.tar.gz");
        const std::string hash = base::sha256File(*m_scratch / "site/birds.tar.gz").valueOr("");
        const Json more{{"inputs", {{"archive", m_address + "#sha256=" + hash}}},
                        {"limits", {{"disk_reserve_mib", 1}}}};
        for (const char* target : {"closed2", "node1"}) {
            Json spec = more;
            spec["target"] = target;
            const std::string run = m_driver->submit("sha256sum < \"$TRAINYARD_INPUT_ARCHIVE\"", spec);
            QVERIFY2(!run.empty(), m_driver->lastError().c_str());
            QVERIFY(!m_driver->watch(run, 60'000).is_null());
            const auto lines = m_driver->log(run, "stdout");
            QVERIFY2(!lines.empty() && lines.front().starts_with(hash),
                     lines.empty() ? "no line" : lines.front().c_str());
        }
        QCOMPARE(here.requests().size(), before + 1);  // For the closed one; node1 asked its own.
        QCOMPARE(asked("/birds.tar.gz"), askedThere + 1);
    }

    /// The run names the archive's address itself; nobody has looked at it here.
    void training_onAnAddress() {
        const std::string hash = base::sha256File(*m_scratch / "site/birds.tar.gz").valueOr("");
        const int before = asked("/birds.tar.gz");
        const std::string run = train("node1", {{"task", {{"dataset", {{"folder", m_address + "#sha256=" + hash}}}}}});
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QCOMPARE(asked("/birds.tar.gz"), before);  // It lies there since the first training.
    }

    /// What the address leads to has changed: nothing of it is used.
    void otherContent_isNotUsed() {
        QVERIFY(
            m_lab
                ->run(1,
                      {"sh", "-c",
                       "rm -rf /home/lab/.local/share/trainyard/work/data; echo other > /home/lab/site/birds.tar.gz"})
                .exitCode == 0);
        const std::string run = train("node1", Json::object());
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QVERIFY(toldInstead(run, "has the SHA-256"));
    }

    void noProgramToFetchWith() {
        for (const char* program : {"/usr/bin/curl", "/usr/bin/wget"}) {
            if (std::filesystem::exists(program)) {
                QVERIFY(m_lab->run(1, {"mount", "--bind", "/dev/null", program}).exitCode == 0);
            }
        }
        QVERIFY(m_lab->run(1, {"rm", "-rf", "/home/lab/.local/share/trainyard/work/data"}).exitCode == 0);
        const std::string run = train("node1", Json::object());
        QVERIFY2(!run.empty(), m_driver->lastError().c_str());
        QVERIFY(toldInstead(run, "Neither curl nor wget"));
    }

private:
    static std::vector<test::ArchiveItem> birds() {
        std::vector<test::ArchiveItem> all;
        for (int i = 0; i < 16; ++i) {
            const auto shade = static_cast<unsigned char>(10 * i);
            all.push_back({std::string("birds-1.0/") + (i % 2 == 0 ? "hen/" : "turkey/") + std::to_string(i) + ".png",
                           test::pngOf(40, 36, {shade, static_cast<unsigned char>(i % 2 * 200), 7})});
        }
        return all;
    }
    static Json document(const std::string& target, const Json& more) {
        Json spec{{"format", "trainyard.run-spec"},
                  {"version", 1},
                  {"experiment", "fetch"},
                  {"target", target},
                  {"limits", {{"disk_reserve_mib", 1}}},
                  {"task",
                   {{"kind", "train"},
                    {"device", "cpu"},
                    {"threads", 1},
                    {"epochs", 1},
                    {"batch_size", 4},
                    {"dataset",
                     {{"kind", "images"},
                      {"folder", "dataset:birds"},
                      {"image_size", 32},
                      {"resize_size", 36},
                      {"val_fraction", 0.25}}},
                    {"model", {{"family", "mobilenet_v3_small"}}}}}};
        spec.update(more, true);
        return spec;
    }
    /// The run's id once it has completed; empty otherwise, with the reason in the warning.
    std::string train(const std::string& target, const Json& more) {
        const Json submitted = m_driver->get("run.submit", {{"spec", document(target, more)}}, 60'000);
        if (submitted.is_null()) {
            qWarning("%s", m_driver->lastError().c_str());
            return {};
        }
        const std::string run = submitted.at("run").get<std::string>();
        const Json ended = m_driver->watch(run, 180'000);
        if (ended.is_null() || ended.at("state") != "Completed") {
            qWarning("%s", ended.is_null() ? m_driver->lastError().c_str() : base::dumpJson(ended).c_str());
            return {};
        }
        return run;
    }
    std::string failedReason(const std::string& run) {
        const Json ended = m_driver->watch(run, 120'000);
        return ended.is_null() ? m_driver->lastError() : base::dumpJson(ended);
    }
    std::string journal(const std::string& run) const {
        return base::readFile(m_driver->session().workspace().layout.run(base::RunId(run)) / "journal.jsonl")
            .valueOr("");
    }
    bool toldInstead(const std::string& run, const std::string& words) const {
        const std::string text = journal(run);
        for (const std::string& line : base::split(text, '\n')) {
            if (line.find("\"instead\"") != std::string::npos && line.find(words) != std::string::npos) {
                return true;
            }
        }
        qWarning("%s", text.c_str());
        return false;
    }
    std::map<std::string, std::string> inputsOf(const std::string& run) const {
        std::map<std::string, std::string> inputs;
        for (const std::string& line : base::split(journal(run), '\n')) {
            const auto json = base::parseJson(line);
            if (json.ok() && json->is_object() && json->contains("data") && (*json)["data"].is_array()) {
                for (const Json& item : (*json)["data"]) {
                    inputs[item.at("name").get<std::string>()] =
                        item.at("sha256").is_string() ? item.at("sha256").get<std::string>() : "";
                }
            }
        }
        return inputs;
    }
    bool serveOnNode1(const std::string& folder) {
        const std::string port = std::to_string(m_port);
        const std::string start = "cd /home/lab && (setsid python3 fileserver.py " + folder + " " + port +
                                  " port requests >/dev/null 2>&1 </dev/null &)";
        if (m_lab->run(1, {"sh", "-c", start}).exitCode != 0) {
            return false;
        }
        return test::waitFor([&] { return base::readFile(m_lab->home(1) / "port").valueOr("") == port; }, 20'000);
    }
    /// How often node1's server was asked for a file.
    int asked(const std::string& path) const {
        int count = 0;
        for (const std::string& line : base::split(base::readFile(m_lab->home(1) / "requests").valueOr(""), '\n')) {
            count += line.starts_with(path) ? 1 : 0;
        }
        return count;
    }

    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::Lab> m_lab;
    std::unique_ptr<test::SessionDriver> m_driver;
    int m_port = 0;
    std::string m_address;
    std::string m_weights;  ///< Hash of the published weights.
    std::string m_weightsName;
};

QTEST_GUILESS_MAIN(TestFetchThere)
#include "tst_FetchThere.moc"
