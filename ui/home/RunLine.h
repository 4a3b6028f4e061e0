#pragma once
#include <QWidget>

#include "core/store/Types.h"

namespace trainyard::ui {

class ElidedLabel;
class Sparkline;
class StateChip;
class TextLabel;

/// One run in a line: colour, state, name, spark line, best metric, when. Click or Enter opens it.
class RunLine : public QWidget {
    Q_OBJECT

public:
    explicit RunLine(QWidget* parent);
    void setRun(const store::RunRow& row, const QList<double>& spark);
    [[nodiscard]] const base::RunId& run() const { return m_run; }
    /// Without spark line and metric, as the head of a card that draws them itself.
    void setPlain(bool plain);

Q_SIGNALS:
    void opened(const trainyard::base::RunId& run);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    base::RunId m_run;
    int m_color = 0;
    bool m_hover = false;
    TextLabel* m_number;
    ElidedLabel* m_name;
    StateChip* m_chip;
    Sparkline* m_spark;
    TextLabel* m_metric;
    TextLabel* m_when;
};

}  // namespace trainyard::ui
