#include <QtTest>
#include <cmath>
#include <limits>

#include "core/wire/RunStream.h"

using namespace trainyard::wire;

namespace {

Record record(std::int64_t seq, Json body = Json::object()) {
    Record out;
    out.seq = seq;
    out.t = 1'795'415'619'000'123;
    out.kind = "text";
    out.body = std::move(body);
    return out;
}

}  // namespace

class tst_Record : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void encode_isOneLineInFixedOrder();
    void encode_leavesOutReservedMembers();
    void encode_spellsNonFiniteNumbers();
    void encode_neverThrowsOnBytes();
    void roundTrip_data();
    void roundTrip();
    void decode_minorExtensionsAreKept();
    void decode_refuses_data();
    void decode_refuses();
    void decode_otherMajorNamesBoth();
    void metrics_roundTrip();
    void metrics_timesAreLeftOutWhenEqual();
    void metrics_numericStrings();
    void metrics_refuses_data();
    void metrics_refuses();
};

void tst_Record::encode_isOneLineInFixedOrder() {
    Record state = record(7, Json{{"state", "Running"}, {"reason", "a\nb"}});
    state.kind = kind::kState;
    QCOMPARE(encode(state),
             std::string("{\"v\":1,\"seq\":7,\"t\":1795415619000123,\"kind\":\"state\",\"state\":\"Running\","
                         "\"reason\":\"a\\nb\"}\n"));
    state.rank = 3;
    state.body = Json::object();
    QCOMPARE(encode(state), std::string("{\"v\":1,\"seq\":7,\"t\":1795415619000123,\"rank\":3,\"kind\":\"state\"}\n"));
}

void tst_Record::encode_leavesOutReservedMembers() {
    const auto back = decode(encode(record(2, Json{{"seq", 99}, {"kind", "ended"}, {"a", 1}, {"v", 8}})));
    QVERIFY(back.ok());
    QCOMPARE(back->seq, std::int64_t{2});
    QCOMPARE(back->kind, std::string("text"));
    QCOMPARE(back->body, (Json{{"a", 1}}));
    QVERIFY(decode(encode(record(2, Json{{"seq", 99}}))).ok());
}

void tst_Record::encode_spellsNonFiniteNumbers() {
    const double infinity = std::numeric_limits<double>::infinity();
    const auto back =
        decode(encode(record(1, Json{{"values", {{"a", std::nan("")}, {"b", {infinity, -infinity, 1.5}}}}})));
    QCOMPARE(trainyard::base::dumpJson(back->body),
             std::string(R"({"values":{"a":"NaN","b":["Infinity","-Infinity",1.5]}})"));
}

void tst_Record::encode_neverThrowsOnBytes() {
    Record bad = record(1, Json{{"text", std::string("\xff\xfe\x00 ok", 6)}, {"\xc0name", 1}});
    bad.kind = "\xff";
    const std::string line = encode(bad);
    QCOMPARE(std::count(line.begin(), line.end(), '\n'), std::ptrdiff_t{1});
    QVERIFY(decode(line).ok());
}

void tst_Record::roundTrip_data() {
    QTest::addColumn<int>("rank");
    QTest::addColumn<QByteArray>("body");
    QTest::newRow("agent, empty") << kNoRank << QByteArray("{}");
    QTest::newRow("rank 0") << 0 << QByteArray(R"({"x":null})");
    QTest::newRow("nested") << 17 << QByteArray(R"({"b":[1,2.5,"ü\n\u0000"],"a":{"z":{},"y":[]}})");
    QTest::newRow("large numbers") << 1 << QByteArray(R"({"max":9223372036854775807,"min":-9223372036854775808})");
}

void tst_Record::roundTrip() {
    QFETCH(int, rank);
    QFETCH(QByteArray, body);
    Record before = record(std::numeric_limits<std::int64_t>::max(), *trainyard::base::parseJson(body.toStdString()));
    before.rank = rank;
    const auto after = decode(encode(before));
    QVERIFY(after.ok());
    QCOMPARE(after->seq, before.seq);
    QCOMPARE(after->t, before.t);
    QCOMPARE(after->rank, rank);
    QCOMPARE(after->kind, before.kind);
    QCOMPARE(trainyard::base::dumpJson(after->body), trainyard::base::dumpJson(before.body));
}

void tst_Record::decode_minorExtensionsAreKept() {
    const auto later = decode(R"({"kind":"hologram","new":1,"t":5,"seq":1,"v":1})");
    QVERIFY(later.ok());
    QCOMPARE(later->kind, std::string("hologram"));
    QCOMPARE(later->rank, kNoRank);
    QCOMPARE(later->body, (Json{{"new", 1}}));
}

