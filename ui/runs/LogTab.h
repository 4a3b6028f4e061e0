#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QCheckBox;
class QComboBox;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class IconButton;
class LogView;
class SearchField;
class TextLabel;

/// The log with what narrows it down: node, rank, source, search, follow.
class LogTab : public QWidget {
    Q_OBJECT

public:
    LogTab(commands::Session& session, QWidget* parent);

    /// `attempt`: 0 is the newest.
    void setDetail(const RunDetail& detail, int attempt);
    void refresh();
    /// Shows only one rank's lines; -1: everyone's.
    void showRank(int rank);
    [[nodiscard]] LogView* view() const { return m_view; }

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void showEvent(QShowEvent* event) override;

private:
    void applyFilter();
    void find(bool backward);
    /// Each file under logs/ is a source of its own, beside all of them.
    void offerFiles(const QStringList& files);
    void readFiles();

    commands::Session& m_session;
    base::RunId m_run;
    int m_attempt = 0;
    QString m_offered;
    LogView* m_view;
    QComboBox* m_rank;
    QComboBox* m_source;
    QComboBox* m_node;
    SearchField* m_search;
    QCheckBox* m_regex;
    QCheckBox* m_follow;
    QCheckBox* m_times;
    IconButton* m_next;
    IconButton* m_previous;
    TextLabel* m_found;
    TextLabel* m_count;
};

}  // namespace trainyard::ui
