#pragma once
// The editors behind makeFieldEditor.
#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <utility>
#include <vector>

#include "ui/forms/FieldEditor.h"

class QVBoxLayout;

namespace trainyard::ui {

class LinkButton;
class TextLabel;
class Questions;

/// A line edit with its unit inside, at the end, and steps by the arrow keys.
class NumberLine : public QLineEdit {
    Q_OBJECT

public:
    NumberLine(const spec::Field& field, QWidget* parent);

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    void reserveUnit();
    void step(int direction, bool large);

    bool m_whole;
    double m_minimum;
    double m_maximum;
    QString m_unit;
};

class NumberEditor : public FieldEditor {
    Q_OBJECT

public:
    NumberEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override { return m_line; }

private:
    [[nodiscard]] base::Json typed() const;

    bool m_whole;
    NumberLine* m_line;
};

class TextEditor : public FieldEditor {
    Q_OBJECT

public:
    TextEditor(const spec::Field& field, Questions* questions, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override { return m_line; }
    [[nodiscard]] bool isWide() const override { return m_path; }

private:
    void pick();

    QLineEdit* m_line;
    Questions* m_questions;
    bool m_path;
    bool m_folder;
    QString m_label;
};

class SwitchEditor : public FieldEditor {
    Q_OBJECT

public:
    SwitchEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override { return m_box; }

private:
    QCheckBox* m_box;
};

/// A few short choices side by side; one Tab stop, arrows move.
class SegmentedControl : public QWidget {
    Q_OBJECT

public:
    explicit SegmentedControl(QWidget* parent = nullptr);
    void addSegment(const QString& text, const QString& help = {});
    void clear();
    [[nodiscard]] int current() const { return m_current; }
    void setCurrent(int index);
    [[nodiscard]] int count() const { return static_cast<int>(m_segments.size()); }
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

Q_SIGNALS:
    /// By the person only.
    void picked(int index);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Segment {
        QString text;
        QString help;
    };
    [[nodiscard]] QRectF segmentRect(int index) const;
    [[nodiscard]] int segmentAt(const QPointF& position) const;
    void pick(int index);
    void describe();

    std::vector<Segment> m_segments;
    int m_current = 0;
    int m_hover = -1;
};

class ChoiceEditor : public FieldEditor {
    Q_OBJECT

public:
    ChoiceEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    void offer(const std::vector<std::string>& values) override;
    [[nodiscard]] QWidget* focusTarget() override;
    [[nodiscard]] bool isWide() const override { return m_wide; }

private:
    void fill();

    bool m_wide = false;
    std::vector<spec::Choice> m_choices;
    std::vector<std::string> m_offered;  ///< None: all.
    std::vector<std::string> m_values;   ///< As they stand in the input.
    std::string m_value;
    SegmentedControl* m_segments = nullptr;
    QComboBox* m_combo = nullptr;
};

/// A list, one entry a row, exactly as typed; a row left empty is none. Where entries are words of a command the line
/// that comes of them is shown as a shell would write it.
class ListEditor : public FieldEditor {
    Q_OBJECT

public:
    ListEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override;
    [[nodiscard]] bool isWide() const override { return true; }

private:
    struct Row {
        QWidget* widget;
        QLineEdit* line;
    };
    void addRow(const QString& text, int at, bool focus);
    void removeRow(QWidget* widget);
    void report();
    [[nodiscard]] base::Json typed() const;
    void showQuoted();

    QString m_label;
    bool m_words;
    std::vector<Row> m_rows;
    QVBoxLayout* m_rowsLayout;
    LinkButton* m_add;
    TextLabel* m_quoted;
    base::Json m_shown = base::Json::array();
};

/// Several lines of prose.
class LinesEditor : public FieldEditor {
    Q_OBJECT

public:
    LinesEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override { return m_edit; }
    [[nodiscard]] bool isWide() const override { return true; }

private:
    void fit();

    QPlainTextEdit* m_edit;
};

/// Names and values, one pair a row.
class MapEditor : public FieldEditor {
    Q_OBJECT

public:
    MapEditor(const spec::Field& field, QWidget* parent);
    void display(const base::Json& value) override;
    [[nodiscard]] QWidget* focusTarget() override;
    [[nodiscard]] bool isWide() const override { return true; }

private:
    struct Row {
        QWidget* widget;
        QLineEdit* name;
        QLineEdit* value;
    };
    void addRow(const QString& name, const QString& value, bool focus);
    void removeRow(QWidget* widget);
    void report();

    QString m_label;
    QVBoxLayout* m_rowsLayout;
    LinkButton* m_add;
    std::vector<Row> m_rows;
    base::Json m_shown = base::Json::object();
};

/// Words of a command as a shell would need them written; those that need no quotes get none.
[[nodiscard]] QString quotedWords(const base::Json& words);

}  // namespace trainyard::ui
