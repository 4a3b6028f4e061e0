#include <QtTest>
#include <cmath>
#include <limits>

#include "core/base/Json.h"

using namespace trainyard::base;

class tst_Json : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void parse_keepsTheOrderOfKeys();
    void parse_readsEveryType();
    void parse_refusesSyntax_data();
    void parse_refusesSyntax();
    void parse_namesLineAndColumn();
    void parse_depth();
    void parse_duplicateKeys();
    void parse_duplicateAmongManyKeys();
    void dump_replacesInvalidUtf8();
    void numbers_roundTrip_data();
    void numbers_roundTrip();
    void numbers_fromText_data();
    void numbers_fromText();
    void reader_takesWhatIsThere();
    void reader_namesWrongTypes_data();
    void reader_namesWrongTypes();
    void reader_integerLimits();
    void reader_unknownKeys();
    void reader_nested();
    void reader_missing();
    void format_checks_data();
    void format_checks();
};

void tst_Json::parse_keepsTheOrderOfKeys() {
    const auto json = parseJson(R"({"z":1,"a":{"y":2,"b":3}})");
    QVERIFY(json.ok());
    QCOMPARE(dumpJson(*json), std::string(R"({"z":1,"a":{"y":2,"b":3}})"));
}

void tst_Json::parse_readsEveryType() {
    const auto json = parseJson(R"( [null,true,-7,18446744073709551615,0.5,"é\u0000x",[],{}] )");
    QVERIFY(json.ok());
    QCOMPARE(json->size(), std::size_t{8});
    QVERIFY((*json)[0].is_null());
    QCOMPARE((*json)[1].get<bool>(), true);
    QCOMPARE((*json)[2].get<std::int64_t>(), std::int64_t{-7});
    QCOMPARE((*json)[3].get<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
    QCOMPARE((*json)[4].get<double>(), 0.5);
    QCOMPARE((*json)[5].get<std::string>(), std::string("é\0x", 4));
}

void tst_Json::parse_refusesSyntax_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("blank") << QByteArray("  \n");
    QTest::newRow("torn") << QByteArray("{\"a\":1");
    QTest::newRow("two values") << QByteArray("{} {}");
    QTest::newRow("trailing comma") << QByteArray("[1,]");
    QTest::newRow("comment") << QByteArray("[1] // no");
    QTest::newRow("NaN") << QByteArray("[NaN]");
    QTest::newRow("Infinity") << QByteArray("[-Infinity]");
    QTest::newRow("beyond double") << QByteArray("[1e999]");
    QTest::newRow("invalid UTF-8") << QByteArray("[\"\xff\"]");
    QTest::newRow("overlong UTF-8") << QByteArray("[\"\xc0\xaf\"]");
    QTest::newRow("lone surrogate") << QByteArray("[\"\\ud800\"]");
    QTest::newRow("raw newline in text") << QByteArray("[\"a\nb\"]");
    QTest::newRow("zero byte") << QByteArray("[1,\0]", 5);
}

void tst_Json::parse_refusesSyntax() {
    QFETCH(QByteArray, text);
    const auto json = parseJson(text.toStdString());
    QVERIFY(!json.ok());
    QCOMPARE(json.error().code, std::string("json.syntax"));
    QVERIFY(QString::fromStdString(json.error().message).contains(QLatin1String("line ")));
}

void tst_Json::parse_namesLineAndColumn() {
    const auto json = parseJson("{\n  \"a\": 1,\n  \"b\": oops\n}");
    QVERIFY(!json.ok());
    const QString message = QString::fromStdString(json.error().message);
    QVERIFY2(message.contains(QLatin1String("line 3, column 8")), qPrintable(message));
}

void tst_Json::parse_depth() {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    QVERIFY(parseJson(nested(200)).ok());
    QCOMPARE(parseJson(nested(201)).error().code, std::string("json.depth"));
    QCOMPARE(parseJson(std::string(5'000'000, '[')).error().code, std::string("json.depth"));
    std::string objects;
    for (int i = 0; i < 300; ++i) {
        objects += "{\"a\":";
    }
    QCOMPARE(parseJson(objects).error().code, std::string("json.depth"));
}

void tst_Json::parse_duplicateKeys() {
    QCOMPARE(parseJson(R"({"a":1,"a":2})").error().code, std::string("json.duplicate"));
    QCOMPARE(parseJson(R"({"x":[{"a":1,"\u0061":2}]})").error().code, std::string("json.duplicate"));
    QVERIFY(parseJson(R"({"a":{"a":{"a":1}},"b":{"a":2}})").ok());
}

