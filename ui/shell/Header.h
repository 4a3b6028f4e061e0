#pragma once
#include <QList>
#include <QPointer>
#include <QWidget>

class QAction;
class QHBoxLayout;

namespace trainyard::ui {

class ElidedLabel;
class IconButton;
class Page;
class QuietButton;

/// The line over a page: back, forward, title, the page's actions, the search field, the primary action.
class Header final : public QWidget {
    Q_OBJECT
public:
    explicit Header(QWidget* parent);
    /// Null clears it.
    void setPage(Page* page);
    void setTitle(const QString& title, const QString& subtitle);
    void setCanGo(bool back, bool forward);

Q_SIGNALS:
    void backPressed();
    void forwardPressed();
    void searchPressed();

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    void fillActions();
    void fold();
    IconButton* m_back;
    IconButton* m_forward;
    ElidedLabel* m_title;
    ElidedLabel* m_subtitle;
    QWidget* m_search;
    QHBoxLayout* m_actions;
    IconButton* m_more;
    QList<QuietButton*> m_buttons;
    QWidget* m_primary = nullptr;
    QPointer<Page> m_page;  ///< A page may go with its workspace before another is set.
};

}  // namespace trainyard::ui
