#include <QtTest>
#include <limits>

#include "core/spec/Field.h"

using namespace trainyard::spec;
using trainyard::base::dumpJson;
using trainyard::base::parseJson;

namespace {

Field field(FieldType type) {
    Field out;
    out.path = "a.b";
    out.label = "Thing";
    out.type = type;
    out.maxLength = 10;
    if (type == FieldType::Choice) {
        out.choices = {{"x", "X"}, {"y", "Y"}};
    }
    return out;
}

Field named(std::string path, FieldType type, Json defaultValue) {
    Field out;
    out.path = std::move(path);
    out.label = out.path;
    out.type = type;
    out.defaultValue = std::move(defaultValue);
    return out;
}

/// A kind, and a rate whose default and range depend on it.
std::vector<Field> fields() {
    Field kind = named("opt.kind", FieldType::Choice, "sgd");
    kind.choices = {{"sgd", "SGD"}, {"adam", "Adam"}};
    Field sgd = named("opt.rate", FieldType::Number, 0.1);
    sgd.onlyWhen = {{"opt.kind", {"sgd"}}};
    sgd.maximum = 10;
    Field adam = named("opt.rate", FieldType::Number, 0.001);
    adam.onlyWhen = {{"opt.kind", {"adam"}}};
    adam.maximum = 1;
    Field file = named("data.file", FieldType::File, "");
    file.required = true;
    return {kind, sgd, adam, file, named("flag", FieldType::Boolean, false)};
}

std::vector<std::pair<std::string, std::string>> found(const std::vector<Error>& errors) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const Error& error : errors) {
        out.emplace_back(error.code, error.field);
    }
    return out;
}

using Found = std::vector<std::pair<std::string, std::string>>;

}  // namespace

class tst_Field : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void checkValue_data();
    void checkValue();
    void checkValue_range_data();
    void checkValue_range();
    void checkValue_required();
    void checkValue_namesWhatIsAllowed();
    void paths();
    void defaults_followConditions();
    void document_errorsInOrderAndUnknownLast();
    void document_whatDoesNotApplyIsLeftAlone();
    void document_absentCondition_isTheDefault();
    void document_objectExpected();
    void document_freePaths();
    void document_nearestName();
    void schema_conditions();
};

void tst_Field::checkValue_data() {
    QTest::addColumn<int>("type");
    QTest::addColumn<QByteArray>("json");
    QTest::addColumn<QByteArray>("code");
    const auto row = [](FieldType type, const char* json, const char* code = "") {
        QTest::addRow("%d %s", static_cast<int>(type), json)
            << static_cast<int>(type) << QByteArray(json) << QByteArray(code);
    };
    row(FieldType::Text, "\"ten bytes!\"");
    row(FieldType::Text, "\"eleven byte\"", "spec.length");
    row(FieldType::Text, "\"ééééé\"");
    row(FieldType::Text, "\"éééééé\"", "spec.length");
    row(FieldType::Text, "\"a\\nb\"", "spec.control");
    row(FieldType::Text, "\"a\\u0000b\"", "spec.control");
    row(FieldType::Text, "\"\\u007f\"", "spec.control");
    row(FieldType::Text, "1", "spec.type");
    row(FieldType::Text, "null");
    row(FieldType::MultilineText, "\"a\\n\\tb\"");
    row(FieldType::MultilineText, "\"a\\u001b\"", "spec.control");
    row(FieldType::File, "\"/a b\"");
    row(FieldType::Folder, "[]", "spec.type");
    row(FieldType::Integer, "4");
    row(FieldType::Integer, "4.0");
    row(FieldType::Integer, "4.5", "spec.type");
    row(FieldType::Integer, "\"4\"", "spec.type");
    row(FieldType::Integer, "1e300", "spec.type");
    row(FieldType::Integer, "true", "spec.type");
    row(FieldType::Number, "4");
    row(FieldType::Number, "-1e-9");
    row(FieldType::Number, "\"NaN\"", "spec.type");
    row(FieldType::Number, "\"0.5\"", "spec.type");
    row(FieldType::Boolean, "true");
    row(FieldType::Boolean, "1", "spec.type");
    row(FieldType::Choice, "\"x\"");
    row(FieldType::Choice, "\"z\"", "spec.choice");
    row(FieldType::Choice, "0", "spec.type");
    row(FieldType::TextList, "[\"a\",\"b\\nc\"]");
    row(FieldType::TextList, "\"a\"", "spec.type");
    row(FieldType::TextList, "[1]", "spec.type");
    row(FieldType::TextList, "[\"a\",\"much too long\"]", "spec.length");
    row(FieldType::TextMap, "{\"a\":\"b\",\"c\":2,\"d\":true}");
    row(FieldType::TextMap, "{\"a\":[]}", "spec.type");
    row(FieldType::TextMap, "{\"\":\"b\"}", "spec.type");
    row(FieldType::TextMap, "[]", "spec.type");
    row(FieldType::TextMap, "{\"a\\n\":\"b\"}", "spec.control");
    row(FieldType::TextMap, "{\"a\":\"much too long\"}", "spec.length");
}

