#include "ui/runs/FailurePanel.h"

#include <QHBoxLayout>
#include <QPlainTextEdit>
#include <QRegularExpression>
#include <QScrollArea>
#include <QVBoxLayout>
#include <algorithm>
#include <csignal>
#include <string_view>

#include "ui/runs/LogView.h"
#include "ui/shell/Icons.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

bool hasCheckpoint(const RunDetail& detail) {
    return std::any_of(detail.outputs.begin(), detail.outputs.end(),
                       [](const store::OutputRow& one) { return one.path.starts_with("checkpoints/"); });
}

QStringList adviceFor(const RunDetail& detail) {
    QString text = fromUtf8(detail.row.stateReason).toLower();
    for (const store::LogLine& one : detail.lastLines) text += u'\n' + plainLogText(one.text).toLower();
    for (const store::WarningRow& one : detail.warnings)
        text += u'\n' + fromUtf8(one.code + " " + one.message).toLower();
    bool killed = false;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == detail.row.attempts && rank.signal && *rank.signal == SIGKILL) killed = true;
    }
    // Codes are exact; words of a script's own output count only as whole words, so that "…-idx3-ubyte.gz" or a name
    // that holds "nan" says nothing.
    const auto says = [&](std::initializer_list<const char*> words) {
        return std::any_of(words.begin(), words.end(), [&](const char* word) {
            const QRegularExpression whole(
                QStringLiteral("(?<![\\w.-])%1(?![\\w-])").arg(QRegularExpression::escape(QLatin1String(word))));
            return whole.match(text).hasMatch();
        });
    };
    const auto hasCode = [&](std::initializer_list<std::string_view> codes) {
        return std::any_of(detail.warnings.begin(), detail.warnings.end(), [&](const store::WarningRow& warning) {
            return std::any_of(codes.begin(), codes.end(), [&](std::string_view code) {
                return code.back() == '.' ? warning.code.starts_with(code) : warning.code == code;
            });
        });
    };
    const auto translate = [](const char* message) { return FailurePanel::tr(message); };
    QStringList advice;
    if (says({"out of memory", "bad_alloc", "std::bad_alloc", "cannot allocate", "oom"})) {
        advice << translate("Memory ran out: take a smaller batch size, a narrower model, or fewer processes.");
    } else if (killed) {
        advice << translate("A process was killed from outside. When nobody did, memory ran out: take a smaller batch "
                            "size or fewer processes.");
    }
    if (hasCode({"train.nan", "train.val_nan"}) || says({"nan", "not a number"})) {
        advice << translate("The loss left the numbers: take a smaller learning rate, or a schedule that rises first.");
    }
    if (hasCode({"file.full", "disk.full"}) || says({"no space left", "disk is full", "disk full"})) {
        advice << translate("The disk is full: free some space, then resume from the last checkpoint.");
    }
    if (hasCode({"file.missing"}) || says({"no such file", "command not found"})) {
        advice << translate("A file is missing: check the paths of the dataset and of the command.");
    }
    if (hasCode({"idx.", "data."})) {
        advice << translate(
            "A data file is damaged or of another kind: check that images and labels are not swapped and are whole.");
    }
    if (says({"cuda error", "cuda is not available", "nccl error"}))
        advice << translate("The GPU could not be used: choose the device Processor, or check its driver.");
    if (says({"time limit"}))
        advice << translate("The time limit was reached: raise it, then resume from the last checkpoint.");
    if (says({"modulenotfounderror", "importerror"}))
        advice << translate("A Python module is missing: install it on the target.");
    if (detail.row.stateReason.starts_with("Building ")) {
        advice << translate("The environment could not be built: the tab Log, source \"Environment's build\", has "
                            "every step. Mend the definition; that makes a new version of it.");
    }
    if (hasCheckpoint(detail)) advice << translate("Resume goes on from the last checkpoint, as a run of its own.");
    if (advice.isEmpty() && detail.ranks.empty()) {
        advice << translate(
            "No process was started, so there is no log of one. Mend what is said above, then duplicate the run.");
    }
    if (advice.isEmpty())
        advice << translate(
            "Read the log of the rank that failed from its end upwards; the first error is usually the cause.");
    return advice;
}

