#pragma once
#include <QTimer>
#include <QWidget>
#include <optional>
#include <string>
#include <vector>

#include "core/base/MetricPattern.h"

class QComboBox;
class QPlainTextEdit;
class QTableWidget;

namespace trainyard::ui {

class InlineError;
class LinkButton;
class Shell;
class TextLabel;

/// Tries a run's patterns for metrics in plain output on lines that a person pastes, as the agent will try them on what
/// the script prints. The finding is done in a pool thread.
class PatternPanel : public QWidget {
    Q_OBJECT

public:
    PatternPanel(Shell& shell, QWidget* parent);
    void setPatterns(const std::vector<std::string>& patterns);
    [[nodiscard]] QString sample() const;
    void setSample(const QString& text);
    [[nodiscard]] bool isOpen() const { return m_open; }
    void setOpen(bool open);

    struct Found {
        int line = 0;
        int from = 0;  ///< Of the number in the line, UTF-16 units; -1 where the line has control characters.
        int length = 0;
        base::FoundMetric metric;
    };
    struct Trial {
        std::vector<Found> found;
        std::vector<std::string> idle;  ///< Patterns that found nothing in these lines.
        std::optional<base::Error> error;
        int lines = 0;
        int linesWithMetrics = 0;
        bool cut = false;  ///< Only the first lines were tried.
    };
    /// A value, nothing else: called in a pool thread.
    [[nodiscard]] static Trial tryOn(const std::vector<std::string>& patterns, const std::string& sample);

Q_SIGNALS:
    /// The person wants one more: "@keras".
    void patternAdded(const QString& pattern);
    void sampleChanged();
    void opened();

private:
    void begin();
    void display(const Trial& trial);

    Shell& m_shell;
    std::vector<std::string> m_patterns;
    bool m_open = false;
    QTimer m_pause;
    LinkButton* m_toggle;
    QWidget* m_body;
    QComboBox* m_ready;
    QPlainTextEdit* m_sample;
    InlineError* m_error;
    TextLabel* m_summary;
    QTableWidget* m_table;
};

}  // namespace trainyard::ui
