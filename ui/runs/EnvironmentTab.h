#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QVBoxLayout;

namespace trainyard::ui {

class TextLabel;

/// What the run really ran in, node by node, as the agents found it there.
class EnvironmentTab : public QWidget {
    Q_OBJECT

public:
    explicit EnvironmentTab(QWidget* parent);
    /// `attempt`: 0 is the newest. False: nothing is known.
    bool setDetail(const RunDetail& detail, int attempt);

private:
    TextLabel* m_asked;
    QWidget* m_blocks;
    QVBoxLayout* m_column;
    QString m_shown;
};

}  // namespace trainyard::ui
