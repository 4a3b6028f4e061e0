#pragma once
#include <QWidget>
#include <memory>
#include <vector>

#include "ui/runs/RunDetail.h"

class QComboBox;
class QVBoxLayout;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class ElidedLabel;
class RunCharts;

/// What each machine of a run was seen to use, a block a node, its GPUs one after the other.
class SystemTab : public QWidget {
    Q_OBJECT

public:
    SystemTab(commands::Session& session, QWidget* parent);
    /// `attempt`: 0 is all of them.
    void setDetail(const RunDetail& detail, int attempt);
    [[nodiscard]] base::Json saveState() const;

private:
    struct Block {
        QWidget* widget;
        ElidedLabel* title;
        RunCharts* charts;
    };
    Block makeBlock();
    void arrange();

    commands::Session& m_session;
    store::RunRow m_row;
    std::vector<store::AttemptRow> m_nodes;  ///< Of all attempts.
    int m_attempt = 0;
    QComboBox* m_node;
    QVBoxLayout* m_column;
    std::vector<Block> m_blocks;
};

}  // namespace trainyard::ui
