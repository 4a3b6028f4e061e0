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
    const auto found = std::find_if(detail.events.rbegin(), detail.events.rend(),
                                    [&](const store::EventRow& event) { return event.kind == kind; });
    return found == detail.events.rend() ? nullptr : &*found;
}

/// "in 12 min", or "now" when it has come.
QString inTime(std::int64_t at) {
    const std::int64_t left = at - base::wallMicros();
    return left <= 0 ? RunNotices::tr("now") : RunNotices::tr("in %1").arg(formatDuration(left * 1000));
}

/// Hosts that were lost and have not come back, by the newest word about each.
std::vector<const store::EventRow*> silentHosts(const RunDetail& detail) {
    std::vector<const store::EventRow*> silent;
    for (const store::EventRow& event : detail.events) {
        if (event.kind != "host_silent" && event.kind != "host_back") continue;
        const std::string host = readText(event.body, "host");
        std::erase_if(silent, [&](const store::EventRow* one) { return readText(one->body, "host") == host; });
        if (event.kind == "host_silent") silent.push_back(&event);
    }
    return silent;
}

bool names(const Json& nodes, int node) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const Json& one) { return one.is_number_integer() && one.get<int>() == node; });
}

/// "rank 1", "ranks 1, 3 and 5"; empty when nothing is known of the nodes' processes.
QString ranksOn(const RunDetail& detail, const Json& nodes) {
    QStringList ranks;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == detail.row.attempts && rank.rank >= 0 && names(nodes, rank.node))
            ranks << QString::number(rank.rank);
    }
    if (ranks.isEmpty()) return {};
    const QString last = ranks.takeLast();
    return ranks.isEmpty() ? RunNotices::tr("rank %1").arg(last)
                           : RunNotices::tr("ranks %1 and %2").arg(ranks.join(QStringLiteral(", ")), last);
}

/// When the newest record of these nodes was written; 0 without one.
std::int64_t lastHeard(const RunDetail& detail, const Json& nodes) {
    std::int64_t at = 0;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == detail.row.attempts && names(nodes, rank.node)) at = std::max(at, rank.lastAt);
    }
    return at;
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
    m_silent = new InlineError(this);
    m_silent->setObjectName(QStringLiteral("runSilentHosts"));
    column->addWidget(m_silent);
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
    m_detail.attempts = detail.attempts;
    m_detail.ranks = detail.ranks;
    showAll();
}

void RunNotices::showAll() {
    if (spec::isFinal(m_detail.row.state)) {
        m_upload->hide();
        m_queue->hide();
        m_reach->clear();
        m_cancel->clear();
        showOwed();
        setVisible(!m_silent->isClear());
        return m_clock.stop();
    }
    showUpload();
    showQueue();
    showReach(showSilent());
    const bool any = !m_upload->isHidden() || !m_queue->isHidden() || !m_reach->isClear() || !m_silent->isClear() ||
                     !m_cancel->isClear();
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
        text += QStringLiteral(" · ") +
                tr("%1 a second, %2 left")
                    .arg(formatBytes(static_cast<std::int64_t>(rate)),
                         formatDuration(static_cast<std::int64_t>(static_cast<double>(total - done) / rate * 1e9)));
    }
    m_uploadText->setText(text);
    m_uploadBar->setVisible(total > 0);
    m_uploadBar->setValue(
        total > 0 ? static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * kUploadScale) : 0);
}

void RunNotices::showQueue() {
    const store::EventRow* event = newest(m_detail, "scheduler");
    const bool waits = event && (m_detail.row.state == RunState::Queued || m_detail.row.state == RunState::Preparing);
    m_queue->setVisible(waits);
    if (!waits) return;
    QStringList parts{tr("Job %1").arg(readString(event->body, "job"))};
    if (const QString reason = readString(event->body, "reason"); !reason.isEmpty())
        parts << tr("the queue says: %1").arg(reason);
    if (const std::int64_t start = readInteger(event->body, "estimated_start"); start > 0)
        parts << tr("estimated start %1").arg(inTime(start));
    if (const std::int64_t restarts = readInteger(event->body, "restarts"); restarts > 0)
        parts << tr("requeued %n time(s)", nullptr, static_cast<int>(restarts));
    m_queue->setText(parts.join(QStringLiteral(" · ")));
}

