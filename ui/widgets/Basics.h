#pragma once
// Small parts that every page is built of.
#include <QFrame>
#include <QLabel>
#include <QPushButton>
#include <QString>
#include <QToolButton>
#include <QWidget>

#include <functional>
#include <optional>

#include "core/base/Result.h"
#include "ui/shell/Theme.h"

class QAction;
class QHBoxLayout;
class QLineEdit;
class QProgressBar;
class QScrollArea;
class QVBoxLayout;

namespace trainyard::ui {

/// A label in one of the theme's text styles and colours; follows theme changes. Plain text, never rich, so nothing a
/// run reports can become markup.
class TextLabel : public QLabel {
    Q_OBJECT
public:
    explicit TextLabel(const QString& text = {}, TextStyle style = TextStyle::Body, Role role = Role::Text,
                       QWidget* parent = nullptr);
    void setLook(TextStyle style, Role role);

protected:
    void changeEvent(QEvent* event) override;

private:
    void applyLook();
    TextStyle m_style;
    Role m_role;
};

/// A one-line label that elides in the middle or at the end and then shows the whole text as tooltip.
class ElidedLabel : public TextLabel {
    Q_OBJECT
public:
    explicit ElidedLabel(const QString& text = {}, TextStyle style = TextStyle::Body, Role role = Role::Text,
                         QWidget* parent = nullptr);
    void setElideMode(Qt::TextElideMode mode);
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    Qt::TextElideMode m_mode = Qt::ElideRight;
};

/// A heading of a group on a page.
class SectionTitle : public TextLabel {
    Q_OBJECT
public:
    explicit SectionTitle(const QString& text, QWidget* parent = nullptr);
};

/// The filled button. One a page; the shell makes it from the page's primary action, a page makes its own only inside
/// an empty state.
class PrimaryButton : public QPushButton {
    Q_OBJECT
public:
    explicit PrimaryButton(const QString& text, const QString& iconName = {}, QWidget* parent = nullptr);
    /// Shows the action: text, icon, tooltip, enabled; triggers it.
    void followAction(QAction* action);
};

/// A quiet outlined button.
class QuietButton : public QPushButton {
    Q_OBJECT
public:
    explicit QuietButton(const QString& text, const QString& iconName = {}, QWidget* parent = nullptr);
    void setDestructive(bool destructive);
    void followAction(QAction* action);
};

/// A button that is only an icon. `label` is its tooltip and accessible name.
class IconButton : public QToolButton {
    Q_OBJECT
public:
    IconButton(const QString& iconName, const QString& label, QWidget* parent = nullptr);
    void setIconName(const QString& iconName);
};

/// A button that reads as a link, for use within lines of text.
class LinkButton : public QPushButton {
    Q_OBJECT
public:
    explicit LinkButton(const QString& text, QWidget* parent = nullptr);
};

/// A surface with border and radius; put a layout on it, or use body(), which has the standard margins.
class Card : public QFrame {
    Q_OBJECT
public:
    explicit Card(QWidget* parent = nullptr);
    /// With a title line above the body; `trailing()` is the line's right end.
    explicit Card(const QString& title, QWidget* parent = nullptr);
    [[nodiscard]] QVBoxLayout* body() { return m_body; }
    [[nodiscard]] QHBoxLayout* trailing() { return m_trailing; }
    /// Where what stands above the card says its title already.
    void setTitleVisible(bool visible);
    /// The whole card can be pressed (Enter, click): emits clicked().
    void setClickable(bool clickable, const QString& accessibleName);

Q_SIGNALS:
    void clicked();

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    QVBoxLayout* m_body = nullptr;
    QHBoxLayout* m_trailing = nullptr;
    TextLabel* m_title = nullptr;
    bool m_clickable = false;
    bool m_hover = false;
};

/// What a page or list shows while there is nothing: what it is for, and the first step.
class EmptyState : public QWidget {
    Q_OBJECT
public:
    EmptyState(const QString& iconName, const QString& headline, const QString& text, QWidget* parent = nullptr);
    void setTexts(const QString& headline, const QString& text);
    QPushButton* addPrimary(const QString& text, const QString& iconName = {});
    QPushButton* addSecondary(const QString& text, const QString& iconName = {});

private:
    void addButton(QPushButton* button);
    TextLabel* m_headline;
    TextLabel* m_text;
    QHBoxLayout* m_buttons;
};

/// An error (or warning, or hint) in place, in words, with its remedy as a button. Hidden while there is none.
class InlineError : public QFrame {
    Q_OBJECT
public:
    enum class Kind { Error, Warning, Info, Success };
    explicit InlineError(QWidget* parent = nullptr);
    void setError(const base::Error& error);
    void setMessage(Kind kind, const QString& text);
    /// The button that mends it; "" takes it away.
    void setRemedy(const QString& label, std::function<void()> remedy);
    void clear();
    [[nodiscard]] bool isClear() const { return isHidden(); }
    [[nodiscard]] QString text() const;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    Kind m_kind = Kind::Error;
    QLabel* m_icon;
    TextLabel* m_text;
    QPushButton* m_button;
    std::function<void()> m_remedy;
};

/// Thin line with title, progress, time left and cancel.
class ProgressStrip : public QWidget {
    Q_OBJECT
public:
    explicit ProgressStrip(QWidget* parent = nullptr);
    void setTitle(const QString& title);
    /// 0…1; nothing: not known yet (the bar then says so without running around).
    void setFraction(std::optional<double> fraction);
    /// "2 min 10 s left"; "" for none.
    void setDetail(const QString& detail);
    void setCancelable(bool cancelable);

Q_SIGNALS:
    void cancelRequested();

private:
    ElidedLabel* m_title;
    QProgressBar* m_bar;
    TextLabel* m_detail;
    IconButton* m_cancel;
};

/// A line edit with magnifier and clear button; emits `edited` 120 ms after the last key.
class SearchField : public QWidget {
    Q_OBJECT
public:
    explicit SearchField(const QString& placeholder, QWidget* parent = nullptr);
    [[nodiscard]] QString text() const;
    void setText(const QString& text);
    [[nodiscard]] QLineEdit* lineEdit() const { return m_edit; }

Q_SIGNALS:
    void edited(const QString& text);

private:
    QLineEdit* m_edit;
};

/// Read-only monospaced text with a copy button: ids, commands, paths, JSON.
class CopyField : public QFrame {
    Q_OBJECT
public:
    explicit CopyField(const QString& label, QWidget* parent = nullptr);
    void setText(const QString& text);
    [[nodiscard]] QString text() const { return m_text; }
    void setMultiline(bool multiline);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QString m_text;
    ElidedLabel* m_line;
    class QPlainTextEdit* m_block;
    IconButton* m_copy;
};

/// Names and values in two columns, for details. Values can be selected and copied.
class KeyValueGrid : public QWidget {
    Q_OBJECT
public:
    explicit KeyValueGrid(QWidget* parent = nullptr);
    void clear();
    void add(const QString& name, const QString& value, const QString& tooltip = {}, bool mono = false);
    void addWidget(const QString& name, QWidget* value);

private:
    class QGridLayout* m_grid;
};

/// A hairline.
class Separator : public QWidget {
    Q_OBJECT
public:
    explicit Separator(Qt::Orientation orientation = Qt::Horizontal, QWidget* parent = nullptr);
    [[nodiscard]] QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    Qt::Orientation m_orientation;
};

/// A vertical scroll area for a page's content, which stays readable on a wide window: at most `maximumWidth` wide,
/// centred. Focus moving into a hidden part scrolls there.
QScrollArea* makeScrollPage(QWidget* content, int maximumWidth, QWidget* parent);

/// A figure with its name above and a detail below: "Validation accuracy / 91.8 % / best at step 1,876".
class StatTile : public QWidget {
    Q_OBJECT
public:
    explicit StatTile(const QString& name, QWidget* parent = nullptr);
    void setName(const QString& name);
    void setValue(const QString& value, const QString& tooltip = {});
    void setDetail(const QString& detail);

private:
    TextLabel* m_name;
    TextLabel* m_value;
    TextLabel* m_detail;
};

}  // namespace trainyard::ui
