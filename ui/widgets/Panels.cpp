// Cards, empty states, errors in place and the other boxes of Basics.h.
#include <QApplication>
#include <QBoxLayout>
#include <QClipboard>
#include <QGridLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMouseEvent>
#include <QPainter>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QScrollArea>
#include <QTimer>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

Card::Card(QWidget* parent) : Card(QString(), parent) {}

Card::Card(const QString& title, QWidget* parent) : QFrame(parent) {
    const Theme& theme = Theme::current();
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(theme.space(3), theme.space(2), theme.space(3), theme.space(2) + 2);
    outer->setSpacing(theme.space(1));
    if (!title.isEmpty()) {
        auto* line = new QHBoxLayout;
        m_title = new TextLabel(title, TextStyle::BodyStrong, Role::Text, this);
        line->addWidget(m_title);
        line->addStretch();
        m_trailing = new QHBoxLayout;
        line->addLayout(m_trailing);
        outer->addLayout(line);
    }
    m_body = new QVBoxLayout;
    m_body->setSpacing(theme.space(1));
    outer->addLayout(m_body, 1);
}

void Card::setTitleVisible(bool visible) {
    if (m_title) m_title->setVisible(visible);
}

void Card::setClickable(bool clickable, const QString& accessibleName) {
    m_clickable = clickable;
    setFocusPolicy(clickable ? Qt::StrongFocus : Qt::NoFocus);
    setCursor(clickable ? Qt::PointingHandCursor : Qt::ArrowCursor);
    setAccessibleName(accessibleName);
}

void Card::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    const QColor outline = m_clickable && m_hover ? theme.color(Role::Accent) : theme.color(Role::Border);
    draw::box(painter, rect(), theme.radius() + 2, theme.color(Role::Surface), outline);
    if (draw::showsFocus(this)) draw::focusRing(painter, rect(), theme.radius() + 2);
}

void Card::mouseReleaseEvent(QMouseEvent* event) {
    if (m_clickable && event->button() == Qt::LeftButton && rect().contains(event->position().toPoint())) {
        Q_EMIT clicked();
    } else {
        QFrame::mouseReleaseEvent(event);
    }
}

void Card::keyPressEvent(QKeyEvent* event) {
    if (m_clickable &&
        (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter || event->key() == Qt::Key_Space)) {
        Q_EMIT clicked();
    } else {
        QFrame::keyPressEvent(event);
    }
}

void Card::enterEvent(QEnterEvent*) {
    m_hover = true;
    if (m_clickable) update();
}

void Card::leaveEvent(QEvent*) {
    m_hover = false;
    if (m_clickable) update();
}

namespace {

constexpr int kErrorIcon = 18;  // Logical pixels.

/// A large icon on a soft round ground.
class Emblem final : public QWidget {
public:
    Emblem(QString name, QWidget* parent) : QWidget(parent), m_name(std::move(name)) { setFixedSize(64, 64); }

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        draw::box(painter, rect(), 32, Theme::current().color(Role::AccentSoft), QColor());
        draw::icon(painter, rect(), m_name, Role::Accent, 30);
    }

private:
    QString m_name;
};

}  // namespace

EmptyState::EmptyState(const QString& iconName, const QString& headline, const QString& text, QWidget* parent)
    : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(4), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(1));
    column->addStretch(2);
    column->addWidget(new Emblem(iconName, this), 0, Qt::AlignHCenter);
    column->addSpacing(theme.space(1));
    m_headline = new TextLabel(headline, TextStyle::Section, Role::Text, this);
    m_headline->setAlignment(Qt::AlignCenter);
    m_headline->setWordWrap(true);
    column->addWidget(m_headline);
    m_text = new TextLabel(text, TextStyle::Body, Role::Muted, this);
    m_text->setAlignment(Qt::AlignHCenter | Qt::AlignTop);
    m_text->setWordWrap(true);
    m_text->setMaximumWidth(460);
    m_text->setMinimumWidth(std::min(460, 280));
    m_text->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Minimum);
    auto* middle = new QHBoxLayout;
    middle->addStretch(1);
    middle->addWidget(m_text, 100);
    middle->addStretch(1);
    column->addLayout(middle);
    column->addSpacing(theme.space(2));
    m_buttons = new QHBoxLayout;
    m_buttons->setSpacing(theme.space(1));
    m_buttons->addStretch();
    m_buttons->addStretch();
    column->addLayout(m_buttons);
    column->addStretch(3);
}

