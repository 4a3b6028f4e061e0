#pragma once
#include <QTimer>

#include "core/base/Json.h"
#include "ui/shell/Page.h"

class QStackedWidget;
class QTreeWidget;

namespace trainyard::ui {

class BuiltPanel;
class Card;
class CheckPanel;
class ContentPanel;
class DetailColumn;
class DiffPanel;
class EmptyState;
class EnvironmentForm;
class ListDetail;
class NewEnvironmentPanel;
class RealisedPanel;
class SearchField;
class VersionLine;

/// What runs find installed: environments that come with the program and those of the workspace, with their versions.
class EnvironmentsPage : public Page {
    Q_OBJECT

public:
    EnvironmentsPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Environments"); }
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
    void buildActions();
    void readList();
    void showList();
    /// `version` 0: the newest.
    void choose(const QString& name, int version);
    void readDetail();
    void showDetail();
    /// Reads anew only what runs change: how many used it, and where it was realised.
    void readUse();
    void showUse();
    void showSide(QWidget* side);
    void beginNew();
    void beginForm(const base::Json& document, bool isNew, const QStringList& notes);
    void dropDraft();
    void clone();
    void save();
    void saveTo(const QString& folder, bool overwrite);
    void remove();
    [[nodiscard]] QString pinned() const;

    Shell& m_shell;
    base::Json m_environments;
    bool m_readOnce = false;
    bool m_active = false;
    QTimer m_soon;
    QString m_name;
    int m_version = 0;
    base::Json m_detail;
    base::Json m_draft;  ///< {"new", "document"}: what was typed and not saved; null while no form is open.

    ListDetail* m_body;
    SearchField* m_search;
    QTreeWidget* m_tree;
    QStackedWidget* m_side;
    EmptyState* m_choose;
    QWidget* m_detailView;
    QWidget* m_formView;
    QWidget* m_newView;
    EnvironmentForm* m_form;
    NewEnvironmentPanel* m_new;
    DetailColumn* m_head;
    VersionLine* m_versions;
    ContentPanel* m_content;
    RealisedPanel* m_realised;
    CheckPanel* m_check;
    DiffPanel* m_diff;
    Card* m_diffCard;
    BuiltPanel* m_built;
    QAction* m_newAction;
    QAction* m_saveAction;
    QAction* m_dropAction;
    QAction* m_backAction;
    QAction* m_editAction;
    QAction* m_cloneAction;
    QAction* m_folderAction;
    QAction* m_deleteAction;
};

}  // namespace trainyard::ui
