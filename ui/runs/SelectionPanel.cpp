#include "ui/runs/SelectionPanel.h"

#include <QHBoxLayout>
#include <QPainter>
#include <QScrollArea>
#include <QVBoxLayout>

#include "core/commands/Session.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunRef.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {

constexpr std::size_t kMostRuns = 10;

/// The colour that the run has in every list, legend and chart.
class RunDot : public QWidget {
public:
    RunDot(int color, QWidget* parent) : QWidget(parent), m_color(color) { setFixedSize(12, 12); }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(Qt::NoPen);
        painter.setBrush(Theme::current().runColor(m_color));
        painter.drawEllipse(QRectF(rect()).adjusted(1, 1, -1, -1));
    }

private:
    int m_color;
};

}  // namespace

SelectionPanel::SelectionPanel(commands::Session& session, QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(3), theme.space(2), theme.space(3), theme.space(3));
    column->setSpacing(theme.space(2));
    m_title = new SectionTitle(QString(), content);
    m_hint = new TextLabel(tr("Select runs in the table to see their curves here, laid over each other."),
                           TextStyle::Body, Role::Muted, content);
    m_hint->setWordWrap(true);
    m_legend = new QWidget(content);
    m_legendLayout = new QVBoxLayout(m_legend);
    m_legendLayout->setContentsMargins(0, 0, 0, 0);
    m_legendLayout->setSpacing(theme.space(0));
    m_charts = new RunCharts(session, RunCharts::Extent::HeadlinesOnly, content);
    m_charts->setWaiting(tr("No points yet"));
    column->addWidget(m_title);
    column->addWidget(m_hint);
    column->addWidget(m_legend);
    column->addWidget(m_charts);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    auto* scroll = makeScrollPage(content, 1400, this);
    outer->addWidget(scroll);
    setRuns({});
}

void SelectionPanel::setRuns(const std::vector<store::RunRow>& runs) {
    const std::size_t shown = std::min(runs.size(), kMostRuns);
    m_hint->setVisible(runs.empty());
    m_charts->setVisible(!runs.empty());
    m_legend->setVisible(!runs.empty());
    m_title->setText(runs.empty()          ? tr("Nothing selected")
                     : runs.size() == 1    ? tr("Selected run")
                     : shown < runs.size() ? tr("%1 selected, the first %2 shown").arg(runs.size()).arg(shown)
                                           : tr("%n runs compared", nullptr, static_cast<int>(runs.size())));
    QString signature;
    std::vector<RunRef> refs;
    for (std::size_t i = 0; i < shown; ++i) {
        const store::RunRow& row = runs[i];
        refs.push_back(refOf(row));
        const store::MetricSummary* metric = headMetric(row);
        signature += fromUtf8(row.id.str() + row.name) + QString::number(static_cast<int>(row.state)) +
                     (metric ? QString::number(bestOf(*metric)) : QString()) + u'|';
    }
    m_charts->setRuns(std::move(refs));
    if (signature == m_shown) return;
    m_shown = signature;
    while (QLayoutItem* item = m_legendLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    for (std::size_t i = 0; i < shown; ++i) {
        const store::RunRow& row = runs[i];
        auto* line = new QWidget(m_legend);
        auto* layout = new QHBoxLayout(line);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->setSpacing(Theme::current().space(1));
        layout->addWidget(new RunDot(runColorOf(row.number), line));
        auto* name = new LinkButton(QStringLiteral("#%1").arg(row.number), line);
        name->setAccessibleName(tr("Open run %1, %2").arg(row.number).arg(fromUtf8(row.name)));
        layout->addWidget(name);
        layout->addWidget(new ElidedLabel(fromUtf8(row.name), TextStyle::Body, Role::Text, line), 1);
        if (const store::MetricSummary* metric = headMetric(row)) {
            auto* best = new TextLabel(formatMetric(metric->name, bestOf(*metric)), TextStyle::Mono, Role::Text, line);
            best->setToolTip(
                tr("%1, best at step %2: %3")
                    .arg(metricTitle(metric->name), formatExact(bestStepOf(*metric)), exactNumber(bestOf(*metric))));
            layout->addWidget(best);
        }
        layout->addWidget(new StateChip(row.state, line));
        connect(name, &LinkButton::clicked, this, [this, id = row.id] { Q_EMIT openRequested(id); });
        m_legendLayout->addWidget(line);
    }
}

}  // namespace trainyard::ui
