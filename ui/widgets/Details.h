#pragma once
// What a page is built of that has a list at its left and one object's detail at its right.
#include <QAction>
#include <QLabel>
#include <QString>
#include <QStringList>
#include <QWidget>

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Splitter.h"

class QHBoxLayout;
class QLayout;
class QStackedWidget;
class QTableWidget;
class QTreeWidget;
class QVBoxLayout;

namespace trainyard::ui {

class Card;
class Chip;
class InlineError;
class LinkButton;
class QuietButton;
class TextLabel;

/// How the word of a finding ("ok", "warning", "failure", "unknown") looks: never colour alone.
struct FindingLook {
    QString icon;
    QString word;
    Role ink;
};
[[nodiscard]] FindingLook lookOfFinding(const QString& finding);

/// A mark, and lines of text beside it: one finding, one step.
class MarkedLine : public QWidget {
    Q_OBJECT
public:
    MarkedLine(const FindingLook& look, QWidget* parent);
    /// Adds a line; nothing for an empty text.
    void say(const QString& text, TextStyle style, Role ink);

private:
    QVBoxLayout* m_texts;
};

/// A list, and beside it one of several views: nothing chosen, the detail, a form. In a narrow window below it.
class ListDetail : public Splitter {
    Q_OBJECT
public:
    ListDetail(int listWidth, int viewWidth, QWidget* parent);
    [[nodiscard]] QWidget* list() const { return m_list; }
    /// Where the list's parts go, from above to below.
    [[nodiscard]] QVBoxLayout* listColumn() const { return m_listColumn; }
    [[nodiscard]] QStackedWidget* views() const { return m_views; }
    /// A tree of `headers.size()` columns of which the first takes what the others leave; added to the list. Where
    /// they leave too little for a name, the last ones hide. One a page.
    QTreeWidget* addTree(const char* object, const QString& name, const QStringList& headers);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void foldColumns();
    QWidget* m_list;
    QVBoxLayout* m_listColumn;
    QStackedWidget* m_views;
    QTreeWidget* m_tree = nullptr;
};

/// One object: its name, facts and description, a link to its runs, and cards. Put it into makeScrollPage().
class DetailColumn : public QWidget {
    Q_OBJECT
public:
    /// Names its parts `prefix`TitleLabel, `prefix`FactsLabel and `prefix`RunsLink.
    DetailColumn(const QString& prefix, QWidget* parent);
    void setTitle(const QString& title);
    /// A word behind the title; hidden while empty.
    void setLabel(const QString& label);
    void setFacts(const QStringList& facts);
    void setDescription(const QString& description);
    [[nodiscard]] LinkButton* runs() const { return m_runs; }
    /// Something of the object's own below its head.
    void addToHead(QWidget* part);
    Card* addCard(const QString& title, QWidget* panel);

private:
    QVBoxLayout* m_column;
    TextLabel* m_title;
    Chip* m_label;
    TextLabel* m_facts;
    TextLabel* m_description;
    LinkButton* m_runs;
    int m_headEnd = 0;  ///< Index in the column behind the head.
};

/// An action of a page's head. `object` is its object name; the page owns it.
template <class Slot>
QAction* makeAction(QObject* page, const char* iconName, const QString& text, const char* object, Role ink, Slot slot) {
    auto* action = new QAction(icon(QString::fromLatin1(iconName), ink), text, page);
    action->setObjectName(QString::fromLatin1(object));
    QObject::connect(action, &QAction::triggered, page, [slot = std::move(slot)] { slot(); });
    return action;
}

/// A time that commands give as ISO text, in microseconds UTC; 0 when there is none.
[[nodiscard]] std::int64_t readTime(const base::Json& object, std::string_view key);

/// Takes everything out, hidden at once: deleteLater alone would leave it painted until the loop turns.
void emptyLayout(QLayout* layout);

/// The column of a card's panel.
QVBoxLayout* panelColumn(QWidget* panel);
/// The same, whose first line tells what is known and has what can be done.
QVBoxLayout* panelColumn(QWidget* panel, QWidget* known, std::initializer_list<QWidget*> buttons);
QuietButton* panelButton(const QString& text, const char* iconName, const char* object, const QString& hint,
                         QWidget* panel);
InlineError* addMessage(QVBoxLayout* column, const char* object, QWidget* panel);

struct PanelColumn {
    QString header;
    int width = 0;  ///< Pixels at the usual text size; the last column takes what the others leave.
    bool number = false;
};
/// A small read-only table inside a card, hidden while it has no rows.
QTableWidget* panelTable(const std::vector<PanelColumn>& columns, const QString& name, const char* object,
                         QWidget* panel);
/// `hover`: what the tooltip says instead of the text.
void putCell(QTableWidget* table, int row, int column, const QString& text, const QString& hover = {});
/// As high as its rows, `most` at once.
void fitRows(QTableWidget* table, int most = 10);

}  // namespace trainyard::ui
