#include "ui/shell/NoticeBar.h"

#include <QBoxLayout>
#include <QLabel>
#include <QPainter>

#include "ui/shell/Icons.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {
constexpr int kStayMillis = 7000;
}

NoticeBar::NoticeBar(QWidget* parent) : QWidget(parent) {
    setObjectName(QStringLiteral("noticeBar"));
    setFixedHeight(Theme::current().scaled(40));
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(16, 2, 12, 2);
    line->setSpacing(10);
    m_icon = new QLabel(this);
    m_icon->setFixedSize(18, 18);
    line->addWidget(m_icon);
    m_text = new ElidedLabel({}, TextStyle::Body, Role::Text, this);
    m_text->setObjectName(QStringLiteral("noticeLabel"));
    line->addWidget(m_text, 1);
    m_undo = new QuietButton(tr("Undo"), QStringLiteral("undo"), this);
    m_undo->setObjectName(QStringLiteral("undoButton"));
    line->addWidget(m_undo);
    auto* close = new IconButton(QStringLiteral("close"), tr("Close this notice"), this);
    line->addWidget(close);
    connect(close, &QToolButton::clicked, this, &QWidget::hide);
    connect(m_undo, &QPushButton::clicked, this, [this] {
        hide();
        if (const auto work = std::exchange(m_undoWork, {})) work();
    });
    m_timer.setSingleShot(true);
    m_timer.setInterval(kStayMillis);
    connect(&m_timer, &QTimer::timeout, this, [this] {
        // Not while somebody is about to press Undo.
        if (underMouse() || m_undo->hasFocus()) {
            m_timer.start();
        } else {
            hide();
        }
    });
    hide();
}

void NoticeBar::put(const QString& text, bool wrong) {
    m_wrong = wrong;
    m_text->setText(text);
    m_text->setToolTip(text);
    setAccessibleName(text);
    m_icon->setPixmap(
        ui::icon(wrong ? QStringLiteral("error") : QStringLiteral("success"), wrong ? Role::Danger : Role::Success)
            .pixmap(QSize(18, 18), devicePixelRatioF()));
    show();
    update();
}

void NoticeBar::showNotice(const QString& text, const std::function<void()>& undo) {
    m_undoWork = undo;
    m_undo->setVisible(static_cast<bool>(undo));
    put(text, false);
    m_timer.start();
}

void NoticeBar::showError(const base::Error& error) {
    m_undoWork = {};
    m_undo->hide();
    m_timer.stop();
    put(fromUtf8(error.message), true);
}

void NoticeBar::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    painter.fillRect(rect(), theme.color(m_wrong ? Role::DangerSoft : Role::Raised));
    painter.fillRect(QRect(0, 0, width(), 1), theme.color(Role::Border));
}

}  // namespace trainyard::ui
