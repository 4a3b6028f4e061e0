#include "ui/shell/Header.h"

#include <QAbstractButton>
#include <QBoxLayout>
#include <QEnterEvent>
#include <QMenu>
#include <QPainter>

#include <algorithm>

#include "ui/shell/Icons.h"
#include "ui/shell/Page.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {
namespace {

constexpr int kGap = 8;
constexpr int kSearchMark = 38;
constexpr int kWordsFrom = 34;  ///< In the search field, behind its mark.
constexpr int kWordsEnd = 10;   ///< After them.
constexpr int kLongestField = 230;
constexpr int kWidestTitle = 320;
constexpr int kWidestSubtitle = 200;  ///< What is longer comes after the words of the search field.

/// Looks like a field, opens the palette.
class SearchButton final : public QAbstractButton {
public:
    explicit SearchButton(QWidget* parent) : QAbstractButton(parent) {
        setFocusPolicy(Qt::StrongFocus);
        setCursor(Qt::PointingHandCursor);
        setText(Header::tr("Search or jump to"));
        setAccessibleName(Header::tr("Search or jump to an action, page, run or model"));
        setToolTip(Header::tr("Search or jump to  Ctrl+K"));
        setFixedWidth(kSearchMark);
        setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
    }
    QSize sizeHint() const override { return {wordsWidth(), Theme::current().controlHeight()}; }
    /// The least width with the words whole.
    [[nodiscard]] int wordsWidth() const {
        const QFontMetrics words(Theme::current().font(TextStyle::Body));
        return kWordsFrom + words.horizontalAdvance(text()) + kWordsEnd;
    }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const Theme& theme = Theme::current();
        const QColor outline = underMouse() ? theme.color(Role::BorderStrong) : theme.color(Role::Border);
        draw::box(painter, rect(), theme.radius(), theme.color(Role::Background), outline);
        const auto mirrored = [this](const QRect& part) { return QStyle::visualRect(layoutDirection(), rect(), part); };
        draw::icon(painter, mirrored(QRect(10, 0, 18, height())), QStringLiteral("search"), Role::Muted, 16);
        painter.setPen(theme.color(Role::Muted));
        const int keyWidth = theme.scaled(46), keyHeight = theme.scaled(20);
        if (width() >= wordsWidth()) {
            painter.setFont(theme.font(TextStyle::Body));
            const QRect words(kWordsFrom, 0, width() - kWordsFrom, height());
            painter.drawText(mirrored(words), Qt::AlignVCenter | Qt::AlignLeading, text());
        }
        if (width() >= wordsWidth() + keyWidth + 8) {
            const QRect key = mirrored(QRect(width() - keyWidth - 8, (height() - keyHeight) / 2, keyWidth, keyHeight));
            draw::box(painter, key, 4, theme.color(Role::Surface), theme.color(Role::Border));
            painter.setFont(theme.font(TextStyle::MonoSmall));
            painter.drawText(key, Qt::AlignCenter, QStringLiteral("Ctrl K"));
        }
        if (draw::showsFocus(this)) draw::focusRing(painter, rect(), theme.radius());
    }
    void enterEvent(QEnterEvent*) override { update(); }
    void leaveEvent(QEvent*) override { update(); }
};

}  // namespace

Header::Header(QWidget* parent) : QWidget(parent) {
    setObjectName(QStringLiteral("header"));
    setFixedHeight(Theme::current().scaled(57));
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(16, 0, 20, 1);
    line->setSpacing(kGap);
    m_back = new IconButton(QStringLiteral("chevron-left"), tr("Back  Alt+Left"), this);
    m_back->setObjectName(QStringLiteral("backButton"));
    m_forward = new IconButton(QStringLiteral("chevron-right"), tr("Forward  Alt+Right"), this);
    m_forward->setObjectName(QStringLiteral("forwardButton"));
    auto* steps = new QHBoxLayout;
    steps->setSpacing(0);
    steps->addWidget(m_back);
    steps->addWidget(m_forward);
    line->addLayout(steps);
    m_title = new ElidedLabel({}, TextStyle::Title, Role::Text, this);
    m_title->setObjectName(QStringLiteral("pageTitle"));
    line->addWidget(m_title);
    m_subtitle = new ElidedLabel({}, TextStyle::Body, Role::Muted, this);
    m_subtitle->setObjectName(QStringLiteral("pageSubtitle"));
    m_subtitle->setContentsMargins(4, 4, 0, 0);
    line->addWidget(m_subtitle);
    line->addStretch(1);
    auto* search = new SearchButton(this);
    search->setObjectName(QStringLiteral("searchButton"));
    m_search = search;
    line->addWidget(m_search);
    m_actions = new QHBoxLayout;
    m_actions->setSpacing(kGap);
    line->addLayout(m_actions);
    m_more = new IconButton(QStringLiteral("more"), tr("More actions"), this);
    m_more->setObjectName(QStringLiteral("moreActionsButton"));
    m_more->setMenu(new QMenu(m_more));
    m_actions->addWidget(m_more);
    m_more->hide();
    connect(m_back, &QToolButton::clicked, this, &Header::backPressed);
    connect(m_forward, &QToolButton::clicked, this, &Header::forwardPressed);
    connect(search, &QAbstractButton::clicked, this, &Header::searchPressed);
    setCanGo(false, false);
}

