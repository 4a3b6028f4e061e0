#include "ui/shell/StatusBar.h"

#include <QBoxLayout>
#include <QFile>
#include <QLabel>
#include <QPainter>

#include <algorithm>

#include "ui/shell/Icons.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {
constexpr int kLoadMillis = 2000;
constexpr int kLoadBelow = 900;
}  // namespace

MachineLoad::Sample MachineLoad::sample() {
    Sample result;
    QFile stat(QStringLiteral("/proc/stat"));
    if (stat.open(QIODevice::ReadOnly)) {
        const QList<QByteArray> fields = stat.readLine().simplified().split(' ');
        std::int64_t total = 0;
        for (qsizetype i = 1; i < std::min<qsizetype>(fields.size(), 9); ++i) total += fields[i].toLongLong();
        const std::int64_t busy = total - fields.value(4).toLongLong() - fields.value(5).toLongLong();
        if (m_total > 0 && total > m_total) result.cpu = double(busy - m_busy) / double(total - m_total);
        m_busy = busy;
        m_total = total;
    }
    QFile memory(QStringLiteral("/proc/meminfo"));
    if (memory.open(QIODevice::ReadOnly)) {
        std::int64_t available = 0;
        for (int line = 0; line < 8; ++line) {
            const QByteArray text = memory.readLine().simplified();
            const std::int64_t bytes = text.split(' ').value(1).toLongLong() * 1024;
            if (text.startsWith("MemTotal:")) result.memoryTotal = bytes;
            if (text.startsWith("MemAvailable:")) available = bytes;
        }
        result.memoryUsed = result.memoryTotal - available;
    }
    return result;
}

StatusBar::StatusBar(WorkList& work, QWidget* parent) : QWidget(parent), m_work(work) {
    setObjectName(QStringLiteral("statusBar"));
    setFixedHeight(Theme::current().scaled(31));
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(16, 1, 16, 0);
    line->setSpacing(16);
    m_active = new LinkButton({}, this);
    m_active->setObjectName(QStringLiteral("activeRunsButton"));
    m_active->setFont(Theme::current().font(TextStyle::Secondary));
    m_active->setToolTip(tr("Show the runs that are active"));
    line->addWidget(m_active);
    connect(m_active, &QPushButton::clicked, this, &StatusBar::activePressed);
    auto* targets = new QHBoxLayout;
    targets->setSpacing(5);
    m_targetsIcon = new QLabel(this);
    m_targetsIcon->setFixedSize(14, 14);
    m_targets = new LinkButton({}, this);
    m_targets->setObjectName(QStringLiteral("targetsButton"));
    m_targets->setFont(Theme::current().font(TextStyle::Secondary));
    targets->addWidget(m_targetsIcon);
    targets->addWidget(m_targets);
    line->addLayout(targets);
    connect(m_targets, &QPushButton::clicked, this, &StatusBar::targetsPressed);
    m_strip = new ProgressStrip(this);
    m_strip->setObjectName(QStringLiteral("workStrip"));
    m_strip->setMaximumWidth(560);
    line->addWidget(m_strip, 12);
    m_moreWork = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    line->addWidget(m_moreWork);
    line->addStretch(1);
    m_load = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_load->setObjectName(QStringLiteral("loadLabel"));
    line->addWidget(m_load);
    auto* history = new QHBoxLayout;
    history->setSpacing(5);
    m_historyIcon = new QLabel(this);
    m_historyIcon->setFixedSize(14, 14);
    m_history = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_history->setObjectName(QStringLiteral("historyLabel"));
    history->addWidget(m_historyIcon);
    history->addWidget(m_history);
    line->addLayout(history);
    connect(m_strip, &ProgressStrip::cancelRequested, this, [this] {
        if (!m_work.entries().empty() && m_work.entries().front().cancel) m_work.entries().front().cancel();
    });
    connect(&m_work, &WorkList::changed, this, &StatusBar::showWork);
    connect(&Theme::current(), &Theme::changed, this, &StatusBar::showHistory);
    m_timer.setInterval(kLoadMillis);
    connect(&m_timer, &QTimer::timeout, this, &StatusBar::showLoad);
    m_timer.start();
    (void) m_machine.sample();
    setTargets({});
    showWork();
    setOpen(false);
}

