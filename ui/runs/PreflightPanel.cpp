#include "ui/runs/PreflightPanel.h"

#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/spec/RunSpec.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {

constexpr std::size_t kMostLines = 6;

/// "Batch size" of "task.batch_size"; empty for what is no field of the form.
QString labelOfField(const std::string& path) {
    for (const spec::Field& field : spec::runSpecFields()) {
        if (field.path == path) return fromUtf8(field.label);
    }
    return {};
}

/// "cpu" and "cuda:0" as people call them.
QString deviceText(const QString& device) {
    if (device.isEmpty() || device == u"cpu") return PreflightPanel::tr("the processor");
    const QString index = device.section(u':', 1);
    return index.isEmpty() ? PreflightPanel::tr("the GPU") : PreflightPanel::tr("GPU %1").arg(index);
}

QString secondsText(double seconds) { return formatDuration(static_cast<std::int64_t>(std::max(0.0, seconds) * 1e9)); }

/// What the run needs, in the order in which people ask for it.
QStringList needsOf(const Json& found) {
    QStringList needs;
    const std::int64_t memory = readInteger(found, "memory_bytes", readInteger(found, "peak_memory_bytes"));
    if (const std::int64_t device = readInteger(found, "device_memory_bytes"); device > 0) {
        needs << PreflightPanel::tr("%1 of the GPU's memory").arg(formatBytes(device));
    }
    if (memory > 0) needs << PreflightPanel::tr("%1 of memory").arg(formatBytes(memory));
    if (const std::int64_t address = readInteger(found, "address_space_bytes"); address > 0) {
        needs << PreflightPanel::tr("%1 of address space in each process").arg(formatBytes(address));
    }
    const double epoch = readNumber(found, "seconds_per_epoch", readNumber(found, "epoch_seconds"));
    const double first = readNumber(found, "first_epoch_seconds");
    if (epoch > 0) {
        const QString each = PreflightPanel::tr("%1 an epoch").arg(secondsText(epoch));
        // Pictures that are read once and then kept make the first one longer.
        needs << (first > 1.2 * epoch + 1 ? PreflightPanel::tr("%1 (the first %2)").arg(each, secondsText(first))
                                          : each);
    }
    if (const double total = readNumber(found, "seconds_total", readNumber(found, "total_seconds")); total > 0) {
        needs << PreflightPanel::tr("about %1 in all").arg(secondsText(total));
    }
    if (const std::int64_t disk = readInteger(found, "disk_bytes"); disk > 0)
        needs << PreflightPanel::tr("%1 on disk").arg(formatBytes(disk));
    return needs;
}

}  // namespace

