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

constexpr int kSearchMark = 38;
constexpr int kShortestField = 150;
constexpr int kLongestField = 230;
constexpr int kWidestTitle = 320;

/// Looks like a field, opens the palette.
class SearchButton final : public QAbstractButton {
public:
    explicit SearchButton(QWidget* parent) : QAbstractButton(parent) {
        setFocusPolicy(Qt::StrongFocus);
        setCursor(Qt::PointingHandCursor);
        setText(Header::tr("Search or jump to"));
        setAccessibleName(Header::tr("Search or jump to an action, page, run or model"));
        setToolTip(Header::tr("Search or jump to  Ctrl+K"));
        setMinimumWidth(kSearchMark);
        setMaximumWidth(Theme::current().scaled(kLongestField));
        setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    }
    QSize sizeHint() const override { return {Theme::current().scaled(220), Theme::current().controlHeight()}; }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const Theme& theme = Theme::current();
        const QColor outline = underMouse() ? theme.color(Role::BorderStrong) : theme.color(Role::Border);
        draw::box(painter, rect(), theme.radius(), theme.color(Role::Background), outline);
        const auto mirrored = [this](const QRect& part) { return QStyle::visualRect(layoutDirection(), rect(), part); };
        draw::icon(painter, mirrored(QRect(10, 0, 18, height())), QStringLiteral("search"), Role::Muted, 16);
        painter.setPen(theme.color(Role::Muted));
        if (width() > kSearchMark) {
            painter.setFont(theme.font(TextStyle::Body));
            const QRect words(34, 0, width() - 34 - 6, height());
            painter.drawText(mirrored(words), Qt::AlignVCenter | Qt::AlignLeading,
                             painter.fontMetrics().elidedText(text(), Qt::ElideRight, words.width()));
        }
        if (width() > theme.scaled(210)) {
            const int keyWidth = theme.scaled(46), keyHeight = theme.scaled(20);
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
    line->setSpacing(8);
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
    m_title->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    line->addWidget(m_title, 2);
    m_subtitle = new ElidedLabel({}, TextStyle::Body, Role::Muted, this);
    m_subtitle->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    m_subtitle->setContentsMargins(4, 4, 0, 0);
    line->addWidget(m_subtitle, 1);
    line->addStretch(1);
    auto* search = new SearchButton(this);
    search->setObjectName(QStringLiteral("searchButton"));
    m_search = search;
    line->addWidget(m_search, 1);
    m_actions = new QHBoxLayout;
    m_actions->setSpacing(8);
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
    m_subtitle->setVisible(!subtitle.isEmpty());
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
            connect(action, &QAction::changed, button, ink);
            m_actions->addWidget(button);
            m_primary = button;
        }
    }
    fold();
    // The line of buttons alone may take itself for laid out while it was being filled.
    layout()->invalidate();
}

/// What does not fit goes into the menu behind the dots, from the end; the search field without room for its words
/// keeps its mark alone.
void Header::fold() {
    const Theme& theme = Theme::current();
    // Without margins and steps.
    int room = width() - 36 - theme.scaled(80);
    if (m_primary != nullptr) room -= m_primary->sizeHint().width() + 8;
    const QList<QAction*> actions = m_page != nullptr ? m_page->contextActions() : QList<QAction*>();
    m_more->menu()->clear();
    int wanted = theme.scaled(60 + 180);  // By search and title.
    int used = 0;
    bool folded = false;
    for (qsizetype i = 0; i < m_buttons.size(); ++i) {
        QAction* action = actions.value(i);
        if (action == nullptr || !action->isVisible()) {
            m_buttons[i]->hide();
            continue;
        }
        const int width = m_buttons[i]->sizeHint().width() + 8;
        wanted += width;
        folded = folded || room - wanted < (i + 1 < m_buttons.size() ? 40 : 0);
        m_buttons[i]->setVisible(!folded);
        if (folded) {
            m_more->menu()->addAction(action);
        } else {
            used += width;
        }
    }
    m_more->setVisible(folded);
    if (folded) used += m_more->sizeHint().width() + 8;
    const int title = m_title->sizeHint().width() + (m_subtitle->isHidden() ? 0 : m_subtitle->sizeHint().width() + 8);
    const int left = room - used - std::min(title, theme.scaled(kWidestTitle));
    m_search->setMaximumWidth(left < theme.scaled(kShortestField) ? kSearchMark : theme.scaled(kLongestField));
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
