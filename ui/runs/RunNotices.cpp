#include "ui/runs/RunNotices.h"

#include <QProgressBar>
#include <QVBoxLayout>
#include <algorithm>

#include "core/base/Clock.h"
#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using spec::RunState;

namespace {

constexpr int kUploadScale = 1000;

/// The newest event of a kind, or nullptr.
const store::EventRow* newest(const RunDetail& detail, std::string_view kind) {
    const auto found = std::find_if(detail.events.rbegin(), detail.events.rend(), [&](const store::EventRow& event) { return event.kind == kind; });
    return found == detail.events.rend() ? nullptr : &*found;
}

/// "in 12 min", or "now" when it has come.
QString inTime(std::int64_t at) {
    const std::int64_t left = at - base::wallMicros();
    return left <= 0 ? RunNotices::tr("now") : RunNotices::tr("in %1").arg(formatDuration(left * 1000));
}

}  // namespace

RunNotices::RunNotices(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(1));
    m_upload = new QWidget(this);
    auto* upload = new QVBoxLayout(m_upload);
    upload->setContentsMargins(0, 0, 0, 0);
    upload->setSpacing(theme.space(0));
    m_uploadText = new ElidedLabel({}, TextStyle::Secondary, Role::Text, m_upload);
    m_uploadText->setObjectName(QStringLiteral("runUploadLabel"));
    m_uploadBar = new QProgressBar(m_upload);
    m_uploadBar->setRange(0, kUploadScale);
    m_uploadBar->setTextVisible(false);
    m_uploadBar->setFixedHeight(6);
    m_uploadBar->setAccessibleName(tr("Progress of the upload"));
    upload->addWidget(m_uploadText);
    upload->addWidget(m_uploadBar);
    column->addWidget(m_upload);
    m_queue = new TextLabel({}, TextStyle::Body, Role::Text, this);
    m_queue->setObjectName(QStringLiteral("runQueueLabel"));
    m_queue->setWordWrap(true);
    column->addWidget(m_queue);
    m_reach = new InlineError(this);
    m_reach->setObjectName(QStringLiteral("runReach"));
    column->addWidget(m_reach);
    m_cancel = new InlineError(this);
    m_cancel->setObjectName(QStringLiteral("runCancelRemembered"));
    column->addWidget(m_cancel);
    m_clock.setInterval(1000);
    connect(&m_clock, &QTimer::timeout, this, &RunNotices::showAll);
    connect(shell.session(), &commands::Session::targetReachChanged, this, [this](const QString& target) {
        if (target == fromUtf8(m_detail.row.target)) showAll();
    });
    hide();
}

void RunNotices::setDetail(const RunDetail& detail) {
    m_detail.row = detail.row;
    m_detail.events = detail.events;
    showAll();
}

void RunNotices::showAll() {
    if (spec::isFinal(m_detail.row.state)) {
        m_clock.stop();
        return hide();
    }
    showUpload();
    showQueue();
    showReach();
    const bool any = !m_upload->isHidden() || !m_queue->isHidden() || !m_reach->isClear() || !m_cancel->isClear();
    setVisible(any);
    any ? m_clock.start() : m_clock.stop();
}

void RunNotices::showUpload() {
    const store::EventRow* event = newest(m_detail, "upload");
    const bool now = event && (m_detail.row.state == RunState::Preparing || m_detail.row.state == RunState::Finalizing);
    const std::int64_t total = now ? readInteger(event->body, "bytes_total") : 0;
    const std::int64_t done = now ? readInteger(event->body, "bytes_done") : 0;
    m_upload->setVisible(now);
    if (!now) return;
    QString text = readString(event->body, "text");
    if (total > 0) text += QStringLiteral(" · ") + tr("%1 of %2").arg(formatBytes(done), formatBytes(total));
    if (const double rate = readNumber(event->body, "rate"); rate > 0 && done < total) {
        text += QStringLiteral(" · ") + tr("%1 a second, %2 left").arg(formatBytes(static_cast<std::int64_t>(rate)),
                                                                    formatDuration(static_cast<std::int64_t>(static_cast<double>(total - done) / rate * 1e9)));
    }
    m_uploadText->setText(text);
    m_uploadBar->setVisible(total > 0);
    m_uploadBar->setValue(total > 0 ? static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * kUploadScale) : 0);
}

void RunNotices::showQueue() {
    const store::EventRow* event = newest(m_detail, "scheduler");
    const bool waits = event && (m_detail.row.state == RunState::Queued || m_detail.row.state == RunState::Preparing);
    m_queue->setVisible(waits);
    if (!waits) return;
    QStringList parts{tr("Job %1").arg(readString(event->body, "job"))};
    if (const QString reason = readString(event->body, "reason"); !reason.isEmpty()) parts << tr("the queue says: %1").arg(reason);
    if (const std::int64_t start = readInteger(event->body, "estimated_start"); start > 0) parts << tr("estimated start %1").arg(inTime(start));
    if (const std::int64_t restarts = readInteger(event->body, "restarts"); restarts > 0) parts << tr("requeued %n time(s)", nullptr, static_cast<int>(restarts));
    m_queue->setText(parts.join(QStringLiteral(" · ")));
}

void RunNotices::showReach() {
    const store::EventRow* cut = newest(m_detail, "unreachable");
    const store::EventRow* back = newest(m_detail, "reachable");
    const targets::Reach reach = m_shell.session()->reach(m_detail.row.target);
    const bool told = cut && (!back || back->at < cut->at);
    const bool unreachable = reach.state == targets::Reach::State::Unreachable || (told && reach.state != targets::Reach::State::Connected);
    if (!unreachable) {
        m_reach->clear();
        return m_cancel->clear();
    }
    const std::int64_t since = told ? readInteger(cut->body, "since", cut->at) : reach.since;
    QString text = tr("%1 cannot be reached since %2; the run goes on there.").arg(fromUtf8(m_detail.row.target), formatTime(since));
    const QString reason = !reach.reason.empty() ? fromUtf8(reach.reason) : told ? readString(cut->body, "reason") : QString();
    if (!reason.isEmpty()) text += u' ' + reason;
    if (!text.endsWith(u'.')) text += u'.';
    if (reach.nextTryAt > 0) text += u' ' + tr("Next try %1.").arg(inTime(reach.nextTryAt));
    const bool resting = reach.state == targets::Reach::State::Unreachable && reach.nextTryAt == 0 && !m_trying;
    if (resting) text += u' ' + tr("It is not tried again by itself.");
    if (m_trying || reach.state == targets::Reach::State::Connecting) text += u' ' + tr("Trying…");
    m_reach->setMessage(InlineError::Kind::Warning, text);
    if (m_trying) {
        m_reach->setRemedy({}, {});
    } else {
        m_reach->setRemedy(resting ? tr("Connect again") : tr("Try now"), [this] { tryNow(); });
    }
    if (newest(m_detail, "cancel_asked")) {
        m_cancel->setMessage(InlineError::Kind::Info, tr("You canceled this run. That is remembered and carried out as soon as the target can be reached."));
    } else {
        m_cancel->clear();
    }
}

void RunNotices::tryNow() {
    if (m_trying) return;
    m_trying = m_shell.session()->start("target.wait", {{"target", m_detail.row.target}, {"seconds", 20}});
    connect(m_trying, &commands::Command::finished, this, [this](const Result<Json>&) {
        m_trying = nullptr;
        showAll();
    });
    showAll();
}

}  // namespace trainyard::ui
