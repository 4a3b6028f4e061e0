#include "ui/home/HomePage.h"

#include <QBoxLayout>
#include <QLocale>
#include <QProgressBar>
#include <QResizeEvent>
#include <QScrollArea>
#include <algorithm>

#include "core/base/Files.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/home/RunLine.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunActions.h"
#include "ui/runs/RunCharts.h"
#include "ui/runs/RunRef.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/targets/ReachLook.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Result;

namespace {

constexpr int kRecentRuns = 10;
constexpr int kLiveRuns = 4;
constexpr int kReadMillis = 200;
constexpr int kMachineMillis = 2000;
constexpr int kSideFrom = 900;
constexpr std::int64_t kFewRuns = 3;  ///< They leave room for more about the newest.

QProgressBar* makeMeter(const QString& name, QWidget* parent) {
    auto* bar = new QProgressBar(parent);
    bar->setRange(0, 1000);
    bar->setTextVisible(false);
    bar->setFixedHeight(6);
    bar->setAccessibleName(name);
    return bar;
}

}  // namespace

HomePage::HomePage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("home"), parent), m_shell(shell), m_actions(new RunActions(shell, this)) {
    const Theme& theme = Theme::current();
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);

    m_empty = new EmptyState(
        QStringLiteral("play"), tr("Train your first model"),
        tr("The sample teaches a small network to tell ten kinds of clothes apart, on 60,000 real pictures, in a "
           "few minutes on this machine."),
        this);
    QPushButton* sample = m_empty->addPrimary(tr("Train the sample"), QStringLiteral("play"));
    sample->setObjectName(QStringLiteral("trainSampleButton"));
    connect(sample, &QPushButton::clicked, m_actions, &RunActions::trainSample);
    QPushButton* form = m_empty->addSecondary(tr("Look at its settings"), QStringLiteral("settings"));
    form->setObjectName(QStringLiteral("sampleFormButton"));
    connect(form, &QPushButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("new"), {}, QStringLiteral("sample")});
    });
    QPushButton* own = m_empty->addSecondary(tr("Use your own pictures"), QStringLiteral("data"));
    own->setObjectName(QStringLiteral("ownPicturesButton"));
    connect(own, &QPushButton::clicked, this, [this] {
        m_shell.open({QStringLiteral("data"), {}, QStringLiteral("add")});
    });
    m_empty->hide();
    outer->addWidget(m_empty, 1);

    auto* content = new QWidget(this);
    m_columns = new QBoxLayout(QBoxLayout::LeftToRight, content);
    m_columns->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(4));
    m_columns->setSpacing(theme.space(3));
    m_main = new QWidget(content);
    auto* column = new QVBoxLayout(m_main);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(2));
    m_liveTitle = new SectionTitle(tr("Running now"), m_main);
    column->addWidget(m_liveTitle);
    m_liveLayout = new QVBoxLayout;
    m_liveLayout->setSpacing(theme.space(2));
    column->addLayout(m_liveLayout);
    m_recentCard = new Card(tr("Recent runs"), m_main);
    auto* all = new LinkButton(tr("All runs"), m_recentCard);
    connect(all, &LinkButton::clicked, this, [this] { m_shell.open({QStringLiteral("runs")}); });
    m_recentCard->trailing()->addWidget(all);
    m_recentLayout = new QVBoxLayout;
    m_recentLayout->setSpacing(0);
    m_recentCard->body()->addLayout(m_recentLayout);
    column->addWidget(m_recentCard);
    buildNext();
    column->addWidget(m_next);
    column->addStretch(1);
    m_side = new QWidget(content);
    buildSide();
    m_columns->addWidget(m_main, 3);
    m_columns->addWidget(m_side, 1);
    m_full = makeScrollPage(content, 1500, this);
    m_full->hide();
    outer->addWidget(m_full, 1);

    auto* create = new QAction(icon(QStringLiteral("plus"), Role::AccentText), tr("New run"), this);
    create->setObjectName(QStringLiteral("newRunAction"));
    connect(create, &QAction::triggered, this, [this] { m_shell.open({QStringLiteral("new")}); });
    setPrimaryAction(create);

    m_soon.setSingleShot(true);
    m_soon.setInterval(kReadMillis);
    connect(&m_soon, &QTimer::timeout, this, &HomePage::read);
    m_clock.setInterval(kMachineMillis);
    connect(&m_clock, &QTimer::timeout, this, &HomePage::showMachine);
    connect(shell.session(), &commands::Session::targetsChanged, this, [this] {
        if (m_active) readTargets();
    });
    connect(shell.session(), &commands::Session::targetReachChanged, this, [this] {
        if (m_active) showTargets();
    });
    connect(shell.session(), &commands::Session::runsChanged, this, [this] {
        if (m_active && !m_soon.isActive()) m_soon.start();
    });
}

