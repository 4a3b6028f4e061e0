#pragma once
#include <QWidget>

#include "ui/runs/RunDetail.h"

class QCheckBox;
class QLineEdit;
class QPlainTextEdit;
class QTimer;
class QVBoxLayout;

namespace trainyard::ui {

class CopyField;
class FlowLayout;
class SegmentedControl;
class TextLabel;

/// The run's spec, field by field, with what differs from the defaults or from the run it goes on from.
class ConfigurationTab : public QWidget {
    Q_OBJECT

public:
    explicit ConfigurationTab(QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    void parentRequested(const trainyard::base::RunId& run);

private:
    void rebuild();

    base::Json m_spec;
    base::Json m_parent;
    base::RunId m_run;
    base::RunId m_parentRun;
    std::int64_t m_parentNumber = 0;
    SegmentedControl* m_against;
    QCheckBox* m_only;
    TextLabel* m_summary;
    class LinkButton* m_openParent;
    QWidget* m_groups;
    QVBoxLayout* m_groupsLayout;
    CopyField* m_json;
};

/// Description, tags and notes, saved as they are typed.
class NotesTab : public QWidget {
    Q_OBJECT

public:
    explicit NotesTab(QWidget* parent);
    void setDetail(const RunDetail& detail);

Q_SIGNALS:
    void notesEdited(const QString& text);
    void tagsEdited(const trainyard::store::Strings& tags);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void showTags();
    void saveNotes();

    base::RunId m_run;
    store::Strings m_tags;
    QString m_savedNotes;
    TextLabel* m_description;
    QWidget* m_chips;
    FlowLayout* m_chipsLayout;
    QLineEdit* m_newTag;
    QPlainTextEdit* m_notes;
    TextLabel* m_state;
    QTimer* m_pause;
};

}  // namespace trainyard::ui
