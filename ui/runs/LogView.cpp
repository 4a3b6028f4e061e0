#include "ui/runs/LogView.h"

#include <QClipboard>
#include <QDateTime>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QMenu>
#include <QPainter>
#include <QScrollBar>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Result;

namespace {

constexpr std::int64_t kPageLines = 256;
constexpr std::size_t kMostPages = 64;
constexpr std::int64_t kMostCopied = 200'000;
constexpr int kMargin = 10;

}  // namespace

LogView::LogView(commands::Session& session, QWidget* parent) : QAbstractScrollArea(parent), m_session(session) {
    setFocusPolicy(Qt::StrongFocus);
    setAccessibleName(tr("Log"));
    setObjectName(QStringLiteral("logView"));
    viewport()->setCursor(Qt::IBeamCursor);
    viewport()->setAutoFillBackground(false);
    connect(verticalScrollBar(), &QScrollBar::actionTriggered, this, [this] {
        QMetaObject::invokeMethod(
            this, [this] { setFollow(verticalScrollBar()->value() >= verticalScrollBar()->maximum()); },
            Qt::QueuedConnection);
    });
}

void LogView::setRun(const base::RunId& run) {
    if (run == m_run) return;
    m_run = run;
    m_sources.clear();
    m_severalRanks = false;
    reset();
}

void LogView::setFilter(const store::LogFilter& filter) {
    m_filter = filter;
    reset();
}

void LogView::reset() {
    ++m_generation;
    m_pages.clear();
    m_reading.clear();
    m_recent.clear();
    m_anchor = m_caret = m_matchLine = -1;
    m_widest = 0;
    m_total = -1;
    m_settled = 0;
    m_countAsked = false;
    layoutBars();
    viewport()->update();
    refresh();
}

void LogView::refresh() {
    if (m_run.isEmpty() || !isVisible()) return;
    if (m_countAsked) {
        m_countAgain = true;
        return;
    }
    m_countAsked = true;
    // The tail is what a follower looks at; its answer also says how many lines there are.
    m_session.query(
        this, QStringLiteral("log.tail"),
        [run = m_run, filter = m_filter](store::Reader& reader) { return reader.logTail(run, filter, kPageLines); },
        [this, generation = m_generation](Result<store::LogPage> page) {
            if (generation != m_generation) return;
            m_countAsked = false;
            if (!page) {
                if (page.error().code != "canceled") Q_EMIT failed(fromUtf8(page.error().message));
                return;
            }
            if (page->total != m_total) {
                takeTotal(*page);
                const std::int64_t first = page->lines.empty() ? 0 : page->lines.front().index;
                if (first == 0 || first % kPageLines == 0) takePage(first / kPageLines, *page);
                setTotal(page->total);
            }
            if (std::exchange(m_countAgain, false)) refresh();
        });
}

void LogView::showEvent(QShowEvent* event) {
    QAbstractScrollArea::showEvent(event);
    refresh();
}

void LogView::takeTotal(const store::LogPage& page) {
    // The last page known so far was not full then, and a slower node's lines may come in between.
    if (m_total >= 0) m_pages.erase(m_pages.lower_bound(std::min(m_settled, m_total) / kPageLines), m_pages.end());
    m_settled = page.settled;
}

void LogView::setTotal(std::int64_t total) {
    m_total = total;
    layoutBars();
    if (m_follow) {
        m_scrolling = true;
        verticalScrollBar()->setValue(verticalScrollBar()->maximum());
        m_scrolling = false;
    }
    viewport()->update();
    Q_EMIT totalChanged(total);
}

void LogView::readPage(std::int64_t page) {
    if (m_reading.contains(page)) return;
    m_reading.insert(page);
    m_session.query(
        this, QStringLiteral("log.page.%1").arg(page % 4),
        [run = m_run, filter = m_filter, page](store::Reader& reader) {
            return reader.logPage(run, filter, page * kPageLines, kPageLines);
        },
        [this, page, generation = m_generation](Result<store::LogPage> lines) {
            if (generation != m_generation) return;
            m_reading.erase(page);
            if (!lines) return;
            // Asked before lines came in between: what is needed of it is asked for anew.
            if (lines->total < m_total && (page + 1) * kPageLines > lines->settled) return viewport()->update();
            const bool more = lines->total > m_total;
            if (more) takeTotal(*lines);
            takePage(page, *lines);
            if (more) setTotal(lines->total);
            viewport()->update();
        });
    // A newer page under the same key drops the older query, whose answer then never comes.
    std::erase_if(m_reading, [page](std::int64_t other) { return other != page && other % 4 == page % 4; });
}