void HomePage::buildNext() {
    m_next = new Card(tr("What next"), m_main);
    const auto step = [this](const char* object, const QString& title, const QString& why, auto go) {
        auto* line = new QWidget(m_next);
        auto* layout = new QHBoxLayout(line);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->setSpacing(Theme::current().space(2));
        auto* link = new LinkButton(title, line);
        link->setObjectName(QString::fromLatin1(object));
        layout->addWidget(link);
        layout->addWidget(new ElidedLabel(why, TextStyle::Secondary, Role::Muted, line), 1);
        connect(link, &LinkButton::clicked, this, go);
        m_next->body()->addWidget(line);
        return line;
    };
    m_tryNext =
        step("tryNextLink", tr("Try the model"), tr("show it a picture of yours, and see its worst mistakes"), [this] {
            m_shell.open({QStringLiteral("try"), {QStringLiteral("run:") + QString::number(m_newestNumber)}});
        });
    m_againNext = step(
        "againNextLink", tr("Change one thing"), tr("the newest run's settings, to train again and compare"), [this] {
            m_shell.open({QStringLiteral("new"), {}, QStringLiteral("from=") + fromUtf8(m_newest.str())});
        });
    step("ownNextLink", tr("Use your own pictures"), tr("a folder for each class, or an archive of them"), [this] {
        m_shell.open({QStringLiteral("data"), {}, QStringLiteral("add")});
    });
    m_next->hide();
}

void HomePage::readTargets() {
    m_shell.session()->start("target.list", base::Json::object(), this, [this](const Result<base::Json>& list) {
        if (!list) return;
        m_targets = readArray(*list, "targets");
        showTargets();
    });
}

void HomePage::showTargets() {
    while (QLayoutItem* item = m_targetsLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    for (const base::Json& one : m_targets) {
        const QString name = readString(one, "target");
        if (name == u"local") continue;
        auto* line = new QWidget(m_targetsCard);
        auto* layout = new QHBoxLayout(line);
        layout->setContentsMargins(0, 0, 0, 0);
        auto* open = new LinkButton(fontMetrics().elidedText(name, Qt::ElideRight, 150), line);
        open->setToolTip(name);
        open->setAccessibleName(tr("Open the target %1").arg(name));
        connect(open, &LinkButton::clicked, this, [this, name] { m_shell.open({QStringLiteral("targets"), {name}}); });
        const ReachLook look =
            lookOfReach(m_shell.session()->reach(name.toStdString()).state, readFlag(one, "disabled"));
        const int active = static_cast<int>(readInteger(one, "runs_active"));
        auto* state = new ElidedLabel(active > 0 ? tr("%1, %n run(s)", nullptr, active).arg(look.word) : look.word,
                                      TextStyle::Secondary, look.ink, line);
        layout->addWidget(open);
        layout->addWidget(state, 1);
        m_targetsLayout->addWidget(line);
    }
    m_targetsCard->setVisible(m_targetsLayout->count() > 0);
}

void HomePage::buildSide() {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(m_side);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(2));
    auto* machine = new Card(tr("This machine"), m_side);
    machine->body()->setSpacing(theme.space(0));
    const auto meter = [&](const QString& name, QProgressBar*& bar, TextLabel*& text) {
        text = new TextLabel({}, TextStyle::Secondary, Role::Text, machine);
        bar = makeMeter(name, machine);
        machine->body()->addWidget(text);
        machine->body()->addWidget(bar);
        machine->body()->addSpacing(theme.space(1));
    };
    meter(tr("Load of the cores"), m_load, m_loadText);
    meter(tr("Memory in use"), m_memory, m_memoryText);
    meter(tr("Disk in use"), m_disk, m_diskText);
    column->addWidget(machine);
    m_targetsCard = new Card(tr("Other targets"), m_side);
    auto* manage = new LinkButton(tr("All targets"), m_targetsCard);
    connect(manage, &LinkButton::clicked, this, [this] { m_shell.open({QStringLiteral("targets")}); });
    m_targetsCard->trailing()->addWidget(manage);
    m_targetsLayout = new QVBoxLayout;
    m_targetsLayout->setSpacing(theme.space(0));
    m_targetsCard->body()->addLayout(m_targetsLayout);
    m_targetsCard->hide();
    column->addWidget(m_targetsCard);
    auto* history = new Card(tr("History"), m_side);
    m_counts = new TextLabel({}, TextStyle::Secondary, Role::Text, history);
    m_counts->setWordWrap(true);
    history->body()->addWidget(m_counts);
    column->addWidget(history);
    column->addStretch(1);
    showMachine();
}

