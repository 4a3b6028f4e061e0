#include "ui/models/ModelFormat.h"

#include <QCoreApplication>
#include <QLocale>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {
QString tr(const char* text) { return QCoreApplication::translate("ModelFormat", text); }
}  // namespace

QString differenceText(const Json& value) {
    const std::optional<double> number = base::jsonToNumber(value);
    return number ? QLocale::c().toString(*number, 'g', 3) : QStringLiteral("–");
}

QString shapeText(const Json& shape) {
    QStringList parts;
    if (shape.is_array()) {
        for (const Json& one : shape) {
            if (one.is_number_integer()) parts << QString::number(one.get<std::int64_t>());
        }
    }
    return parts.join(QStringLiteral("×"));
}

std::vector<ProofCase> proofCases(const Json& proof) {
    std::vector<ProofCase> cases;
    for (const Json& one : readArray(proof, "cases")) {
        ProofCase made;
        made.input = readString(one, "input");
        made.batch = readInteger(one, "batch");
        if (const std::string error = readText(one, "error"); !error.empty()) {
            made.difference = fromUtf8(error);
        } else {
            const Json* difference = member(one, "max_abs_diff");
            const Json* allowed = member(one, "allowed");
            made.difference = difference ? differenceText(*difference) : QStringLiteral("–");
            made.allowed = allowed ? differenceText(*allowed) : QString();
            const auto value = difference ? base::jsonToNumber(*difference) : std::nullopt;
            const auto bound = allowed ? base::jsonToNumber(*allowed) : std::nullopt;
            made.well = value && (!bound || *value <= *bound);
            if (const Json* same = member(one, "argmax_equal"); same && same->is_boolean()) {
                made.sameAnswer = same->get<bool>() ? tr("yes") : tr("no");
                made.well = made.well && same->get<bool>();
            }
        }
        cases.push_back(std::move(made));
    }
    return cases;
}

ProofFacts proofFacts(const Json& proof) {
    ProofFacts facts;
    facts.passed = readFlag(proof, "passed");
    const Json* largest = member(proof, "max_abs_diff");
    facts.largest = largest ? differenceText(*largest) : QStringLiteral("–");
    const Json runtime = readObject(proof, "runtime");
    facts.runtime = readString(runtime, "name");
    if (const QString version = readString(runtime, "version"); !version.isEmpty()) facts.runtime += u' ' + version;
    if (const QString through = readString(runtime, "through"); !through.isEmpty())
        facts.runtime += tr(", through %1").arg(through);
    if (const Json* checker = member(proof, "checker")) {
        if (checker->is_object()) {
            const QString version = readString(*checker, "version");
            facts.checker = readString(*checker, "name") + (version.isEmpty() ? QString() : u' ' + version);
            const Json* passed = member(*checker, "passed");
            if (passed && passed->is_boolean())
                facts.checker += passed->get<bool>() ? tr(": accepted") : tr(": refused");
        } else if (checker->is_string()) {
            facts.checker = fromUtf8(checker->get<std::string>());
        }
    }
    for (const Json& reason : readArray(proof, "reasons")) {
        const QString text = reason.is_string() ? fromUtf8(reason.get<std::string>()) : readString(reason, "message");
        if (!text.isEmpty()) facts.reasons << text;
    }
    const auto count = static_cast<int>(readArray(proof, "cases").size());
    facts.verdict = facts.passed ? QCoreApplication::translate(
                                       "ModelFormat",
                                       "The same answers as the trained model in %n trial(s); largest difference %1.",
                                       nullptr, count)
                                       .arg(facts.largest)
                                 : tr("The proof failed.");
    return facts;
}

}  // namespace trainyard::ui
