#pragma once
#include <QWidget>

#include "core/base/Json.h"

class QTableWidget;

namespace trainyard::ui {

class QuietButton;
class TextLabel;

/// Samples, precision, recall and F1 of each class; hidden while empty.
[[nodiscard]] QTableWidget* makeClassFigures(const char* object, QWidget* parent);
/// `classes` as model.evaluate answers them.
void showClassFigures(QTableWidget* table, const base::Json& classes);

/// What a version was evaluated on and how well it did, newest first; of the chosen one the figures of each class.
class EvaluationsPanel : public QWidget {
    Q_OBJECT

public:
    explicit EvaluationsPanel(QWidget* parent);
    /// `records`: "evaluations" of model.show, oldest first. `possible`: whether the engine can evaluate this model.
    void setEvaluations(const base::Json& records, bool possible);

Q_SIGNALS:
    void evaluateRequested();

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void showChosen();
    void fold();

    base::Json m_records = base::Json::array();  ///< As they were given.
    TextLabel* m_none;
    QTableWidget* m_table;
    TextLabel* m_told;
    QTableWidget* m_classes;
    QuietButton* m_evaluate;
};

}  // namespace trainyard::ui