void EmptyState::setTexts(const QString& headline, const QString& text) {
    m_headline->setText(headline);
    m_text->setText(text);
}

void EmptyState::addButton(QPushButton* button) { m_buttons->insertWidget(m_buttons->count() - 1, button); }

QPushButton* EmptyState::addPrimary(const QString& text, const QString& iconName) {
    auto* button = new PrimaryButton(text, iconName, this);
    addButton(button);
    return button;
}

QPushButton* EmptyState::addSecondary(const QString& text, const QString& iconName) {
    auto* button = new QuietButton(text, iconName, this);
    addButton(button);
    return button;
}

InlineError::InlineError(QWidget* parent) : QFrame(parent) {
    const Theme& theme = Theme::current();
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(theme.space(2), theme.space(1), theme.space(1), theme.space(1));
    line->setSpacing(theme.space(1));
    m_icon = new QLabel(this);
    m_icon->setFixedSize(kErrorIcon, kErrorIcon);
    m_icon->setAlignment(Qt::AlignLeading | Qt::AlignBottom);
    line->addWidget(m_icon, 0, Qt::AlignTop);
    m_text = new TextLabel({}, TextStyle::Body, Role::Text, this);
    m_text->setWordWrap(true);
    m_text->setTextInteractionFlags(Qt::TextSelectableByMouse);
    line->addWidget(m_text, 1);
    m_button = new QuietButton({}, {}, this);
    m_button->hide();
    line->addWidget(m_button, 0, Qt::AlignTop);
    connect(m_button, &QPushButton::clicked, this, [this] {
        if (m_remedy) m_remedy();
    });
    hide();
}

void InlineError::setError(const base::Error& error) { setMessage(Kind::Error, fromUtf8(error.message)); }

void InlineError::setMessage(Kind kind, const QString& text) {
    m_kind = kind;
    m_text->setText(text);
    m_text->setAccessibleName(text);
    setAccessibleName(text);
    QString name = QStringLiteral("error");
    Role ink = Role::Danger;
    switch (kind) {
    case Kind::Error: break;
    case Kind::Warning: name = QStringLiteral("warning"), ink = Role::Warning; break;
    case Kind::Info: name = QStringLiteral("info"), ink = Role::Info; break;
    case Kind::Success: name = QStringLiteral("success"), ink = Role::Success; break;
    }
    m_icon->setPixmap(ui::icon(name, ink).pixmap(QSize(kErrorIcon, kErrorIcon), devicePixelRatioF()));
    setVisible(!text.isEmpty());
    update();
}

void InlineError::setRemedy(const QString& label, std::function<void()> remedy) {
    m_button->setText(label);
    m_button->setVisible(!label.isEmpty());
    m_remedy = std::move(remedy);
    // Icon and first line stand beside the words on the button, which is higher than a line.
    const int lead = label.isEmpty() ? 0 : (Theme::current().controlHeight() - kErrorIcon) / 2;
    m_icon->setFixedSize(kErrorIcon, kErrorIcon + lead);
    m_text->setContentsMargins(0, lead, 0, 0);
    m_text->setAlignment(Qt::AlignLeading | (label.isEmpty() ? Qt::AlignVCenter : Qt::AlignTop));
}

void InlineError::clear() {
    m_text->clear();
    hide();
}

QString InlineError::text() const { return m_text->text(); }

