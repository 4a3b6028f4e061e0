// Pictures, CSV and saved state of a chart.
#include <QFileInfo>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>

#include <cmath>

#include "ui/charts/ChartPrivate.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

void ChartView::renderTo(QPainter& painter, const QRectF& target) {
    const Theme& theme = Theme::current();
    painter.save();
    painter.translate(target.topLeft());
    painter.setRenderHint(QPainter::Antialiasing);
    painter.fillRect(QRectF(QPointF(0, 0), target.size()), theme.color(Role::Surface));
    const double margin = 16;
    painter.setFont(theme.font(TextStyle::Section));
    painter.setPen(theme.color(Role::Text));
    painter.drawText(QRectF(margin, 12, target.width() - 2 * margin, 24), Qt::AlignLeft | Qt::AlignVCenter,
                     d->title->text());

    // The legend first: how many lines it needs decides what is left for the plot.
    std::vector<std::pair<const Private::Series*, QPointF>> entries;
    double x = margin, line = 0;
    for (const auto& series : d->series) {
        if (!series->visible) continue;
        LegendEntry probe(nullptr);
        probe.setLook(series->look);
        const double width = probe.sizeHint().width();
        if (x > margin && x + width > target.width() - margin) {
            x = margin;
            ++line;
        }
        entries.emplace_back(series.get(), QPointF(x, line * LegendEntry::kHeight));
        x += width + 8;
    }
    const double legendHeight = entries.empty() ? 0 : (line + 1) * LegendEntry::kHeight + 6;
    const QRectF room(margin, 44, target.width() - 2 * margin, target.height() - 44 - legendHeight - 10);
    const auto range = d->zoomed ? *d->zoomed : d->fullRange(false);
    LayerRequest wanted = d->request(QSizeF(), 1, range);
    wanted.keepY.reset();
    wanted.yMost = yMarks(room.height() - 44, false);  // Less the labels below.
    LayerResult made = makeLayer(wanted);
    if (made.hasPoints) {
        ChartAxes axes;
        axes.layOut(room.size(), made.window, d->xAxis == XAxis::Step ? TickFormat::Count : TickFormat::Seconds,
                    d->percent ? TickFormat::Percent : TickFormat::Number, d->xTitle(), false);
        // Reduced for twice the width, since a vector picture may be enlarged.
        wanted.width = static_cast<int>(axes.plotArea().width() * 2);
        std::vector<Curve> curves;
        for (auto& [key, curve] : makeLayer(wanted).curves) curves.push_back(std::move(curve));
        axes.draw(painter, room);
        drawCurves(painter, axes.plotArea().translated(room.topLeft()), made.window, curves, false);
    } else {
        painter.setFont(theme.font(TextStyle::Body));
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(room, Qt::AlignCenter, d->waiting);
    }
    for (const auto& [series, at] : entries) {
        LegendEntry::draw(painter, at + QPointF(0, room.bottom() + 6), series->look, true);
    }
    painter.restore();
}

bool ChartView::exportImage(const QString& path, QSize size) {
    const QString suffix = QFileInfo(path).suffix().toLower();
    const QRectF target(QPointF(0, 0), QSizeF(size));
    if (suffix == QLatin1String("svg")) {
        QSvgGenerator generator;
        generator.setFileName(path);
        generator.setSize(size);
        generator.setViewBox(target);
        generator.setTitle(d->title->text());
        QPainter painter;
        if (!painter.begin(&generator)) return false;
        renderTo(painter, target);
        return painter.end();
    }
    if (suffix == QLatin1String("pdf")) {
        QPdfWriter writer(path);
        writer.setPageSize(QPageSize(QSizeF(size) * 0.75, QPageSize::Point));
        writer.setPageMargins(QMarginsF());
        writer.setResolution(96);
        writer.setTitle(d->title->text());
        QPainter painter;
        if (!painter.begin(&writer)) return false;
        renderTo(painter, target);
        return painter.end();
    }
    QImage image(size * 2, QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(2);
    QPainter painter(&image);
    renderTo(painter, target);
    painter.end();
    return image.save(path, suffix == QLatin1String("png") ? "PNG" : nullptr);
}

QString ChartView::toCsv() const {
    QString text = QStringLiteral("series,%1,value\n")
                       .arg(d->xAxis == XAxis::Step ? QStringLiteral("step") : QStringLiteral("seconds"));
    const auto range = d->zoomed ? *d->zoomed : d->fullRange(false);
    for (const auto& series : d->series) {
        if (!series->visible) continue;
        QString label = series->look.label;
        label.replace(QLatin1Char('"'), QStringLiteral("\"\""));
        const std::scoped_lock lock(series->store->mutex);
        const Slice slice = series->store->sliced
                                ? series->store->slice
                                : series->store->points.slice(range.first, range.second, series->store->points.size());
        for (std::size_t i = 0; i < slice.size(); ++i) {
            if (slice.x[i] < range.first || slice.x[i] > range.second) continue;
            text += QStringLiteral("\"%1\",%2,%3\n").arg(label, exactNumber(slice.x[i]), exactNumber(slice.mean[i]));
        }
    }
    return text;
}

base::Json ChartView::saveState() const {
    base::Json state = base::Json::object();
    state["log"] = d->log;
    state["smoothing"] = d->smoothing;
    if (d->zoomed) state["range"] = base::Json::array({d->zoomed->first, d->zoomed->second});
    base::Json hidden = base::Json::array();
    for (const QString& key : d->hiddenKeys) hidden.push_back(key.toStdString());
    state["hidden"] = std::move(hidden);
    return state;
}

void ChartView::restoreState(const base::Json& state) {
    base::ObjectReader reader(state, "chart");
    setLogScale(reader.boolean("log"));
    setSmoothing(reader.number("smoothing"));
    for (const std::string& key : reader.strings("hidden")) {
        const QString name = QString::fromStdString(key);
        if (!d->hiddenKeys.contains(name)) d->hiddenKeys << name;
        setSeriesVisible(name, false);
    }
    const base::Json range = reader.array("range");
    if (range.is_array() && range.size() == 2) {
        const auto low = base::jsonToNumber(range[0]), high = base::jsonToNumber(range[1]);
        if (low && high && *high > *low) {
            // Not setZoom(): the points may not be here yet, so there is no whole range to compare with.
            d->zoomed = std::pair(*low, *high);
            d->updateHeader();
            d->changed();
        }
    }
}

}  // namespace trainyard::ui
