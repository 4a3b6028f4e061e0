#pragma once
#include <QTimer>
#include <QWidget>
#include <vector>

#include "core/store/Types.h"

namespace trainyard::ui {

/// Preparing → Queued → Running → Finalizing, each with the time it took, the present one counting.
class StageStrip : public QWidget {
    Q_OBJECT

public:
    explicit StageStrip(QWidget* parent);
    void setRun(const store::RunRow& row, const std::vector<store::StageRow>& stages);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Stage {
        spec::RunState state;
        std::int64_t begin = 0;  ///< Microseconds UTC; 0: not reached.
        std::int64_t end = 0;    ///< 0 while it goes on.
        QString reason;
    };
    [[nodiscard]] QString timeOf(const Stage& stage) const;
    [[nodiscard]] QRectF cell(int index) const;

    std::vector<Stage> m_stages;
    int m_broken = -1;  ///< Stage that the run ended badly in.
    spec::RunState m_end = spec::RunState::Running;
    QTimer m_clock;
};

}  // namespace trainyard::ui
