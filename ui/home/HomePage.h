#pragma once
#include <QTimer>
#include <map>
#include <vector>

#include "core/store/Types.h"
#include "ui/shell/Page.h"

class QBoxLayout;
class QProgressBar;
class QVBoxLayout;

namespace trainyard::store {
class Reader;
}

namespace trainyard::ui {

class Card;
class EmptyState;
class RunCharts;
class RunActions;
class RunLine;
class TextLabel;

/// What runs now, what ran lately, how busy this machine is, and one button to start.
class HomePage : public Page {
    Q_OBJECT

public:
    HomePage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Home"); }
    [[nodiscard]] QString subtitle() const override;
    void activated() override;
    void deactivated() override;

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    struct LiveCard {
        Card* card = nullptr;
        RunLine* line = nullptr;
        QProgressBar* bar = nullptr;
        TextLabel* text = nullptr;
        RunCharts* charts = nullptr;
    };
    struct Overview {
        std::vector<store::RunRow> active;
        std::vector<store::RunRow> recent;
        std::map<base::RunId, QList<double>> sparks;
        store::Counts counts;
        /// None runs, and there are so few that the newest one's curves stand in the room of those that run.
        bool newest = false;
    };
    static base::Result<Overview> readOverview(store::Reader& reader);
    void buildSide();
    void read();
    void take(const Overview& overview);
    void buildNext();
    void showLive(const Overview& overview);
    void showNext(const Overview& overview);
    void showRecent(const Overview& overview);
    void showMachine();
    void readTargets();
    void showTargets();
    void arrange();

    Shell& m_shell;
    RunActions* m_actions;
    EmptyState* m_empty;
    QWidget* m_full;
    QWidget* m_main;
    QWidget* m_side;
    QBoxLayout* m_columns;
    TextLabel* m_liveTitle;
    QVBoxLayout* m_liveLayout;
    std::map<base::RunId, LiveCard> m_live;
    Card* m_recentCard;
    QVBoxLayout* m_recentLayout;
    std::vector<RunLine*> m_recent;
    Card* m_next;
    QWidget* m_tryNext;
    QWidget* m_againNext;
    base::RunId m_newest;
    std::int64_t m_newestNumber = 0;
    QProgressBar* m_load;
    TextLabel* m_loadText;
    QProgressBar* m_memory;
    TextLabel* m_memoryText;
    QProgressBar* m_disk;
    TextLabel* m_diskText;
    TextLabel* m_counts;
    Card* m_targetsCard;
    QVBoxLayout* m_targetsLayout;
    base::Json m_targets;
    QTimer m_soon;
    QTimer m_clock;
    bool m_reading = false;
    bool m_readAgain = false;
    bool m_active = false;
};

}  // namespace trainyard::ui
