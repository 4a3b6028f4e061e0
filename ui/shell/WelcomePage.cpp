#include "ui/shell/WelcomePage.h"

#include <QBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QScrollArea>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {

Card* makeWay(const QString& iconName, const QString& title, const QString& text, QWidget* parent) {
    auto* card = new Card(parent);
    card->setClickable(true, title);
    auto* picture = new QLabel(card);
    const auto paint = [picture, iconName] {
        picture->setPixmap(ui::icon(iconName, Role::Accent).pixmap(QSize(28, 28), picture->devicePixelRatioF()));
    };
    paint();
    QObject::connect(&Theme::current(), &Theme::changed, picture, paint);
    card->body()->addWidget(picture);
    card->body()->addWidget(new TextLabel(title, TextStyle::BodyStrong, Role::Text, card));
    auto* words = new TextLabel(text, TextStyle::Secondary, Role::Muted, card);
    words->setWordWrap(true);
    words->setAlignment(Qt::AlignTop | Qt::AlignLeading);
    card->body()->addWidget(words, 1);
    card->setMinimumHeight(138);
    card->setMinimumWidth(170);
    return card;
}

}  // namespace

WelcomePage::WelcomePage(QWidget* parent) : Page(QStringLiteral("welcome"), parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget;
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(5) + 16, theme.space(4), theme.space(4));
    column->setSpacing(theme.space(1));
    auto* head = new QHBoxLayout;
    head->setSpacing(theme.space(3));
    auto* logo = new QLabel(content);
    logo->setPixmap(ui::icon(QStringLiteral("trainyard")).pixmap(QSize(64, 64), devicePixelRatioF()));
    logo->setFixedSize(64, 64);
    head->addWidget(logo);
    auto* words = new QVBoxLayout;
    words->addStretch();
    for (auto* label :
         {new TextLabel(tr("Train models on machines that are yours"), TextStyle::Display, Role::Text, content),
          new TextLabel(tr("A workspace is a folder that holds your runs, models and their history."), TextStyle::Body,
                        Role::Muted, content)}) {
        label->setWordWrap(true);
        words->addWidget(label);
    }
    words->addStretch();
    head->addLayout(words, 1);
    column->addLayout(head);
    column->addSpacing(theme.space(3));
    m_error = new InlineError(content);
    m_error->setObjectName(QStringLiteral("welcomeError"));
    column->addWidget(m_error);
    auto* ways = new QHBoxLayout;
    ways->setSpacing(theme.space(2));
    Card* sample =
        makeWay(QStringLiteral("play"), tr("Open the sample"),
                tr("A ready experiment on Fashion-MNIST: press one button and train a real model."), content);
    sample->setObjectName(QStringLiteral("sampleCard"));
    m_sample = sample;
    Card* create =
        makeWay(QStringLiteral("new"), tr("New workspace"), tr("Start with an empty folder of your own."), content);
    create->setObjectName(QStringLiteral("createCard"));
    Card* open = makeWay(QStringLiteral("folder"), tr("Open a workspace"),
                         tr("One you made before, here or on another machine."), content);
    open->setObjectName(QStringLiteral("openCard"));
    for (Card* card : {sample, create, open}) ways->addWidget(card, 1);
    column->addLayout(ways);
    connect(sample, &Card::clicked, this, &WelcomePage::samplePressed);
    connect(create, &Card::clicked, this, &WelcomePage::createPressed);
    connect(open, &Card::clicked, this, &WelcomePage::openPressed);
    column->addSpacing(theme.space(3));
    m_recentHead = new SectionTitle(tr("Recent"), content);
    column->addWidget(m_recentHead);
    m_recent = new QVBoxLayout;
    m_recent->setSpacing(6);
    column->addLayout(m_recent);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 760, this));
    setRecent({});
}

void WelcomePage::setRecent(const std::vector<runs::RecentWorkspace>& recent) {
    while (QLayoutItem* item = m_recent->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    m_recentHead->setVisible(!recent.empty());
    for (const runs::RecentWorkspace& one : recent) {
        const QString folder = fromUtf8(one.root.string());
        const QString name = fromUtf8(one.name);
        auto* card = new Card(this);
        card->setClickable(true, tr("Open workspace %1").arg(name));
        card->setObjectName(QStringLiteral("recentCard"));
        auto* line = new QHBoxLayout;
        line->addWidget(new TextLabel(name, TextStyle::BodyStrong, Role::Text, card));
        auto* path = new ElidedLabel(folder, TextStyle::Mono, Role::Muted, card);
        path->setElideMode(Qt::ElideMiddle);
        line->addWidget(path, 1);
        auto* when = new TextLabel(formatAgo(one.openedAt), TextStyle::Secondary, Role::Muted, card);
        when->setToolTip(formatTime(one.openedAt));
        line->addWidget(when);
        auto* forget = new IconButton(QStringLiteral("close"), tr("Take %1 off this list").arg(name), card);
        line->addWidget(forget);
        card->body()->addLayout(line);
        connect(card, &Card::clicked, this, [this, folder] { Q_EMIT recentPressed(folder); });
        connect(forget, &QToolButton::clicked, this, [this, folder] { Q_EMIT forgetPressed(folder); });
        m_recent->addWidget(card);
    }
}

void WelcomePage::setError(const base::Error& error) { m_error->setError(error); }
void WelcomePage::clearError() { m_error->clear(); }

}  // namespace trainyard::ui
