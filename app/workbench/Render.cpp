#include "app/workbench/Render.h"

#include <QApplication>
#include <QFileInfo>
#include <QImage>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "core/runs/Workspace.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "ui/charts/ChartView.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::workbench {
namespace {

using base::Result;

struct Plot {
    QString title;
    std::vector<std::string> metrics;
    bool percent = false;
};

/// Loss and accuracy first, with training and validation in one plot; then every other metric.
std::vector<Plot> plotsOf(const store::RunRow& run) {
    std::vector<Plot> plots = {{QObject::tr("Loss"), {"train/loss", "val/loss"}, false},
                               {QObject::tr("Accuracy"), {"train/accuracy", "val/accuracy"}, true}};
    std::set<std::string> used, there;
    for (const auto& metric : run.metrics) there.insert(metric.name);
    std::erase_if(plots, [&there](const Plot& plot) {
        return std::none_of(plot.metrics.begin(), plot.metrics.end(),
                            [&](const auto& name) { return there.contains(name); });
    });
    for (const Plot& plot : plots) used.insert(plot.metrics.begin(), plot.metrics.end());
    for (const std::string& name : there) {
        if (!used.contains(name)) plots.push_back({ui::metricTitle(name), {name}, name.ends_with("accuracy")});
    }
    if (plots.size() > 12) plots.resize(12);
    return plots;
}

ui::Slice sliceOf(const store::ChartSeries& series) {
    ui::Slice slice;
    slice.raw = series.raw;
    slice.reserve(series.x.size());
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        const double mean = series.mean[i];
        slice.push(series.x[i], series.raw ? mean : series.min[i], series.raw ? mean : series.max[i], mean,
                   static_cast<std::uint32_t>(series.raw ? 1 : series.pointsPerBucket));
    }
    return slice;
}

Result<std::vector<std::unique_ptr<ui::ChartView>>> chartsOf(const store::Reader& index, const store::RunRow& run) {
    std::vector<std::unique_ptr<ui::ChartView>> charts;
    for (const Plot& plot : plotsOf(run)) {
        auto chart = std::make_unique<ui::ChartView>(plot.title);
        chart->setUnit({}, plot.percent);
        chart->setWaiting(QObject::tr("This run has no points yet"));
        store::ChartRequest request;
        for (const std::string& metric : plot.metrics) {
            store::ChartCurve curve;
            curve.run = run.id;
            curve.name = metric;
            request.curves.push_back(std::move(curve));
        }
        const auto data = index.chart(request);
        if (!data.ok()) return data.error();
        for (const store::ChartSeries& series : data->series) {
            const bool validation = series.name.starts_with("val/");
            const QString key =
                QStringLiteral("%1/%2/%3").arg(ui::fromUtf8(series.name)).arg(series.attempt).arg(series.rank);
            ui::SeriesLook look;
            look.label = plot.metrics.size() == 1 ? plot.title
                         : validation             ? QObject::tr("validation")
                                                  : QObject::tr("training");
            look.runColor = static_cast<int>((run.number - 1) % ui::Theme::runColorCount()) + (validation ? 1 : 0);
            look.markers = validation;
            chart->setSeries(key, look);
            chart->setSlice(key, sliceOf(series));
        }
        charts.push_back(std::move(chart));
    }
    return charts;
}

void drawSheet(QPainter& painter, const QRectF& page, const store::RunRow& run,
               const std::vector<std::unique_ptr<ui::ChartView>>& charts) {
    const ui::Theme& theme = ui::Theme::current();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.fillRect(page, theme.color(ui::Role::Surface));
    const double margin = 24;
    painter.setFont(theme.font(ui::TextStyle::Title));
    painter.setPen(theme.color(ui::Role::Text));
    const QRectF head(margin, 18, page.width() - 2 * margin, 28);
    painter.drawText(
        head, Qt::AlignLeft | Qt::AlignVCenter,
        painter.fontMetrics().elidedText(QStringLiteral("#%1  %2").arg(run.number).arg(ui::fromUtf8(run.name)),
                                         Qt::ElideRight, static_cast<int>(head.width())));
    QStringList facts{ui::lookOf(run.state).word};
    if (run.startedAt > 0 && run.endedAt > run.startedAt)
        facts << ui::formatDuration((run.endedAt - run.startedAt) * 1000);
    for (const auto& metric : run.metrics) {
        if (metric.name == "val/accuracy")
            facts << QObject::tr("best validation accuracy %1").arg(ui::formatPercent(metric.max));
    }
    if (run.startedAt > 0) facts << ui::formatTime(run.startedAt);
    painter.setFont(theme.font(ui::TextStyle::Body));
    painter.setPen(theme.color(ui::Role::Muted));
    painter.drawText(QRectF(margin, 46, page.width() - 2 * margin, 20), Qt::AlignLeft | Qt::AlignVCenter,
                     facts.join(QStringLiteral("  ·  ")));

    const QRectF room(margin - 8, 76, page.width() - 2 * margin + 16, page.height() - 76 - 12);
    if (charts.empty()) {
        painter.drawText(room, Qt::AlignCenter, QObject::tr("This run has reported no metrics."));
        return;
    }
    const auto count = static_cast<int>(charts.size());
    const int columns = count == 1 ? 1 : 2;
    const int rows = (count + columns - 1) / columns;
    for (int i = 0; i < count; ++i) {
        const bool lastAlone = i == count - 1 && count % columns == 1;
        const double width = room.width() / (lastAlone ? 1 : columns);
        const QRectF cell(room.left() + (i % columns) * width, room.top() + (i / columns) * room.height() / rows, width,
                          room.height() / rows);
        charts[static_cast<std::size_t>(i)]->renderTo(painter, cell);
    }
}

