// Regular expressions in linear time, and the metrics that patterns find in lines.
#include <QtTest>

#include "core/base/MetricPattern.h"

using namespace trainyard::base;

namespace {

/// "name=value@step …" of what the patterns find in the lines.
std::string found(const std::vector<std::string>& patterns, const std::vector<std::string>& lines) {
    std::optional<Error> error;
    MetricFinder finder = MetricFinder::ofTexts(patterns, error);
    if (error) return error->code;
    std::string text;
    for (const std::string& line : lines) {
        for (const FoundMetric& one : finder.find(line)) {
            char value[40];
            std::snprintf(value, sizeof value, "%g", one.value);
            text +=
                (text.empty() ? "" : " ") + one.name + "=" + value + (one.step ? "@" + std::to_string(*one.step) : "");
        }
    }
    return text;
}

/// Texts of the whole match and of each group, "-" for one without a part; "none" without a match.
std::string matched(const std::string& pattern, const std::string& line, std::size_t from = 0) {
    const auto regex = LineRegex::compile(pattern);
    if (!regex.ok()) return regex.error().code;
    const auto match = regex->search(line, from);
    if (!match) return "none";
    std::string text;
    for (const LineRegex::Span& span : *match) {
        text += (text.empty() ? "" : "|") +
                (span.taken() ? line.substr(span.begin, span.end - span.begin) : std::string("-"));
    }
    return text;
}

}  // namespace