void tst_Field::checkValue() {
    QFETCH(int, type);
    QFETCH(QByteArray, json);
    QFETCH(QByteArray, code);
    const Json value = *parseJson(json.toStdString());
    const auto error = trainyard::spec::checkValue(field(static_cast<FieldType>(type)), &value);
    QCOMPARE(error ? QByteArray::fromStdString(error->code) : QByteArray(), code);
    if (error) {
        QCOMPARE(error->field, std::string("a.b"));
        QVERIFY2(error->message.starts_with("Thing ") && error->message.ends_with("."), error->message.c_str());
    }
}

void tst_Field::checkValue_range_data() {
    QTest::addColumn<double>("value");
    QTest::addColumn<bool>("exclusive");
    QTest::addColumn<bool>("right");
    QTest::newRow("below") << 0.99 << false << false;
    QTest::newRow("lowest") << 1.0 << false << true;
    QTest::newRow("lowest, exclusive") << 1.0 << true << false;
    QTest::newRow("between") << 1.5 << true << true;
    QTest::newRow("highest") << 2.0 << true << true;
    QTest::newRow("above") << 2.0000001 << false << false;
}

void tst_Field::checkValue_range() {
    QFETCH(double, value);
    QFETCH(bool, exclusive);
    QFETCH(bool, right);
    Field number = field(FieldType::Number);
    number.minimum = 1;
    number.maximum = 2;
    number.minimumExclusive = exclusive;
    const Json json = value;
    const auto error = trainyard::spec::checkValue(number, &json);
    QCOMPARE(!error.has_value(), right);
    if (error) {
        QCOMPARE(error->code, std::string("spec.range"));
    }
}

void tst_Field::checkValue_required() {
    for (const FieldType type : {FieldType::Text, FieldType::File, FieldType::TextList, FieldType::Integer}) {
        Field required = field(type);
        required.required = true;
        QCOMPARE(trainyard::spec::checkValue(required, nullptr)->code, std::string("spec.required"));
        QVERIFY(!trainyard::spec::checkValue(field(type), nullptr));
    }
    Field text = field(FieldType::Text);
    text.required = true;
    const Json blank = " \t ";
    QCOMPARE(trainyard::spec::checkValue(text, &blank)->code, std::string("spec.required"));
    Field list = field(FieldType::TextList);
    list.required = true;
    const Json none = Json::array();
    QCOMPARE(trainyard::spec::checkValue(list, &none)->code, std::string("spec.required"));
}

void tst_Field::checkValue_namesWhatIsAllowed() {
    Field epochs = field(FieldType::Integer);
    epochs.unit = "epochs";
    epochs.minimum = 1;
    epochs.maximum = 100;
    const Json zero = 0;
    QCOMPARE(trainyard::spec::checkValue(epochs, &zero)->message,
             std::string("Thing is 0 epochs, but must be at least 1 and at most 100 epochs."));
    const Json other = "zoo";
    QCOMPARE(trainyard::spec::checkValue(field(FieldType::Choice), &other)->message,
             std::string("Thing is \"zoo\", but must be one of \"x\", \"y\"."));
}

void tst_Field::paths() {
    Json document = Json{{"a", {{"b", 1}}}, {"text", "x"}};
    QCOMPARE(*valueAt(document, "a.b"), Json(1));
    QVERIFY(valueAt(document, "a.c") == nullptr);
    QVERIFY(valueAt(document, "text.b") == nullptr);
    setValueAt(document, "a.d.e", true);
    setValueAt(document, "text.f", 2);
    QCOMPARE(dumpJson(document), std::string(R"({"a":{"b":1,"d":{"e":true}},"text":{"f":2}})"));
}

