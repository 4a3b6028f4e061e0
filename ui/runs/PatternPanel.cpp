#include "ui/runs/PatternPanel.h"

#include <QComboBox>
#include <QHeaderView>
#include <QPlainTextEdit>
#include <QTableWidget>
#include <QTextBlock>
#include <QTextEdit>
#include <QVBoxLayout>
#include <algorithm>
#include <set>

#include "core/base/Text.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::FoundMetric;
using base::MetricFinder;
using base::MetricPattern;

namespace {

constexpr int kTrialPauseMillis = 150;
constexpr std::size_t kMostSampleLines = 500;
constexpr std::size_t kMostSampleBytes = 256 << 10;
constexpr int kMostListedMetrics = 200;

}  // namespace

PatternPanel::Trial PatternPanel::tryOn(const std::vector<std::string>& patterns, const std::string& sample) {
    Trial trial;
    MetricFinder all = MetricFinder::ofTexts(patterns, trial.error);
    std::vector<MetricFinder> alone;
    std::vector<bool> idle;
    for (const std::string& pattern : patterns) {
        std::optional<base::Error> wrong;
        alone.push_back(MetricFinder::ofTexts({pattern}, wrong));
        // What cannot be read is told as an error, not as idle.
        idle.push_back(!wrong);
    }
    std::vector<std::string> lines = base::split(sample.substr(0, kMostSampleBytes), '\n');
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    trial.cut = lines.size() > kMostSampleLines || sample.size() > kMostSampleBytes;
    if (lines.size() > kMostSampleLines) lines.resize(kMostSampleLines);
    trial.lines = static_cast<int>(lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::vector<FoundMetric> found = all.find(lines[i]);
        trial.linesWithMetrics += found.empty() ? 0 : 1;
        const bool plain = lines[i].find('\x1b') == std::string::npos;
        for (const FoundMetric& one : found) {
            const auto units = [&](std::size_t from, std::size_t count) {
                return static_cast<int>(fromUtf8(std::string_view(lines[i]).substr(from, count)).size());
            };
            trial.found.push_back({static_cast<int>(i), plain ? units(0, one.offset) : -1,
                                   plain ? units(one.offset, one.length) : 0, one});
        }
        for (std::size_t p = 0; p < alone.size(); ++p) {
            if (idle[p] && !alone[p].find(lines[i]).empty()) idle[p] = false;
        }
    }
    for (std::size_t p = 0; p < patterns.size(); ++p) {
        if (idle[p]) trial.idle.push_back(patterns[p]);
    }
    return trial;
}

PatternPanel::PatternPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(0));
    m_toggle = new LinkButton({}, this);
    m_toggle->setObjectName(QStringLiteral("patternsToggle"));
    column->addWidget(m_toggle, 0, Qt::AlignLeft);
    m_body = new QWidget(this);
    auto* body = new QVBoxLayout(m_body);
    body->setContentsMargins(0, 0, 0, 0);
    body->setSpacing(theme.space(1));
    auto* what = new TextLabel(
        tr("For scripts that only print: paste some of their lines and see which metrics are found. A named group "
           "becomes a metric, (?<step>…) its step; write your own under “Metrics in the output” above, or take a ready "
           "one."),
        TextStyle::Secondary, Role::Muted, m_body);
    what->setWordWrap(true);
    body->addWidget(what);
    m_ready = new QComboBox(m_body);
    m_ready->setObjectName(QStringLiteral("readyPatternCombo"));
    m_ready->setAccessibleName(tr("Ready patterns"));
    m_ready->setFocusPolicy(Qt::StrongFocus);
    m_ready->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_ready->setMinimumContentsLength(12);
    m_ready->addItem(tr("Add a ready pattern…"));
    for (const MetricPattern::Ready& one : MetricPattern::ready()) {
        m_ready->addItem(fromUtf8(one.title), fromUtf8(one.name));
        m_ready->setItemData(m_ready->count() - 1, fromUtf8(one.name), Qt::ToolTipRole);
    }
    body->addWidget(m_ready);
    m_sample = new QPlainTextEdit(m_body);
    m_sample->setObjectName(QStringLiteral("sampleLinesEdit"));
    m_sample->setAccessibleName(tr("Lines that the script prints"));
    m_sample->setPlaceholderText(tr("Lines that the script prints"));
    m_sample->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_sample->setFont(theme.font(TextStyle::MonoSmall));
    m_sample->setTabChangesFocus(true);
    m_sample->setFixedHeight(theme.scaled(110));
    body->addWidget(m_sample);
    m_error = new InlineError(m_body);
    m_error->setObjectName(QStringLiteral("patternError"));
    m_error->clear();
    body->addWidget(m_error);
    m_summary = new TextLabel({}, TextStyle::Secondary, Role::Muted, m_body);
    m_summary->setObjectName(QStringLiteral("patternSummaryLabel"));
    m_summary->setWordWrap(true);
    body->addWidget(m_summary);
    m_table = new QTableWidget(m_body);
    m_table->setObjectName(QStringLiteral("patternTable"));
    m_table->setColumnCount(4);
    m_table->setHorizontalHeaderLabels({tr("Metric"), tr("Step"), tr("Value"), tr("Line")});
    styleTable(m_table, tr("Metrics found in the lines"));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->horizontalHeader()->setStretchLastSection(false);
    m_table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    const int widths[] = {0, 64, 96, 52};
    for (int i = 1; i < 4; ++i) {
        m_table->setColumnWidth(i, theme.scaled(widths[i]));
        m_table->horizontalHeaderItem(i)->setTextAlignment(Qt::AlignTrailing | Qt::AlignVCenter);
    }
    m_table->setFixedHeight(theme.scaled(180));
    body->addWidget(m_table);
    column->addWidget(m_body);
    m_pause.setSingleShot(true);
    m_pause.setInterval(kTrialPauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &PatternPanel::begin);
    connect(m_toggle, &LinkButton::clicked, this, [this] {
        setOpen(!m_open);
        if (m_open) Q_EMIT opened();
    });
    connect(m_sample, &QPlainTextEdit::textChanged, this, [this] {
        m_pause.start();
        Q_EMIT sampleChanged();
    });
    connect(m_ready, &QComboBox::activated, this, [this](int index) {
        const QString name = m_ready->itemData(index).toString();
        m_ready->setCurrentIndex(0);
        if (name.isEmpty()) return;
        const auto& all = MetricPattern::ready();
        const auto one = std::find_if(all.begin(), all.end(),
                                      [&](const MetricPattern::Ready& r) { return fromUtf8(r.name) == name; });
        if (one != all.end() && m_sample->toPlainText().trimmed().isEmpty()) {
            QStringList lines;
            for (const std::string& line : one->sample) lines << fromUtf8(line);
            setSample(lines.join(u'\n'));
        }
        Q_EMIT patternAdded(name);
    });
    setOpen(false);
}

