#pragma once
#include <QPointer>
#include <QWidget>

#include <cstdint>
#include <vector>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QBoxLayout;
class QComboBox;
class QTableWidget;

namespace trainyard::ui {

class Card;
class ConfusionMatrix;
class EmptyState;
class FlowLayout;
class InlineError;
class LinkButton;
class PictureList;
class ProgressStrip;
class Shell;
class TextLabel;

/// How good the model is on data: figures, confusion matrix, classes, the worst mistakes.
class EvaluatePanel : public QWidget {
    Q_OBJECT
public:
    EvaluatePanel(Shell& shell, QWidget* parent);
    void setModel(const QString& model);
    /// Reads the workspace's datasets anew.
    void readDatasets();
    void addFolder(const QString& folder);
    void start();
    [[nodiscard]] bool isRunning() const { return m_command != nullptr; }
    /// What shows how far it is, and cancels it.
    [[nodiscard]] QWidget* strip() const;

Q_SIGNALS:
    void runningChanged();
    /// A mistake's file, to be looked at.
    void pictureWanted(const QString& file);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    /// Matrix and mistakes side by side where both have room.
    void arrange();
    void chooseData();
    void showResult(const base::Json& result);
    void showFigures(const base::Json& result);
    void showConfusion(const base::Json& result);
    void showMistakes();
    /// Of one cell of the matrix; a cell of the diagonal or a whole class: all of them.
    void showCell(int row, int column);

    Shell& m_shell;
    QString m_model;
    QPointer<commands::Command> m_command;
    QComboBox* m_data;
    QComboBox* m_split;
    ProgressStrip* m_progress;
    InlineError* m_error;
    EmptyState* m_empty;
    QWidget* m_results;
    QWidget* m_figures;
    FlowLayout* m_figuresLayout;
    TextLabel* m_told;
    InlineError* m_bad;
    QBoxLayout* m_beside;
    Card* m_confusionCard;
    ConfusionMatrix* m_confusion;
    TextLabel* m_meaning;
    QTableWidget* m_classes;
    base::Json m_found = base::Json::array();  ///< The mistakes that the engine named.
    std::vector<std::int64_t> m_labels;        ///< Of the matrix's rows.
    Card* m_mistakesCard;
    TextLabel* m_mistakesTold;
    LinkButton* m_allMistakes;
    PictureList* m_mistakes;
};

}  // namespace trainyard::ui