QString HomePage::subtitle() const {
    commands::Session* session = m_shell.session();
    return session && session->isOpen() ? fromUtf8(session->workspace().name) : QString();
}

void HomePage::activated() {
    m_active = true;
    m_clock.start();
    showMachine();
    readTargets();
    read();
}

void HomePage::deactivated() {
    m_active = false;
    m_clock.stop();
}

void HomePage::resizeEvent(QResizeEvent* event) {
    Page::resizeEvent(event);
    arrange();
}

void HomePage::arrange() {
    m_columns->setDirection(width() >= kSideFrom ? QBoxLayout::LeftToRight : QBoxLayout::TopToBottom);
}

Result<HomePage::Overview> HomePage::readOverview(store::Reader& reader) {
    Overview overview;
    auto counts = reader.counts();
    if (!counts) return counts.error();
    overview.counts = *counts;
    store::RunQuery query;
    query.filter = "-state:completed -state:failed -state:canceled -state:lost";
    query.limit = kLiveRuns;
    auto active = reader.listRuns(query);
    if (!active) return active.error();
    overview.active = std::move(active->rows);
    std::stable_sort(
        overview.active.begin(), overview.active.end(),
        [](const store::RunRow& a, const store::RunRow& b) { return a.startedAt != 0 && b.startedAt == 0; });
    query.filter.clear();
    query.limit = kRecentRuns;
    auto recent = reader.listRuns(query);
    if (!recent) return recent.error();
    overview.recent = std::move(recent->rows);
    overview.newest = overview.active.empty() && !overview.recent.empty() && overview.counts.all <= kFewRuns;
    if (overview.newest) overview.active = {overview.recent.front()};
    store::ChartRequest request;
    request.pixels = 48;
    for (const store::RunRow& row : overview.recent) {
        // A validation with two points says little; the training curve then tells more.
        const store::MetricSummary* metric = headMetric(row);
        if (metric && metric->count < 3) {
            if (const auto* training = metricOf(row, "train/accuracy")) metric = training;
        }
        if (!metric) continue;
        store::ChartCurve curve;
        curve.run = row.id;
        curve.name = metric->name;
        curve.rank = metric->rank;
        request.curves.push_back(std::move(curve));
    }
    auto chart = reader.chart(request);
    if (!chart) return chart.error();
    for (const store::ChartSeries& series : chart->series) {
        QList<double>& values = overview.sparks[series.run];
        for (const double value : series.mean) values << value;
    }
    return overview;
}

void HomePage::read() {
    if (m_reading) {
        m_readAgain = true;
        return;
    }
    m_reading = true;
    m_shell.session()->query(this, QStringLiteral("home"), &HomePage::readOverview, [this](Result<Overview> overview) {
        m_reading = false;
        if (overview) take(*overview);
        if (std::exchange(m_readAgain, false)) m_soon.start();
    });
}

void HomePage::take(const Overview& overview) {
    const bool none = overview.counts.all == 0;
    m_empty->setVisible(none);
    m_full->setVisible(!none);
    showLive(overview);
    showRecent(overview);
    showNext(overview);
    const store::Counts& c = overview.counts;
    QStringList parts{tr("%n run(s)", nullptr, static_cast<int>(c.all))};
    if (c.running > 0) parts << tr("%1 running").arg(c.running);
    if (c.queued + c.preparing > 0) parts << tr("%1 waiting").arg(c.queued + c.preparing);
    parts << tr("%1 completed").arg(c.completed);
    if (c.failed > 0) parts << tr("%1 failed").arg(c.failed);
    if (c.canceled > 0) parts << tr("%1 canceled").arg(c.canceled);
    if (c.lost > 0) parts << tr("%1 lost").arg(c.lost);
    m_counts->setText(parts.join(QStringLiteral("\n")));
    Q_EMIT titleChanged();
}

void HomePage::showNext(const Overview& overview) {
    m_next->setVisible(overview.newest);
    if (!overview.newest) return;
    const store::RunRow& row = overview.recent.front();
    m_newest = row.id;
    m_newestNumber = row.number;
    m_tryNext->setVisible(row.state == spec::RunState::Completed && row.taskKind == "train");
}