void RunNotices::showReach(bool silentNamed) {
    const store::EventRow* cut = newest(m_detail, "unreachable");
    const store::EventRow* back = newest(m_detail, "reachable");
    const targets::Reach reach = m_shell.session()->reach(m_detail.row.target);
    const bool told = cut && (!back || back->at < cut->at);
    // The state is that of the worst of several hosts; those that are silent are named already.
    const bool unreachable = told ? reach.state != targets::Reach::State::Connected
                                  : reach.state == targets::Reach::State::Unreachable && !silentNamed;
    if (!unreachable) {
        m_reach->clear();
        return m_cancel->clear();
    }
    const std::int64_t since = told ? readInteger(cut->body, "since", cut->at) : reach.since;
    const bool ending = m_detail.row.state == RunState::Finalizing;
    QString text = (ending ? tr("%1 cannot be reached since %2; the run has ended there, and what it left is brought "
                                "once it answers.")
                           : tr("%1 cannot be reached since %2; the run goes on there."))
                       .arg(fromUtf8(m_detail.row.target), formatTime(since));
    if (reach.connected > 0 && reach.state == targets::Reach::State::Unreachable && !told) {
        text = tr("%1 of %n host(s) of %2 answer since %3; the run goes on.", nullptr, reach.hosts)
                   .arg(reach.connected)
                   .arg(fromUtf8(m_detail.row.target), formatTime(since));
    }
    const QString reason = !reach.reason.empty() ? fromUtf8(reach.reason)
                           : told                ? readString(cut->body, "reason")
                                                 : QString();
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
        m_cancel->setMessage(
            InlineError::Kind::Info,
            tr("You canceled this run. That is remembered and carried out as soon as the target can be reached."));
    } else {
        m_cancel->clear();
    }
}

bool RunNotices::showSilent() {
    const std::vector<const store::EventRow*> silent = silentHosts(m_detail);
    if (silent.empty()) {
        m_silent->clear();
        return false;
    }
    QStringList texts;
    for (const store::EventRow* one : silent) {
        const QString host = readString(one->body, "host");
        const Json nodes = readArray(one->body, "nodes");
        QString reason = readString(one->body, "reason");
        if (!reason.isEmpty() && !reason.endsWith(u'.')) reason += u'.';
        QString text = tr("%1 does not answer since %2; the run's other machines do.")
                           .arg(host, formatTime(readInteger(one->body, "since", one->at)));
        if (!reason.isEmpty()) text += u' ' + reason;
        const QString ranks = ranksOn(m_detail, nodes);
        const std::int64_t heard = lastHeard(m_detail, nodes);
        if (!ranks.isEmpty() && heard > 0) {
            text += u' ' + tr("Owed from there: all that %1 reported after %2, and the files it leaves.")
                               .arg(ranks, formatTime(heard));
        } else {
            text += u' ' + tr("Owed from there: all that it reports, and the files it leaves.");
        }
        texts << text;
    }
    texts << tr("It is brought as soon as there is an answer.");
    if (const targets::Reach reach = m_shell.session()->reach(m_detail.row.target); reach.nextTryAt > 0 && !m_trying)
        texts << tr("Next try %1.").arg(inTime(reach.nextTryAt));
    if (m_trying) texts << tr("Trying…");
    m_silent->setMessage(InlineError::Kind::Warning, texts.join(u' '));
    if (m_trying) {
        m_silent->setRemedy({}, {});
    } else {
        m_silent->setRemedy(tr("Try now"), [this] { tryNow(); });
    }
    return true;
}

void RunNotices::showOwed() {
    const store::EventRow* collected = newest(m_detail, "collected");
    const Json left = collected ? readArray(collected->body, "left") : Json::array();
    if (left.empty()) return m_silent->clear();
    QStringList hosts;
    for (const store::AttemptRow& one : m_detail.attempts) {
        if (one.attempt == m_detail.row.attempts && !one.host.empty() && names(left, one.node))
            hosts << fromUtf8(one.host);
    }
    const QString whose = hosts.isEmpty() ? tr("%n machine(s)", nullptr, static_cast<int>(left.size()))
                                          : hosts.join(QStringLiteral(", "));
    QString text = tr("Nothing was heard of %1 at the run's end.").arg(whose);
    const std::int64_t heard = lastHeard(m_detail, left);
    text +=
        u' ' +
        (heard > 0 ? tr("Owed from there: its records after %1 and its files; they are brought when %2 can be reached.")
                         .arg(formatTime(heard), fromUtf8(m_detail.row.target))
                   : tr("Owed from there: its records and its files; they are brought when %1 can be reached.")
                         .arg(fromUtf8(m_detail.row.target)));
    if (m_trying) text += u' ' + tr("Trying…");
    m_silent->setMessage(InlineError::Kind::Warning, text);
    if (m_trying) {
        m_silent->setRemedy({}, {});
    } else {
        m_silent->setRemedy(tr("Collect now"), [this] { collect(); });
    }
}

void RunNotices::collect() {
    if (m_trying) return;
    m_trying = m_shell.session()->start("run.collect", {{"run", m_detail.row.id.str()}});
    connect(m_trying, &commands::Command::finished, this, [this](const Result<Json>& result) {
        m_trying = nullptr;
        if (!result && result.error().code != "canceled") m_shell.warn(result.error());
        showAll();
    });
    showAll();
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