class TestMetricPattern : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void regex_data() {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<QString>("line");
        QTest::addColumn<QString>("expected");
        const auto row = [](const char* pattern, const char* line, const char* expected) {
            QTest::newRow(pattern) << QString::fromUtf8(pattern) << QString::fromUtf8(line)
                                   << QString::fromUtf8(expected);
        };
        row("a|ab", "xab", "a");
        row("(a+)(b?)", "caab", "aab|aa|b");
        row("(a+?)(a*)", "aaa", "aaa|a|aa");
        row("^b", "ab", "none");
        row("b$", "bab", "b");
        row("\\bfoo(\\d+)?\\b", "xfoo foo1 foo", "foo1|1");
        row("[^a-c]+", "abcxyz", "xyz");
        row("x{2,3}", "xxxx", "xxx");
        row("x{,3}", "x{,3}", "x{,3}");
        row("(?i)loss", "LoSS", "LoSS");
        row("(?:a|b)+", "abab", "abab");
        row("(?P<one>a)(?<two>z)?", "a", "a|a|-");
        row("é+", "xéé", "éé");
        row("[\\w.]+", "-a.b-", "a.b");
        row("x(a*)*", "xb", "x|-");
        row("\\$\\{\\}\\.", "${}.", "${}.");
    }
    void regex() {
        QFETCH(QString, pattern);
        QFETCH(QString, line);
        QFETCH(QString, expected);
        QCOMPARE(QString::fromStdString(matched(pattern.toStdString(), line.toStdString())), expected);
    }

    void regex_isRefusedWithThePlace_data() {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<QString>("code");
        for (const char* bad : {"(", "a)", "a**)", "[a", "(?=x)", "\\1", "x{2,1}", "(?<a>x)(?<a>y)", "*a", "[b-a]",
                                "\\", "[é]", "(?<>x)", "x{2000}"}) {
            QTest::newRow(bad) << QString::fromUtf8(bad) << QStringLiteral("pattern.syntax");
        }
        QTest::newRow("bomb of counts") << QStringLiteral("((((a{900}){900}){900}){900})")
                                        << QStringLiteral("pattern.long");
        QTest::newRow("too long") << QString(3000, u'a') << QStringLiteral("pattern.long");
        QTest::newRow("deep") << QString(500, u'(') << QStringLiteral("pattern.syntax");
    }
    void regex_isRefusedWithThePlace() {
        QFETCH(QString, pattern);
        QFETCH(QString, code);
        const auto made = LineRegex::compile(pattern.toStdString());
        QVERIFY(!made.ok());
        QCOMPARE(QString::fromStdString(made.error().code), code);
        QVERIFY(made.error().message.size() > 20);
    }

    /// Each of these takes an engine that goes back on its steps longer than the universe has been there.
    void regex_noExpressionExplodes() {
        const std::string line = std::string(2000, 'a') + "!";
        for (const char* evil : {"(a+)+$", "(a|aa)+$", "(a*)*b", "(a|a)*b", "(.*a){20}b", "(a?){200}a{200}b"}) {
            QCOMPARE(matched(evil, line), std::string("none"));
        }
    }

    void metrics_data() {
        QTest::addColumn<QStringList>("patterns");
        QTest::addColumn<QStringList>("lines");
        QTest::addColumn<QString>("expected");
        const auto row = [](const char* name, QStringList patterns, QStringList lines, const char* expected) {
            QTest::newRow(name) << patterns << lines << QString::fromUtf8(expected);
        };
        const auto u = [](const char* text) { return QString::fromUtf8(text); };
        row("own group", {u("loss[:=] *(?<loss>[\\d.]+)")}, {u("step 3 loss: 0.25"), u("nothing"), u("loss=0.5")},
            "loss=0.25 loss=0.5");
        row("metric and value", {u("(?<metric>\\w+)=(?<value>[-\\d.e]+)")}, {u("a=1 b=-2e-3")}, "a=1 b=-0.002");
        row("step of the line", {u("^\\[(?<step>\\d+)\\]"), u("loss (?<loss>[\\d.]+)")}, {u("[7] loss 1"), u("loss 2")},
            "loss=1@7 loss=2");
        row("step of the lines behind", {u("^epoch (?<step>\\d+)$"), u("loss (?<loss>[\\d.]+)")},
            {u("epoch 4"), u("loss 1"), u("loss 2")}, "loss=1@4 loss=2@4");
        row("prefix", {u("(?<prefix>train|val) loss (?<loss>[\\d.]+)")}, {u("val loss 3")}, "val/loss=3");
        row("not finite", {u("loss (?<loss>\\S+)")}, {u("loss nan"), u("loss inf"), u("loss -inf"), u("loss soon")},
            "loss=nan loss=inf loss=-inf");
        row("percent", {u("acc (?<acc>[\\d.]+%)")}, {u("acc 93.5%")}, "acc=93.5");
        row("colours", {u("loss (?<loss>[\\d.]+)")}, {u("\x1b[31mloss\x1b[0m 1.5")}, "loss=1.5");
        row("number out of range", {u("loss (?<loss>\\S+)")}, {u("loss 1e999")}, "");
        row("two groups that belong together", {u("(?<metric>x)")}, {}, "pattern.group");
        row("no group", {u("abc")}, {}, "pattern.group");
        row("unknown ready one", {u("@nothing")}, {}, "pattern.unknown");
        row("tutorial", {u("@pytorch-tutorial")},
            {u("Epoch 3/24"), u("----------"), u("train Loss: 0.6123 Acc: 0.6844"), u("val Loss: 0.2514 Acc: 0.9216")},
            "train/loss=0.6123@3 train/accuracy=0.6844@3 val/loss=0.2514@3 val/accuracy=0.9216@3");
        row("keras", {u("@keras")},
            {u("Epoch 2/10"), u("313/313 [====] - 2s 5ms/step - loss: 0.3521 - val_accuracy: 0.87")},
            "loss=0.3521@2 val_accuracy=0.87@2");
    }
    void metrics() {
        QFETCH(QStringList, patterns);
        QFETCH(QStringList, lines);
        QFETCH(QString, expected);
        std::vector<std::string> texts, given;
        for (const QString& one : patterns) texts.push_back(one.toStdString());
        for (const QString& one : lines) given.push_back(one.toStdString());
        QCOMPARE(QString::fromStdString(found(texts, given)), expected);
    }

    void everyReadyPattern_readsItsSample() {
        for (const MetricPattern::Ready& ready : MetricPattern::ready()) {
            const std::string text = found({ready.name}, ready.sample);
            QVERIFY2(text.find('=') != std::string::npos, (ready.name + ": " + text).c_str());
            QVERIFY2(found({ready.name}, {"An ordinary line of text, 12 words long, that says nothing."}).empty(),
                     ready.name.c_str());
        }
    }

    void place_isWhereTheNumberStands() {
        std::optional<Error> error;
        MetricFinder finder = MetricFinder::ofTexts({"loss (?<loss>[\\d.]+)"}, error);
        const auto all = finder.find("my loss 0.25 here");
        QCOMPARE(all.size(), std::size_t(1));
        QCOMPARE(all[0].offset, std::size_t(8));
        QCOMPARE(all[0].length, std::size_t(4));
    }

    void longLine_isLookedAtInItsBeginning() {
        const std::string end = std::string(MetricFinder::kMaxLine, ' ') + "loss 1";
        QCOMPARE(found({"loss (?<loss>[\\d.]+)"}, {"loss 2" + end}), std::string("loss=2"));
        QCOMPARE(found({"(?<metric>a)(?<value>1)"}, {[] {
                           std::string many;
                           for (int i = 0; i < 1000; ++i) many += "a1";
                           return many;
                       }()})
                     .size(),
                 MetricFinder::kMaxFound * 4 - 1);
    }
};

QTEST_APPLESS_MAIN(TestMetricPattern)
#include "tst_MetricPattern.moc"