void LogView::takePage(std::int64_t page, const store::LogPage& lines) {
    std::vector<Line> kept;
    kept.reserve(lines.lines.size());
    const QFontMetrics metrics(Theme::current().font(TextStyle::Mono));
    const int character = std::max(1, metrics.horizontalAdvance(u'0'));
    const int widestBefore = m_widest;
    for (const store::LogLine& one : lines.lines) {
        AnsiText read = ansiText(one.text);
        Line made{one.at, one.node, one.rank, fromUtf8(one.out), std::move(read.text), std::move(read.spans)};
        m_widest = std::max(m_widest, static_cast<int>(std::min<qsizetype>(made.text.size(), 20'000)) * character);
        if (one.rank > 0) m_severalRanks = true;
        if (m_sources.insert(made.out).second) Q_EMIT sourceSeen(made.out);
        kept.push_back(std::move(made));
    }
    m_pages[page] = std::move(kept);
    std::erase(m_recent, page);
    m_recent.push_back(page);
    while (m_recent.size() > kMostPages) {
        m_pages.erase(m_recent.front());
        m_recent.erase(m_recent.begin());
    }
    if (m_widest != widestBefore) layoutBars();
}

const LogView::Line* LogView::line(std::int64_t index) const {
    const auto page = m_pages.find(index / kPageLines);
    if (page == m_pages.end()) return nullptr;
    const auto at = static_cast<std::size_t>(index % kPageLines);
    return at < page->second.size() ? &page->second[at] : nullptr;
}

QString LogView::lineText(std::int64_t index) const {
    const Line* found = line(index);
    return found ? found->text : QString();
}

void LogView::need(std::int64_t first, std::int64_t last) {
    if (m_total <= 0) return;
    last = std::min(last, m_total - 1);
    for (std::int64_t page = first / kPageLines; page <= last / kPageLines; ++page) {
        const auto known = m_pages.find(page);
        const std::int64_t wanted = std::min(kPageLines, m_total - page * kPageLines);
        if (known == m_pages.end() || static_cast<std::int64_t>(known->second.size()) < wanted) readPage(page);
    }
}

int LogView::lineHeight() const { return QFontMetrics(Theme::current().font(TextStyle::Mono)).lineSpacing() + 2; }

int LogView::visibleLines() const { return std::max(1, (viewport()->height() - 8) / lineHeight()); }

int LogView::gutterWidth() const {
    const QFontMetrics metrics(Theme::current().font(TextStyle::MonoSmall));
    int width = metrics.horizontalAdvance(QString::number(std::max<std::int64_t>(m_total, 100))) + 2 * kMargin;
    if (m_severalRanks || m_severalNodes) width += metrics.horizontalAdvance(QStringLiteral("r00")) + kMargin;
    if (m_severalNodes) width += metrics.horizontalAdvance(QStringLiteral("n00")) + kMargin;
    if (m_showTime) width += metrics.horizontalAdvance(QStringLiteral("00:00:00.000")) + kMargin;
    return width;
}

void LogView::layoutBars() {
    const auto lines = static_cast<int>(std::min<std::int64_t>(std::max<std::int64_t>(m_total, 0), 2'000'000'000));
    verticalScrollBar()->setPageStep(visibleLines());
    verticalScrollBar()->setSingleStep(1);
    verticalScrollBar()->setRange(0, std::max(0, lines - visibleLines()));
    const int text = viewport()->width() - gutterWidth() - kMargin;
    horizontalScrollBar()->setPageStep(std::max(1, text));
    horizontalScrollBar()->setSingleStep(20);
    horizontalScrollBar()->setRange(0, std::max(0, m_widest + kMargin - text));
}

void LogView::resizeEvent(QResizeEvent* event) {
    QAbstractScrollArea::resizeEvent(event);
    layoutBars();
    if (m_follow) verticalScrollBar()->setValue(verticalScrollBar()->maximum());
}

void LogView::scrollContentsBy(int, int) { viewport()->update(); }

void LogView::changeEvent(QEvent* event) {
    QAbstractScrollArea::changeEvent(event);
    if (event->type() == QEvent::StyleChange || event->type() == QEvent::FontChange) layoutBars();
}

void LogView::paintEvent(QPaintEvent*) {
    const Theme& theme = Theme::current();
    QPainter painter(viewport());
    painter.fillRect(viewport()->rect(), theme.color(Role::Surface));
    const int gutter = gutterWidth();
    painter.fillRect(QRect(0, 0, gutter, viewport()->height()), theme.color(Role::Sunken));
    if (m_total <= 0) {
        painter.setFont(theme.font(TextStyle::Body));
        painter.setPen(theme.color(Role::Muted));
        painter.drawText(viewport()->rect().adjusted(gutter, 0, 0, 0), Qt::AlignCenter, emptyText());
        return;
    }
    const std::int64_t first = verticalScrollBar()->value();
    const int height = lineHeight();
    const int rows = visibleLines() + 2;
    need(first, first + rows);
    const QFont mono = theme.font(TextStyle::Mono);
    const QFont small = theme.font(TextStyle::MonoSmall);
    const QFontMetrics smallMetrics(small);
    const QFontMetrics metrics(mono);
    const std::int64_t low = std::min(m_anchor, m_caret);
    const std::int64_t high = std::max(m_anchor, m_caret);
    const int x0 = gutter + kMargin - horizontalScrollBar()->value();
    for (int i = 0; i < rows && first + i < m_total; ++i) {
        const std::int64_t index = first + i;
        const QRect area(0, 4 + i * height, viewport()->width(), height);
        const Line* one = line(index);
        const bool selected = low >= 0 && index >= low && index <= high;
        if (selected) painter.fillRect(area.adjusted(gutter, 0, 0, 0), theme.color(Role::Selection));
        if (one) {
            const bool agent = one->out == u"agent";
            const bool problem = one->out == u"stderr";
            painter.save();
            painter.setClipRect(area.adjusted(gutter, 0, 0, 0));
            if (index == m_matchLine && m_matchLength > 0) {
                const int from = metrics.horizontalAdvance(one->text.left(m_matchStart));
                const int width = metrics.horizontalAdvance(one->text.mid(m_matchStart, m_matchLength));
                painter.setPen(QPen(theme.color(Role::Warning), 1));
                painter.setBrush(theme.color(Role::WarningSoft));
                painter.drawRect(QRect(x0 + from, area.top(), width, height - 1));
            }
            const QColor ink = theme.color(agent ? Role::Muted : problem ? Role::Danger : Role::Text);
            // Text far to the right of the viewport costs as much as text in it; draw what can be seen.
            const int skip = std::max(0, (gutter - x0) / std::max(1, metrics.horizontalAdvance(u'0')) - 2);
            const int count = viewport()->width() / std::max(1, metrics.horizontalAdvance(u'0')) + 8;
            paintText(painter, *one, skip, count, ink,
                      QPointF(x0 + metrics.horizontalAdvance(u'0') * skip, area.top() + metrics.ascent() + 1));
            painter.restore();
        }
        painter.setFont(small);
        painter.setPen(theme.color(Role::Muted));
        int right = gutter - kMargin;
        const auto put = [&](const QString& text, Role role) {
            const int width = smallMetrics.horizontalAdvance(text);
            painter.setPen(theme.color(role));
            painter.drawText(right - width, area.top() + metrics.ascent() + 1, text);
            right -= width + kMargin;
        };
        if (one && (m_severalRanks || m_severalNodes))
            put(one->rank == wire::kNoRank ? QStringLiteral("–") : QStringLiteral("r%1").arg(one->rank), Role::Accent);
        if (one && m_severalNodes) put(QStringLiteral("n%1").arg(one->node), Role::Muted);
        if (one && m_showTime)
            put(QDateTime::fromMSecsSinceEpoch(one->at / 1000).toString(QStringLiteral("HH:mm:ss.zzz")), Role::Muted);
        put(QString::number(index + 1), Role::Muted);
    }
    if (hasFocus()) {
        painter.setPen(QPen(theme.color(Role::Focus), 2));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(viewport()->rect().adjusted(1, 1, -1, -1));
    }
}

void LogView::paintText(QPainter& painter, const Line& line, int from, int count, const QColor& ink, QPointF at) const {
    const QFont plain = Theme::current().font(TextStyle::Mono);
    QFont bold = plain;
    bold.setBold(true);
    const int end = std::min(from + count, static_cast<int>(line.text.size()));
    const auto put = [&](int begin, int stop, const AnsiSpan* span) {
        if (begin >= stop) return;
        const QString piece = line.text.mid(begin, stop - begin);
        const QFont& font = span && span->bold ? bold : plain;
        painter.setFont(font);
        painter.setPen(span && span->color >= 0 ? ansiColor(span->color) : ink);
        painter.drawText(at, piece);
        at.rx() += QFontMetricsF(font).horizontalAdvance(piece);
    };
    int done = from;
    for (const AnsiSpan& span : line.spans) {
        put(done, std::min(span.from, end), nullptr);
        done = std::max(done, std::min(span.from, end));
        put(done, std::min(span.from + span.length, end), &span);
        done = std::max(done, std::min(span.from + span.length, end));
    }
    put(done, end, nullptr);
}

std::int64_t LogView::lineAt(const QPointF& position) const {
    const auto row = static_cast<std::int64_t>((position.y() - 4) / lineHeight());
    return std::clamp<std::int64_t>(verticalScrollBar()->value() + row, 0, std::max<std::int64_t>(0, m_total - 1));
}

void LogView::select(std::int64_t target, bool extend) {
    if (m_total <= 0) return;
    m_caret = std::clamp<std::int64_t>(target, 0, m_total - 1);
    if (!extend || m_anchor < 0) m_anchor = m_caret;
    viewport()->update();
}

void LogView::reveal(std::int64_t target) {
    const std::int64_t first = verticalScrollBar()->value();
    if (target < first || target >= first + visibleLines()) {
        verticalScrollBar()->setValue(static_cast<int>(std::max<std::int64_t>(0, target - visibleLines() / 2)));
    }
    viewport()->update();
}

void LogView::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) return;
    setFollow(false);
    select(lineAt(event->position()), event->modifiers().testFlag(Qt::ShiftModifier));
}

void LogView::mouseMoveEvent(QMouseEvent* event) {
    if (!event->buttons().testFlag(Qt::LeftButton)) return;
    select(lineAt(event->position()), true);
    if (event->position().y() < 0) verticalScrollBar()->triggerAction(QAbstractSlider::SliderSingleStepSub);
    if (event->position().y() > viewport()->height())
        verticalScrollBar()->triggerAction(QAbstractSlider::SliderSingleStepAdd);
}

void LogView::wheelEvent(QWheelEvent* event) {
    QAbstractScrollArea::wheelEvent(event);
    setFollow(verticalScrollBar()->value() >= verticalScrollBar()->maximum());
}

void LogView::keyPressEvent(QKeyEvent* event) {
    const bool extend = event->modifiers().testFlag(Qt::ShiftModifier);
    if (event->matches(QKeySequence::Copy)) return copySelection();
    if (event->matches(QKeySequence::SelectAll)) {
        m_anchor = 0;
        return select(m_total - 1, true);
    }
    const std::int64_t at = m_caret < 0 ? verticalScrollBar()->value() : m_caret;
    std::int64_t target = at;
    switch (event->key()) {
    case Qt::Key_Up: target = at - 1; break;
    case Qt::Key_Down: target = at + 1; break;
    case Qt::Key_PageUp: target = at - visibleLines(); break;
    case Qt::Key_PageDown: target = at + visibleLines(); break;
    case Qt::Key_Home: target = 0; break;
    case Qt::Key_End:
        select(m_total - 1, extend);
        setFollow(true);
        return;
    case Qt::Key_Left: horizontalScrollBar()->triggerAction(QAbstractSlider::SliderSingleStepSub); return;
    case Qt::Key_Right: horizontalScrollBar()->triggerAction(QAbstractSlider::SliderSingleStepAdd); return;
    default: QAbstractScrollArea::keyPressEvent(event); return;
    }
    setFollow(false);
    select(target, extend);
    reveal(m_caret);
}

void LogView::contextMenuEvent(QContextMenuEvent* event) {
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    QAction* copy = menu->addAction(icon(QStringLiteral("copy")), tr("Copy lines"));
    copy->setEnabled(m_anchor >= 0);
    connect(copy, &QAction::triggered, this, &LogView::copySelection);
    QAction* all = menu->addAction(tr("Select all"));
    connect(all, &QAction::triggered, this, [this] {
        m_anchor = 0;
        select(m_total - 1, true);
    });
    menu->popup(event->globalPos());
}

void LogView::setFollow(bool follow) {
    if (follow && verticalScrollBar()->value() != verticalScrollBar()->maximum()) {
        verticalScrollBar()->setValue(verticalScrollBar()->maximum());
    }
    if (follow == m_follow) return;
    m_follow = follow;
    Q_EMIT followChanged(follow);
}

void LogView::setSeveralNodes(bool several) {
    if (several == m_severalNodes) return;
    m_severalNodes = several;
    layoutBars();
    viewport()->update();
}

void LogView::setLive(bool live) {
    if (live == m_live) return;
    m_live = live;
    viewport()->update();
}

QString LogView::emptyText() const {
    if (m_total < 0) return tr("Reading…");
    const bool chosen = m_filter.node || m_filter.rank || !m_filter.out.empty();
    if (m_live) return chosen ? tr("Nothing was written by what is chosen above yet.") : tr("Nothing was written yet.");
    return chosen ? tr("Nothing was written by what is chosen above.") : tr("Nothing was written.");
}

void LogView::setShowTime(bool show) {
    m_showTime = show;
    layoutBars();
    viewport()->update();
}

void LogView::copySelection() {
    if (m_anchor < 0 || m_caret < 0) return;
    const std::int64_t first = std::min(m_anchor, m_caret);
    const std::int64_t count = std::min(kMostCopied, std::max(m_anchor, m_caret) - first + 1);
    m_session.query(
        this, QStringLiteral("log.copy"),
        [run = m_run, filter = m_filter, first, count](store::Reader& reader) -> Result<QString> {
            auto page = reader.logPage(run, filter, first, count);
            if (!page) return page.error();
            QString text;
            for (const store::LogLine& one : page->lines) text += plainLogText(one.text) + u'\n';
            return text;
        },
        [this, count](Result<QString> text) {
            if (!text) {
                Q_EMIT failed(fromUtf8(text.error().message));
                return;
            }
            QGuiApplication::clipboard()->setText(*text);
            Q_EMIT copied(static_cast<int>(count));
        });
}

void LogView::find(const QString& pattern, bool regex, bool backward) {
    if (pattern.isEmpty() || m_total <= 0) {
        m_matchLine = -1;
        viewport()->update();
        Q_EMIT searched(QString(), true);
        return;
    }
    store::LogSearch wanted;
    wanted.pattern = pattern.toStdString();
    wanted.regex = regex;
    wanted.caseSensitive = pattern != pattern.toLower();
    wanted.backward = backward;
    const std::int64_t from = m_matchLine >= 0 ? m_matchLine + (backward ? -1 : 1)
                              : m_caret >= 0   ? m_caret
                              : backward       ? m_total - 1
                                               : 0;
    wanted.from = from < 0 ? m_total - 1 : from >= m_total ? 0 : from;
    search(wanted, false);
}

void LogView::search(const store::LogSearch& wanted, bool wrapped) {
    m_session.query(
        this, QStringLiteral("log.search"),
        [run = m_run, filter = m_filter, wanted](store::Reader& reader) {
            return reader.searchLog(run, filter, wanted);
        },
        [this, wanted, wrapped, generation = m_generation](Result<store::LogSearchResult> result) {
            if (generation != m_generation) return;
            if (!result) {
                if (result.error().code != "canceled") Q_EMIT searched(fromUtf8(result.error().message), false);
                return;
            }
            if (result->match) {
                const store::LogMatch& match = *result->match;
                m_matchLine = match.line.index;
                const auto chars = [&](std::size_t bytes) {
                    return static_cast<int>(plainLogText(match.line.text.substr(0, bytes)).size());
                };
                m_matchStart = chars(match.offset);
                m_matchLength = chars(match.offset + match.length) - m_matchStart;
                setFollow(false);
                select(m_matchLine, false);
                reveal(m_matchLine);
                Q_EMIT searched(tr("Line %1 of %2").arg(formatExact(m_matchLine + 1), formatExact(m_total)), true);
                return;
            }
            store::LogSearch next = wanted;
            if (result->continueAt) {
                next.from = *result->continueAt;
                Q_EMIT searched(tr("Looked through %1 lines…").arg(formatExact(next.from)), true);
                return search(next, wrapped);
            }
            if (!wrapped) {
                next.from = wanted.backward ? m_total - 1 : 0;
                return search(next, true);
            }
            m_matchLine = -1;
            viewport()->update();
            Q_EMIT searched(tr("Not found"), false);
        });
}

}  // namespace trainyard::ui
