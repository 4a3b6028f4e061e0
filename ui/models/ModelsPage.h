#pragma once
#include <QTimer>
#include <optional>

#include "core/store/Types.h"
#include "ui/shell/Page.h"

class QLineEdit;
class QPlainTextEdit;
class QStackedWidget;
class QTableWidget;
class QTreeWidget;
class QVBoxLayout;

namespace trainyard::ui {

class Card;
class CommandPanel;
class EmptyState;
class EvaluationsPanel;
class FlowLayout;
class InlineError;
class KeyValueGrid;
class LinkButton;
class ListDetail;
class QuietButton;
class SearchField;
class TextLabel;

/// Registered models: names with versions, and beside them one version with everything that is known of it.
class ModelsPage : public Page {
    Q_OBJECT

public:
    ModelsPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Models"); }
    [[nodiscard]] QString subtitle() const override;
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    void deactivated() override;
    [[nodiscard]] QWidget* firstFocus() override;

private:
    struct Named {
        store::ModelRow model;
        std::vector<store::ModelVersionRow> versions;
    };
    struct Detail {
        store::ModelVersionRow row;
        std::vector<base::Json> exports;  ///< Newest first.
    };
    QWidget* buildDetail();
    QWidget* buildRegister();
    void readList();
    void showList();
    void readDetail();
    void showDetail(const Detail& detail);
    /// What kind of model the version is and whether it can be exported: told by its files, which the registry looks
    /// at.
    void readKind();
    void showKind(const base::Json& shown);
    void showMetrics(const base::Json& card);
    void showFiles(const base::Json& card);
    void showExports(const std::vector<base::Json>& exports);
    void showConfiguration(const base::Json& card);
    void showTags();
    void showSide(QWidget* side);
    void beginRegister(const QString& run);
    void registered(const base::Json& result);
    void edit(base::Json change);
    void download();
    void downloadSelected();
    void downloadExport();
    void startCopy(const std::string& command, base::Json parameters, const QString& title);
    void remove();
    [[nodiscard]] QString reference() const;

    Shell& m_shell;
    std::vector<Named> m_models;
    QString m_name;
    int m_version = 0;
    std::optional<Detail> m_detail;
    bool m_active = false;
    bool m_readOnce = false;
    QString m_fromRun;
    QTimer m_descriptionPause;

    ListDetail* m_splitter;
    SearchField* m_search;
    QTreeWidget* m_tree;
    EmptyState* m_empty;
    QStackedWidget* m_side;
    QWidget* m_detailView;
    QWidget* m_registerView;
    EmptyState* m_choose;

    TextLabel* m_title;
    TextLabel* m_facts;
    LinkButton* m_run;
    QPlainTextEdit* m_description;
    QWidget* m_tags;
    FlowLayout* m_tagsLayout;
    QLineEdit* m_newTag;
    QWidget* m_metrics;
    FlowLayout* m_metricsLayout;
    QTableWidget* m_files;
    QuietButton* m_copyFiles;
    base::Json m_kinds;  ///< The last answer of model.show.
    InlineError* m_notExportable;
    TextLabel* m_noExports;
    QVBoxLayout* m_exportsLayout;
    CommandPanel* m_export;
    EvaluationsPanel* m_evaluations;
    KeyValueGrid* m_configuration;

    TextLabel* m_registerTitle;
    TextLabel* m_registerFacts;
    CommandPanel* m_register;
    QAction* m_downloadAction;
    QAction* m_tryAction;
    QAction* m_deleteAction;
    QAction* m_registerAction;
    QAction* m_cancelRegister;
};

}  // namespace trainyard::ui