FailurePanel::FailurePanel(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(3), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(3));

    auto* card = new Card(content);
    auto* head = new QHBoxLayout;
    head->setSpacing(theme.space(2));
    auto* mark = new QLabel(card);
    mark->setPixmap(icon(QStringLiteral("error"), Role::Danger).pixmap(28, 28));
    head->addWidget(mark, 0, Qt::AlignTop);
    auto* texts = new QVBoxLayout;
    texts->setSpacing(theme.space(0));
    m_reason = new TextLabel({}, TextStyle::Section, Role::Text, card);
    m_reason->setWordWrap(true);
    m_reason->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_reason->setObjectName(QStringLiteral("failureReasonLabel"));
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, card);
    m_facts->setWordWrap(true);
    texts->addWidget(m_reason);
    texts->addWidget(m_facts);
    head->addLayout(texts, 1);
    card->body()->addLayout(head);
    column->addWidget(card);

    auto* ideas = new Card(tr("What to try"), content);
    m_advice = new QWidget(ideas);
    m_adviceLayout = new QVBoxLayout(m_advice);
    m_adviceLayout->setContentsMargins(0, 0, 0, 0);
    m_adviceLayout->setSpacing(theme.space(0));
    ideas->body()->addWidget(m_advice);
    auto* buttons = new QHBoxLayout;
    m_resume = new QuietButton(tr("Resume from the last checkpoint"), QStringLiteral("play"), ideas);
    m_resume->setObjectName(QStringLiteral("failureResumeButton"));
    auto* duplicate = new QuietButton(tr("Duplicate and change"), QStringLiteral("duplicate"), ideas);
    duplicate->setObjectName(QStringLiteral("failureDuplicateButton"));
    auto* log = new QuietButton(tr("Whole log"), QStringLiteral("terminal"), ideas);
    buttons->addWidget(m_resume);
    buttons->addWidget(duplicate);
    buttons->addWidget(log);
    buttons->addStretch(1);
    ideas->body()->addLayout(buttons);
    column->addWidget(ideas);

    auto* lines = new Card(content);
    m_linesTitle = new TextLabel({}, TextStyle::BodyStrong, Role::Text, lines);
    lines->body()->addWidget(m_linesTitle);
    m_lines = new QPlainTextEdit(lines);
    m_lines->setReadOnly(true);
    m_lines->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_lines->setFont(theme.font(TextStyle::Mono));
    m_lines->setTabChangesFocus(true);
    m_lines->setAccessibleName(tr("Last lines of the rank that failed"));
    lines->body()->addWidget(m_lines);
    column->addWidget(lines);
    column->addStretch(1);

    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1100, this));
    connect(m_resume, &QuietButton::clicked, this, &FailurePanel::resumeRequested);
    connect(duplicate, &QuietButton::clicked, this, &FailurePanel::duplicateRequested);
    connect(log, &QuietButton::clicked, this, [this] { Q_EMIT logRequested(m_rank); });
}

void FailurePanel::setDetail(const RunDetail& detail) {
    m_rank = detail.failedRank;
    const QString reason = fromUtf8(detail.row.stateReason);
    m_reason->setText(reason.isEmpty() ? tr("The run ended with an error that left no message.") : reason);
    QStringList facts;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt != detail.row.attempts || rank.rank != detail.failedRank) continue;
        QString how = tr("rank %1").arg(rank.rank);
        if (!rank.host.empty()) how += tr(" on %1").arg(fromUtf8(rank.host));
        if (rank.signal) {
            how += tr(", ended by signal %1").arg(*rank.signal);
        } else if (rank.exitStatus) {
            how += tr(", exit status %1").arg(*rank.exitStatus);
        }
        facts << how;
    }
    if (detail.row.endedAt != 0) facts << formatAgo(detail.row.endedAt);
    if (detail.row.progress && detail.row.progress->step > 0)
        facts << tr("after step %1").arg(formatExact(detail.row.progress->step));
    m_facts->setText(facts.join(QStringLiteral(" · ")));
    m_linesTitle->setText(detail.failedRank >= 0 ? tr("Last lines of rank %1").arg(detail.failedRank)
                                                 : tr("Last lines of the log"));
    QStringList lines;
    for (const store::LogLine& one : detail.lastLines) lines << shortLines(plainLogText(one.text));
    const QString nothing = detail.ranks.empty() ? tr("No process was started.") : tr("It wrote nothing.");
    const QString text = lines.isEmpty() ? nothing : lines.join(u'\n');
    if (text != m_lines->toPlainText()) {
        m_lines->setPlainText(text);
        m_lines->moveCursor(QTextCursor::End);
        const int rows = std::clamp(static_cast<int>(lines.size()), 3, 18);
        m_lines->setFixedHeight(QFontMetrics(m_lines->font()).lineSpacing() * rows + 28);
    }
    while (QLayoutItem* item = m_adviceLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    for (const QString& one : adviceFor(detail)) {
        auto* label = new TextLabel(QStringLiteral("•  ") + one, TextStyle::Body, Role::Text, m_advice);
        label->setWordWrap(true);
        m_adviceLayout->addWidget(label);
    }
    m_resume->setVisible(hasCheckpoint(detail));
}

}  // namespace trainyard::ui
