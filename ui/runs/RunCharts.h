#pragma once
// Charts of one run or of several laid over each other, fed from the index by level of detail. Loss and accuracy stand
// large, with training and validation in one plot; every other metric has a small plot below. Only plots in sight or
// close to it are fetched; the others when they are scrolled to.
#include <QTimer>
#include <QWidget>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/Json.h"
#include "core/commands/Session.h"
#include "core/store/ChartTypes.h"
#include "ui/charts/ChartView.h"
#include "ui/runs/RunRef.h"

class QGridLayout;
class QVBoxLayout;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

/// One plot and the metrics in it.
struct ChartPlan {
    QString title;
    std::vector<std::string> metrics;
    bool percent = false;  ///< Fractions, shown as percent.
    QString unit{};
    double scale = 1;      ///< From what was reported to `unit`.
    QStringList labels{};  ///< Of the curves, one a metric; empty: by their names.
};

class RunCharts : public QWidget {
    Q_OBJECT

public:
    enum class Extent { Whole, HeadlinesOnly, System };

    RunCharts(commands::Session& session, Extent extent, QWidget* parent = nullptr);
    ~RunCharts() override;

    /// Which runs; keeps zoom and looks of curves that stay.
    void setRuns(std::vector<RunRef> runs);
    [[nodiscard]] const std::vector<RunRef>& runs() const { return m_runs; }
    void setXAxis(XAxis axis);
    [[nodiscard]] XAxis xAxis() const { return m_axis; }
    void setSmoothing(double factor);
    void setLogScale(bool on);
    void setCompact(bool compact);
    /// Only what one node, or one attempt, reported; nothing: all of them.
    void setPart(std::optional<int> node, std::optional<int> attempt);
    /// Shown in every plot without points.
    void setWaiting(const QString& text);
    /// Large plots side by side or one over the other; -1: by the width.
    void setColumns(int columns);

    [[nodiscard]] std::vector<ChartView*> charts() const;
    [[nodiscard]] ChartView* chart(const QString& title) const;
    /// Points seen by the last answer, of all curves that were in sight; 0 before the first.
    [[nodiscard]] std::int64_t points() const { return m_points; }

    [[nodiscard]] base::Json saveState() const;
    void restoreState(const base::Json& state);

Q_SIGNALS:
    void stateChanged();
    /// The first points of the first run are on a chart.
    void filled();

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void showEvent(QShowEvent* event) override;

private:
    struct Plot;
    void note(const QList<runs::RunChange>& changes);
    void findMetrics();
    void plan(const std::vector<std::string>& names);
    void arrange();
    /// Asks for a plot's points; one that is out of sight stays stale.
    void fetch(Plot& plot);
    /// Fetches what is stale and near, once the layout has settled.
    void lookSoon();
    void take(Plot& plot, const store::ChartData& answer);
    [[nodiscard]] SeriesLook lookOf(const Plot& plot, const store::ChartSeries& series, bool severalRanks) const;

    commands::Session& m_session;
    Extent m_extent;
    std::vector<RunRef> m_runs;
    std::vector<std::unique_ptr<Plot>> m_plots;
    std::vector<std::string> m_names;
    QGridLayout* m_grid;
    QTimer m_soon;
    QTimer m_look;
    int m_rounds = 0;
    std::optional<int> m_node;
    std::optional<int> m_attempt;
    XAxis m_axis = XAxis::Step;
    double m_smoothing = 0;
    bool m_log = false;
    bool m_compact = false;
    int m_columns = -1;
    int m_arranged = 0;
    bool m_searching = false;
    bool m_searchAgain = false;
    bool m_filled = false;
    std::int64_t m_points = 0;
    QString m_waiting;
    base::Json m_restored;
};

}  // namespace trainyard::ui
