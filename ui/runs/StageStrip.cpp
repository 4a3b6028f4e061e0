#include "ui/runs/StageStrip.h"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include "core/base/Clock.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using spec::RunState;

StageStrip::StageStrip(QWidget* parent) : QWidget(parent) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setAccessibleName(tr("Stages of the run"));
    m_clock.setInterval(1000);
    connect(&m_clock, &QTimer::timeout, this, qOverload<>(&QWidget::update));
}

void StageStrip::setRun(const store::RunRow& row, const std::vector<store::StageRow>& stages) {
    m_stages.clear();
    m_broken = -1;
    for (const RunState state : {RunState::Preparing, RunState::Queued, RunState::Running, RunState::Finalizing}) {
        m_stages.push_back({state, 0, 0, {}});
    }
    int newest = 0;
    for (const store::StageRow& one : stages) newest = std::max(newest, one.attempt);
    Stage* present = nullptr;
    for (const store::StageRow& one : stages) {
        // Preparation is said once by the workspace's side; what follows belongs to the newest attempt.
        if (one.attempt != newest && one.attempt != 0) continue;
        const auto at = std::find_if(m_stages.begin(), m_stages.end(),
                                     [&](const Stage& stage) { return stage.state == one.state; });
        if (present && present->end == 0 && (at == m_stages.end() || &*at != present)) present->end = one.at;
        if (at == m_stages.end()) continue;
        if (at->begin == 0 || at->end != 0) {
            if (at->begin == 0) at->begin = one.at;
            at->end = 0;
        }
        at->reason = fromUtf8(one.reason);
        present = &*at;
    }
    const bool over = spec::isFinal(row.state);
    if (over) {
        for (Stage& stage : m_stages) {
            if (stage.begin != 0 && stage.end == 0) stage.end = row.endedAt != 0 ? row.endedAt : stage.begin;
        }
        m_clock.stop();
        m_end = row.state;
        if (row.state != RunState::Completed) {
            for (int i = 0; i < 3; ++i) {
                if (m_stages[static_cast<std::size_t>(i)].begin != 0) m_broken = i;
            }
        }
    } else {
        m_clock.start();
    }
    QStringList spoken;
    for (const Stage& stage : m_stages) {
        if (stage.begin != 0) spoken << lookOf(stage.state).word + u' ' + timeOf(stage);
    }
    setAccessibleDescription(spoken.join(QStringLiteral(", ")));
    update();
}

QString StageStrip::timeOf(const Stage& stage) const {
    if (stage.begin == 0) return {};
    const std::int64_t end = stage.end != 0 ? stage.end : base::wallMicros();
    return formatDuration(std::max<std::int64_t>(0, end - stage.begin) * 1000);
}

QSize StageStrip::sizeHint() const { return {560, 44}; }
QSize StageStrip::minimumSizeHint() const { return {320, 44}; }

QRectF StageStrip::cell(int index) const {
    const qreal width = this->width() / static_cast<qreal>(m_stages.size());
    const int place = isRightToLeft() ? static_cast<int>(m_stages.size()) - 1 - index : index;
    return {place * width, 0, width, static_cast<qreal>(height())};
}

void StageStrip::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    constexpr qreal kDot = 20;
    for (int i = 0; i < static_cast<int>(m_stages.size()); ++i) {
        const Stage& stage = m_stages[static_cast<std::size_t>(i)];
        const StateLook look = lookOf(stage.state);
        const QRectF area = cell(i);
        const bool reached = stage.begin != 0;
        const bool present = reached && stage.end == 0;
        const bool done = reached && !present;
        const qreal left = isRightToLeft() ? area.right() - kDot : area.left();
        const QRectF dot(left, 2, kDot, kDot);
        const qreal y = dot.center().y();
        const bool broken = i == m_broken;
        const StateLook end = lookOf(m_end);
        const Role ink = broken ? end.ink : done ? Role::Success : look.ink;
        painter.setPen(QPen(theme.color(done && !broken ? Role::Success : Role::Border), 2));
        const qreal from = isRightToLeft() ? area.left() + 4 : dot.right() + 4;
        const qreal to = isRightToLeft() ? dot.left() - 4 : area.right() - 4;
        if (i + 1 < static_cast<int>(m_stages.size())) painter.drawLine(QPointF(from, y), QPointF(to, y));
        painter.setPen(QPen(theme.color(reached ? ink : Role::BorderStrong), 1.5));
        painter.setBrush(theme.color(broken    ? end.ground
                                     : done    ? Role::SuccessSoft
                                     : present ? look.ground
                                               : Role::Surface));
        painter.drawEllipse(dot.adjusted(1, 1, -1, -1));
        if (reached) {
            icon(broken ? end.icon
                 : done ? QStringLiteral("check")
                        : look.icon,
                 ink)
                .paint(&painter, dot.adjusted(4, 4, -4, -4).toRect());
        }
        // The name stands under the line; its time behind it.
        const QRectF text(area.left(), dot.bottom() + 3, area.width() - 6, height() - dot.bottom() - 3);
        const int align = static_cast<int>(Qt::AlignVCenter) | static_cast<int>(Qt::AlignLeading);
        const QFont strong = theme.font(present ? TextStyle::BodyStrong : TextStyle::Secondary);
        painter.setFont(strong);
        painter.setPen(theme.color(reached ? Role::Text : Role::Muted));
        painter.drawText(text, align, look.word);
        const QString time = timeOf(stage);
        if (time.isEmpty()) continue;
        const int used = QFontMetrics(strong).horizontalAdvance(look.word) + 8;
        const QRectF rest = isRightToLeft() ? text.adjusted(0, 0, -used, 0) : text.adjusted(used, 0, 0, 0);
        const QFont small = theme.font(TextStyle::Secondary);
        painter.setFont(small);
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(rest, align,
                         QFontMetrics(small).elidedText(time, Qt::ElideRight, static_cast<int>(rest.width())));
    }
}

bool StageStrip::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        for (int i = 0; i < static_cast<int>(m_stages.size()); ++i) {
            const Stage& stage = m_stages[static_cast<std::size_t>(i)];
            if (!cell(i).contains(help->pos()) || stage.begin == 0) continue;
            QString text = tr("%1 since %2").arg(lookOf(stage.state).word, formatTime(stage.begin));
            if (!stage.reason.isEmpty()) text += u'\n' + stage.reason;
            QToolTip::showText(help->globalPos(), text, this);
            return true;
        }
    }
    return QWidget::event(event);
}

}  // namespace trainyard::ui
