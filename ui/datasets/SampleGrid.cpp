#include "ui/datasets/SampleGrid.h"

#include <QFileInfo>
#include <QFontMetrics>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QPainterPath>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/datasets/Thumbnails.h"
#include "ui/shell/Style.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr int kSampleCell = 124;  ///< At least so wide, in logical pixels.
constexpr int kSampleGap = 8;
constexpr int kSampleMargin = 4;
constexpr int kSampleLookMillis = 40;
constexpr qint64 kSamplePictureBytes = qint64{96} << 20;

}  // namespace

SampleGrid::SampleGrid(Shell& shell, QWidget* parent)
    : QAbstractScrollArea(parent), m_samples(new SampleWindows(shell, this)),
      m_thumbnails(new Thumbnails(kSamplePictureBytes, this)) {
    setFrameShape(QFrame::NoFrame);
    setFocusPolicy(Qt::StrongFocus);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOn);
    setAccessibleName(tr("Samples"));
    viewport()->setAutoFillBackground(false);
    m_look.setSingleShot(true);
    m_look.setInterval(kSampleLookMillis);
    connect(&m_look, &QTimer::timeout, this, &SampleGrid::look);
    connect(m_thumbnails, &Thumbnails::ready, viewport(), qOverload<>(&QWidget::update));
    connect(m_samples, &SampleWindows::reset, this, [this] {
        m_current = std::clamp<qint64>(m_current, 0, std::max<qint64>(0, count() - 1));
        arrange();
        Q_EMIT totalChanged();
    });
    connect(m_samples, &SampleWindows::arrived, this, [this](qint64 first, qint64 arrived) {
        look();
        viewport()->update();
        if (m_current >= first && m_current < first + arrived) Q_EMIT currentChanged();
    });
    connect(m_samples, &SampleWindows::failed, this, &SampleGrid::failed);
}

void SampleGrid::setQuery(const QString& dataset, const QString& label, const QString& split) {
    m_label = label;
    m_current = 0;
    verticalScrollBar()->setValue(0);
    m_samples->setQuery(dataset, label, split);
    Q_EMIT currentChanged();
}

qint64 SampleGrid::pictureBytes() const { return m_thumbnails->bytes(); }

int SampleGrid::captionHeight() const { return QFontMetrics(Theme::current().font(TextStyle::Secondary)).height() + 6; }

