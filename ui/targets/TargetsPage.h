#pragma once
#include <QTimer>

#include "core/base/Json.h"
#include "core/commands/Command.h"
#include "core/commands/Session.h"
#include "ui/shell/Page.h"

class QStackedWidget;
class QTreeWidget;

namespace trainyard::ui {

class CachePanel;
class DetailColumn;
class DoctorPanel;
class EmptyState;
class EnginePanel;
class InlineError;
class KeyValueGrid;
class ListDetail;
class LoadPanel;
class TargetForm;

/// Where runs can be carried out: this machine, hosts over SSH, Slurm clusters; each with its reach, load, doctor and
/// cache.
class TargetsPage : public Page {
    Q_OBJECT

public:
    TargetsPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Targets"); }
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
    void choose(const QString& target);
    void forgetDetail();
    void readDetail();
    void showDetail();
    void showReach();
    void readLoad();
    void connectNow();
    void showSide(QWidget* side);
    void beginAdd(const base::Json& draft);
    void beginEdit();
    void endForm();
    void clone();
    void able();
    void remove();
    [[nodiscard]] targets::Reach reachOf(const QString& target) const;

    Shell& m_shell;
    base::Json m_targets;
    bool m_readOnce = false;
    bool m_active = false;
    QString m_target;
    base::Json m_detail;
    bool m_editWanted = false;
    base::Json m_draft;  ///< What was typed and not saved; null while no form is open.
    QTimer m_loadTimer;
    QPointer<commands::Command> m_loading;
    QPointer<commands::Command> m_connecting;

    ListDetail* m_body;
    QTreeWidget* m_tree;
    QStackedWidget* m_side;
    EmptyState* m_choose;
    QWidget* m_detailView;
    QWidget* m_formView;
    TargetForm* m_form;
    DetailColumn* m_head;
    InlineError* m_reach;
    LoadPanel* m_load;
    DoctorPanel* m_doctor;
    CachePanel* m_cache;
    EnginePanel* m_engine;
    KeyValueGrid* m_settings;
    QAction* m_addAction;
    QAction* m_saveAction;
    QAction* m_dropAction;
    QAction* m_editAction;
    QAction* m_cloneAction;
    QAction* m_ableAction;
    QAction* m_deleteAction;
};

}  // namespace trainyard::ui
