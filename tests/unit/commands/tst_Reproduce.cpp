// A run submitted again: kept as a repetition of the first, compared with it at its end, point by point.
#include <QTest>
#include <algorithm>
#include <memory>

#include "core/wire/RunStream.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/integration/SessionDriver.h"

using namespace trainyard;
using base::Json;

class TestReproduce : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        m_scratch = std::make_unique<test::Scratch>();
        m_scratch->isolate();
        m_driver = std::make_unique<test::SessionDriver>();
        QVERIFY(m_driver->run("workspace.init", Json{{"folder", (*m_scratch / "w").string()}}).ok());
        m_scratch->write("data/a.txt", "one\n");
        m_scratch->write("data/deep/b.txt", "two\n");
        m_scratch->write("source/value.txt", "0.25\n");
        m_scratch->write("source/train.sh",
                         "for step in 1 2 3 4 5; do\n"
                         "  echo \"{\\\"kind\\\":\\\"metric\\\",\\\"name\\\":\\\"loss\\\",\\\"value\\\":$(cat "
                         "value.txt),\\\"step\\\":$step}\" >> \"$TRAINYARD_STREAM\"\n"
                         "done\n"
                         "cat \"$TRAINYARD_INPUT_WORDS/a.txt\"\n");
    }
    void cleanup() {
        m_driver.reset();
        QVERIFY2(m_guard.noneLeft(10'000), m_guard.report().c_str());
    }

    void equal_isSaidOfEveryPoint() {
        const Json first = submit();
        QCOMPARE(first.value("state", "?"), "Completed");
        QVERIFY(first.at("reproduced").is_null());
        const Json again = reproduce(first);
        QCOMPARE(again.value("state", "?"), "Completed");
        QCOMPARE(again.at("reproduces"), first.at("run"));
        const Json& told = again.at("reproduced");
        QVERIFY2(told.is_object(), base::dumpJson(again.at("warning_list")).c_str());
        QCOMPARE(told.at("left").at("run"), first.at("run"));
        QCOMPARE(told.at("right").at("run"), again.at("run"));
        for (const char* what : {"spec", "snapshot", "data", "environment", "target", "metrics", "points", "state"}) {
            QVERIFY2(told.at("same").at(what) == Json(true), (std::string(what) + ": " + base::dumpJson(told)).c_str());
        }
        const Json& points = told.at("metrics").at(0).at("points");
        QCOMPARE(points.at("compared").get<int>(), 5);
        QCOMPARE(points.at("different").get<int>(), 0);

        // The other way round: the original names its repetition.
        const Json original = m_driver->get("run.show", {{"run", first.at("run")}});
        QCOMPARE(original.at("descendants").size(), std::size_t{1});
        QCOMPARE(original.at("descendants").at(0).at("run"), again.at("run"));
        QVERIFY(original.at("descendants").at(0).at("reproduces").get<bool>());
        QCOMPARE(original.at("data").at(0).at("name").get<std::string>(), "words");
        QCOMPARE(original.at("data").at(0).at("bytes").get<int>(), 8);
    }

    /// The same source and spec, other data: said by content, though the path is the same.
    void otherData_areNamed() {
        const Json first = submit();
        m_scratch->write("data/a.txt", "ONE\n");
        const Json again = reproduce(first);
        const Json& told = again.at("reproduced");
        QVERIFY(told.at("same").at("spec") == Json(true));
        QVERIFY(told.at("same").at("snapshot") == Json(true));
        QVERIFY(told.at("same").at("data") == Json(false));
        QCOMPARE(told.at("data").size(), std::size_t{1});
        QCOMPARE(told.at("data").at(0).at("name").get<std::string>(), "words");
        QVERIFY(told.at("data").at(0).at("left") != told.at("data").at(0).at("right"));
        QVERIFY(told.at("same").at("points") == Json(true));
    }

    /// Two runs that differ in one value of five: the last and best are not enough to see it.
    void onePointThatDiffers_isFound() {
        const Json first = submit();
        m_scratch->write("source/train.sh", "for value in 0.25 0.25 0.20 0.25 0.25; do\n"
                                            "  step=$((step + 1))\n"
                                            "  echo "
                                            "\"{\\\"kind\\\":\\\"metric\\\",\\\"name\\\":\\\"loss\\\",\\\"value\\\":$"
                                            "value,\\\"step\\\":$step}\" >> \"$TRAINYARD_STREAM\"\n"
                                            "done\n");
        const Json second = submit();
        QCOMPARE(second.value("state", "?"), "Completed");
        const Json quick = m_driver->get("run.compare", {{"run", first.at("run")}, {"with", second.at("run")}});
        QVERIFY2(quick.is_object(), m_driver->lastError().c_str());
        QVERIFY(quick.at("same").at("points").is_null());
        QVERIFY(quick.at("metrics").at(0).at("points").is_null());
        const Json told =
            m_driver->get("run.compare", {{"run", first.at("run")}, {"with", second.at("run")}, {"points", true}});
        QVERIFY2(told.is_object(), m_driver->lastError().c_str());
        QVERIFY(told.at("same").at("points") == Json(false));
        QVERIFY(told.at("same").at("snapshot") == Json(false));
        const Json& points = told.at("metrics").at(0).at("points");
        QCOMPARE(points.at("compared").get<int>(), 5);
        QCOMPARE(points.at("different").get<int>(), 1);
        QCOMPARE(points.at("first_step").get<int>(), 3);
        QVERIFY(std::abs(points.at("largest").get<double>() - 0.05) < 1e-12);
    }

    /// As the engine tells it: among the parameters, not in what the agent found.
    void libtorchThatDiffers_isFound() {
        std::vector<Json> runs;
        for (const char* version : {"1.13.1", "2.0.0"}) {
            m_scratch->write("source/train.sh", std::string("echo '{\"kind\":\"params\",\"values\":{\"libtorch\":\"") +
                                                    version + "\"}}' >> \"$TRAINYARD_STREAM\"\n");
            runs.push_back(submit());
            QCOMPARE(runs.back().value("state", "?"), "Completed");
        }
        const Json told = m_driver->get("run.compare", {{"run", runs[0].at("run")}, {"with", runs[1].at("run")}});
        QVERIFY2(told.is_object(), m_driver->lastError().c_str());
        QVERIFY(told.at("same").at("environment") == Json(false));
        QCOMPARE(told.at("environment"),
                 Json::array({Json{{"name", "libtorch"}, {"left", "1.13.1"}, {"right", "2.0.0"}}}));
    }

    /// The first step that differs is named where last, best and number of the values are the same, and from both sides
    /// where one of them lacks a step; times are told apart.
    void firstDifferentStep_isNamedInEveryCase() {
        const auto told = [this](const std::string& pairs) {
            m_scratch->write(
                "source/train.sh",
                "while read -r step value; do\n"
                "  echo "
                "\"{\\\"kind\\\":\\\"metric\\\",\\\"name\\\":\\\"loss\\\",\\\"value\\\":$value,\\\"step\\\":$step}\" "
                ">> \"$TRAINYARD_STREAM\"\n"
                "done < pairs.txt\n"
                "for name in step_seconds wall_time; do\n"
                "  echo \"{\\\"kind\\\":\\\"metric\\\",\\\"name\\\":\\\"$name\\\",\\\"value\\\":1.$(date "
                "+%N),\\\"step\\\":1}\" >> \"$TRAINYARD_STREAM\"\n"
                "done\n");
            m_scratch->write("source/pairs.txt", pairs);
            const Json run = submit();
            return run.value("state", "?") == "Completed" ? run.at("run") : Json();
        };
        const Json original = told("1 0.1\n2 0.2\n3 0.3\n4 0.4\n5 0.5\n");
        const Json swapped = told("1 0.1\n2 0.3\n3 0.2\n4 0.4\n5 0.5\n");
        const Json shorter = told("1 0.1\n2 0.2\n4 0.4\n5 0.5\n");
        QVERIFY(original.is_string() && swapped.is_string() && shorter.is_string());
        const auto compared = [this](const Json& left, const Json& right) {
            return m_driver->get("run.compare", {{"run", left}, {"with", right}, {"points", true}});
        };
        const Json middle = compared(original, swapped);
        QVERIFY2(middle.is_object(), m_driver->lastError().c_str());
        QVERIFY(middle.at("same").at("metrics") == Json(true) && middle.at("same").at("points") == Json(false));
        QCOMPARE(middle.at("metrics").size(), std::size_t{3});
        const Json& loss = middle.at("metrics").at(0);
        QVERIFY(loss.at("equal") == Json(true) && loss.at("measured") == Json(false));
        QCOMPARE(loss.at("points").at("different").get<int>(), 2);
        QCOMPARE(loss.at("points").at("first_step").get<int>(), 2);
        for (const std::size_t time : {1U, 2U}) {
            QVERIFY(middle.at("metrics").at(time).at("equal") == Json(false));
            QVERIFY(middle.at("metrics").at(time).at("measured") == Json(true));
        }
        for (const auto& [left, right] : {std::pair{original, shorter}, {shorter, original}}) {
            const Json lacking = compared(left, right);
            QVERIFY2(lacking.is_object(), m_driver->lastError().c_str());
            const Json& points = lacking.at("metrics").at(0).at("points");
            QCOMPARE(points.at("compared").get<int>(), 5);
            QCOMPARE(points.at("different").get<int>(), 1);
            QCOMPARE(points.at("first_step").get<int>(), 3);
        }
    }

    /// What was compared stands in the journal: a new index has it too.
    void comparison_survivesTheIndex() {
        const Json first = submit();
        const Json again = reproduce(first);
        QVERIFY(again.at("reproduced").is_object());
        QVERIFY(m_driver->run("workspace.rebuild", Json::object()).ok());
        const Json shown = m_driver->get("run.show", {{"run", again.at("run")}});
        QCOMPARE(shown.at("reproduced"), again.at("reproduced"));
        QCOMPARE(shown.at("reproduces"), first.at("run"));
    }

    void originalThatWasDeleted_isAWarning() {
        m_scratch->write("source/train.sh",
                         "echo up; while [ ! -e " + (*m_scratch / "go").string() + " ]; do sleep 0.05; done\n");
        m_scratch->write("go", "");
        const Json first = submit();
        QCOMPARE(first.value("state", "?"), "Completed");
        std::filesystem::remove(*m_scratch / "go");
        const Json told = m_driver->get("run.reproduce", {{"run", first.at("run")}});
        QVERIFY2(told.is_object(), m_driver->lastError().c_str());
        QVERIFY(m_driver->run("run.delete", {{"run", first.at("run")}}).ok());
        m_scratch->write("go", "");
        const Json again = m_driver->watch(told.at("run").get<std::string>());
        QCOMPARE(again.value("state", "?"), "Completed");
        QVERIFY(again.at("reproduced").is_null());
        const Json& warnings = again.at("warning_list");
        QVERIFY(std::any_of(warnings.begin(), warnings.end(),
                            [](const Json& one) { return one.at("code") == "run.not_compared"; }));
    }

    /// What the engine computes is the same again, to the last bit of every step, and the data have been looked at.
    void training_isRepeatedBitForBit() {
        const std::string folder = "/usr/share/datasets/fashion-mnist/";
        if (!std::filesystem::exists(folder)) {
            TRAINYARD_SKIP("dataset-fashion-mnist is not installed");
        }
        const Json spec{{"format", "trainyard.run-spec"},
                        {"version", 1},
                        {"task",
                         {{"kind", "train"},
                          {"dataset",
                           {{"kind", "idx"},
                            {"train_images", folder + "train-images-idx3-ubyte.gz"},
                            {"train_labels", folder + "train-labels-idx1-ubyte.gz"},
                            {"val_images", folder + "t10k-images-idx3-ubyte.gz"},
                            {"val_labels", folder + "t10k-labels-idx1-ubyte.gz"},
                            {"train_limit", 1500},
                            {"val_limit", 300}}},
                          {"model", {{"family", "mlp"}}},
                          {"threads", 1},
                          {"epochs", 2}}}};
        const Json made = m_driver->get("run.submit", {{"spec", spec}});
        QVERIFY2(made.is_object(), m_driver->lastError().c_str());
        const Json first = m_driver->watch(made.at("run").get<std::string>(), 90'000);
        QVERIFY2(first.is_object() && first.at("state") == "Completed", base::dumpJson(first).c_str());
        QCOMPARE(first.at("data").at(0).at("name").get<std::string>(), "dataset");
        QCOMPARE(first.at("data").at(0).at("sha256").get<std::string>().size(), std::size_t{64});
        const Json told = reproduce(first).at("reproduced");
        QVERIFY(told.is_object());
        for (const char* what : {"data", "seed", "metrics", "points"}) {
            QVERIFY2(told.at("same").at(what) == Json(true), (std::string(what) + ": " + base::dumpJson(told)).c_str());
        }
        const Json realised = m_driver->get("environment.show", {{"environment", "trainyard-engine"}}).at("realised");
        QVERIFY2(realised.size() == 1 && realised.at(0).at("facts").value("libtorch", "").starts_with("1."),
                 base::dumpJson(realised).c_str());
    }

private:
    Json submit() {
        const Json spec{{"format", "trainyard.run-spec"},
                        {"version", 1},
                        {"inputs", {{"words", (*m_scratch / "data").string()}}},
                        {"task",
                         {{"kind", "command"},
                          {"source_folder", (*m_scratch / "source").string()},
                          {"script", "train.sh"},
                          {"interpreter", "sh"}}}};
        const Json told = m_driver->get("run.submit", {{"spec", spec}});
        if (!told.is_object()) {
            qWarning("%s", m_driver->lastError().c_str());
            return Json::object();
        }
        return m_driver->watch(told.at("run").get<std::string>());
    }
    Json reproduce(const Json& original) {
        const Json told = m_driver->get("run.reproduce", {{"run", original.at("run")}});
        if (!told.is_object()) {
            qWarning("%s", m_driver->lastError().c_str());
            return Json{{"reproduced", nullptr}, {"warning_list", nullptr}};
        }
        return m_driver->watch(told.at("run").get<std::string>(), 90'000);
    }

    test::ChildGuard m_guard;
    std::unique_ptr<test::Scratch> m_scratch;
    std::unique_ptr<test::SessionDriver> m_driver;
};

QTEST_GUILESS_MAIN(TestReproduce)
#include "tst_Reproduce.moc"