void tst_Record::decode_refuses_data() {
    QTest::addColumn<QByteArray>("line");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("torn") << QByteArray(R"({"v":1,"seq":1,"t":5,"kind":"sta)");
    QTest::newRow("no object") << QByteArray("[1]");
    QTest::newRow("no version") << QByteArray(R"({"seq":1,"t":5,"kind":"a"})");
    QTest::newRow("version as text") << QByteArray(R"({"v":"1","seq":1,"t":5,"kind":"a"})");
    QTest::newRow("no seq") << QByteArray(R"({"v":1,"t":5,"kind":"a"})");
    QTest::newRow("seq 0") << QByteArray(R"({"v":1,"seq":0,"t":5,"kind":"a"})");
    QTest::newRow("seq as fraction") << QByteArray(R"({"v":1,"seq":1.5,"t":5,"kind":"a"})");
    QTest::newRow("seq beyond 64 bits") << QByteArray(R"({"v":1,"seq":9223372036854775808,"t":5,"kind":"a"})");
    QTest::newRow("no time") << QByteArray(R"({"v":1,"seq":1,"kind":"a"})");
    QTest::newRow("no kind") << QByteArray(R"({"v":1,"seq":1,"t":5})");
    QTest::newRow("empty kind") << QByteArray(R"({"v":1,"seq":1,"t":5,"kind":""})");
    QTest::newRow("rank -2") << QByteArray(R"({"v":1,"seq":1,"t":5,"rank":-2,"kind":"a"})");
    QTest::newRow("rank as text") << QByteArray(R"({"v":1,"seq":1,"t":5,"rank":"0","kind":"a"})");
    QTest::newRow("rank beyond int") << QByteArray(R"({"v":1,"seq":1,"t":5,"rank":4294967296,"kind":"a"})");
    QTest::newRow("seq twice") << QByteArray(R"({"v":1,"seq":1,"seq":2,"t":5,"kind":"a"})");
    QTest::newRow("two records") << QByteArray(R"({"v":1,"seq":1,"t":5,"kind":"a"}{"v":1,"seq":2,"t":5,"kind":"a"})");
}

void tst_Record::decode_refuses() {
    QFETCH(QByteArray, line);
    const auto record = decode(line.toStdString());
    QVERIFY(!record.ok());
    QCOMPARE(record.error().code, std::string("stream.line"));
}

void tst_Record::decode_otherMajorNamesBoth() {
    const auto record = decode(R"({"v":2,"anything":{}})");
    QCOMPARE(record.error().code, std::string("stream.major"));
    QVERIFY(record.error().message.find("version 2") != std::string::npos);
    QVERIFY(record.error().message.find("version 1") != std::string::npos);
}

void tst_Record::metrics_roundTrip() {
    const std::vector<SeriesPoints> series = {{"train/loss", {1, 2}, {0.5, std::nan("")}, {100, 90}},
                                              {"é", {-3}, {std::numeric_limits<double>::infinity()}, {70}},
                                              {"empty", {}, {}, {}}};
    const auto line = encode(record(1, metricsBody(series, 100)));
    const auto back = metricsFromBody(decode(line)->body, 100);
    QVERIFY(back.ok());
    QCOMPARE(back->size(), series.size());
    for (std::size_t i = 0; i < series.size(); ++i) {
        QCOMPARE((*back)[i].name, series[i].name);
        QCOMPARE((*back)[i].step, series[i].step);
        QCOMPARE((*back)[i].t, series[i].t);
        QCOMPARE((*back)[i].value.size(), series[i].value.size());
    }
    QVERIFY(std::isnan((*back)[0].value[1]));
    QCOMPARE((*back)[0].value[0], 0.5);
    QVERIFY(std::isinf((*back)[1].value[0]));
}

void tst_Record::metrics_timesAreLeftOutWhenEqual() {
    QVERIFY(!metricsBody({{"a", {1, 2}, {1, 2}, {50, 50}}}, 50)["series"][0].contains("t"));
    QVERIFY(!metricsBody({{"a", {1, 2}, {1, 2}, {}}}, 50)["series"][0].contains("t"));
    QVERIFY(metricsBody({{"a", {1, 2}, {1, 2}, {50, 51}}}, 50)["series"][0].contains("t"));
    QCOMPARE(metricsFromBody(metricsBody({{"a", {1}, {1}, {}}}, 50), 50)->front().t, (std::vector<std::int64_t>{50}));
}

void tst_Record::metrics_numericStrings() {
    const auto series = metricsFromBody(
        *trainyard::base::parseJson(R"({"series":[{"name":"a","step":[1,2],"value":["0.25","-inf"]}]})"), 0);
    QVERIFY(series.ok());
    QCOMPARE(series->front().value[0], 0.25);
    QCOMPARE(series->front().value[1], -std::numeric_limits<double>::infinity());
}

void tst_Record::metrics_refuses_data() {
    QTest::addColumn<QByteArray>("body");
    QTest::newRow("no series") << QByteArray("{}");
    QTest::newRow("no list") << QByteArray(R"({"series":{}})");
    QTest::newRow("no object") << QByteArray(R"({"series":[1]})");
    QTest::newRow("no name") << QByteArray(R"({"series":[{"step":[1],"value":[1]}]})");
    QTest::newRow("empty name") << QByteArray(R"({"series":[{"name":"","step":[1],"value":[1]}]})");
    QTest::newRow("no values") << QByteArray(R"({"series":[{"name":"a","step":[1]}]})");
    QTest::newRow("fewer steps") << QByteArray(R"({"series":[{"name":"a","step":[1],"value":[1,2]}]})");
    QTest::newRow("more times") << QByteArray(R"({"series":[{"name":"a","step":[1],"value":[1],"t":[1,2]}]})");
    QTest::newRow("step as fraction") << QByteArray(R"({"series":[{"name":"a","step":[1.5],"value":[1]}]})");
    QTest::newRow("value as truth") << QByteArray(R"({"series":[{"name":"a","step":[1],"value":[true]}]})");
    QTest::newRow("value as word") << QByteArray(R"({"series":[{"name":"a","step":[1],"value":["high"]}]})");
    QTest::newRow("value null") << QByteArray(R"({"series":[{"name":"a","step":[1],"value":[null]}]})");
}

void tst_Record::metrics_refuses() {
    QFETCH(QByteArray, body);
    const auto series = metricsFromBody(*trainyard::base::parseJson(body.toStdString()), 0);
    QVERIFY(!series.ok());
    QCOMPARE(series.error().code, std::string("stream.metrics"));
}

QTEST_GUILESS_MAIN(tst_Record)
#include "tst_Record.moc"
