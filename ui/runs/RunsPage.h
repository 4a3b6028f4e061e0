#pragma once
// The history: every run of the workspace, with the charts of the selected ones beside it.
#include <QTimer>

#include "core/store/Types.h"
#include "ui/shell/Page.h"

class QTableView;

namespace trainyard::ui {

class Chip;
class EmptyState;
class FilterCompleter;
class FlowLayout;
class InlineError;
class RunActions;
class RunCharts;
class RunsModel;
class SearchField;
class SelectionPanel;
class Splitter;
class TextLabel;

class RunsPage : public Page {
    Q_OBJECT

public:
    RunsPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Runs"); }
    [[nodiscard]] QString subtitle() const override;
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    void deactivated() override;
    [[nodiscard]] QWidget* firstFocus() override;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    struct View {
        QString name;
        QString filter;
        bool archived = false;
        bool own = false;  ///< Saved by the person, so it can be removed.
    };
    void buildTable();
    void placeMetrics();
    /// Gives the name what the other columns leave, up to a readable line; not once the person has drawn it.
    void widenName();
    void buildActions();
    void applyFilter(const QString& text);
    void applyView(const View& view);
    void showViews();
    void saveView();
    void showSelection();
    void showEmptiness();
    void showMenu(const QPoint& at);
    void showHeaderMenu(const QPoint& at);
    void readNames();
    [[nodiscard]] std::vector<store::RunRow> selection() const;
    void keepSelection();

    Shell& m_shell;
    RunsModel* m_model;
    RunActions* m_actions;
    SearchField* m_search;
    FilterCompleter* m_completer;
    QWidget* m_views;
    FlowLayout* m_viewsLayout;
    InlineError* m_error;
    Splitter* m_splitter;
    QTableView* m_table;
    QWidget* m_list;
    EmptyState* m_empty;
    EmptyState* m_nothing;
    SelectionPanel* m_selection;
    QAction* m_rename;
    QAction* m_tags;
    QAction* m_duplicate;
    QAction* m_archive;
    QAction* m_delete;
    QAction* m_openRun;
    std::vector<View> m_ownViews;
    bool m_archived = false;
    int m_nameWidth = 0;  ///< Of its column, as the page set it last.
    QStringList m_metricNames;
    std::vector<base::RunId> m_kept;
};

}  // namespace trainyard::ui
