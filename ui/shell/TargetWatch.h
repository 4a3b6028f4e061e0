#pragma once
#include <QHash>
#include <QObject>
#include <QPointer>
#include <QTimer>
#include <vector>

#include "core/base/Json.h"
#include "core/commands/Command.h"
#include "core/commands/Session.h"

namespace trainyard::ui {

/// A target beside this machine, as far as the foot of the window tells of it.
struct WatchedTarget {
    QString name;
    targets::Reach reach;
    base::Json load;  ///< The last answer of target.load; null while none is known.
    std::int64_t runs = 0;
    bool disabled = false;
};

struct TargetSummary {
    QString text;    ///< "2 reachable, 1 unreachable · 12 of 48 cores busy · GPUs 43 %"; empty without targets.
    QString detail;  ///< A line a target.
    bool trouble = false;
};
[[nodiscard]] TargetSummary summariseTargets(const std::vector<WatchedTarget>& targets);

/// Follows the open workspace's targets: whether they answer, and how busy those are that are connected. Looking never
/// connects. GUI thread.
class TargetWatch : public QObject {
    Q_OBJECT
public:
    TargetWatch(commands::Session& session, QObject* parent);
    [[nodiscard]] const std::vector<WatchedTarget>& targets() const { return m_targets; }
    /// Whether anybody looks; loads are asked for only then.
    void setWatched(bool watched);

Q_SIGNALS:
    void changed();

private:
    void readList();
    void readLoads();

    commands::Session& m_session;
    std::vector<WatchedTarget> m_targets;
    QHash<QString, QPointer<commands::Command>> m_asking;
    QTimer m_timer;
    QTimer m_listPause;
};

}  // namespace trainyard::ui