void SampleGrid::arrange() {
    const int width = viewport()->width() - 2 * kSampleMargin;
    const int least = Theme::current().scaled(kSampleCell);
    m_columns = std::max(1, (width + kSampleGap) / (least + kSampleGap));
    m_cellWidth = std::max(24, (width - (m_columns - 1) * kSampleGap) / m_columns);
    m_rowHeight = m_cellWidth + captionHeight() + kSampleGap;
    const qint64 rows = (count() + m_columns - 1) / m_columns;
    const qint64 height = rows * m_rowHeight + 2 * kSampleMargin;
    verticalScrollBar()->setRange(
        0, static_cast<int>(std::clamp<qint64>(height - viewport()->height(), 0, 2'000'000'000)));
    verticalScrollBar()->setPageStep(viewport()->height());
    verticalScrollBar()->setSingleStep(m_rowHeight / 3);
    m_look.start();
    viewport()->update();
}

SampleGrid::Range SampleGrid::inSight(int screens) const {
    const int top = verticalScrollBar()->value() - kSampleMargin;
    const qint64 first = std::max<qint64>(0, top / std::max(1, m_rowHeight)) * m_columns;
    const int bottom = top + viewport()->height() * (1 + screens);
    const qint64 last = (qint64{bottom / std::max(1, m_rowHeight)} + 1) * m_columns - 1;
    return {first, std::min(last, count() - 1)};
}

QRect SampleGrid::cellRect(qint64 index) const {
    const auto row = index / m_columns;
    const int column = static_cast<int>(index % m_columns);
    const int place = isRightToLeft() ? m_columns - 1 - column : column;
    const int top = static_cast<int>(row * m_rowHeight - verticalScrollBar()->value()) + kSampleMargin;
    return {kSampleMargin + place * (m_cellWidth + kSampleGap), top, m_cellWidth, m_rowHeight - kSampleGap};
}

qint64 SampleGrid::indexAt(QPoint position) const {
    const Range range = inSight();
    for (qint64 i = range.first; i <= range.last; ++i) {
        if (cellRect(i).contains(position)) return i;
    }
    return -1;
}

void SampleGrid::look() {
    if (!isVisible() || m_rowHeight == 0) return;
    const Range sight = inSight();
    const Range ahead = inSight(1);
    m_samples->need(sight.first, std::max(sight.last, ahead.last));
    QStringList paths;
    for (qint64 i = sight.first; i <= ahead.last; ++i) {
        if (const Sample* sample = m_samples->at(i); sample != nullptr && sample->image.isNull()) paths << sample->path;
    }
    m_thumbnails->want(paths,
                       static_cast<int>(std::ceil(Theme::current().scaled(kSampleCell) * 1.25 * devicePixelRatioF())));
}

void SampleGrid::paintEvent(QPaintEvent* event) {
    QPainter painter(viewport());
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setRenderHint(QPainter::SmoothPixmapTransform);
    const Range range = inSight();
    for (qint64 i = range.first; i <= range.last; ++i) {
        const QRect cell = cellRect(i);
        if (cell.intersects(event->rect())) paintCell(painter, i, cell);
    }
}

void SampleGrid::paintCell(QPainter& painter, qint64 index, const QRect& cell) const {
    const Theme& theme = Theme::current();
    const Sample* sample = m_samples->at(index);
    const Thumbnail* thumbnail = sample != nullptr ? m_thumbnails->find(sample->path) : nullptr;
    const QImage image = sample == nullptr         ? QImage()
                         : !sample->image.isNull() ? sample->image
                         : thumbnail               ? thumbnail->image
                                                   : QImage();
    const QRectF picture(cell.left(), cell.top(), cell.width(), cell.width());
    QPainterPath shape;
    shape.addRoundedRect(picture.adjusted(0.5, 0.5, -0.5, -0.5), theme.smallRadius(), theme.smallRadius());
    painter.fillPath(shape, theme.color(Role::Sunken));
    if (!image.isNull()) {
        painter.save();
        painter.setClipPath(shape);
        painter.drawImage(picture, image);
        painter.restore();
    } else if (thumbnail != nullptr) {
        const int middle = cell.top() + cell.width() / 2;
        draw::icon(painter, QRect(cell.left(), middle - 34, cell.width(), 24), QStringLiteral("warning"), Role::Warning,
                   20);
        painter.setFont(theme.font(TextStyle::Secondary));
        painter.setPen(theme.color(Role::Muted));
        const QRect text(cell.left() + 6, middle - 6, cell.width() - 12, cell.width() / 2);
        painter.drawText(text, Qt::AlignHCenter | Qt::AlignTop | Qt::TextWordWrap, thumbnail->reason);
    }
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(theme.color(Role::Border), 1));
    painter.drawPath(shape);
    if (index == m_current) {
        painter.setPen(QPen(theme.color(hasFocus() ? Role::Focus : Role::Accent), 2));
        painter.drawRoundedRect(picture.adjusted(1, 1, -1, -1), theme.smallRadius(), theme.smallRadius());
    }
    if (sample == nullptr) return;
    const QFont small = theme.font(TextStyle::Secondary);
    painter.setFont(small);
    painter.setPen(theme.color(index == m_current ? Role::Text : Role::Muted));
    QString caption = m_label.isEmpty() ? sample->label : nameOf(*sample, index);
    if (m_label.isEmpty() && sample->split == u"val") caption = tr("%1 · validation").arg(caption);
    const QRect line(cell.left(), cell.top() + cell.width() + 2, cell.width(), captionHeight() - 2);
    const Qt::TextElideMode elide = m_label.isEmpty() ? Qt::ElideRight : Qt::ElideMiddle;
    painter.drawText(line, Qt::AlignHCenter | Qt::AlignTop | Qt::TextSingleLine,
                     QFontMetrics(small).elidedText(caption, elide, line.width()));
}

QString SampleGrid::nameOf(const Sample& sample, qint64 index) const {
    return sample.path.isEmpty() ? tr("sample %1").arg(formatExact(index + 1)) : QFileInfo(sample.path).fileName();
}

QString SampleGrid::describe(qint64 index) const {
    const Sample* at = m_samples->at(index);
    if (at == nullptr) return {};
    const Sample& sample = *at;
    const QString split = sample.split == u"val"     ? tr("validation")
                          : sample.split == u"train" ? tr("training")
                                                     : tr("cannot be read, in neither split");
    QString text = nameOf(sample, index) + u'\n' + sample.label + QStringLiteral(" · ") + split;
    if (const Thumbnail* thumbnail = m_thumbnails->find(sample.path); thumbnail && !thumbnail->reason.isEmpty())
        text += u'\n' + thumbnail->reason;
    return text;
}

void SampleGrid::setCurrentIndex(qint64 index) {
    if (count() == 0) return;
    m_current = std::clamp<qint64>(index, 0, count() - 1);
    const QRect cell = cellRect(m_current);
    QScrollBar* bar = verticalScrollBar();
    if (cell.top() < kSampleMargin) bar->setValue(bar->value() + cell.top() - kSampleMargin);
    if (cell.bottom() > viewport()->height())
        bar->setValue(bar->value() + cell.bottom() - viewport()->height() + kSampleMargin);
    setAccessibleDescription(describe(m_current));
    viewport()->update();
    m_look.start();
    Q_EMIT currentChanged();
}

void SampleGrid::resizeEvent(QResizeEvent*) {
    const qint64 first = inSight().first;
    const bool top = verticalScrollBar()->value() == 0;
    arrange();
    // What stood at the top stays there, though lines have become longer or shorter.
    if (!top) verticalScrollBar()->setValue(static_cast<int>(first / m_columns * m_rowHeight));
}

void SampleGrid::scrollContentsBy(int, int) {
    viewport()->update();
    if (!m_look.isActive()) m_look.start();
}

void SampleGrid::keyPressEvent(QKeyEvent* event) {
    const int forward = isRightToLeft() ? -1 : 1;
    const qint64 page = std::max<qint64>(1, viewport()->height() / std::max(1, m_rowHeight)) * m_columns;
    switch (event->key()) {
    case Qt::Key_Left: return setCurrentIndex(m_current - forward);
    case Qt::Key_Right: return setCurrentIndex(m_current + forward);
    case Qt::Key_Up: return setCurrentIndex(m_current >= m_columns ? m_current - m_columns : m_current);
    case Qt::Key_Down: return setCurrentIndex(m_current + m_columns < count() ? m_current + m_columns : m_current);
    case Qt::Key_PageUp: return setCurrentIndex(m_current - page);
    case Qt::Key_PageDown: return setCurrentIndex(m_current + page);
    case Qt::Key_Home: return setCurrentIndex(0);
    case Qt::Key_End: return setCurrentIndex(count() - 1);
    default: QAbstractScrollArea::keyPressEvent(event);
    }
}

void SampleGrid::mousePressEvent(QMouseEvent* event) {
    const qint64 index = event->button() == Qt::LeftButton ? indexAt(event->position().toPoint()) : -1;
    if (index >= 0) setCurrentIndex(index);
}

void SampleGrid::focusInEvent(QFocusEvent* event) {
    QAbstractScrollArea::focusInEvent(event);
    viewport()->update();
}

void SampleGrid::focusOutEvent(QFocusEvent* event) {
    QAbstractScrollArea::focusOutEvent(event);
    viewport()->update();
}

void SampleGrid::changeEvent(QEvent* event) {
    QAbstractScrollArea::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::LayoutDirectionChange) arrange();
}

bool SampleGrid::viewportEvent(QEvent* event) {
    if (event->type() == QEvent::Show) m_look.start();
    if (event->type() != QEvent::ToolTip) return QAbstractScrollArea::viewportEvent(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const qint64 index = indexAt(help->pos());
    // An empty text hides the last one.
    QToolTip::showText(help->globalPos(), index >= 0 ? describe(index) : QString(), viewport());
    return true;
}

}  // namespace trainyard::ui