void tst_Field::defaults_followConditions() {
    QCOMPARE(dumpJson(defaultsOf(fields())),
             std::string(R"({"opt":{"kind":"sgd","rate":0.1},"data":{"file":""},"flag":false})"));
    const Json adam = withDefaults(fields(), Json{{"opt", {{"kind", "adam"}}}, {"flag", true}});
    QCOMPARE(*valueAt(adam, "opt.rate"), Json(0.001));
    QCOMPARE(*valueAt(adam, "flag"), Json(true));
    QCOMPARE(fieldAt(fields(), "opt.rate", adam)->maximum, 1.0);
    QCOMPARE(fieldAt(fields(), "opt.rate", defaultsOf(fields()))->maximum, 10.0);
    QVERIFY(fieldAt(fields(), "opt.rate", Json::object()) == nullptr);
}

void tst_Field::document_errorsInOrderAndUnknownLast() {
    const Json document = Json{{"flag", 3}, {"zzz", 1}, {"opt", {{"rate", 50}, {"kind", "sgd"}}}};
    QCOMPARE(found(checkDocument(fields(), document)), (Found{{"spec.range", "opt.rate"},
                                                              {"spec.required", "data.file"},
                                                              {"spec.type", "flag"},
                                                              {"spec.unknown", "zzz"}}));
    QVERIFY(checkDocument(fields(), Json{{"data", {{"file", "f"}}}}).empty());
}

void tst_Field::document_whatDoesNotApplyIsLeftAlone() {
    std::vector<Field> list = fields();
    Field momentum = named("opt.momentum", FieldType::Number, 0.9);
    momentum.onlyWhen = {{"opt.kind", {"sgd"}}};
    list.push_back(momentum);
    const auto check = [&](const char* kind) {
        return found(
            checkDocument(list, Json{{"data", {{"file", "f"}}}, {"opt", {{"kind", kind}, {"momentum", "left over"}}}}));
    };
    QCOMPARE(check("adam"), Found());
    QCOMPARE(check("sgd"), (Found{{"spec.type", "opt.momentum"}}));
}

void tst_Field::document_absentCondition_isTheDefault() {
    QCOMPARE(found(checkDocument(fields(), Json{{"data", {{"file", "f"}}}, {"opt", {{"rate", 5}}}})), Found());
    QCOMPARE(found(checkDocument(fields(), Json{{"data", {{"file", "f"}}}, {"opt", {{"rate", 5}, {"kind", "adam"}}}})),
             (Found{{"spec.range", "opt.rate"}}));
}

void tst_Field::document_objectExpected() {
    QCOMPARE(found(checkDocument(fields(), Json{{"opt", 4}, {"data", {{"file", "f"}}}})),
             (Found{{"spec.type", "opt"}}));
    QCOMPARE(found(checkDocument(fields(), Json::array())), (Found{{"spec.type", ""}}));
}

void tst_Field::document_freePaths() {
    const Json document = Json{{"format", "x"}, {"extra", {{"any", {{"thing", 1}}}}}, {"data", {{"file", "f"}}}};
    QCOMPARE(found(checkDocument(fields(), document, {"format", "extra"})), Found());
    QCOMPARE(found(checkDocument(fields(), document, {"format"})), (Found{{"spec.unknown", "extra"}}));
}

void tst_Field::document_nearestName() {
    const auto message = [](const Json& document) { return checkDocument(fields(), document).back().message; };
    QVERIFY(message(Json{{"data", {{"fiel", "f"}}}}).find("Did you mean \"data.file\"?") != std::string::npos);
    QVERIFY(message(Json{{"opts", Json::object()}}).find("Did you mean \"opt\"?") != std::string::npos);
    QCOMPARE(message(Json{{"completely_different", 1}}), std::string("\"completely_different\" is not known."));
}

void tst_Field::schema_conditions() {
    const Json schema = jsonSchema(fields(), "Title", "id");
    QCOMPARE(schema["additionalProperties"], Json(false));
    QCOMPARE(schema["required"], Json::array({"data"}));
    QCOMPARE(schema["properties"]["data"]["required"], Json::array({"file"}));
    QCOMPARE(schema["properties"]["opt"]["properties"]["rate"], Json(true));
    QCOMPARE(schema["allOf"].size(), std::size_t{2});
    // SGD is the default, so its rule holds without the member; Adam's does not.
    QVERIFY(!schema["allOf"][0]["if"].contains("required"));
    QCOMPARE(schema["allOf"][1]["if"]["required"], Json::array({"opt"}));
    QCOMPARE(schema["allOf"][1]["then"]["properties"]["opt"]["properties"]["rate"]["maximum"], Json(1.0));
}

QTEST_GUILESS_MAIN(tst_Field)
#include "tst_Field.moc"
