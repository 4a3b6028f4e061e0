#include "ui/shell/TargetWatch.h"

#include <algorithm>

#include "ui/forms/JsonRead.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;
using State = targets::Reach::State;

namespace {

constexpr int kWatchMillis = 10'000;
constexpr int kListMillis = 150;

struct Load {
    std::int64_t cores = 0, busy = 0, gpus = 0;
    double gpuPercent = 0;  ///< Sum over the GPUs.
};

Load loadOf(const Json& answer) {
    Load load;
    for (const Json& host : readArray(answer, "hosts")) {
        load.cores += readInteger(host, "cores");
        load.busy += readInteger(host, "cores_busy");
        for (const Json& gpu : readArray(host, "gpus")) {
            ++load.gpus;
            load.gpuPercent += readNumber(gpu, "utilization_percent");
        }
    }
    return load;
}

QString loadText(const Load& load) {
    QStringList parts;
    if (load.cores > 0) parts << TargetWatch::tr("%1 of %2 cores busy").arg(load.busy).arg(load.cores);
    if (load.gpus > 0)
        parts << TargetWatch::tr("GPUs %1 %").arg(qRound(load.gpuPercent / static_cast<double>(load.gpus)));
    return parts.join(QStringLiteral(" · "));
}

QString reachText(const WatchedTarget& target) {
    if (target.disabled) return TargetWatch::tr("disabled");
    switch (target.reach.state) {
    case State::Connected: return TargetWatch::tr("reachable");
    case State::Connecting: return TargetWatch::tr("connecting");
    case State::Unreachable: return TargetWatch::tr("unreachable");
    case State::NeedsAnswer: return TargetWatch::tr("asks you something");
    case State::Unknown: break;
    }
    return TargetWatch::tr("not tried");
}

}  // namespace

TargetSummary summariseTargets(const std::vector<WatchedTarget>& targets) {
    TargetSummary summary;
    if (targets.empty()) return summary;
    int reachable = 0, unreachable = 0, asking = 0;
    Load all;
    QStringList lines;
    for (const WatchedTarget& target : targets) {
        QString line = QStringLiteral("%1: %2").arg(target.name, reachText(target));
        if (!target.disabled) {
            if (target.reach.state == State::Connected) ++reachable;
            if (target.reach.state == State::Unreachable) ++unreachable;
            if (target.reach.state == State::NeedsAnswer) ++asking;
            if (target.reach.state == State::Connected) {
                const Load one = loadOf(target.load);
                all.cores += one.cores;
                all.busy += one.busy;
                all.gpus += one.gpus;
                all.gpuPercent += one.gpuPercent;
                if (const QString text = loadText(one); !text.isEmpty()) line += QStringLiteral(", ") + text;
            }
        }
        if (target.runs > 0) line += TargetWatch::tr(", %n run(s)", nullptr, static_cast<int>(target.runs));
        lines << line;
    }
    QStringList reach;
    if (reachable > 0) reach << TargetWatch::tr("%n target(s) reachable", nullptr, reachable);
    if (unreachable > 0) reach << TargetWatch::tr("%n unreachable", nullptr, unreachable);
    if (asking > 0) reach << TargetWatch::tr("%n asks you something", nullptr, asking);
    if (reach.isEmpty()) reach << TargetWatch::tr("%n target(s)", nullptr, static_cast<int>(targets.size()));
    summary.text = reach.join(QStringLiteral(", "));
    if (const QString load = loadText(all); !load.isEmpty()) summary.text += QStringLiteral(" · ") + load;
    summary.detail = lines.join(u'\n');
    summary.trouble = unreachable > 0 || asking > 0;
    return summary;
}

TargetWatch::TargetWatch(commands::Session& session, QObject* parent) : QObject(parent), m_session(session) {
    m_listPause.setSingleShot(true);
    m_listPause.setInterval(kListMillis);
    connect(&m_listPause, &QTimer::timeout, this, &TargetWatch::readList);
    m_timer.setInterval(kWatchMillis);
    connect(&m_timer, &QTimer::timeout, this, &TargetWatch::readLoads);
    const auto readSoon = [this] { m_listPause.start(); };
    connect(&session, &commands::Session::workspaceOpened, this, readSoon);
    connect(&session, &commands::Session::targetsChanged, this, readSoon);
    connect(&session, &commands::Session::workspaceClosed, this, [this] {
        m_listPause.stop();
        m_targets.clear();
        m_asking.clear();
        Q_EMIT changed();
    });
    connect(&session, &commands::Session::targetReachChanged, this,
            [this](const QString& name, const targets::Reach& reach) {
                for (WatchedTarget& target : m_targets) {
                    if (target.name == name) target.reach = reach;
                }
                Q_EMIT changed();
                if (reach.state == State::Connected) readLoads();
            });
    if (session.isOpen()) readSoon();
}

void TargetWatch::setWatched(bool watched) {
    if (watched == m_timer.isActive()) return;
    if (watched) {
        m_timer.start();
        readLoads();
    } else {
        m_timer.stop();
    }
}

void TargetWatch::readList() {
    if (!m_session.isOpen()) return;
    m_session.start("target.list", Json::object(), this, [this](const Result<Json>& found) {
        if (!found) return;
        std::vector<WatchedTarget> targets;
        for (const Json& one : readArray(*found, "targets")) {
            WatchedTarget target;
            target.name = readString(one, "target");
            if (target.name == u"local") continue;
            target.reach = m_session.reach(target.name.toStdString());
            target.runs = readInteger(one, "runs_active");
            target.disabled = readFlag(one, "disabled");
            const auto before = std::find_if(m_targets.begin(), m_targets.end(), [&target](const WatchedTarget& known) {
                return known.name == target.name;
            });
            if (before != m_targets.end()) target.load = before->load;
            targets.push_back(std::move(target));
        }
        m_targets = std::move(targets);
        Q_EMIT changed();
        readLoads();
    });
}

void TargetWatch::readLoads() {
    if (!m_timer.isActive() || !m_session.isOpen()) return;
    for (const WatchedTarget& target : m_targets) {
        if (target.disabled || target.reach.state != State::Connected || m_asking.value(target.name)) continue;
        const QString name = target.name;
        commands::Command* command = m_session.start("target.load", {{"target", name.toStdString()}});
        m_asking.insert(name, command);
        connect(command, &commands::Command::finished, this, [this, name](const Result<Json>& load) {
            m_asking.remove(name);
            for (WatchedTarget& known : m_targets) {
                if (known.name == name) known.load = load ? *load : Json();
            }
            Q_EMIT changed();
        });
    }
}

}  // namespace trainyard::ui
