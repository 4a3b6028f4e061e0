#include "ui/charts/ChartLegend.h"

#include <QEnterEvent>
#include <QPainter>

#include "ui/charts/CurvePainter.h"
#include "ui/shell/Style.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {
namespace {
constexpr int kSample = 22;
constexpr int kGap = 6;
constexpr int kPad = 5;
constexpr int kWidestText = 250;
QFont legendFont() { return Theme::current().font(TextStyle::Secondary); }
}  // namespace

LegendEntry::LegendEntry(QWidget* parent) : QAbstractButton(parent) {
    setCheckable(true);
    setChecked(true);
    setFocusPolicy(Qt::StrongFocus);
    setCursor(Qt::PointingHandCursor);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

void LegendEntry::setLook(const SeriesLook& look) {
    m_look = look;
    setText(look.label);
    setAccessibleName(tr("Show %1").arg(look.label));
    setToolTip(tr("%1: show or hide").arg(look.label));
    updateGeometry();
    update();
}

QSize LegendEntry::sizeHint() const {
    const int text = std::min(kWidestText, QFontMetrics(legendFont()).horizontalAdvance(m_look.label));
    return {2 * kPad + kSample + kGap + text + 1, kHeight};
}

double LegendEntry::draw(QPainter& painter, const QPointF& topLeft, const SeriesLook& look, bool shown) {
    const Theme& theme = Theme::current();
    const QFontMetrics metrics(legendFont());
    const int text = std::min(kWidestText, metrics.horizontalAdvance(look.label));
    const QRectF rect(topLeft, QSizeF(2 * kPad + kSample + kGap + text + 1, kHeight));
    const QRectF sample(rect.left() + kPad, rect.top(), kSample, rect.height());
    const QColor color = shown ? theme.runColor(look.runColor) : theme.color(Role::BorderStrong);
    drawSample(painter, sample, color, look.line, look.markers, look.runColor);
    painter.save();
    QFont font = legendFont();
    font.setStrikeOut(!shown);
    painter.setFont(font);
    painter.setPen(theme.color(shown ? Role::Text : Role::Muted));
    painter.drawText(rect.adjusted(kPad + kSample + kGap, 0, 0, 0),
                     Qt::AlignVCenter | Qt::AlignLeft | Qt::TextSingleLine,
                     metrics.elidedText(look.label, Qt::ElideMiddle, text + 1));
    painter.restore();
    return rect.width();
}

void LegendEntry::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    if (underMouse()) {
        draw::box(painter, rect(), Theme::current().smallRadius(), Theme::current().color(Role::Hover), QColor());
    }
    draw(painter, QPointF(0, 0), m_look, isChecked());
    if (draw::showsFocus(this)) draw::focusRing(painter, rect(), Theme::current().smallRadius());
}

void LegendEntry::enterEvent(QEnterEvent*) { update(); }
void LegendEntry::leaveEvent(QEvent*) { update(); }

}  // namespace trainyard::ui
