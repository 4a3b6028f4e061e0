#include "ui/runs/LogTab.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QVBoxLayout>
#include <map>
#include <set>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/runs/LogView.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {
/// All, standard output, standard error, agent.
constexpr int kFixedSources = 4;
constexpr int kMostSources = 200;
constexpr int kWidestSource = 260;
}  // namespace

LogTab::LogTab(commands::Session& session, QWidget* parent)
    : QWidget(parent), m_session(session), m_view(new LogView(session, this)) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(2));
    column->setSpacing(theme.space(1));
    auto* bar = new QWidget(this);
    auto* flow = new FlowLayout(bar, theme.space(1), theme.space(0));

    const auto combo = [bar, flow](const QString& name, const QString& object) {
        auto* made = new QComboBox(bar);
        made->setAccessibleName(name);
        made->setToolTip(name);
        made->setObjectName(object);
        made->setSizeAdjustPolicy(QComboBox::AdjustToContents);
        flow->addWidget(made);
        return made;
    };
    m_node = combo(tr("Node"), QStringLiteral("logNodeCombo"));
    m_rank = combo(tr("Rank"), QStringLiteral("logRankCombo"));
    m_source = combo(tr("Source"), QStringLiteral("logSourceCombo"));
    m_source->addItem(tr("All sources"), QString());
    m_source->addItem(tr("Standard output"), QStringLiteral("stdout"));
    m_source->addItem(tr("Standard error"), QStringLiteral("stderr"));
    m_source->addItem(tr("Agent"), QStringLiteral("agent"));

    m_search = new SearchField(tr("Search the log"), bar);
    m_search->lineEdit()->setAccessibleName(tr("Search the log"));
    m_search->lineEdit()->setObjectName(QStringLiteral("logSearchLine"));
    m_search->setMinimumWidth(220);
    flow->addWidget(m_search);
    m_previous = new IconButton(QStringLiteral("chevron-up"), tr("Previous match (Shift+F3)"), bar);
    m_next = new IconButton(QStringLiteral("chevron-down"), tr("Next match (F3)"), bar);
    m_next->setObjectName(QStringLiteral("logNextButton"));
    flow->addWidget(m_previous);
    flow->addWidget(m_next);
    const auto check = [bar, flow](const QString& text) {
        auto* box = new QCheckBox(text, bar);
        box->setMinimumHeight(Theme::current().controlHeight());
        flow->addWidget(box);
        return box;
    };
    m_regex = check(tr("Regular expression"));
    m_times = check(tr("Times"));
    m_follow = check(tr("Follow"));
    m_follow->setObjectName(QStringLiteral("logFollowBox"));
    m_follow->setChecked(true);
    m_found = new TextLabel({}, TextStyle::Secondary, Role::Muted, bar);
    m_found->setObjectName(QStringLiteral("logFoundLabel"));
    flow->addWidget(m_found);
    column->addWidget(bar);
    column->addWidget(m_view, 1);
    m_count = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    column->addWidget(m_count);

    connect(m_rank, &QComboBox::activated, this, &LogTab::applyFilter);
    connect(m_source, &QComboBox::activated, this, &LogTab::applyFilter);
    // Offered only where there are any.
    connect(m_view, &LogView::sourceSeen, this, [this](const QString& source) {
        if (source == u"environment" && m_source->findData(source) < 0)
            m_source->addItem(tr("Environment's build"), source);
        if (source.startsWith(u"logs/") && m_source->findData(source) < 0) offerFiles({source});
    });
    connect(m_node, &QComboBox::activated, this, &LogTab::applyFilter);
    connect(m_follow, &QCheckBox::clicked, m_view, &LogView::setFollow);
    connect(m_times, &QCheckBox::clicked, m_view, &LogView::setShowTime);
    connect(m_view, &LogView::followChanged, m_follow, &QCheckBox::setChecked);
    connect(m_search, &SearchField::edited, this, [this] { find(false); });
    connect(m_search->lineEdit(), &QLineEdit::returnPressed, this, [this] { find(false); });
    connect(m_next, &IconButton::clicked, this, [this] { find(false); });
    connect(m_previous, &IconButton::clicked, this, [this] { find(true); });
    connect(m_regex, &QCheckBox::toggled, this, [this] { find(false); });
    connect(m_view, &LogView::searched, this, [this](const QString& text, bool found) {
        m_found->setLook(TextStyle::Secondary, found ? Role::Muted : Role::Danger);
        m_found->setText(text);
        m_found->adjustSize();
        m_found->parentWidget()->layout()->invalidate();
    });
    connect(m_view, &LogView::copied, this,
            [this](int lines) { m_found->setText(tr("%n line(s) copied", nullptr, lines)); });
    connect(m_view, &LogView::failed, this, [this](const QString& text) { m_count->setText(text); });
    connect(m_view, &LogView::totalChanged, this,
            [this](qlonglong total) { m_count->setText(tr("%1 lines").arg(formatExact(total))); });
}

