#include "ui/charts/ConfusionMatrix.h"

#include <QCoreApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr int kLargestMatrixCell = 76;
constexpr int kCellTextFrom = 22;  ///< Cells smaller than this show no figure.
constexpr int kCellGridFrom = 6;   ///< And no lines between them.
constexpr int kMatrixTitle = 20;   ///< Room for "Predicted" and "True".
constexpr double kLongestClassName = 150;

/// A share without the noise of figures in small cells.
QString cellPercent(double share) {
    if (share <= 0) return QStringLiteral("0");
    const double percent = 100 * share;
    return percent < 9.95 ? QString::number(percent, 'f', 1) : QString::number(percent, 'f', 0);
}

}  // namespace

double ConfusionData::count(int row, int column) const {
    return counts[static_cast<std::size_t>(row) * static_cast<std::size_t>(size()) + static_cast<std::size_t>(column)];
}

double ConfusionData::ofRow(int row) const {
    double sum = 0;
    for (int i = 0; i < size(); ++i) sum += count(row, i);
    return sum;
}

double ConfusionData::ofColumn(int column) const {
    double sum = 0;
    for (int i = 0; i < size(); ++i) sum += count(i, column);
    return sum;
}

double ConfusionData::all() const {
    double sum = 0;
    for (const double one : counts) sum += one;
    return sum;
}

double ConfusionData::right() const {
    double sum = 0;
    for (int i = 0; i < size(); ++i) sum += count(i, i);
    return sum;
}

QString ConfusionData::meaning(int row, int column) const {
    const auto tr = [](const char* text) { return QCoreApplication::translate("ConfusionMatrix", text); };
    const auto percent = [](double part, double whole) {
        return whole > 0 ? formatPercent(part / whole) : QStringLiteral("–");
    };
    if (row < 0 && column < 0) return summary();
    if (row < 0) {
        const double taken = ofColumn(column);
        return tr("%1 samples were taken for “%2”; %3 of them are (precision %4).")
            .arg(formatTally(taken), classes[column], formatTally(count(column, column)),
                 percent(count(column, column), taken));
    }
    if (column < 0 || row == column) {
        return tr("%1 of %2 samples of “%3” were recognised (recall %4).")
            .arg(formatTally(count(row, row)), formatTally(ofRow(row)), classes[row],
                 percent(count(row, row), ofRow(row)));
    }
    return tr("%1 of %2 samples of “%3” were taken for “%4” (%5).")
        .arg(formatTally(count(row, column)), formatTally(ofRow(row)), classes[row], classes[column],
             percent(count(row, column), ofRow(row)));
}

QString ConfusionData::summary() const {
    if (all() <= 0) return QCoreApplication::translate("ConfusionMatrix", "No samples");
    return QCoreApplication::translate("ConfusionMatrix", "%1 classes · %2 samples · %3 right (%4)")
        .arg(size())
        .arg(formatTally(all()), formatTally(right()), formatPercent(right() / all()));
}

