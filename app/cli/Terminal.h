#pragma once
// What people see: sentences, tables, the progress line.
#include <string>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::cli {

/// The result of an action as text, with a newline at the end; empty when there is nothing to say.
[[nodiscard]] std::string describe(const std::string& action, const base::Json& result);

/// One line for a run that is under way, at most `columns` wide: state, epoch, step, rate, time left, running loss.
/// `run` is a run as run.list shows it.
[[nodiscard]] std::string progressText(const base::Json& run, int columns);

/// A log line as it is printed; with its rank in front when `withRank`.
[[nodiscard]] std::string logText(const base::Json& line, bool withRank, bool withNode);

/// One line at the bottom of a terminal that is drawn over. Does nothing when standard error is none.
class ProgressLine {
public:
    explicit ProgressLine(bool wanted);
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    [[nodiscard]] bool isShown() const { return m_enabled; }
    [[nodiscard]] int columns() const;
    void show(const std::string& text);
    void clear();

private:
    bool m_enabled = false;
    bool m_drawn = false;
};

}  // namespace trainyard::cli
