#pragma once
// What stands beside the list of runs: the selected runs' figures and their curves laid over each other.
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/store/Types.h"

class QVBoxLayout;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class RunCharts;
class TextLabel;

class SelectionPanel : public QWidget {
    Q_OBJECT

public:
    SelectionPanel(commands::Session& session, QWidget* parent);

    void setRuns(const std::vector<store::RunRow>& runs);
    [[nodiscard]] RunCharts* charts() const { return m_charts; }

Q_SIGNALS:
    void openRequested(const trainyard::base::RunId& run);

private:
    TextLabel* m_title;
    TextLabel* m_hint;
    QWidget* m_legend;
    QVBoxLayout* m_legendLayout;
    RunCharts* m_charts;
    QString m_shown;
};

}  // namespace trainyard::ui
