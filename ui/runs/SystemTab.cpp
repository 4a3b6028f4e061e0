#include "ui/runs/SystemTab.h"

#include <QComboBox>
#include <QScrollArea>
#include <QVBoxLayout>
#include <algorithm>
#include <map>

#include "ui/runs/RunCharts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

namespace {
/// More nodes than this are looked at one at a time.
constexpr std::size_t kMostBlocks = 4;
}  // namespace

SystemTab::SystemTab(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    m_column = new QVBoxLayout(content);
    m_column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    m_column->setSpacing(theme.space(2));
    m_node = new QComboBox(content);
    m_node->setObjectName(QStringLiteral("systemNodeCombo"));
    m_node->setAccessibleName(tr("Node"));
    m_node->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_node->hide();
    m_column->addWidget(m_node, 0, Qt::AlignLeft);
    m_column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1800, this));
    connect(m_node, &QComboBox::activated, this, &SystemTab::arrange);
    m_blocks.push_back(makeBlock());
}

SystemTab::Block SystemTab::makeBlock() {
    auto* widget = new QWidget(m_node->parentWidget());
    auto* column = new QVBoxLayout(widget);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    auto* title = new ElidedLabel({}, TextStyle::Section, Role::Text, widget);
    title->setObjectName(QStringLiteral("systemNodeTitle"));
    auto* charts = new RunCharts(m_session, RunCharts::Extent::System, widget);
    charts->setXAxis(XAxis::RelativeTime);
    column->addWidget(title);
    column->addWidget(charts);
    m_column->insertWidget(m_column->count() - 1, widget);
    return {widget, title, charts};
}

void SystemTab::setDetail(const RunDetail& detail, int attempt) {
    m_row = detail.row;
    m_nodes = detail.attempts;
    m_attempt = attempt;
    arrange();
}

void SystemTab::arrange() {
    const int wanted = m_attempt > 0 ? m_attempt : m_row.attempts;
    std::map<int, QString> nodes;
    for (const store::AttemptRow& one : m_nodes) {
        if (one.attempt == wanted)
            nodes[one.node] = one.host.empty() ? tr("Node %1").arg(one.node)
                                               : tr("Node %1 · %2").arg(one.node).arg(fromUtf8(one.host));
    }
    const bool chooser = nodes.size() > kMostBlocks;
    m_node->setVisible(chooser);
    if (chooser) {
        if (m_node->count() != static_cast<int>(nodes.size())) {
            const QVariant before = m_node->currentData();
            m_node->clear();
            for (const auto& [node, title] : nodes) m_node->addItem(title, node);
            m_node->setCurrentIndex(std::max(0, m_node->findData(before)));
        }
        const int chosen = m_node->currentData().toInt();
        std::erase_if(nodes, [chosen](const auto& one) { return one.first != chosen; });
    }
    const std::size_t shown = std::max<std::size_t>(1, nodes.size());
    while (m_blocks.size() < shown) m_blocks.push_back(makeBlock());
    const QString waiting =
        spec::isFinal(m_row.state) ? tr("Nothing was measured.") : tr("Measured once the run is there.");
    auto node = nodes.begin();
    for (std::size_t i = 0; i < m_blocks.size(); ++i) {
        const Block& block = m_blocks[i];
        block.widget->setVisible(i < shown);
        if (i >= shown) {
            block.charts->setRuns({});
            continue;
        }
        block.title->setVisible(nodes.size() > 1);
        if (node != nodes.end()) block.title->setText(node->second);
        block.charts->setPart(node != nodes.end() ? std::optional(node->first) : std::nullopt,
                              m_attempt > 0 ? std::optional(m_attempt) : std::nullopt);
        block.charts->setRuns({refOf(m_row)});
        block.charts->setWaiting(waiting);
        if (node != nodes.end()) ++node;
    }
}

base::Json SystemTab::saveState() const { return m_blocks.front().charts->saveState(); }

}  // namespace trainyard::ui