Result<store::RunRow> findRun(const RenderJob& job, std::optional<store::Reader>& index) {
    base::Path folder = job.workspace;
    if (folder.empty()) {
        const auto recent = runs::readRecentWorkspaces();
        if (recent.empty()) return base::Error{"workspace.none", "No workspace was opened before; name its folder."};
        folder = recent.front().root;
    }
    const auto workspace = runs::openWorkspace(folder);
    if (!workspace.ok()) return workspace.error();
    const store::IndexLocation location = store::IndexLocation::of(workspace->layout.root);
    auto opened = store::Reader::open(location);
    if (!opened.ok() && (opened.error().code == "store.missing" || opened.error().code == "store.outdated")) {
        // Nobody has opened this workspace here yet: the index comes from its files.
        auto writer = store::Writer::open(location);
        if (!writer.ok()) return writer.error();
        const auto report = writer->catchUp();
        if (!report.ok()) return report.error();
        opened = store::Reader::open(location);
    }
    if (!opened.ok()) return opened.error();
    index.emplace(std::move(*opened));
    const auto row = index->findRun(job.run);
    return row.ok() ? index->run(row->id) : row;
}

base::Status draw(const RenderJob& job) {
    std::optional<store::Reader> index;
    const auto run = findRun(job, index);
    if (!run.ok()) return run.error();
    const auto charts = chartsOf(*index, *run);
    if (!charts.ok()) return charts.error();

    QSize size(1280, static_cast<int>(110 + 380 * std::max<std::size_t>(1, (charts->size() + 1) / 2)));
    if (!job.size.empty()) {
        const QStringList parts = QString::fromStdString(job.size).split(QLatin1Char('x'));
        bool wide = false, high = false;
        size = QSize(parts.value(0).toInt(&wide), parts.value(1).toInt(&high));
        if (!wide || !high || parts.size() != 2 || size.width() < 320 || size.height() < 240 || size.width() > 8000 ||
            size.height() > 8000) {
            return base::Error{"render.size", "The size is written as 1280x900, from 320x240 to 8000x8000.", "size"};
        }
    }
    const QString out = QString::fromStdString(job.out);
    const QString suffix = QFileInfo(out).suffix().toLower();
    const QRectF page(QPointF(0, 0), QSizeF(size));
    const base::Error failed{"render.write", "The picture could not be written to " + job.out + ".", "out"};
    const auto paint = [&](QPaintDevice& device) {
        QPainter painter;
        if (!painter.begin(&device)) return false;
        drawSheet(painter, page, *run, *charts);
        return painter.end();
    };
    if (suffix == QLatin1String("svg")) {
        QSvgGenerator generator;
        generator.setFileName(out);
        generator.setSize(size);
        generator.setViewBox(page);
        generator.setTitle(ui::fromUtf8(run->name));
        return paint(generator) ? base::Status() : failed;
    }
    if (suffix == QLatin1String("pdf")) {
        QPdfWriter writer(out);
        writer.setPageSize(QPageSize(QSizeF(size) * 0.75, QPageSize::Point));
        writer.setPageMargins(QMarginsF());
        writer.setResolution(96);
        writer.setTitle(ui::fromUtf8(run->name));
        return paint(writer) ? base::Status() : failed;
    }
    if (suffix != QLatin1String("png")) {
        return base::Error{"render.format", "The file's name must end in .png, .svg or .pdf.", "out"};
    }
    QImage image(size * 2, QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(2);
    return paint(image) && image.save(out, "PNG") ? base::Status() : failed;
}

}  // namespace

int renderRun(const RenderJob& job) {
    const base::Status drawn = draw(job);
    if (drawn.ok()) return 0;
    std::fprintf(stderr, "trainyard: %s\n", drawn.error().message.c_str());
    return drawn.error().code == "render.size" || drawn.error().code == "render.format" ? 2 : 1;
}

}  // namespace trainyard::workbench
