#include "ui/shell/QuestionBar.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/shell/Icons.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using Kind = targets::Question::Kind;

QuestionBar::QuestionBar(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    setObjectName(QStringLiteral("questionBar"));
    const Theme& theme = Theme::current();
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(2));
    line->setSpacing(theme.space(2));
    auto* mark = new QLabel(this);
    mark->setPixmap(icon(QStringLiteral("help"), Role::Warning).pixmap(20, 20));
    line->addWidget(mark, 0, Qt::AlignTop);
    auto* texts = new QVBoxLayout;
    texts->setSpacing(2);
    m_title = new TextLabel({}, TextStyle::BodyStrong, Role::Text, this);
    m_title->setObjectName(QStringLiteral("questionTitleLabel"));
    m_title->setWordWrap(true);
    m_text = new TextLabel({}, TextStyle::Secondary, Role::Text, this);
    m_text->setWordWrap(true);
    m_fingerprint = new TextLabel({}, TextStyle::Mono, Role::Text, this);
    m_fingerprint->setObjectName(QStringLiteral("questionFingerprintLabel"));
    m_fingerprint->setWordWrap(true);
    m_fingerprint->setTextInteractionFlags(Qt::TextSelectableByMouse);
    texts->addWidget(m_title);
    texts->addWidget(m_text);
    texts->addWidget(m_fingerprint);
    line->addLayout(texts, 1);
    m_line = new QLineEdit(this);
    m_line->setObjectName(QStringLiteral("questionLine"));
    m_line->setMinimumWidth(220);
    line->addWidget(m_line);
    m_refuse = new QuietButton({}, {}, this);
    m_refuse->setObjectName(QStringLiteral("questionRefuseButton"));
    m_agree = new QuietButton({}, {}, this);
    m_agree->setObjectName(QStringLiteral("questionAgreeButton"));
    line->addWidget(m_refuse);
    line->addWidget(m_agree);
    hide();
    connect(m_agree, &QPushButton::clicked, this, [this] { answer(true); });
    connect(m_refuse, &QPushButton::clicked, this, [this] { answer(false); });
    connect(m_line, &QLineEdit::returnPressed, this, [this] { answer(true); });
    connect(m_line, &QLineEdit::textChanged, this, [this](const QString& text) {
        if (!m_line->isHidden()) m_agree->setEnabled(!text.isEmpty());
    });
    connect(&session, &commands::Session::questionAsked, this, [this](std::int64_t id, const targets::Question& what) {
        m_asked.push_back({id, what});
        if (m_asked.size() == 1) showFirst();
    });
    // A question that was given up over there (time is over, another target) is none any more.
    connect(&session, &commands::Session::targetReachChanged, this,
            [this](const QString& target, const targets::Reach& reach) {
                if (reach.state == targets::Reach::State::NeedsAnswer ||
                    reach.state == targets::Reach::State::Connecting)
                    return;
                if (std::erase_if(m_asked, [&](const Asked& one) { return fromUtf8(one.what.target) == target; }) > 0)
                    showFirst();
            });
    connect(&session, &commands::Session::workspaceClosed, this, [this] {
        m_asked.clear();
        showFirst();
    });
}

void QuestionBar::showFirst() {
    m_line->clear();
    if (m_asked.empty()) return hide();
    const targets::Question& what = m_asked.front().what;
    const QString host = fromUtf8(what.host.empty() ? what.target : what.host);
    const bool key = what.kind == Kind::HostKey;
    switch (what.kind) {
    case Kind::HostKey:
        m_title->setText(tr("Is this really %1?").arg(host));
        m_text->setText(tr("It was never connected to before. Compare this %1 fingerprint with what its owner "
                           "tells you; once you trust it, "
                           "it is remembered in your known_hosts.")
                            .arg(fromUtf8(what.keyType)));
        break;
    case Kind::Password: m_title->setText(tr("Password for %1").arg(host)); break;
    case Kind::Passphrase: m_title->setText(tr("Passphrase of your key, for %1").arg(host)); break;
    case Kind::Other: m_title->setText(tr("%1 asks").arg(host)); break;
    }
    if (!key)
        m_text->setText(fromUtf8(what.text) +
                        (what.kind == Kind::Other ? QString() : u' ' + tr("It is handed to ssh and kept nowhere.")));
    m_fingerprint->setText(fromUtf8(what.fingerprint));
    m_fingerprint->setVisible(key && !what.fingerprint.empty());
    m_line->setVisible(!key);
    m_line->setEchoMode(what.kind == Kind::Other ? QLineEdit::Normal : QLineEdit::Password);
    m_line->setAccessibleName(m_title->text());
    m_agree->setText(key ? tr("Trust and connect") : tr("Send"));
    m_agree->setEnabled(key);
    m_refuse->setText(key ? tr("Do not connect") : tr("Cancel"));
    setAccessibleName(m_title->text());
    show();
    if (!key) {
        m_line->setFocus(Qt::OtherFocusReason);
    } else {
        m_refuse->setFocus(Qt::OtherFocusReason);
    }
}

void QuestionBar::answer(bool agreed) {
    if (m_asked.empty()) return;
    const Asked asked = std::move(m_asked.front());
    m_asked.pop_front();
    const bool key = asked.what.kind == Kind::HostKey;
    m_session.answerQuestion(asked.id, agreed ? std::optional(key ? std::string("yes") : m_line->text().toStdString())
                                              : std::nullopt);
    showFirst();
}

void QuestionBar::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    const Theme& theme = Theme::current();
    painter.fillRect(rect(), theme.color(Role::WarningSoft));
    painter.fillRect(0, height() - 1, width(), 1, theme.color(Role::Border));
}

}  // namespace trainyard::ui