void tst_Json::parse_duplicateAmongManyKeys() {
    std::string text = "{";
    for (int i = 0; i < 20000; ++i) {
        text += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
    }
    const auto good = parseJson(text + "\"last\":0}");
    QVERIFY(good.ok());
    QCOMPARE(good->size(), std::size_t{20001});
    QCOMPARE(parseJson(text + "\"k3\":0}").error().code, std::string("json.duplicate"));
    QCOMPARE(parseJson(text + "\"k19999\":0}").error().code, std::string("json.duplicate"));
}

void tst_Json::dump_replacesInvalidUtf8() {
    QCOMPARE(dumpJson(Json("a\xff"
                           "b")),
             std::string("\"a\xEF\xBF\xBD"
                         "b\""));
    QCOMPARE(dumpJsonPretty(Json{{"a", 1}}), std::string("{\n  \"a\": 1\n}\n"));
}

void tst_Json::numbers_roundTrip_data() {
    QTest::addColumn<double>("value");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("finite") << 0.1 << QByteArray("0.1");
    QTest::newRow("tiny") << 5e-324 << QByteArray("5e-324");
    QTest::newRow("NaN") << std::nan("") << QByteArray("\"NaN\"");
    QTest::newRow("Infinity") << std::numeric_limits<double>::infinity() << QByteArray("\"Infinity\"");
    QTest::newRow("-Infinity") << -std::numeric_limits<double>::infinity() << QByteArray("\"-Infinity\"");
}

void tst_Json::numbers_roundTrip() {
    QFETCH(double, value);
    QFETCH(QByteArray, text);
    const std::string written = dumpJson(numberToJson(value));
    QCOMPARE(QByteArray::fromStdString(written), text);
    const auto read = jsonToNumber(*parseJson(written));
    QVERIFY(read.has_value());
    QVERIFY(std::isnan(value) ? std::isnan(*read) : *read == value);
}

void tst_Json::numbers_fromText_data() {
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<bool>("isNumber");
    QTest::addColumn<double>("value");
    const auto good = [](const char* json, double value) { QTest::newRow(json) << QByteArray(json) << true << value; };
    const auto bad = [](const char* json) { QTest::newRow(json) << QByteArray(json) << false << 0.0; };
    good("3", 3);
    good("\"0.5\"", 0.5);
    good("\" 1e-3 \"", 1e-3);
    good("\"+4\"", 4);
    good("\"-inf\"", -std::numeric_limits<double>::infinity());
    good("\"Infinity\"", std::numeric_limits<double>::infinity());
    bad("\"\"");
    bad("\"1,5\"");
    bad("\"0x10\"");
    bad("\"+-1\"");
    bad("\"12 monkeys\"");
    bad("true");
    bad("null");
    bad("[1]");
}

void tst_Json::numbers_fromText() {
    QFETCH(QByteArray, json);
    QFETCH(bool, isNumber);
    QFETCH(double, value);
    const auto number = jsonToNumber(*parseJson(json.toStdString()));
    QCOMPARE(number.has_value(), isNumber);
    if (isNumber) {
        QCOMPARE(*number, value);
    }
}

void tst_Json::reader_takesWhatIsThere() {
    const auto json = parseJson(
        R"({"s":"x","i":4.0,"n":"NaN","b":true,"l":["a","b"],"m":{"k":1,"f":true},"nothing":null,"o":{"p":1}})");
    ObjectReader reader(*json, "at");
    QCOMPARE(reader.string("s"), std::string("x"));
    QCOMPARE(reader.integer("i"), std::int64_t{4});
    QVERIFY(std::isnan(reader.number("n")));
    QCOMPARE(reader.boolean("b"), true);
    QCOMPARE(reader.strings("l"), (std::vector<std::string>{"a", "b"}));
    QCOMPARE(reader.stringMap("m"), (std::vector<std::pair<std::string, std::string>>{{"k", "1"}, {"f", "true"}}));
    QVERIFY(!reader.has("nothing"));
    QCOMPARE(reader.integer("nothing", 9), std::int64_t{9});
    QCOMPARE(reader.string("absent", "fallback"), std::string("fallback"));
    QCOMPARE(reader.object("o"), (Json{{"p", 1}}));
    QVERIFY(reader.status().ok());
}

void tst_Json::reader_namesWrongTypes_data() {
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<QByteArray>("read");
    QTest::newRow("text") << QByteArray("{\"x\":1}") << QByteArray("string");
    QTest::newRow("whole number") << QByteArray("{\"x\":1.5}") << QByteArray("integer");
    QTest::newRow("whole number from text") << QByteArray("{\"x\":\"1\"}") << QByteArray("integer");
    QTest::newRow("number") << QByteArray("{\"x\":\"1\"}") << QByteArray("number");
    QTest::newRow("truth") << QByteArray("{\"x\":0}") << QByteArray("boolean");
    QTest::newRow("list") << QByteArray("{\"x\":{}}") << QByteArray("array");
    QTest::newRow("texts") << QByteArray("{\"x\":[1]}") << QByteArray("strings");
    QTest::newRow("object") << QByteArray("{\"x\":[]}") << QByteArray("object");
}

