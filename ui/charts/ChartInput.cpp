// Mouse, wheel, keys and menu of a chart.
#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QWheelEvent>

#include <cmath>

#include "ui/charts/ChartPrivate.h"
#include "ui/shell/Icons.h"

namespace trainyard::ui {

QRectF ChartView::Private::plotOnView() const { return axes.plotArea().translated(canvas->geometry().topLeft()); }

double ChartView::Private::xAt(double px) const {
    const QRectF plot = plotOnView();
    const double share = plot.width() > 0 ? (px - plot.left()) / plot.width() : 0;
    return layer.window.xLow + share * (layer.window.xHigh - layer.window.xLow);
}

void ChartView::Private::setZoom(std::optional<std::pair<double, double>> range) {
    const auto whole = fullRange(false);
    if (range) {
        range->first = std::max(range->first, whole.first);
        range->second = std::min(range->second, whole.second);
        // Nothing to see between two neighbouring steps, nor beyond the whole.
        const double least = xAxis == XAxis::Step ? 2.0 : 0.001;
        if (!(range->second - range->first >= least)) return;
        if (range->first <= whole.first && range->second >= whole.second) range.reset();
    }
    if (range == zoomed) return;
    zoomed = range;
    headroomEnd.reset();
    updateHeader();
    changed();
    Q_EMIT q->rangeChanged();
    Q_EMIT q->stateChanged();
}

void ChartView::Private::zoom(double factor, double around) {
    const auto [low, high] = shownRange();
    setZoom(std::pair(around - (around - low) * factor, around + (high - around) * factor));
}

void ChartView::Private::moveCrosshair(std::optional<double> x, bool tell) {
    if (crosshair == x) return;
    crosshair = x;
    canvas->update();
    if (tell) Q_EMIT q->hovered(x);
}

void ChartView::mouseMoveEvent(QMouseEvent* event) {
    if (!d->haveLayer || !d->layer.hasPoints) return;
    const QPointF at = event->position();
    if (d->dragStart) {
        d->dragNow = at - QPointF(d->canvas->geometry().topLeft());
        if (d->panning) {
            const double shift = (d->dragStart->x() - d->dragNow.x()) / d->axes.plotArea().width() *
                                 (d->panFrom.second - d->panFrom.first);
            d->setZoom(std::pair(d->panFrom.first + shift, d->panFrom.second + shift));
        }
        d->canvas->update();
        return;
    }
    const QRectF plot = d->plotOnView();
    d->moveCrosshair(plot.adjusted(-4, -4, 4, 4).contains(at) ? std::optional(d->xAt(at.x())) : std::nullopt, true);
}

void ChartView::mousePressEvent(QMouseEvent* event) {
    if (!d->plotOnView().contains(event->position()) || !d->haveLayer || !d->layer.hasPoints) {
        QWidget::mousePressEvent(event);
        return;
    }
    const bool pan = event->button() == Qt::MiddleButton ||
                     (event->button() == Qt::LeftButton && (event->modifiers() & Qt::ShiftModifier));
    if (event->button() != Qt::LeftButton && !pan) return;
    d->panning = pan;
    d->panFrom = d->shownRange();
    d->dragStart = d->dragNow = event->position() - QPointF(d->canvas->geometry().topLeft());
}

void ChartView::mouseReleaseEvent(QMouseEvent*) {
    if (!d->dragStart) return;
    const QPointF start = *d->dragStart;
    d->dragStart.reset();
    const bool panning = std::exchange(d->panning, false);
    const double offset = d->canvas->geometry().left();
    if (!panning && std::abs(start.x() - d->dragNow.x()) > 5) {
        const double a = d->xAt(start.x() + offset), b = d->xAt(d->dragNow.x() + offset);
        d->setZoom(std::pair(std::min(a, b), std::max(a, b)));
    }
    d->canvas->update();
}

void ChartView::mouseDoubleClickEvent(QMouseEvent* event) {
    if (d->plotOnView().contains(event->position())) d->setZoom({});
}

void ChartView::wheelEvent(QWheelEvent* event) {
    // A page of charts must stay scrollable: the wheel zooms only a chart that was clicked, or with Ctrl.
    const bool mine = hasFocus() || (event->modifiers() & Qt::ControlModifier);
    if (!mine || !d->plotOnView().contains(event->position()) || !d->haveLayer || !d->layer.hasPoints) {
        event->ignore();
        return;
    }
    const double turns = event->angleDelta().y() / 120.0;
    if (turns != 0) d->zoom(std::pow(0.8, turns), d->xAt(event->position().x()));
    event->accept();
}

void ChartView::leaveEvent(QEvent*) {
    if (!hasFocus()) d->moveCrosshair({}, true);
}

void ChartView::keyPressEvent(QKeyEvent* event) {
    const auto [low, high] = d->shownRange();
    const double middle = d->crosshair ? *d->crosshair : (low + high) / 2;
    const auto move = [&](double share) {
        d->moveCrosshair(std::clamp(middle + share * (high - low), low, high), true);
    };
    const double stride = event->modifiers() & Qt::ShiftModifier ? 0.1 : 0.01;
    switch (event->key()) {
    case Qt::Key_Left: move(-stride); break;
    case Qt::Key_Right: move(stride); break;
    case Qt::Key_Home: d->moveCrosshair(low, true); break;
    case Qt::Key_End: d->moveCrosshair(high, true); break;
    case Qt::Key_Plus:
    case Qt::Key_Equal: d->zoom(0.7, middle); break;
    case Qt::Key_Minus: d->zoom(1 / 0.7, middle); break;
    case Qt::Key_0: d->setZoom({}); break;
    case Qt::Key_L: setLogScale(!d->log); break;
    case Qt::Key_E: d->moreButton->showMenu(); break;
    case Qt::Key_Escape:
        if (!d->crosshair) {
            event->ignore();
            return;
        }
        d->moveCrosshair({}, true);
        break;
    default: QWidget::keyPressEvent(event);
    }
}

void ChartView::focusInEvent(QFocusEvent*) { update(); }

void ChartView::focusOutEvent(QFocusEvent*) {
    if (!underMouse()) d->moveCrosshair({}, true);
    update();
}

void ChartView::resizeEvent(QResizeEvent*) {
    d->sizeLegend();
    d->changed();
}
void ChartView::showEvent(QShowEvent*) { d->changed(); }

void ChartView::changeEvent(QEvent* event) {
    if (event->type() == QEvent::LayoutDirectionChange || event->type() == QEvent::FontChange) d->changed();
    QWidget::changeEvent(event);
}

bool ChartView::event(QEvent* event) {
    if (event->type() == QEvent::LayoutRequest) d->changed();
    return QWidget::event(event);
}

void ChartView::contextMenuEvent(QContextMenuEvent* event) {
    if (d->moreButton->menu() != nullptr) d->moreButton->menu()->popup(event->globalPos());
}

void ChartView::Private::buildMenu() {
    auto* menu = new QMenu(moreButton);
    menu->setAccessibleName(ChartView::tr("Chart menu"));
    QAction* logarithmic = menu->addAction(ChartView::tr("Logarithmic axis"));
    logarithmic->setCheckable(true);
    QObject::connect(logarithmic, &QAction::triggered, q, [this](bool on) { q->setLogScale(on); });
    QAction* whole = menu->addAction(ui::icon(QStringLiteral("zoom-reset")), ChartView::tr("Show the whole range"));
    QObject::connect(whole, &QAction::triggered, q, [this] { setZoom({}); });
    QMenu* smoothness = menu->addMenu(ChartView::tr("Smoothing"));
    for (const double factor : {0.0, 0.5, 0.8, 0.9, 0.95, 0.98}) {
        QAction* choice = smoothness->addAction(factor == 0 ? ChartView::tr("None") : QLocale().toString(factor));
        choice->setCheckable(true);
        choice->setData(factor);
        QObject::connect(choice, &QAction::triggered, q, [this, factor] { q->setSmoothing(factor); });
    }
    menu->addSeparator();
    QAction* copyImage = menu->addAction(ui::icon(QStringLiteral("image")), ChartView::tr("Copy as picture"));
    QObject::connect(copyImage, &QAction::triggered, q, [this] {
        QImage image(QSize(1200, 750) * 2, QImage::Format_ARGB32_Premultiplied);
        image.setDevicePixelRatio(2);
        QPainter painter(&image);
        q->renderTo(painter, QRectF(0, 0, 1200, 750));
        painter.end();
        QApplication::clipboard()->setImage(image);
    });
    QAction* copyValues = menu->addAction(ui::icon(QStringLiteral("copy")), ChartView::tr("Copy values as CSV"));
    QObject::connect(copyValues, &QAction::triggered, q, [this] { QApplication::clipboard()->setText(q->toCsv()); });
    QAction* save = menu->addAction(ui::icon(QStringLiteral("export")), ChartView::tr("Export picture…"));
    save->setObjectName(QStringLiteral("exportChartAction"));
    QObject::connect(save, &QAction::triggered, q, [this] {
        if (auto* host = dynamic_cast<ChartHost*>(q->window())) host->exportChart(*q);
    });
    QObject::connect(menu, &QMenu::aboutToShow, q, [this, logarithmic, whole, smoothness, save] {
        save->setVisible(dynamic_cast<ChartHost*>(q->window()) != nullptr);
        logarithmic->setChecked(log);
        whole->setEnabled(zoomed.has_value());
        for (QAction* choice : smoothness->actions())
            choice->setChecked(std::abs(choice->data().toDouble() - smoothing) < 1e-6);
    });
    moreButton->setMenu(menu);
}

}  // namespace trainyard::ui
