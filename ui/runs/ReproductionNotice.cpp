#include "ui/runs/ReproductionNotice.h"

#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/FieldEditor.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kMostNamed = 3;

/// "a, b, c and 4 more"
QString someOf(const QStringList& names) {
    const int rest = static_cast<int>(names.size()) - kMostNamed;
    QString text = names.mid(0, kMostNamed).join(QStringLiteral(", "));
    if (rest > 0) text += ReproductionNotice::tr(" and %n more", nullptr, rest);
    return text;
}

/// The run that this one repeats, as run.compare takes it; empty for other runs.
std::string originalOf(const RunDetail& detail) {
    if (!detail.row.reproduces.empty()) return detail.row.reproduces;
    const auto tag = std::find_if(detail.row.tags.begin(), detail.row.tags.end(),
                                  [](const auto& one) { return one.first == "reproduces"; });
    return tag == detail.row.tags.end() ? std::string() : tag->second;
}

}  // namespace

ReproductionNotice::ReproductionNotice(Shell& shell, QWidget* parent) : InlineError(parent), m_shell(shell) {
    setObjectName(QStringLiteral("reproductionNotice"));
    clear();
}

void ReproductionNotice::setDetail(const RunDetail& detail) {
    if (detail.row.id != m_run) {
        m_run = detail.row.id;
        m_told = false;
        m_command = nullptr;
        clear();
    }
    const std::string original = originalOf(detail);
    if (original.empty() || m_told) return;
    m_original = detail.original ? QStringLiteral("#%1").arg(detail.original->number) : u'#' + fromUtf8(original);
    setRemedy(tr("Open run %1").arg(m_original), [this, original] {
        m_shell.open({QStringLiteral("run"), {fromUtf8(original)}});
    });
    const auto told = std::find_if(detail.events.rbegin(), detail.events.rend(),
                                   [](const store::EventRow& event) { return event.kind == "reproduced"; });
    if (told != detail.events.rend()) {
        m_told = true;
        tell(told->body);
    } else if (spec::isFinal(detail.row.state)) {
        compare(original);
    } else {
        setMessage(Kind::Info,
                   tr("Does again what run %1 did: same code, data and seed. They are compared when it has ended.")
                       .arg(m_original));
    }
}

void ReproductionNotice::compare(const std::string& original) {
    if (m_command) return;
    m_command = m_shell.session()->start("run.compare", {{"run", original}, {"with", m_run.str()}, {"points", true}});
    connect(m_command, &commands::Command::finished, this, [this, run = m_run](const Result<Json>& result) {
        if (run != m_run) return;
        m_command = nullptr;
        m_told = true;
        if (result) return tell(*result);
        if (result.error().code != "canceled")
            setMessage(Kind::Warning,
                       tr("It cannot be compared with run %1: %2").arg(m_original, fromUtf8(result.error().message)));
    });
}

void ReproductionNotice::tell(const Json& comparison) {
    const Json same = readObject(comparison, "same");
    // Null where nothing can be said, as of the data of a run that had none.
    const auto differs = [&](const char* what) {
        const Json* value = member(same, what);
        return value && value->is_boolean() && !value->get<bool>();
    };
    const auto namesOf = [&](const char* list, const char* key) {
        QStringList names;
        for (const Json& one : readArray(comparison, list)) names << readString(one, key);
        return names;
    };
    QStringList wrong;
    if (differs("state")) wrong << tr("how it ended");
    if (differs("snapshot")) {
        const QStringList names = namesOf("files", "path");
        wrong << tr("%n file(s) of its code (%1)", nullptr, static_cast<int>(names.size())).arg(someOf(names));
    }
    if (differs("data")) wrong << tr("its data (%1)").arg(someOf(namesOf("data", "name")));
    if (differs("environment")) wrong << tr("its environment (%1)").arg(someOf(namesOf("environment", "name")));
    if (differs("spec")) {
        const QStringList names = namesOf("spec", "path");
        wrong << tr("%n setting(s) (%1)", nullptr, static_cast<int>(names.size())).arg(someOf(names));
    }
    const Json metrics = readArray(comparison, "metrics");
    if (differs("metrics") || differs("points")) {
        QStringList names;
        for (const Json& one : metrics) {
            const Json points = readObject(one, "points");
            // Durations and rates differ from one run to the next whatever they compute.
            if (readFlag(one, "measured") || (readFlag(one, "equal") && readInteger(points, "different") == 0))
                continue;
            const Json* left = member(one, "left");
            const Json* right = member(one, "right");
            QString text =
                tr("%1: %2 there, %3 here")
                    .arg(readString(one, "name"), left && !left->is_null() ? numberText(*left) : tr("nothing"),
                         right && !right->is_null() ? numberText(*right) : tr("nothing"));
            if (const Json* step = member(points, "first_step"); step && step->is_number())
                text += tr(", from step %1 on").arg(numberText(*step));
            names << text;
        }
        wrong << tr("%n metric(s) (%1)", nullptr, static_cast<int>(names.size())).arg(someOf(names));
    }
    if (!wrong.isEmpty())
        return setMessage(
            Kind::Warning,
            tr("Not the same as run %1. What differs: %2.").arg(m_original, wrong.join(QStringLiteral("; "))));
    setMessage(
        Kind::Success,
        metrics.empty()
            ? tr("The same as run %1: code, settings and outcome; neither reported a metric.").arg(m_original)
            : tr("The same as run %1: code, settings, outcome and every metric, to the last bit.").arg(m_original));
}

}  // namespace trainyard::ui