PreflightText preflightText(const Json& found, const PreflightPlace& place) {
    PreflightText text;
    const std::int64_t memory = readInteger(found, "memory_bytes", readInteger(found, "peak_memory_bytes"));
    const std::int64_t disk = readInteger(found, "disk_bytes");
    const std::int64_t largest = readInteger(found, "largest_batch");
    const bool fits = readFlag(found, "fits", true);
    const bool there = !place.elsewhere.isEmpty();
    const bool fitsThere = !there || place.memoryBytes == 0 || memory <= place.memoryBytes;
    const bool measured = readFlag(found, "measured", true);
    bool serious = there ? !fitsThere : !fits;
    bool warn = there && !fits;
    for (const Json& one : readArray(found, "messages")) {
        const std::string severity = readText(one, "severity");
        const QString label = labelOfField(readText(one, "field"));
        const QString said = readString(one, "text");
        if (said.isEmpty()) continue;
        // What this machine lacks another target may have.
        const bool failure = severity == "error" && !there;
        serious = serious || failure;
        warn = warn || severity == "warning" || severity == "error";
        text.lines.emplace_back(failure              ? QStringLiteral("failure")
                                : severity == "info" ? QString()
                                                     : QStringLiteral("warning"),
                                label.isEmpty() ? said : PreflightPanel::tr("%1: %2").arg(label, said));
    }
    if (there && !fitsThere) {
        text.lines.emplace_back(
            QStringLiteral("failure"),
            PreflightPanel::tr("A machine of %1 has %2 of memory, which is less than the run needs.")
                .arg(place.elsewhere, formatBytes(place.memoryBytes)));
    }
    if (place.diskFreeBytes > 0 && disk > place.diskFreeBytes) {
        serious = true;
        text.lines.emplace_back(QStringLiteral("failure"),
                                PreflightPanel::tr("Its files need %1, but only %2 are free on the workspace's disk.")
                                    .arg(formatBytes(disk), formatBytes(place.diskFreeBytes)));
    }
    const QString needs = needsOf(found).join(QStringLiteral(", "));
    const std::int64_t free = readInteger(found, "memory_free_bytes");
    if (serious) {
        text.headline = PreflightPanel::tr("Does not fit. It needs %1.").arg(needs);
    } else if (there) {
        text.headline =
            measured ? PreflightPanel::tr("Tried on this machine, not on %1, where its speed may differ: %2.")
                           .arg(place.elsewhere, needs)
                     : PreflightPanel::tr("Does not fit this machine, so it could not be tried. On %1 it needs %2.")
                           .arg(place.elsewhere, needs);
    } else {
        text.headline =
            PreflightPanel::tr("Works on %1. It needs %2.").arg(deviceText(readString(found, "device")), needs);
    }
    if (!there && free > 0) text.headline += u' ' + PreflightPanel::tr("%1 of memory are free.").arg(formatBytes(free));
    if (const std::int64_t limit = readInteger(found, "address_space_limit_bytes"); !there && limit > 0) {
        text.headline +=
            u' ' + PreflightPanel::tr("ulimit -v leaves each process %1 of address space.").arg(formatBytes(limit));
    }
    if (!there && largest > 0) {
        text.headline += u' ' + PreflightPanel::tr("The largest batch that fits: %1.").arg(formatExact(largest));
        if (!fits) text.batch = largest;
    }
    text.kind = serious ? InlineError::Kind::Error : warn ? InlineError::Kind::Warning : InlineError::Kind::Success;
    return text;
}

PreflightPanel::PreflightPanel(QWidget* parent) : QWidget(parent) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(0));
    m_headline = new InlineError(this);
    m_headline->setObjectName(QStringLiteral("checkResult"));
    column->addWidget(m_headline);
    m_lines = new QVBoxLayout;
    m_lines->setSpacing(Theme::current().space(0));
    column->addLayout(m_lines);
    clear();
}

void PreflightPanel::clearLines() {
    while (QLayoutItem* item = m_lines->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
}

void PreflightPanel::clear() {
    clearLines();
    m_headline->clear();
    hide();
}

void PreflightPanel::setError(const base::Error& error) {
    clear();
    m_headline->setRemedy({}, {});
    m_headline->setError(error);
    show();
}

void PreflightPanel::setText(const PreflightText& text) {
    clearLines();
    m_headline->setMessage(text.kind, text.headline);
    if (text.batch) {
        m_headline->setRemedy(tr("Use batch size %1").arg(formatExact(*text.batch)),
                              [this, batch = *text.batch] { Q_EMIT batchWanted(batch); });
    } else {
        m_headline->setRemedy({}, {});
    }
    const std::size_t shown = std::min(text.lines.size(), kMostLines);
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& [finding, said] = text.lines[i];
        const FindingLook look =
            finding.isEmpty() ? FindingLook{QStringLiteral("info"), tr("Remark"), Role::Muted} : lookOfFinding(finding);
        auto* line = new MarkedLine(look, this);
        line->setObjectName(QStringLiteral("preflightLine"));
        line->say(said, TextStyle::Secondary, Role::Text);
        m_lines->addWidget(line);
    }
    if (text.lines.size() > shown) {
        m_lines->addWidget(new TextLabel(tr("and %n more", nullptr, static_cast<int>(text.lines.size() - shown)),
                                         TextStyle::Secondary, Role::Muted, this));
    }
    show();
}

}  // namespace trainyard::ui
