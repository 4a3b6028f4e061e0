#pragma once
#include <QStringList>

#include "core/base/Json.h"
#include "ui/shell/Page.h"

class QComboBox;
class QTabWidget;
class QTableWidget;

namespace trainyard::ui {

class EmptyState;
class EvaluatePanel;
class InlineError;
class PredictPanel;
class Shell;
class TextLabel;

/// Tries a trained model: pictures, an evaluation, its layers. Addresses: try/NAME:VERSION, try/run:NUMBER;
/// with ?q=evaluate its evaluation.
class TryItPage : public Page {
    Q_OBJECT
public:
    TryItPage(Shell& shell, QWidget* parent);

    [[nodiscard]] QString title() const override { return tr("Try it"); }
    [[nodiscard]] QString subtitle() const override;
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] base::Json saveState() const override;
    void restoreState(const base::Json& state) override;
    void activated() override;
    [[nodiscard]] QWidget* firstFocus() override;

protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

private:
    QWidget* buildLayers();
    void readModels();
    void choose(const QString& model);
    void inspect();
    void showLayers(const base::Json& shown);
    void showTab();

    Shell& m_shell;
    QString m_model;
    bool m_usable = false;
    QComboBox* m_models;
    TextLabel* m_facts;
    InlineError* m_error;
    EmptyState* m_none;
    QTabWidget* m_tabs;
    PredictPanel* m_predict;
    EvaluatePanel* m_evaluate;
    TextLabel* m_sums;
    QTableWidget* m_layers;
    QAction* m_chooseAction;
    QAction* m_evaluateAction;
};

}  // namespace trainyard::ui