void HomePage::showLive(const Overview& overview) {
    const std::vector<store::RunRow>& rows = overview.active;
    m_liveTitle->setVisible(!rows.empty());
    m_liveTitle->setText(overview.newest ? tr("Newest run") : tr("Running now"));
    for (auto it = m_live.begin(); it != m_live.end();) {
        const bool stays = std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.id == it->first; });
        if (stays) {
            ++it;
            continue;
        }
        it->second.card->hide();
        it->second.card->deleteLater();
        it = m_live.erase(it);
    }
    for (const store::RunRow& row : rows) {
        LiveCard& live = m_live[row.id];
        if (!live.card) {
            live.card = new Card(m_main);
            live.line = new RunLine(live.card);
            live.line->setPlain(true);
            live.bar = makeMeter(tr("Progress"), live.card);
            live.text = new ElidedLabel({}, TextStyle::Secondary, Role::Muted, live.card);
            live.charts = new RunCharts(*m_shell.session(), RunCharts::Extent::HeadlinesOnly, live.card);
            live.charts->setCompact(true);
            live.charts->setColumns(2);
            live.charts->setWaiting(tr("Waiting for the first steps…"));
            live.card->body()->addWidget(live.line);
            live.card->body()->addWidget(live.bar);
            live.card->body()->addWidget(live.text);
            live.card->body()->addWidget(live.charts);
            connect(live.line, &RunLine::opened, this, [this](const base::RunId& run) {
                m_shell.open({QStringLiteral("run"), {fromUtf8(run.str())}});
            });
            m_liveLayout->addWidget(live.card);
        }
        live.line->setRun(row, {});
        live.charts->setRuns({refOf(row)});
        live.charts->setVisible(!row.metrics.empty());
        const std::optional<double> fraction = fractionOf(row);
        live.bar->setValue(fraction ? static_cast<int>(*fraction * 1000) : 0);
        const bool over = spec::isFinal(row.state);
        QString text = row.progress && !over ? progressText(*row.progress) : fromUtf8(row.stateReason);
        if (row.state == spec::RunState::Running && row.progress && row.progress->etaNanos > 0)
            text += QStringLiteral(" · ") + tr("%1 left").arg(formatDuration(row.progress->etaNanos));
        live.text->setText(text);
        live.text->setVisible(!text.isEmpty());
        live.bar->setVisible(row.startedAt != 0 && !over);
    }
}

void HomePage::showRecent(const Overview& overview) {
    while (m_recent.size() > overview.recent.size()) {
        m_recent.back()->hide();
        m_recent.back()->deleteLater();
        m_recent.pop_back();
    }
    for (std::size_t i = 0; i < overview.recent.size(); ++i) {
        if (i == m_recent.size()) {
            auto* line = new RunLine(m_recentCard);
            connect(line, &RunLine::opened, this, [this](const base::RunId& run) {
                m_shell.open({QStringLiteral("run"), {fromUtf8(run.str())}});
            });
            m_recentLayout->addWidget(line);
            m_recent.push_back(line);
        }
        const store::RunRow& row = overview.recent[i];
        const auto spark = overview.sparks.find(row.id);
        m_recent[i]->setRun(row, spark == overview.sparks.end() ? QList<double>() : spark->second);
    }
}

void HomePage::showMachine() {
    const MachineFacts facts = machineFacts();
    const double load = facts.cores > 0 ? facts.load / facts.cores : 0;
    m_load->setValue(static_cast<int>(std::clamp(load, 0.0, 1.0) * 1000));
    m_loadText->setText(tr("%n core(s), load %1", nullptr, facts.cores).arg(QLocale().toString(facts.load, 'f', 1)));
    const std::int64_t used = facts.memoryBytes - facts.memoryFreeBytes;
    m_memory->setValue(facts.memoryBytes > 0 ? static_cast<int>(1000 * used / facts.memoryBytes) : 0);
    m_memoryText->setText(tr("Memory: %1 of %2").arg(formatBytes(used), formatBytes(facts.memoryBytes)));
    commands::Session* session = m_shell.session();
    if (!session || !session->isOpen()) return;
    if (const auto disk = base::diskSpace(session->workspace().layout.root)) {
        const std::int64_t taken = disk->totalBytes - disk->freeBytes;
        m_disk->setValue(disk->totalBytes > 0 ? static_cast<int>(1000.0 * static_cast<double>(taken) /
                                                                 static_cast<double>(disk->totalBytes))
                                              : 0);
        m_diskText->setText(tr("Disk: %1 free of %2").arg(formatBytes(disk->freeBytes), formatBytes(disk->totalBytes)));
    }
}

}  // namespace trainyard::ui
