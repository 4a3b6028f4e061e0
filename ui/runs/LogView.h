#pragma once
// The log of a run, of any length: only the lines in sight are read from the index, page by page.
#include <QAbstractScrollArea>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/store/Types.h"
#include "ui/runs/AnsiText.h"

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class LogView : public QAbstractScrollArea {
    Q_OBJECT

public:
    LogView(commands::Session& session, QWidget* parent);

    void setRun(const base::RunId& run);
    void setFilter(const store::LogFilter& filter);
    [[nodiscard]] const store::LogFilter& filter() const { return m_filter; }
    /// New lines may be there.
    void refresh();
    /// Stays at the newest line; scrolling up by hand ends it.
    void setFollow(bool follow);
    [[nodiscard]] bool follow() const { return m_follow; }
    void setShowTime(bool show);
    /// The run goes on: what was not written may still be.
    void setLive(bool live);
    /// What stands in place of lines where there are none.
    [[nodiscard]] QString emptyText() const;
    /// Looks for the next line from the selected one on (or from the top), going around at the end.
    void find(const QString& pattern, bool regex, bool backward);
    void copySelection();
    /// Lines that pass the filter; -1 before the first answer.
    [[nodiscard]] std::int64_t total() const { return m_total; }
    /// The text of a line that was read; null otherwise. For tests.
    [[nodiscard]] QString lineText(std::int64_t index) const;
    /// Which nodes and ranks the lines come from is told beside them.
    void setSeveralNodes(bool several);

Q_SIGNALS:
    void totalChanged(qlonglong total);
    void followChanged(bool follow);
    /// What the search came to, for people: "Line 12 of 1,300", "Not found".
    void searched(const QString& text, bool found);
    /// A line of "stdout", "stderr", "agent" or of a file ("logs/train.txt") was read for the first time.
    void sourceSeen(const QString& source);
    void copied(int lines);
    void failed(const QString& text);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void changeEvent(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void scrollContentsBy(int dx, int dy) override;
    void showEvent(QShowEvent* event) override;

private:
    struct Line {
        std::int64_t at = 0;
        int node = 0;
        int rank = 0;
        QString out;
        QString text;
        std::vector<AnsiSpan> spans;
    };
    void reset();
    void need(std::int64_t first, std::int64_t last);
    void readPage(std::int64_t page);
    void takePage(std::int64_t page, const store::LogPage& lines);
    /// Takes over how many lines there are, and forgets those that may stand elsewhere now.
    void takeTotal(const store::LogPage& page);
    void setTotal(std::int64_t total);
    void layoutBars();
    void select(std::int64_t line, bool extend);
    void reveal(std::int64_t line);
    void search(const store::LogSearch& wanted, bool wrapped);
    /// `count` characters of a line from one on, in the colours that its program gave them; the rest in `ink`.
    void paintText(QPainter& painter, const Line& line, int from, int count, const QColor& ink, QPointF at) const;
    [[nodiscard]] int lineHeight() const;
    [[nodiscard]] int visibleLines() const;
    [[nodiscard]] std::int64_t lineAt(const QPointF& position) const;
    [[nodiscard]] const Line* line(std::int64_t index) const;
    [[nodiscard]] int gutterWidth() const;

    commands::Session& m_session;
    base::RunId m_run;
    store::LogFilter m_filter;
    std::map<std::int64_t, std::vector<Line>> m_pages;
    std::set<std::int64_t> m_reading;
    std::vector<std::int64_t> m_recent;
    std::set<QString> m_sources;
    std::int64_t m_total = -1;
    std::int64_t m_settled = 0;  ///< As of the last total.
    std::int64_t m_anchor = -1;
    std::int64_t m_caret = -1;
    std::int64_t m_matchLine = -1;
    int m_matchStart = 0;
    int m_matchLength = 0;
    int m_widest = 0;
    bool m_follow = true;
    bool m_showTime = false;
    bool m_live = true;
    bool m_severalRanks = false;
    bool m_severalNodes = false;
    bool m_countAsked = false;
    bool m_countAgain = false;
    bool m_scrolling = false;
    quint64 m_generation = 0;
};

}  // namespace trainyard::ui