ConfusionMatrix::ConfusionMatrix(QWidget* parent) : QWidget(parent) {
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void ConfusionMatrix::setData(const ConfusionData& matrix) {
    const bool sameClasses = matrix.classes == m_data.classes;
    m_data = matrix;
    m_rowSums.clear();
    for (int i = 0; i < m_data.size(); ++i) m_rowSums.push_back(m_data.ofRow(i));
    m_map = {};
    if (!sameClasses) m_row = m_column = -1;
    m_hoverRow = m_hoverColumn = -1;
    layOut();
    describe();
    update();
}

void ConfusionMatrix::setShowCounts(bool counts) {
    m_counts = counts;
    update();
}

void ConfusionMatrix::choose(int row, int column) {
    m_row = row;
    m_column = column;
    describe();
    update();
    Q_EMIT cellChosen(row, column);
}

void ConfusionMatrix::describe() {
    setAccessibleDescription(m_row >= 0 && m_column >= 0 ? m_data.meaning(m_row, m_column) : m_data.summary());
}

void ConfusionMatrix::layOut() {
    const int n = m_data.size();
    m_side = 0;
    if (n == 0) return;
    const QFontMetrics metrics(Theme::current().font(TextStyle::Secondary));
    double widest = 0;
    for (const QString& name : m_data.classes) widest = std::max<double>(widest, metrics.horizontalAdvance(name));
    widest = std::min({widest, kLongestClassName, width() / 4.0}) + 10;
    const double left = Theme::current().scaled(kMatrixTitle) + widest;
    // Names lie flat over the columns where they have room, else they stand.
    for (const bool turned : {false, true}) {
        m_turned = turned;
        m_top = Theme::current().scaled(kMatrixTitle) + static_cast<int>(turned ? widest : metrics.height() + 8.0);
        m_side =
            std::min({(width() - left - 8) / n, (height() - m_top - 8.0) / n, static_cast<double>(kLargestMatrixCell)});
        if (!turned && widest <= m_side) break;
    }
    m_side = m_side >= kCellGridFrom ? std::floor(m_side) : std::max(m_side, 0.2);
    m_labelEvery = std::max(1, static_cast<int>(std::ceil(metrics.height() / m_side)));
    const double used = left + n * m_side;
    m_origin = {isRightToLeft() ? width() - used : left, static_cast<double>(m_top)};
}

QRectF ConfusionMatrix::cellRect(int row, int column) const {
    return {m_origin.x() + (isRightToLeft() ? m_data.size() - 1 - column : column) * m_side,
            m_origin.y() + row * m_side, m_side, m_side};
}

QString ConfusionMatrix::cellText(int row, int column) const {
    const double count = m_data.count(row, column);
    if (count <= 0) return {};
    return m_counts ? (count < 10'000 ? formatTally(count) : formatCount(static_cast<std::int64_t>(count)))
                    : cellPercent(share(row, column));
}

QColor ConfusionMatrix::fill(int row, int column) const {
    const Theme& theme = Theme::current();
    const double part = share(row, column);
    // The root lifts rare mistakes out of the ground.
    return Theme::blend(theme.color(Role::Surface), theme.color(row == column ? Role::Accent : Role::Danger),
                        part <= 0 ? 0.0 : 0.08 + 0.92 * std::sqrt(part));
}

double ConfusionMatrix::share(int row, int column) const {
    const double sum = m_rowSums[static_cast<std::size_t>(row)];
    return sum > 0 ? m_data.count(row, column) / sum : 0;
}

QImage ConfusionMatrix::makeMap() const {
    const int n = m_data.size();
    QImage map(n, n, QImage::Format_RGB32);
    for (int row = 0; row < n; ++row) {
        auto* line = reinterpret_cast<QRgb*>(map.scanLine(row));
        for (int column = 0; column < n; ++column) line[column] = fill(row, column).rgb();
    }
    return map;
}

void ConfusionMatrix::paintLabels(QPainter& painter) const {
    const Theme& theme = Theme::current();
    const int n = m_data.size();
    const QFont font = theme.font(TextStyle::Secondary);
    const QFontMetrics metrics(font);
    const bool mirrored = isRightToLeft();
    const double title = theme.scaled(kMatrixTitle);
    const QRectF all(m_origin, QSizeF(n * m_side, n * m_side));
    painter.setFont(font);
    painter.setPen(theme.color(Role::Muted));
    painter.drawText(QRectF(all.left(), 0, std::max(all.width(), 120.0), title), Qt::AlignLeft | Qt::AlignVCenter,
                     tr("Predicted"));
    painter.save();
    painter.translate(mirrored ? all.right() + (width() - all.right()) : 0, all.top());
    painter.rotate(mirrored ? 90 : -90);
    painter.drawText(mirrored ? QRectF(0, 0, all.height(), title) : QRectF(-all.height(), 0, all.height(), title),
                     (mirrored ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter, tr("True"));
    painter.restore();
    const double room = (mirrored ? width() - all.right() : all.left()) - title - 8;
    for (int i = 0; i < n; i += m_labelEvery) {
        const QString& name = m_data.classes[i];
        painter.setPen(theme.color(i == m_row || i == m_hoverRow ? Role::Text : Role::Muted));
        const QRectF cell = cellRect(i, mirrored ? n - 1 : 0);
        const double middle = cell.center().y();
        const QRectF beside(mirrored ? all.right() + 6 : title, middle - metrics.height() / 2.0, room,
                            metrics.height());
        painter.drawText(beside, (mirrored ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter,
                         metrics.elidedText(name, Qt::ElideMiddle, static_cast<int>(room)));
        painter.setPen(theme.color(i == m_column || i == m_hoverColumn ? Role::Text : Role::Muted));
        const QRectF over = cellRect(0, i);
        if (m_turned) {
            painter.save();
            painter.translate(over.center().x() - metrics.height() / 2.0, all.top() - 5);
            painter.rotate(-90);
            painter.drawText(QRectF(0, 0, m_top - title - 6, metrics.height()), Qt::AlignLeft | Qt::AlignVCenter,
                             metrics.elidedText(name, Qt::ElideMiddle, static_cast<int>(m_top - title - 6)));
            painter.restore();
        } else {
            painter.drawText(
                QRectF(over.left() - 4, all.top() - metrics.height() - 5, over.width() + 8, metrics.height()),
                Qt::AlignCenter, name);
        }
    }
}

void ConfusionMatrix::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    const int n = m_data.size();
    if (n == 0) return;
    paintLabels(painter);
    const QRectF all(m_origin, QSizeF(n * m_side, n * m_side));
    if (m_side >= kCellGridFrom) {
        const bool small = m_side < 40;
        const QFont font = theme.font(small ? TextStyle::MonoSmall : TextStyle::Mono);
        painter.setFont(font);
        const QFontMetrics metrics(font);
        const double gap = m_side >= 14 ? 1 : 0;
        for (int row = 0; row < n; ++row) {
            for (int column = 0; column < n; ++column) {
                const QRectF cell = cellRect(row, column);
                const QColor ground = fill(row, column);
                painter.fillRect(cell.adjusted(0, 0, -gap, -gap), ground);
                if (m_side < kCellTextFrom) continue;
                const QString text = cellText(row, column);
                if (text.isEmpty() || metrics.horizontalAdvance(text) > m_side - 2) continue;
                const QColor dark(0x10, 0x14, 0x1c);
                const QColor ink =
                    Theme::contrast(ground, dark) >= Theme::contrast(ground, Qt::white) ? dark : QColor(Qt::white);
                painter.setPen(ink);
                painter.drawText(cell, Qt::AlignCenter, text);
            }
        }
    } else {
        // A pixel a cell: a thousand classes cost one picture, not a million rectangles.
        if (m_map.isNull() || m_mapDark != theme.isDark()) {
            m_map = makeMap();
            m_mapDark = theme.isDark();
        }
        painter.setRenderHint(QPainter::SmoothPixmapTransform, m_side < 1);
        painter.drawImage(all, isRightToLeft() ? m_map.mirrored(true, false) : m_map);
    }
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(theme.color(Role::Border), 1));
    painter.drawRect(all.adjusted(-0.5, -0.5, 0.5, 0.5));
    const auto frame = [&](int row, int column, Role role, double width) {
        if (row < 0 || column < 0) return;
        QRectF cell = cellRect(row, column);
        if (m_side < 6) cell.adjust(-3, -3, 3, 3);
        painter.setPen(QPen(theme.color(role), width));
        painter.drawRect(cell.adjusted(0.5, 0.5, -1.5, -1.5));
    };
    frame(m_hoverRow, m_hoverColumn, Role::BorderStrong, 1);
    frame(m_row, m_column, hasFocus() ? Role::Focus : Role::Text, 2);
    if (hasFocus() && m_row < 0) {
        painter.setPen(QPen(theme.color(Role::Focus), 2));
        painter.drawRect(all.adjusted(-2, -2, 2, 2));
    }
}

void ConfusionMatrix::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    layOut();
}

std::pair<int, int> ConfusionMatrix::cellAt(const QPointF& position) const {
    const int n = m_data.size();
    if (n == 0 || m_side <= 0) return {-1, -1};
    const QPointF inside = (position - m_origin) / m_side;
    int column = static_cast<int>(std::floor(inside.x()));
    const int row = static_cast<int>(std::floor(inside.y()));
    if (isRightToLeft()) column = n - 1 - column;
    return {row >= 0 && row < n ? row : -1, column >= 0 && column < n ? column : -1};
}

void ConfusionMatrix::mousePressEvent(QMouseEvent* event) {
    const auto [row, column] = cellAt(event->position());
    if (event->button() == Qt::LeftButton && row >= 0 && column >= 0) choose(row, column);
}

void ConfusionMatrix::mouseMoveEvent(QMouseEvent* event) {
    const auto [row, column] = cellAt(event->position());
    if (row == m_hoverRow && column == m_hoverColumn) return;
    m_hoverRow = row;
    m_hoverColumn = column;
    update();
}

void ConfusionMatrix::leaveEvent(QEvent*) {
    m_hoverRow = m_hoverColumn = -1;
    update();
}

void ConfusionMatrix::keyPressEvent(QKeyEvent* event) {
    const int n = m_data.size();
    const int side = isRightToLeft() ? -1 : 1;
    int row = m_row;
    int column = m_column;
    switch (event->key()) {
    case Qt::Key_Up: --row; break;
    case Qt::Key_Down: ++row; break;
    case Qt::Key_Left: column -= side; break;
    case Qt::Key_Right: column += side; break;
    case Qt::Key_Home: column = 0; break;
    case Qt::Key_End: column = n - 1; break;
    default: QWidget::keyPressEvent(event); return;
    }
    if (n > 0) choose(std::clamp(row, 0, n - 1), std::clamp(column, 0, n - 1));
}

bool ConfusionMatrix::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const auto [row, column] = cellAt(help->pos());
        if (row >= 0 || column >= 0)
            QToolTip::showText(help->globalPos(), m_data.meaning(row, column), this);
        else
            QToolTip::hideText();
        return true;
    }
    if (event->type() == QEvent::FocusIn || event->type() == QEvent::FocusOut) update();
    if (event->type() == QEvent::FontChange || event->type() == QEvent::LayoutDirectionChange) layOut();
    return QWidget::event(event);
}

}  // namespace trainyard::ui
