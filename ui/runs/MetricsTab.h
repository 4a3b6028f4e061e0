#pragma once
#include <QWidget>

#include "core/base/Json.h"
#include "ui/runs/RunDetail.h"

class QCheckBox;
class QSlider;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class InlineError;
class RunCharts;
class SegmentedControl;
class StatTile;
class TextLabel;

/// The figures that matter and all curves.
class MetricsTab : public QWidget {
    Q_OBJECT

public:
    MetricsTab(commands::Session& session, QWidget* parent);
    void setDetail(const RunDetail& detail);
    [[nodiscard]] RunCharts* charts() const { return m_charts; }
    [[nodiscard]] base::Json saveState() const;
    void restoreState(const base::Json& state);

Q_SIGNALS:
    void stateChanged();

private:
    void showTiles(const store::RunRow& row);

    StatTile* m_tiles[4];
    InlineError* m_warning;
    SegmentedControl* m_axis;
    QSlider* m_smoothing;
    QCheckBox* m_log;
    RunCharts* m_charts;
};

}  // namespace trainyard::ui
