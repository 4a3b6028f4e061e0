#include "ui/tryit/TryItParts.h"

#include <QCoreApplication>
#include <QFile>
#include <QHelpEvent>
#include <QPainter>
#include <QPointer>
#include <QScrollBar>
#include <QThreadPool>
#include <QToolTip>
#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/runs/Pictures.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {

constexpr int kFileRole = Qt::UserRole + 1;
constexpr int kLoadRole = Qt::UserRole + 2;
constexpr int kMostLoading = 4;
constexpr int kBarHeight = 8;
constexpr int kGridSide = 96;
constexpr int kListSide = 48;

/// The picture scaled into a square of `side`, transparent around it, so that all lines are alike.
QImage fitted(const QImage& image, int side, double ratio) {
    const int pixels = static_cast<int>(side * ratio);
    QImage square(pixels, pixels, QImage::Format_ARGB32_Premultiplied);
    square.fill(Qt::transparent);
    if (!image.isNull()) {
        const bool small = std::max(image.width(), image.height()) < pixels;
        const QImage scaled =
            image.scaled(square.size(), Qt::KeepAspectRatio, small ? Qt::FastTransformation : Qt::SmoothTransformation);
        QPainter painter(&square);
        painter.drawImage((pixels - scaled.width()) / 2, (pixels - scaled.height()) / 2, scaled);
    }
    square.setDevicePixelRatio(ratio);
    return square;
}

}  // namespace

ProbabilityBars::ProbabilityBars(QWidget* parent) : QWidget(parent) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setAccessibleName(tr("Most probable classes"));
}

void ProbabilityBars::setTop(const Json& top) {
    m_bars.clear();
    QStringList spoken;
    for (const Json& one : top) {
        m_bars.push_back({readString(one, "label"), std::clamp(readNumber(one, "probability"), 0.0, 1.0)});
        spoken << tr("%1 %2").arg(m_bars.back().label, formatPercent(m_bars.back().probability));
    }
    setAccessibleDescription(spoken.join(QStringLiteral(", ")));
    updateGeometry();
    update();
}

int ProbabilityBars::lineHeight() const {
    return QFontMetrics(Theme::current().font(TextStyle::Body)).height() + kBarHeight + Theme::current().space(2);
}

QSize ProbabilityBars::sizeHint() const { return {320, std::max(1, count()) * lineHeight()}; }

void ProbabilityBars::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const bool mirrored = layoutDirection() == Qt::RightToLeft;
    int top = 0;
    for (std::size_t i = 0; i < m_bars.size(); ++i) {
        const Bar& bar = m_bars[i];
        painter.setFont(theme.font(i == 0 ? TextStyle::BodyStrong : TextStyle::Body));
        const QFontMetrics metrics = painter.fontMetrics();
        const QString share = formatPercent(bar.probability);
        const int shareWidth = metrics.horizontalAdvance(share) + theme.space(1);
        const QRect line(0, top, width(), metrics.height());
        const QRect name = mirrored ? line.adjusted(shareWidth, 0, 0, 0) : line.adjusted(0, 0, -shareWidth, 0);
        painter.setPen(theme.color(i == 0 ? Role::Text : Role::Muted));
        painter.drawText(name, (mirrored ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter,
                         metrics.elidedText(bar.label, Qt::ElideMiddle, name.width()));
        painter.drawText(line, (mirrored ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter, share);
        const QRectF track(0, top + metrics.height() + 2, width(), kBarHeight);
        painter.setPen(Qt::NoPen);
        painter.setBrush(theme.color(Role::Sunken));
        painter.drawRoundedRect(track, kBarHeight / 2.0, kBarHeight / 2.0);
        const double filled = std::max(bar.probability * track.width(), bar.probability > 0 ? 2.0 : 0.0);
        const QRectF part(mirrored ? track.right() - filled : track.left(), track.top(), filled, track.height());
        painter.setBrush(theme.color(i == 0 ? Role::Accent : Role::BorderStrong));
        painter.drawRoundedRect(part, kBarHeight / 2.0, kBarHeight / 2.0);
        top += lineHeight();
    }
}

bool ProbabilityBars::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        auto* help = static_cast<QHelpEvent*>(event);
        const auto line = static_cast<std::size_t>(std::max(0, help->pos().y() / lineHeight()));
        if (line < m_bars.size()) {
            QToolTip::showText(help->globalPos(),
                               tr("%1: %2").arg(m_bars[line].label, exactNumber(m_bars[line].probability)), this);
        } else {
            QToolTip::hideText();
        }
        return true;
    }
    return QWidget::event(event);
}

