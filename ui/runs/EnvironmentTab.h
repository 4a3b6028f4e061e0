#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QLineEdit;
class QVBoxLayout;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class KeyValueGrid;
class TextLabel;

/// What the run really ran in, node by node, as the agents found it there; and what another run had otherwise.
class EnvironmentTab : public QWidget {
    Q_OBJECT

public:
    EnvironmentTab(commands::Session& session, QWidget* parent);
    /// `attempt`: 0 is the newest. False: nothing is known.
    bool setDetail(const RunDetail& detail, int attempt);

private:
    void compare();

    commands::Session& m_session;
    base::RunId m_run;
    TextLabel* m_asked;
    QLineEdit* m_with;
    TextLabel* m_compared;
    KeyValueGrid* m_different;
    QWidget* m_blocks;
    QVBoxLayout* m_column;
    QString m_shown;
};

}  // namespace trainyard::ui