void tst_Json::reader_namesWrongTypes() {
    QFETCH(QByteArray, json);
    QFETCH(QByteArray, read);
    ObjectReader reader(*parseJson(json.toStdString()), "task");
    if (read == "string") {
        reader.string("x");
    } else if (read == "integer") {
        reader.integer("x");
    } else if (read == "number") {
        reader.number("x");
    } else if (read == "boolean") {
        reader.boolean("x");
    } else if (read == "array") {
        reader.array("x");
    } else if (read == "strings") {
        reader.strings("x");
    } else {
        reader.object("x");
    }
    const auto errors = reader.errors();
    QCOMPARE(errors.size(), std::size_t{1});
    QCOMPARE(errors[0].code, std::string("json.type"));
    QCOMPARE(errors[0].field, std::string("task.x"));
}

void tst_Json::reader_integerLimits() {
    ObjectReader reader(
        *parseJson(
            R"({"max":9223372036854775807,"min":-9223372036854775808,"over":9223372036854775808,"float":1e300})"),
        "");
    QCOMPARE(reader.integer("max"), std::numeric_limits<std::int64_t>::max());
    QCOMPARE(reader.integer("min"), std::numeric_limits<std::int64_t>::min());
    QVERIFY(reader.status(false).ok());
    QCOMPARE(reader.integer("over", -1), std::int64_t{-1});
    QCOMPARE(reader.integer("float", -1), std::int64_t{-1});
    QCOMPARE(reader.errors().size(), std::size_t{2});
}

void tst_Json::reader_unknownKeys() {
    ObjectReader reader(*parseJson(R"({"a":1,"b":2})"), "");
    reader.integer("a");
    QVERIFY(reader.status(false).ok());
    QCOMPARE(reader.status().error().code, std::string("json.unknown"));
    QCOMPARE(reader.status().error().field, std::string("b"));
}

void tst_Json::reader_nested() {
    ObjectReader outer(*parseJson(R"({"in":{"x":"no","y":1}})"), "");
    ObjectReader inner(outer.object("in"), outer.pathOf("in"));
    inner.integer("x");
    outer.merge(inner);
    const auto errors = outer.errors();
    QCOMPARE(errors.size(), std::size_t{2});
    QCOMPARE(errors[0].field, std::string("in.x"));
    QCOMPARE(errors[1].field, std::string("in.y"));
    const ObjectReader wrong(Json(5), "here");
    QCOMPARE(wrong.status().error().field, std::string("here"));
}

void tst_Json::reader_missing() {
    ObjectReader reader(*parseJson(R"({"a":null})"), "");
    reader.require("a");
    reader.require("b");
    QCOMPARE(reader.errors().size(), std::size_t{2});
    QCOMPARE(reader.errors()[1].code, std::string("json.missing"));
}

void tst_Json::format_checks_data() {
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<QByteArray>("code");
    QTest::newRow("right") << QByteArray(R"({"format":"f","version":2})") << QByteArray();
    QTest::newRow("older") << QByteArray(R"({"format":"f","version":1})") << QByteArray();
    QTest::newRow("newer") << QByteArray(R"({"format":"f","version":3})") << QByteArray("format.newer");
    QTest::newRow("other") << QByteArray(R"({"format":"g","version":1})") << QByteArray("format.wrong");
    QTest::newRow("no format") << QByteArray(R"({"version":1})") << QByteArray("format.wrong");
    QTest::newRow("no version") << QByteArray(R"({"format":"f"})") << QByteArray("format.wrong");
    QTest::newRow("version 0") << QByteArray(R"({"format":"f","version":0})") << QByteArray("format.wrong");
    QTest::newRow("version as text") << QByteArray(R"({"format":"f","version":"1"})") << QByteArray("format.wrong");
    QTest::newRow("no object") << QByteArray("[]") << QByteArray("format.wrong");
}

void tst_Json::format_checks() {
    QFETCH(QByteArray, json);
    QFETCH(QByteArray, code);
    const Status status = checkFormat(*parseJson(json.toStdString()), "f", 2);
    QCOMPARE(status.ok(), code.isEmpty());
    if (!status.ok()) {
        QCOMPARE(QByteArray::fromStdString(status.error().code), code);
    }
    if (code == "format.newer") {
        const QString message = QString::fromStdString(status.error().message);
        QVERIFY2(message.contains(u'3') && message.contains(u'2'), "both versions are named");
    }
}

QTEST_GUILESS_MAIN(tst_Json)
#include "tst_Json.moc"