void LogTab::setDetail(const RunDetail& detail, int attempt) {
    const bool other = detail.row.id != m_run;
    const bool otherAttempt = attempt != m_attempt;
    m_run = detail.row.id;
    m_attempt = attempt;
    m_view->setLive(!spec::isFinal(detail.row.state));
    const int wanted = attempt > 0 ? attempt : detail.row.attempts;
    std::set<int> ranks;
    for (const store::RankRow& rank : detail.ranks) {
        if (rank.attempt == wanted) ranks.insert(rank.rank);
    }
    std::map<int, QString> nodes;
    for (const store::AttemptRow& one : detail.attempts) {
        if (one.attempt == wanted)
            nodes[one.node] = one.host.empty() ? tr("Node %1").arg(one.node)
                                               : tr("Node %1 · %2").arg(one.node).arg(fromUtf8(one.host));
    }
    QString offered = QString::number(wanted);
    for (const int rank : ranks) offered += u'/' + QString::number(rank);
    for (const auto& [node, title] : nodes) offered += u'/' + title;
    if (other || offered != m_offered) {
        m_offered = offered;
        const QVariant rankBefore = other ? QVariant() : m_rank->currentData();
        m_rank->clear();
        m_rank->addItem(tr("All ranks"));
        for (const int rank : ranks) m_rank->addItem(tr("Rank %1").arg(rank), rank);
        m_rank->setCurrentIndex(std::max(0, m_rank->findData(rankBefore)));
        m_rank->setVisible(ranks.size() > 1);
        const QVariant nodeBefore = other ? QVariant() : m_node->currentData();
        m_node->clear();
        m_node->addItem(tr("All nodes"));
        for (const auto& [node, title] : nodes) m_node->addItem(title, node);
        m_node->setCurrentIndex(std::max(0, m_node->findData(nodeBefore)));
        m_node->setVisible(nodes.size() > 1);
        m_view->setSeveralNodes(nodes.size() > 1);
    }
    if (other) {
        while (m_source->count() > kFixedSources) m_source->removeItem(kFixedSources);
        m_view->setRun(m_run);
        const bool live = !spec::isFinal(detail.row.state);
        m_view->setFollow(live);
        m_follow->setChecked(live);
    }
    if (!other && !otherAttempt) return;
    applyFilter();
    if (isVisible()) readFiles();
}

void LogTab::refresh() { m_view->refresh(); }

void LogTab::offerFiles(const QStringList& files) {
    if (files.isEmpty()) return;
    const QString all = QStringLiteral("logs");
    if (m_source->findData(all) < 0) m_source->addItem(tr("Files under logs/"), all);
    for (const QString& file : files) {
        if (m_source->findData(file) >= 0 || m_source->count() >= kMostSources) continue;
        m_source->addItem(
            m_source->fontMetrics().elidedText(file, Qt::ElideMiddle, Theme::current().scaled(kWidestSource)), file);
        m_source->setItemData(m_source->count() - 1, file, Qt::ToolTipRole);
    }
}

void LogTab::readFiles() {
    m_session.query(
        this, QStringLiteral("log.files"),
        [run = m_run, attempt = m_attempt](store::Reader& reader) { return reader.logFiles(run, attempt); },
        [this, run = m_run](const base::Result<std::vector<std::string>>& files) {
            if (!files || run != m_run) return;
            QStringList names;
            for (const std::string& file : *files) names << fromUtf8(file);
            offerFiles(names);
        });
}

void LogTab::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    readFiles();
}

void LogTab::showRank(int rank) {
    m_rank->setCurrentIndex(std::max(0, rank < 0 ? 0 : m_rank->findData(rank)));
    m_node->setCurrentIndex(0);
    applyFilter();
}

void LogTab::applyFilter() {
    store::LogFilter filter;
    filter.attempt = m_attempt;
    if (m_node->currentIndex() > 0) filter.node = m_node->currentData().toInt();
    if (m_rank->currentIndex() > 0) filter.rank = m_rank->currentData().toInt();
    filter.out = m_source->currentData().toString().toStdString();
    m_view->setFilter(filter);
}

void LogTab::find(bool backward) {
    // With nothing to look for yet, that is typed next.
    if (m_search->text().isEmpty()) m_search->lineEdit()->setFocus(Qt::ShortcutFocusReason);
    m_view->find(m_search->text(), m_regex->isChecked(), backward);
}

void LogTab::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_F3) return find(event->modifiers().testFlag(Qt::ShiftModifier));
    if (event->matches(QKeySequence::Find)) {
        m_search->lineEdit()->setFocus(Qt::ShortcutFocusReason);
        m_search->lineEdit()->selectAll();
        return;
    }
    QWidget::keyPressEvent(event);
}

}  // namespace trainyard::ui
