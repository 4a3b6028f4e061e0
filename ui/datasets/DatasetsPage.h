#pragma once
#include "core/base/Json.h"
#include "ui/shell/Page.h"

class QComboBox;
class QListWidget;
class QStackedWidget;
class QTabWidget;

namespace trainyard::ui {

class AddDatasetPanel;
class Card;
class Chip;
class ClassesPanel;
class CopyField;
class EmptyState;
class InlineError;
class ListDetail;
class PicturesPanel;
class PlacePanel;
class ProblemsPanel;
class QuietButton;
class SampleGrid;
class SearchField;
class SegmentedControl;
class TextLabel;
class VersionLine;

/// Datasets with their versions, one beside the list: what is in it, what is wrong with it, and its pictures.
/// Addresses: data, data/NAME, data/NAME/VERSION, each with ?q=samples or ?q=samples=CLASS; data?q=add,
/// data?q=add=SOURCE.
class DatasetsPage : public Page {
    Q_OBJECT

public:
    DatasetsPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Datasets"); }
    [[nodiscard]] QString subtitle() const override;
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    void deactivated() override;
    [[nodiscard]] QWidget* firstFocus() override;

private:
    void buildList();
    QWidget* buildDetail();
    QWidget* buildOverview();
    QWidget* buildSamples();
    void buildActions();
    void readList();
    void showList();
    /// `version` 0: the newest.
    void choose(const QString& name, int version);
    void readDetail();
    void showDetail();
    void showHead();
    void showFilter();
    void showSamples();
    void showCurrent();
    void showSide(QWidget* side);
    void showActions();
    void beginAdding(const QString& source, const base::Json& values = base::Json::object());
    void added(const base::Json& dataset);
    void train();
    void lookAgain();
    void remove();
    [[nodiscard]] QString pinned() const;

    Shell& m_shell;
    base::Json m_datasets;
    bool m_readOnce = false;
    bool m_active = false;
    bool m_adding = false;
    QString m_name;
    int m_version = 0;
    base::Json m_detail;
    QString m_class;  ///< Of the pictures that are shown; empty: all.
    QString m_shown;  ///< What the grid was last asked to show.

    ListDetail* m_body;
    SearchField* m_search;
    QListWidget* m_list;
    QStackedWidget* m_side;
    EmptyState* m_choose;
    EmptyState* m_empty;
    QWidget* m_detailView;
    QWidget* m_addView;
    AddDatasetPanel* m_add;
    TextLabel* m_title;
    Chip* m_problemsChip;
    TextLabel* m_facts;
    VersionLine* m_versions;
    QTabWidget* m_tabs;
    QWidget* m_overview;
    QWidget* m_samplesTab;
    Card* m_problemsCard;
    ProblemsPanel* m_problems;
    InlineError* m_missing;
    InlineError* m_noProblems;
    ClassesPanel* m_classes;
    Card* m_picturesCard;
    PicturesPanel* m_pictures;
    PlacePanel* m_place;
    QComboBox* m_classBox;
    SegmentedControl* m_split;
    TextLabel* m_count;
    InlineError* m_samplesError;
    SampleGrid* m_grid;
    CopyField* m_current;
    QAction* m_addAction;
    QAction* m_startAction;
    QAction* m_backAction;
    QAction* m_trainAction;
    QAction* m_againAction;
    QAction* m_removeAction;
};

}  // namespace trainyard::ui