PictureList::PictureList(bool grid, const QString& accessibleName, QWidget* parent)
    : QListWidget(parent), m_side(Theme::current().scaled(grid ? kGridSide : kListSide)) {
    setAccessibleName(accessibleName);
    setViewMode(grid ? QListView::IconMode : QListView::ListMode);
    setMovement(QListView::Static);
    setResizeMode(QListView::Adjust);
    setUniformItemSizes(true);
    setWordWrap(grid);
    setTextElideMode(Qt::ElideMiddle);
    setIconSize({m_side, m_side});
    setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    setFrameShape(QFrame::NoFrame);
    if (grid) {
        const int text = QFontMetrics(Theme::current().font(TextStyle::Body)).height() * 3;
        setGridSize({m_side + Theme::current().scaled(64), m_side + text + Theme::current().space(2)});
    }
}

PictureList::~PictureList() { *m_wanted = false; }

void PictureList::addEntry(const Entry& entry) {
    auto* item = new QListWidgetItem(entry.text, this);
    // Of itself an item has no room for a line that must be wrapped.
    item->setSizeHint(gridSize());
    item->setToolTip(entry.hover);
    item->setData(kFileRole, entry.file);
    item->setData(kLoadRole, entry.image.isNull());
    item->setIcon(QIcon(QPixmap::fromImage(fitted(entry.image, m_side, devicePixelRatioF()))));
}

void PictureList::setEntryText(int row, const QString& text, const QString& hover) {
    if (QListWidgetItem* entry = item(row)) {
        entry->setText(text);
        entry->setToolTip(hover);
    }
}

QString PictureList::fileOf(int row) const {
    const QListWidgetItem* entry = item(row);
    return entry ? entry->data(kFileRole).toString() : QString();
}

void PictureList::clearEntries() {
    *m_wanted = false;
    m_wanted = std::make_shared<std::atomic<bool>>(true);
    m_loading = 0;
    clear();
}

void PictureList::paintEvent(QPaintEvent* event) {
    QListWidget::paintEvent(event);
    loadVisible();
}

void PictureList::loadVisible() {
    const QRect seen = viewport()->rect();
    for (int row = 0; row < count() && m_loading < kMostLoading; ++row) {
        QListWidgetItem* entry = item(row);
        if (!entry->data(kLoadRole).toBool() || !visualItemRect(entry).intersects(seen)) continue;
        entry->setData(kLoadRole, false);
        ++m_loading;
        const QPointer<PictureList> self(this);
        QThreadPool::globalInstance()->start(
            [self, wanted = m_wanted, row, file = fileOf(row), side = m_side, ratio = devicePixelRatioF()] {
                QImage image;
                QFile source(file);
                if (*wanted && source.open(QIODevice::ReadOnly) && source.size() <= kMostPictureBytes) {
                    if (auto decoded = decodePicture(source.readAll())) image = fitted(*decoded, side, ratio);
                }
                QMetaObject::invokeMethod(
                    qApp,
                    [self, wanted, row, image] {
                        if (!self || !*wanted) return;
                        --self->m_loading;
                        if (QListWidgetItem* shown = self->item(row); shown && !image.isNull())
                            shown->setIcon(QIcon(QPixmap::fromImage(image)));
                        self->viewport()->update();
                    },
                    Qt::QueuedConnection);
            });
    }
}

QString modelText(const QString& model) {
    return model.startsWith(u"run:")
               ? QCoreApplication::translate("trainyard::ui::TryItPage", "Run #%1, its model").arg(model.mid(4))
               : model;
}

QImage imageFromPixels(const Json& pixels) {
    const auto width = static_cast<int>(readInteger(pixels, "width"));
    const auto height = static_cast<int>(readInteger(pixels, "height"));
    const auto channels = static_cast<int>(readInteger(pixels, "channels"));
    const QByteArray bytes = QByteArray::fromBase64(QByteArray::fromStdString(readText(pixels, "data")));
    constexpr int kMostSide = 4096;
    if (width < 1 || height < 1 || width > kMostSide || height > kMostSide || (channels != 1 && channels != 3) ||
        bytes.size() != static_cast<qsizetype>(width) * height * channels) {
        return {};
    }
    QImage image(width, height, QImage::Format_RGB32);
    const qsizetype plane = static_cast<qsizetype>(width) * height;
    for (int y = 0; y < height; ++y) {
        auto* line = reinterpret_cast<QRgb*>(image.scanLine(y));
        for (int x = 0; x < width; ++x) {
            const qsizetype at = static_cast<qsizetype>(y) * width + x;
            const auto value = [&](int channel) {
                return static_cast<int>(static_cast<unsigned char>(bytes[at + (channels == 3 ? channel * plane : 0)]));
            };
            line[x] = qRgb(value(0), value(1), value(2));
        }
    }
    return image;
}

}  // namespace trainyard::ui