void StatusBar::setOpen(bool open) {
    m_open = open;
    m_active->setVisible(open);
    if (!open) m_trouble.clear();
    showHistory();
}

void StatusBar::setCounts(std::int64_t running, std::int64_t queued, std::int64_t all) {
    m_all = all;
    QStringList parts;
    if (running > 0) parts << tr("%Ln running", nullptr, static_cast<int>(running));
    if (queued > 0) parts << tr("%Ln waiting", nullptr, static_cast<int>(queued));
    m_active->setText(parts.isEmpty() ? tr("Nothing is running") : parts.join(QStringLiteral(" · ")));
    m_active->setEnabled(!parts.isEmpty());
    showHistory();
}

void StatusBar::setTargets(const TargetSummary& summary) {
    m_targets->setVisible(!summary.text.isEmpty());
    m_targetsIcon->setVisible(!summary.text.isEmpty());
    m_targetsText = summary.text;
    fit();
    m_targets->setAccessibleName(tr("Targets: %1").arg(summary.text));
    m_targets->setToolTip(summary.detail);
    m_targetsIcon->setPixmap(ui::icon(summary.trouble ? QStringLiteral("warning") : QStringLiteral("target"),
                                      summary.trouble ? Role::Warning : Role::Muted)
                                 .pixmap(QSize(14, 14), devicePixelRatioF()));
}

void StatusBar::fit() {
    // A narrow window tells of the runs and the targets before this machine's load.
    m_load->setVisible(width() >= kLoadBelow);
    m_targets->setText(m_targets->fontMetrics().elidedText(m_targetsText, Qt::ElideRight, std::max(120, width() / 3)));
}

void StatusBar::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    fit();
}

void StatusBar::setTrouble(const QString& text) {
    m_trouble = text;
    showHistory();
}

void StatusBar::showHistory() {
    const bool well = m_trouble.isEmpty();
    m_historyIcon->setVisible(m_open);
    m_historyIcon->setPixmap(
        ui::icon(well ? QStringLiteral("check") : QStringLiteral("warning"), well ? Role::Success : Role::Warning)
            .pixmap(QSize(14, 14), devicePixelRatioF()));
    m_history->setLook(TextStyle::Secondary, well ? Role::Muted : Role::Warning);
    m_history->setText(!m_open ? tr("No workspace is open")
                       : well  ? tr("%Ln run(s) in the history", nullptr, static_cast<int>(m_all))
                               : m_trouble);
    m_history->setToolTip(well ? QString() : m_trouble);
}

void StatusBar::showWork() {
    const auto& entries = m_work.entries();
    m_strip->setVisible(!entries.empty());
    m_moreWork->setVisible(entries.size() > 1);
    if (entries.empty()) return;
    const WorkList::Entry& first = entries.front();
    m_strip->setTitle(first.title);
    m_strip->setFraction(first.fraction);
    m_strip->setDetail(first.etaNanos ? tr("%1 left").arg(formatDuration(*first.etaNanos)) : QString());
    m_strip->setCancelable(static_cast<bool>(first.cancel));
    m_moreWork->setText(tr("and %n more", nullptr, static_cast<int>(entries.size()) - 1));
}

void StatusBar::showLoad() {
    if (!isVisible()) return;
    const MachineLoad::Sample sample = m_machine.sample();
    if (sample.cpu < 0 || sample.memoryTotal == 0) return;
    m_load->setText(tr("This machine  CPU %1 %  ·  memory %2 of %3")
                        .arg(static_cast<int>(sample.cpu * 100 + 0.5))
                        .arg(formatBytes(sample.memoryUsed), formatBytes(sample.memoryTotal)));
    layout()->activate();
}

void StatusBar::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    painter.fillRect(rect(), theme.color(Role::Surface));
    painter.fillRect(QRect(0, 0, width(), 1), theme.color(Role::Border));
}

}  // namespace trainyard::ui
