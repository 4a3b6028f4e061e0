#include "ui/home/RunLine.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QPainter>
#include <cmath>

#include "ui/charts/Sparkline.h"
#include "ui/runs/RunRef.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

RunLine::RunLine(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    setFocusPolicy(Qt::StrongFocus);
    setCursor(Qt::PointingHandCursor);
    setMinimumHeight(theme.rowHeight() + 6);
    auto* line = new QHBoxLayout(this);
    // Before the number the run's dot; layouts do not mirror their margins.
    constexpr int kDotRoom = 26;
    const int end = theme.space(1);
    line->setContentsMargins(isRightToLeft() ? end : kDotRoom, 2, isRightToLeft() ? kDotRoom : end, 2);
    line->setSpacing(theme.space(2));
    m_number = new TextLabel({}, TextStyle::Mono, Role::Muted, this);
    m_number->setMinimumWidth(theme.scaled(34));
    m_name = new ElidedLabel({}, TextStyle::BodyStrong, Role::Text, this);
    m_spark = new Sparkline(this);
    m_spark->setFixedWidth(96);
    m_metric = new TextLabel({}, TextStyle::Mono, Role::Text, this);
    m_metric->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
    m_metric->setMinimumWidth(theme.scaled(64));
    m_chip = new StateChip(spec::RunState::Draft, this);
    m_when = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_when->setMinimumWidth(theme.scaled(88));
    m_when->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
    line->addWidget(m_number);
    line->addWidget(m_name, 1);
    line->addWidget(m_spark);
    line->addWidget(m_metric);
    line->addWidget(m_chip);
    line->addWidget(m_when);
}

void RunLine::setRun(const store::RunRow& row, const QList<double>& spark) {
    m_run = row.id;
    m_color = runColorOf(row.number);
    m_number->setText(QStringLiteral("#%1").arg(row.number));
    m_name->setText(fromUtf8(row.name));
    m_chip->setState(row.state);
    m_chip->setToolTip(fromUtf8(row.stateReason));
    m_spark->setValues(spark, m_color);
    QString best;
    if (const store::MetricSummary* metric = headMetric(row); metric && std::isfinite(bestOf(*metric))) {
        best = formatMetric(metric->name, bestOf(*metric));
        m_metric->setToolTip(tr("%1, best: %2").arg(metricTitle(metric->name), exactNumber(bestOf(*metric))));
    }
    m_metric->setText(best);
    const std::int64_t at = row.endedAt != 0 ? row.endedAt : row.startedAt != 0 ? row.startedAt : row.createdAt;
    m_when->setText(formatAgo(at));
    m_when->setToolTip(formatTime(at));
    setAccessibleName(tr("Run %1, %2, %3, %4").arg(row.number).arg(fromUtf8(row.name), lookOf(row.state).word, best));
    update();
}

void RunLine::setPlain(bool plain) {
    m_spark->setVisible(!plain);
    m_metric->setVisible(!plain);
    m_when->setVisible(!plain);
}

void RunLine::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    if (m_hover || hasFocus()) {
        painter.setPen(hasFocus() ? QPen(theme.color(Role::Focus), 2) : QPen(Qt::NoPen));
        painter.setBrush(theme.color(Role::Hover));
        painter.drawRoundedRect(QRectF(rect()).adjusted(1, 1, -1, -1), theme.radius(), theme.radius());
    }
    painter.setPen(Qt::NoPen);
    painter.setBrush(theme.runColor(m_color));
    const qreal x = isRightToLeft() ? width() - 15 : 15;
    painter.drawEllipse(QPointF(x, height() / 2.0), 5, 5);
}

void RunLine::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() == Qt::LeftButton && rect().contains(event->position().toPoint())) Q_EMIT opened(m_run);
}

void RunLine::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter || event->key() == Qt::Key_Space) {
        Q_EMIT opened(m_run);
        return;
    }
    QWidget::keyPressEvent(event);
}

void RunLine::enterEvent(QEnterEvent*) {
    m_hover = true;
    update();
}

void RunLine::leaveEvent(QEvent*) {
    m_hover = false;
    update();
}

}  // namespace trainyard::ui