void Header::setCanGo(bool back, bool forward) {
    m_back->setEnabled(back);
    m_forward->setEnabled(forward);
}

void Header::setTitle(const QString& title, const QString& subtitle) {
    m_title->setText(title);
    m_subtitle->setText(subtitle);
    fold();
}

void Header::setPage(Page* page) {
    if (m_page != nullptr) disconnect(m_page, nullptr, this, nullptr);
    m_page = page;
    if (page == nullptr) {
        setTitle({}, {});
    } else {
        const auto titles = [this, page] { setTitle(page->title(), page->subtitle()); };
        connect(page, &Page::titleChanged, this, titles);
        connect(page, &Page::actionsChanged, this, &Header::fillActions);
        titles();
    }
    fillActions();
}

void Header::fillActions() {
    qDeleteAll(m_buttons);
    m_buttons.clear();
    delete m_primary;
    m_primary = nullptr;
    m_more->menu()->clear();
    if (m_page != nullptr) {
        for (QAction* action : m_page->contextActions()) {
            auto* button = new QuietButton({}, {}, this);
            button->followAction(action);
            m_actions->insertWidget(m_actions->indexOf(m_more), button);
            m_buttons << button;
            connect(action, &QAction::changed, button, [this] { fold(); });
        }
        if (QAction* action = m_page->primaryAction()) {
            auto* button = new PrimaryButton({}, {}, this);
            button->followAction(action);
            // On the filled ground the same icon needs the other ink.
            const auto ink = [button, action] { button->setIcon(ui::icon(action->icon().name(), Role::AccentText)); };
            ink();
            connect(action, &QAction::changed, button, [this, ink] {
                ink();
                fold();
            });
            m_actions->addWidget(button);
            m_primary = button;
        }
    }
    fold();
    // The line of buttons alone may take itself for laid out while it was being filled.
    layout()->invalidate();
}

/// The title comes first, then what can be pressed, then the quieter line, then the words of the search field. What
/// does not fit of the actions goes into the menu behind the dots, from the end; the field without room for all of its
/// words keeps its mark alone.
void Header::fold() {
    const Theme& theme = Theme::current();
    const auto wide = [](const QWidget* part) { return part->sizeHint().width() + kGap; };
    // Not by its hint, which is never below the width that it was given last.
    const auto whole = [](const QLabel* label) {
        const QMargins around = label->contentsMargins();
        return label->fontMetrics().horizontalAdvance(label->text()) + 1 + around.left() + around.right();
    };
    const QMargins margins = layout()->contentsMargins();
    int room = width() - margins.left() - margins.right() - m_back->sizeHint().width() - wide(m_forward) - kSearchMark;
    if (m_primary != nullptr && !m_primary->isHidden()) room -= wide(m_primary);
    const int title =
        std::min(whole(m_title), std::max(0, std::min(theme.scaled(kWidestTitle), room - kGap - wide(m_more))));
    m_title->setFixedWidth(title);
    room -= title + kGap;

    const QList<QAction*> actions = m_page != nullptr ? m_page->contextActions() : QList<QAction*>();
    int wanted = 0;
    for (qsizetype i = 0; i < m_buttons.size(); ++i) {
        if (actions.value(i) != nullptr && actions[i]->isVisible()) wanted += wide(m_buttons[i]);
    }
    const bool folded = wanted > room;
    if (folded) room -= wide(m_more);
    m_more->menu()->clear();
    bool full = false;
    for (qsizetype i = 0; i < m_buttons.size(); ++i) {
        QAction* action = actions.value(i);
        if (action == nullptr || !action->isVisible()) {
            m_buttons[i]->hide();
            continue;
        }
        full = full || wide(m_buttons[i]) > room;
        m_buttons[i]->setVisible(!full);
        if (full) {
            m_more->menu()->addAction(action);
        } else {
            room -= wide(m_buttons[i]);
        }
    }
    m_more->setVisible(folded);

    const int words = m_search->sizeHint().width() - kSearchMark;
    int subtitle = 0;
    if (!m_subtitle->text().isEmpty()) {
        subtitle = std::min(whole(m_subtitle), std::max(theme.scaled(kWidestSubtitle), room - kGap - words));
        if (subtitle + kGap > room) subtitle = 0;
    }
    m_subtitle->setVisible(subtitle > 0);
    if (subtitle > 0) {
        m_subtitle->setFixedWidth(subtitle);
        room -= subtitle + kGap;
    }
    m_search->setFixedWidth(room < words ? kSearchMark : std::min(kSearchMark + room, theme.scaled(kLongestField)));
}

void Header::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    fold();
}

void Header::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    painter.fillRect(rect(), theme.color(Role::Surface));
    painter.fillRect(QRect(0, height() - 1, width(), 1), theme.color(Role::Border));
}

}  // namespace trainyard::ui