void InlineError::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    Role ground = Role::DangerSoft, ink = Role::Danger;
    if (m_kind == Kind::Warning) ground = Role::WarningSoft, ink = Role::Warning;
    if (m_kind == Kind::Info) ground = Role::InfoSoft, ink = Role::Info;
    if (m_kind == Kind::Success) ground = Role::SuccessSoft, ink = Role::Success;
    draw::box(painter, rect(), theme.radius(), theme.color(ground),
              Theme::blend(theme.color(ground), theme.color(ink), 0.3));
}

ProgressStrip::ProgressStrip(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(theme.space(1));
    m_title = new ElidedLabel({}, TextStyle::Secondary, Role::Text, this);
    line->addWidget(m_title, 2);
    m_bar = new QProgressBar(this);
    m_bar->setTextVisible(false);
    m_bar->setMinimumWidth(80);
    line->addWidget(m_bar, 3);
    m_detail = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    line->addWidget(m_detail);
    m_cancel = new IconButton(QStringLiteral("close"), tr("Cancel"), this);
    m_cancel->hide();
    line->addWidget(m_cancel);
    connect(m_cancel, &QToolButton::clicked, this, &ProgressStrip::cancelRequested);
    setFraction({});
}

void ProgressStrip::setTitle(const QString& title) {
    m_title->setText(title);
    m_bar->setAccessibleName(title);
    m_cancel->setAccessibleName(tr("Cancel: %1").arg(title));
}

void ProgressStrip::setFraction(std::optional<double> fraction) {
    m_bar->setRange(0, fraction ? 1000 : 0);
    if (fraction) m_bar->setValue(static_cast<int>(std::clamp(*fraction, 0.0, 1.0) * 1000));
}

void ProgressStrip::setDetail(const QString& detail) {
    m_detail->setText(detail);
    m_detail->setVisible(!detail.isEmpty());
}

void ProgressStrip::setCancelable(bool cancelable) { m_cancel->setVisible(cancelable); }

SearchField::SearchField(const QString& placeholder, QWidget* parent) : QWidget(parent) {
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    m_edit = new QLineEdit(this);
    m_edit->setPlaceholderText(placeholder);
    m_edit->setAccessibleName(placeholder);
    m_edit->setClearButtonEnabled(true);
    m_edit->addAction(ui::icon(QStringLiteral("search"), Role::Muted), QLineEdit::LeadingPosition);
    line->addWidget(m_edit);
    setFocusProxy(m_edit);
    auto* pause = new QTimer(this);
    pause->setSingleShot(true);
    pause->setInterval(120);
    connect(m_edit, &QLineEdit::textChanged, pause, qOverload<>(&QTimer::start));
    connect(pause, &QTimer::timeout, this, [this] { Q_EMIT edited(m_edit->text()); });
}

QString SearchField::text() const { return m_edit->text(); }
void SearchField::setText(const QString& text) { m_edit->setText(text); }

CopyField::CopyField(const QString& label, QWidget* parent) : QFrame(parent) {
    const Theme& theme = Theme::current();
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(theme.space(1) + 2, 2, 2, 2);
    line->setSpacing(theme.space(0));
    m_line = new ElidedLabel({}, TextStyle::Mono, Role::Text, this);
    m_line->setElideMode(Qt::ElideMiddle);
    line->addWidget(m_line, 1);
    m_block = new QPlainTextEdit(this);
    m_block->setReadOnly(true);
    m_block->setFrameShape(QFrame::NoFrame);
    m_block->setFont(theme.font(TextStyle::Mono));
    m_block->setAccessibleName(label);
    m_block->viewport()->setAutoFillBackground(false);
    m_block->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_block->setTabChangesFocus(true);
    m_block->hide();
    line->addWidget(m_block, 1);
    m_copy = new IconButton(QStringLiteral("copy"), tr("Copy %1").arg(label), this);
    line->addWidget(m_copy, 0, Qt::AlignTop);
    connect(m_copy, &QToolButton::clicked, this, [this] {
        QApplication::clipboard()->setText(m_text);
        m_copy->setIconName(QStringLiteral("check"));
        QTimer::singleShot(1200, m_copy, [this] { m_copy->setIconName(QStringLiteral("copy")); });
    });
}

