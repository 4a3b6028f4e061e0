#pragma once
// Completion of the history's filter language, one term at a time, in any line edit.
#include <QObject>
#include <QStringList>

class QCompleter;
class QLineEdit;
class QStringListModel;

namespace trainyard::ui {

class FilterCompleter : public QObject {
    Q_OBJECT

public:
    explicit FilterCompleter(QLineEdit* edit);

    /// Names that the workspace has; tags as NAME or NAME=VALUE.
    void setExperiments(const QStringList& names);
    void setMetrics(const QStringList& names);
    void setTags(const QStringList& tags);

    /// What could stand in place of the term that the cursor is in.
    [[nodiscard]] QStringList candidates(const QString& text, int cursor) const;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void offer();
    void take(const QString& completion);

    QLineEdit* m_edit;
    QStringListModel* m_model;
    QCompleter* m_completer;
    QStringList m_experiments;
    QStringList m_metrics;
    QStringList m_tags;
};

}  // namespace trainyard::ui
