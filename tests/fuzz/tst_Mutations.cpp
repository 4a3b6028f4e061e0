// A deterministic mutation loop over everything that reads bytes from outside. Finds less than libFuzzer
// (tests/fuzz/run), but runs everywhere, in seconds, and the same way each time.
#include <QtTest>

#include "tests/fuzz/Mutate.h"
#include "tests/fuzz/Targets.h"

using namespace trainyard;

namespace {

std::string streamOf(int records) {
    std::string out;
    for (int seq = 1; seq <= records; ++seq) {
        wire::Record record;
        record.seq = seq;
        record.t = 1000 + seq;
        record.rank = seq % 3 - 1;
        record.kind = seq % 2 == 0 ? wire::kind::kMetrics : wire::kind::kText;
        record.body = seq % 2 == 0 ? wire::metricsBody({{"loss", {1, 2}, {0.5, 1e300}, {7, 8}}}, 9)
                                   : base::Json{{"name", "é"}, {"text", "a\n\"b\""}};
        out += wire::encode(record);
    }
    return out;
}

std::vector<std::string> seeds() {
    wire::Plan plan;
    plan.run = base::RunId::make();
    plan.command = {"/bin/echo", "$RANK"};
    plan.outputsFolder = "/o";
    plan.slotsFolder = "/s";
    spec::RunSpec training;
    training.train.dataset.trainImages = training.train.dataset.trainLabels = "/t";
    training.train.dataset.valImages = training.train.dataset.valLabels = "/v";
    spec::RunSpec command;
    command.taskKind = spec::TaskKind::Command;
    command.command.command = {"true"};
    return {streamOf(1),
            streamOf(5),
            streamOf(2) + std::string(6, '\0') + "\n" + streamOf(4),
            base::dumpJson(wire::toJson(plan)),
            base::dumpJson(spec::toJson(training)),
            base::dumpJson(spec::toJson(command)),
            R"({"format":"trainyard.run-spec","version":1,"task":{"kind":"command","command":["x"]}})",
            R"({"kind":"metric","name":"loss","value":"0.5","step":3,"t":5})",
            R"({"kind":"metrics","values":{"a":1,"b":"NaN"}})",
            R"({"kind":"metrics","series":[{"name":"a","value":[1,2],"step":[1,2],"t":[3,4]}]})",
            R"({"kind":"error","code":"a.b","message":"m","field":"f"})",
            R"({"v":1,"seq":9223372036854775807,"t":-1,"rank":0,"kind":"ended","outcome":"completed"})",
            "\x1b[31mred\x1b[0m \xe2\x82\xac \xf0\x9f\x98\x80\r\n",
            "[[[{\"a\":[1,-0.0,1e-320,\"\\u0000\\ud83d\\ude00\"]}]]]"};
}

const std::vector<std::string>& jsonTokens() {
    static const std::vector<std::string> tokens = {"\"",
                                                    "\\",
                                                    "{",
                                                    "}",
                                                    "[",
                                                    "]",
                                                    ",",
                                                    ":",
                                                    "\n",
                                                    std::string(1, '\0'),
                                                    "null",
                                                    "true",
                                                    "NaN",
                                                    "-",
                                                    "1e999",
                                                    "0.1",
                                                    "9223372036854775808",
                                                    "-9223372036854775809",
                                                    "\xff",
                                                    "\xc3",
                                                    "\\u0000",
                                                    "\"v\":2",
                                                    "\"seq\":1",
                                                    "\"version\":2",
                                                    "\"kind\":\"ended\"",
                                                    "\"task\":",
                                                    "\"processes\":1000000"};
    return tokens;
}

}  // namespace

class tst_Mutations : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void seedsHold_data() { targets(); }
    void seedsHold();
    void mutationsHold_data() { targets(); }
    void mutationsHold();
    void brokenRule_isSeen();

private:
    void targets();
};

void tst_Mutations::targets() {
    QTest::addColumn<int>("index");
    for (std::size_t i = 0; i < fuzz::kTargets.size(); ++i) {
        QTest::newRow(fuzz::kTargets[i].name) << static_cast<int>(i);
    }
}

void tst_Mutations::seedsHold() {
    QFETCH(int, index);
    for (const std::string& seed : seeds()) {
        const std::string wrong = fuzz::kTargets[static_cast<std::size_t>(index)].check(seed);
        QVERIFY2(wrong.empty(), (wrong + ": " + seed).c_str());
    }
}

void tst_Mutations::mutationsHold() {
    QFETCH(int, index);
    const std::vector<std::string> pool = seeds();
    constexpr int kInputs = 40'000;
    for (int i = 0; i < kInputs; ++i) {
        fuzz::Random random(static_cast<std::uint64_t>(i) * 31 + static_cast<std::uint64_t>(index));
        const std::string input = fuzz::mutated(pool[random.below(pool.size())], pool, jsonTokens(), random);
        const std::string wrong = fuzz::kTargets[static_cast<std::size_t>(index)].check(input);
        QVERIFY2(wrong.empty(),
                 (wrong + ": " + QByteArray::fromStdString(input).toPercentEncoding().toStdString()).c_str());
    }
}

void tst_Mutations::brokenRule_isSeen() {
    // A decoder that is told lies about its bytes must not agree with one that is told the truth.
    const std::string bytes = streamOf(5);
    std::string other = bytes;
    other[other.find("\"seq\":3") + 6] = '7';
    QVERIFY(fuzz::decoded(bytes, 0) == fuzz::decoded(bytes, 3));
    QVERIFY(fuzz::decoded(bytes, 0) != fuzz::decoded(other, 0));
    QVERIFY(fuzz::decoded(bytes, 0).find("damaged") == std::string::npos);
}

QTEST_GUILESS_MAIN(tst_Mutations)
#include "tst_Mutations.moc"