void CopyField::setText(const QString& text) {
    if (text == m_text) return;
    m_text = text;
    m_line->setText(text);
    m_block->setPlainText(text);
}

void CopyField::setMultiline(bool multiline) {
    m_line->setVisible(!multiline);
    m_block->setVisible(multiline);
}

void CopyField::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    draw::box(painter, rect(), theme.radius(), theme.color(Role::Sunken), QColor());
}

KeyValueGrid::KeyValueGrid(QWidget* parent) : QWidget(parent) {
    m_grid = new QGridLayout(this);
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setHorizontalSpacing(Theme::current().space(3));
    m_grid->setVerticalSpacing(6);
    m_grid->setColumnStretch(1, 1);
}

void KeyValueGrid::clear() {
    while (QLayoutItem* item = m_grid->takeAt(0)) {
        if (item->widget() != nullptr) {
            // Hidden at once: deleteLater alone would leave it painted over its successor until the loop turns.
            item->widget()->hide();
            item->widget()->deleteLater();
        }
        delete item;
    }
}

void KeyValueGrid::add(const QString& name, const QString& value, const QString& tooltip, bool mono) {
    auto* label = new TextLabel(value, mono ? TextStyle::Mono : TextStyle::Body, Role::Text, this);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    label->setWordWrap(true);
    label->setToolTip(tooltip);
    addWidget(name, label);
}

void KeyValueGrid::addWidget(const QString& name, QWidget* value) {
    const int row = m_grid->rowCount();
    auto* label = new TextLabel(name, TextStyle::Body, Role::Muted, this);
    m_grid->addWidget(label, row, 0, Qt::AlignTop | Qt::AlignLeading);
    m_grid->addWidget(value, row, 1);
}

StatTile::StatTile(const QString& name, QWidget* parent) : QWidget(parent) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(2);
    m_name = new TextLabel(name, TextStyle::Secondary, Role::Muted, this);
    m_value = new TextLabel(QStringLiteral("–"), TextStyle::Display, Role::Text, this);
    m_detail = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    column->addWidget(m_name);
    column->addWidget(m_value);
    column->addWidget(m_detail);
    m_detail->hide();
}

void StatTile::setName(const QString& name) { m_name->setText(name); }

void StatTile::setValue(const QString& value, const QString& tooltip) {
    m_value->setText(value);
    m_value->setToolTip(tooltip);
    m_value->setAccessibleName(m_name->text() + QStringLiteral(": ") + value);
}

void StatTile::setDetail(const QString& detail) {
    m_detail->setText(detail);
    // Once there was one, its line stays: tiles side by side keep their height.
    m_detail->show();
}

namespace {

/// Scrolls a focused widget into view and keeps the content at a readable width.
class ScrollPage final : public QScrollArea {
public:
    explicit ScrollPage(QWidget* parent) : QScrollArea(parent) {
        setWidgetResizable(true);
        setFrameShape(QFrame::NoFrame);
        setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
        setFocusPolicy(Qt::NoFocus);
        viewport()->setAutoFillBackground(false);
    }

protected:
    QSize viewportSizeHint() const override { return widget() != nullptr ? widget()->sizeHint() : QSize(); }
};

}  // namespace

QScrollArea* makeScrollPage(QWidget* content, int maximumWidth, QWidget* parent) {
    auto* area = new ScrollPage(parent);
    auto* holder = new QWidget;
    holder->setAutoFillBackground(false);
    auto* line = new QHBoxLayout(holder);
    line->setContentsMargins(0, 0, 0, 0);
    content->setMaximumWidth(maximumWidth);
    line->addStretch(1);
    line->addWidget(content, 1000);
    line->addStretch(1);
    area->setWidget(holder);
    QObject::connect(qApp, &QApplication::focusChanged, area, [area](QWidget*, QWidget* now) {
        if (now != nullptr && area->widget()->isAncestorOf(now)) area->ensureWidgetVisible(now, 16, 16);
    });
    return area;
}

}  // namespace trainyard::ui
