#pragma once
#include <QTimer>
#include <QWidget>

#include <cstdint>

#include "ui/shell/TargetWatch.h"

class QLabel;

namespace trainyard::ui {

class LinkButton;
class ProgressStrip;
class TextLabel;
class WorkList;

/// Share of the processor in use and memory, from /proc; differences between two calls.
class MachineLoad {
public:
    struct Sample {
        double cpu = -1;  ///< 0…1 since the last sample; negative the first time.
        std::int64_t memoryUsed = 0;
        std::int64_t memoryTotal = 0;
    };
    [[nodiscard]] Sample sample();

private:
    std::int64_t m_busy = 0;
    std::int64_t m_total = 0;
};

/// The foot of the window: what runs, the targets, long work, this machine, the history.
class StatusBar final : public QWidget {
    Q_OBJECT
public:
    StatusBar(WorkList& work, QWidget* parent);
    void setCounts(std::int64_t running, std::int64_t queued, std::int64_t all);
    /// What the session has to say about itself; empty: all is well.
    void setTrouble(const QString& text);
    void setOpen(bool open);
    /// The targets beside this machine; an empty text hides them.
    void setTargets(const TargetSummary& summary);

Q_SIGNALS:
    void activePressed();
    void targetsPressed();

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    void fit();
    void showWork();
    void showLoad();
    void showHistory();
    WorkList& m_work;
    LinkButton* m_active;
    QLabel* m_targetsIcon;
    LinkButton* m_targets;
    ProgressStrip* m_strip;
    TextLabel* m_moreWork;
    TextLabel* m_load;
    QLabel* m_historyIcon;
    TextLabel* m_history;
    MachineLoad m_machine;
    QTimer m_timer;
    std::int64_t m_all = 0;
    QString m_trouble;
    QString m_targetsText;
    bool m_open = false;
};

}  // namespace trainyard::ui