QString PatternPanel::sample() const { return m_sample->toPlainText(); }

void PatternPanel::setSample(const QString& text) { m_sample->setPlainText(text); }

void PatternPanel::setOpen(bool open) {
    m_open = open;
    m_body->setVisible(open);
    m_toggle->setText(open ? tr("Hide the trial of patterns") : tr("Find metrics in what it prints…"));
    if (open) m_pause.start();
}

void PatternPanel::setPatterns(const std::vector<std::string>& patterns) {
    if (patterns == m_patterns) return;
    m_patterns = patterns;
    m_pause.start();
}

void PatternPanel::begin() {
    commands::Session* session = m_shell.session();
    if (!m_open || !session) return;
    session->query(
        this, QStringLiteral("patterns"),
        [patterns = m_patterns, sample = m_sample->toPlainText().toStdString()](store::Reader&) -> base::Result<Trial> {
            return tryOn(patterns, sample);
        },
        [this](const base::Result<Trial>& trial) {
            if (trial) display(*trial);
        });
}

void PatternPanel::display(const Trial& trial) {
    if (trial.error) {
        m_error->setError(*trial.error);
    } else {
        m_error->clear();
    }
    QStringList said;
    if (m_patterns.empty()) {
        said << tr("There is no pattern yet.");
    } else if (trial.lines == 0) {
        said << tr("Paste lines to see what is found in them.");
    } else {
        said << tr("%n metric(s)", nullptr, static_cast<int>(trial.found.size())) +
                    tr(" in %1 of %2 lines.").arg(trial.linesWithMetrics).arg(trial.lines);
        for (const std::string& one : trial.idle) said << tr("“%1” finds nothing in them.").arg(fromUtf8(one).left(80));
        if (trial.cut) said << tr("Only the first lines were tried.");
    }
    m_summary->setText(said.join(u' '));
    const int rows = std::min(kMostListedMetrics, static_cast<int>(trial.found.size()));
    m_table->setVisible(rows > 0);
    m_table->setRowCount(rows);
    QList<QTextEdit::ExtraSelection> marks;
    const Theme& theme = Theme::current();
    for (std::size_t i = 0; i < trial.found.size(); ++i) {
        const Found& one = trial.found[i];
        if (static_cast<int>(i) < rows) {
            const QString texts[] = {fromUtf8(one.metric.name),
                                     one.metric.step ? formatExact(*one.metric.step) : tr("next"),
                                     formatNumber(one.metric.value), formatExact(one.line + 1)};
            for (int column = 0; column < 4; ++column) {
                auto* item = new QTableWidgetItem(texts[column]);
                item->setToolTip(column == 2 ? exactNumber(one.metric.value) : texts[column]);
                item->setData(NumberRole, column > 0 && (column != 1 || one.metric.step));
                m_table->setItem(static_cast<int>(i), column, item);
            }
        }
        const QTextBlock block = m_sample->document()->findBlockByNumber(one.line);
        if (one.from < 0 || !block.isValid() || one.from + one.length > block.length() - 1) continue;
        QTextEdit::ExtraSelection mark;
        mark.cursor = QTextCursor(block);
        mark.cursor.setPosition(block.position() + one.from);
        mark.cursor.setPosition(block.position() + one.from + one.length, QTextCursor::KeepAnchor);
        mark.format.setBackground(theme.color(Role::AccentSoft));
        mark.format.setForeground(theme.color(Role::Accent));
        marks << mark;
    }
    m_sample->setExtraSelections(marks);
}

}  // namespace trainyard::ui
