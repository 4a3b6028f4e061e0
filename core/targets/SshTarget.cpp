#include "core/targets/SshTarget.h"

#include <QPointer>
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "core/base/Clock.h"
#include "core/targets/EngineBuild.h"
#include "core/targets/HostCalls.h"
#include "core/targets/SshDoctor.h"
#include "core/targets/SshFollow.h"
#include "core/targets/SshLaunch.h"
#include "core/targets/SshPlaces.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kConnectSlackSeconds = 2;

/// "node-<i>/rest" names the outputs of another node than the first, where each has a work folder of its own.
struct NodePath {
    std::size_t node = 0;
    std::string path;
};

NodePath nodePath(const std::string& path, std::size_t nodes) {
    std::size_t node = 0;
    const auto slash = path.find('/');
    if (path.starts_with("node-") && slash != std::string::npos) {
        const auto parsed = std::from_chars(path.data() + 5, path.data() + slash, node);
        if (parsed.ec == std::errc{} && parsed.ptr == path.data() + slash && node > 0 && node < nodes) {
            return {node, path.substr(slash + 1)};
        }
    }
    return {0, path};
}

/// The first error among the answers of hosts.
template <class T>
std::optional<base::Error> firstError(const std::vector<std::pair<std::size_t, Result<T>>>& answers) {
    for (const auto& [host, answer] : answers) {
        if (!answer.ok()) {
            return answer.error();
        }
    }
    return std::nullopt;
}

template <class T>
std::optional<base::Error> firstError(const std::vector<Result<T>>& answers) {
    for (const Result<T>& answer : answers) {
        if (!answer.ok()) {
            return answer.error();
        }
    }
    return std::nullopt;
}

/// The first error where no host gave anything else: of what some have, those tell that can be reached.
template <class T>
std::optional<base::Error> errorOfAll(const std::vector<Result<T>>& answers) {
    const bool any = std::any_of(answers.begin(), answers.end(), [](const Result<T>& answer) { return answer.ok(); });
    return any ? std::nullopt : firstError(answers);
}

/// Finds the run's hosts, then fetches from one after another; what lies on one that does not answer is left.
class SshFetch final : public Operation {
public:
    SshFetch(std::shared_ptr<SshTarget::Shared> shared, RunId run, std::vector<OutputFile> files, base::Path into,
             std::function<void(std::int64_t)> onProgress, Done<FetchReport> done)
        : m_shared(std::move(shared)), m_run(std::move(run)), m_files(std::move(files)), m_into(std::move(into)),
          m_onProgress(std::move(onProgress)), m_done(std::move(done)) {
        m_step = findPlaces(
            m_shared, m_run, Deadline::inMillis(60'000), [this](const Result<std::vector<std::size_t>>& places) {
                if (!places.ok()) {
                    end(places.error());
                    return;
                }
                m_places = *places;
                m_byNode.resize(m_places.size());
                for (const OutputFile& file : m_files) {
                    NodePath at = m_shared->spec.shared ? NodePath{0, file.path} : nodePath(file.path, m_places.size());
                    m_byNode[at.node].push_back({at.path, file.size, file.sha256});
                }
                nextNode();
            });
    }

private:
    void nextNode() {
        while (m_node < m_byNode.size() && m_byNode[m_node].empty()) {
            ++m_node;
        }
        if (m_node >= m_byNode.size()) {
            if (!m_anyHost && !m_report.silent.empty()) {
                end(m_report.silent.front().error);
            } else {
                end(std::move(m_report));
            }
            return;
        }
        const std::string prefix = m_node == 0 ? "" : "node-" + std::to_string(m_node);
        // Files wait patiently for a cut to end; whether it has is found out first.
        const auto patience = Deadline::inMillis((m_shared->spec.connectSeconds + kConnectSlackSeconds) * 1000);
        m_step = m_shared->hosts[hostNow()]->connect(patience, [this, prefix](const Status& connected) {
            if (connected.ok()) {
                fetchNode(prefix);
            } else {
                leave(prefix, connected.error());
            }
        });
    }

    void fetchNode(const std::string& prefix) {
        m_step = targets::fetchOutputs(
            *m_shared->hosts[hostNow()], m_run, m_byNode[m_node], prefix.empty() ? m_into : m_into / prefix,
            [this](std::int64_t bytes) {
                if (m_onProgress) {
                    m_onProgress(m_bytes + bytes);
                }
            },
            [this, prefix](const Result<FetchReport>& report) {
                if (!report.ok() && mayAnswerLater(report.error())) {
                    leave(prefix, report.error());
                    return;
                }
                if (!report.ok()) {
                    end(report.error());
                    return;
                }
                m_anyHost = true;
                if (m_shared->spec.shared) {
                    m_report.silent.clear();  // This one has what they have.
                }
                for (OutputFile file : report->brought) {
                    m_bytes += file.size;
                    file.path = prefix.empty() ? file.path : prefix + "/" + file.path;
                    m_report.brought.push_back(std::move(file));
                }
                m_report.lost.insert(m_report.lost.end(), report->lost.begin(), report->lost.end());
                ++m_node;
                nextNode();
            });
    }

    /// Of one folder for all any of the run's hosts will do.
    [[nodiscard]] std::size_t hostNow() const {
        return m_shared->spec.shared ? distinct(m_places)[m_try] : m_places[m_node];
    }

    void leave(const std::string& prefix, const base::Error& error) {
        m_report.silent.push_back({m_shared->hosts[hostNow()]->label(), error});
        if (m_shared->spec.shared && m_try + 1 < distinct(m_places).size()) {
            ++m_try;
            nextNode();
            return;
        }
        for (OutputFile file : m_byNode[m_node]) {
            file.path = prefix.empty() ? file.path : prefix + "/" + file.path;
            m_report.left.push_back(std::move(file));
        }
        ++m_node;
        nextNode();
    }

    void end(Result<FetchReport> result) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(std::move(result));
        }
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    RunId m_run;
    std::vector<OutputFile> m_files;
    base::Path m_into;
    std::function<void(std::int64_t)> m_onProgress;
    Done<FetchReport> m_done;
    std::vector<std::size_t> m_places;
    std::vector<std::vector<OutputFile>> m_byNode;
    std::size_t m_node = 0;
    std::int64_t m_bytes = 0;
    bool m_anyHost = false;
    std::size_t m_try = 0;
    FetchReport m_report;
    OperationPtr m_step;
};

/// Looks, and starts what does not run, one node after another, on the hosts that answer.
class SshRevive final : public Operation {
public:
    SshRevive(std::shared_ptr<SshTarget::Shared> shared, RunId run, Deadline deadline, DoneStatus done)
        : m_run(std::move(run)), m_deadline(deadline), m_done(std::move(done)) {
        m_step = std::make_unique<OnPlaces<std::vector<NodeLook>>>(
            shared, m_run, deadline,
            [this](Host& host, Done<std::vector<NodeLook>> one) {
                return lookAtRun(host, m_run, m_deadline, std::move(one));
            },
            [this, shared](const Result<std::vector<std::size_t>>& places,
                           const std::vector<std::pair<std::size_t, Result<std::vector<NodeLook>>>>& answers) {
                const Heard<std::vector<NodeLook>> heard(*shared, answers);
                const auto error = places.ok() ? heard.error : std::optional(places.error());
                if (error) {
                    end(*error);
                    return;
                }
                for (const auto& [host, looks] : answers) {
                    if (!looks.ok()) {
                        continue;
                    }
                    for (const NodeLook& look : *looks) {
                        const bool home = look.node >= 0 && static_cast<std::size_t>(look.node) < places->size() &&
                                          (*places)[static_cast<std::size_t>(look.node)] == host;
                        if (home && look.status != AgentStatus::Alive && look.status != AgentStatus::FolderMissing) {
                            m_dead.emplace_back(shared->hosts[host].get(), look);
                        }
                    }
                }
                if (m_dead.empty() && !heard.silent.empty()) {
                    end(heard.silent.front().error);
                    return;
                }
                next();
            });
    }

private:
    void next() {
        if (m_dead.empty()) {
            end({});
            return;
        }
        const auto [host, look] = m_dead.back();
        m_dead.pop_back();
        if (!host) {
            return;
        }
        m_step = startAgent(*host, m_run, look.attempt, look.node, 0, m_deadline,
                            [this](const Result<StartedAgent>& started) {
                                if (started.ok()) {
                                    next();
                                } else {
                                    end(started.error());
                                }
                            });
    }
    void end(const Status& status) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(status);
        }
    }

    RunId m_run;
    Deadline m_deadline;
    DoneStatus m_done;
    std::vector<std::pair<QPointer<Host>, NodeLook>> m_dead;
    OperationPtr m_step;
};

/// Builds on one host after another: they may have different libtorches.
class SshEngineBuild final : public Operation {
public:
    SshEngineBuild(std::shared_ptr<SshTarget::Shared> shared, std::function<void(std::string)> onLine,
                   Done<base::Json> done)
        : m_shared(std::move(shared)), m_onLine(std::move(onLine)), m_done(std::move(done)) {
        next();
    }

private:
    void next() {
        EngineBuildOptions options;
        options.torch = m_shared->spec.torch;
        options.python = m_shared->spec.python;
        Host& host = *m_shared->hosts[m_host];
        m_step = targets::buildEngine(
            host, std::move(options),
            [this, label = m_shared->hosts.size() > 1 ? host.label() + ": " : std::string()](const std::string& line) {
                m_onLine(label + line);
            },
            [this](const Result<base::Json>& built) {
                ++m_host;
                if (!built.ok() || m_host == m_shared->hosts.size() || m_shared->spec.shared) {
                    const auto done = std::exchange(m_done, {});
                    done(built);
                    return;
                }
                next();
            });
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    std::function<void(std::string)> m_onLine;
    Done<base::Json> m_done;
    std::size_t m_host = 0;
    OperationPtr m_step;
};

int badness(Reach::State state) {
    switch (state) {
    case Reach::State::Unknown: return 0;
    case Reach::State::Connected: return 1;
    case Reach::State::Connecting: return 2;
    case Reach::State::Unreachable: return 3;
    case Reach::State::NeedsAnswer: return 4;
    }
    return 0;
}

/// Of two looks at one node through a shared folder the one that knows more counts.
int knowledge(AgentStatus status) {
    switch (status) {
    case AgentStatus::Unknown:
    case AgentStatus::FolderMissing: return 0;
    case AgentStatus::OtherBoot: return 1;  // Another machine's agent looks like one of another boot.
    case AgentStatus::NotStarted: return 2;
    case AgentStatus::Gone: return 3;
    case AgentStatus::Alive: return 4;
    }
    return 0;
}

/// Why each of the hosts that cannot be reached cannot; of many only the first few.
std::string reasonsOf(const SshTarget::Shared& shared) {
    constexpr int kMost = 3;
    std::string text;
    int silent = 0;
    for (const std::unique_ptr<Host>& host : shared.hosts) {
        if (host->reach().state == Reach::State::Unreachable && ++silent <= kMost) {
            text += (text.empty() ? "" : " ") + host->reach().reason;
        }
    }
    return silent <= kMost ? text : text + " And " + std::to_string(silent - kMost) + " more.";
}

}  // namespace

SshTarget::SshTarget(spec::TargetSpec spec) : m_spec(std::move(spec)), m_shared(std::make_shared<Shared>()) {
    m_shared->spec = m_spec;
    for (const spec::HostSpec& where : m_spec.hosts) {
        HostOptions options;
        options.target = m_spec.name;
        options.overSsh = true;
        options.where = where;
        options.workFolder = m_spec.workFolder;
        options.slotsFolder = m_spec.slotsFolder;
        options.connectSeconds = m_spec.connectSeconds;
        options.aliveSeconds = m_spec.aliveSeconds;
        m_shared->hosts.push_back(std::make_unique<Host>(std::move(options)));
        m_shared->hosts.back()->onReachChanged([this](const Reach&) { hostReachChanged(); });
    }
    m_reach.since = base::wallMicros();
}

SshTarget::~SshTarget() {
    for (const std::unique_ptr<Host>& host : m_shared->hosts) {
        host->onReachChanged({});
    }
    m_shared->hosts.clear();
}

void SshTarget::setAsk(AskPerson ask) {
    for (const std::unique_ptr<Host>& host : m_shared->hosts) {
        host->setAsk(ask);
    }
}

void SshTarget::hostReachChanged() {
    const Reach* worst = nullptr;
    for (const std::unique_ptr<Host>& host : m_shared->hosts) {
        if (worst == nullptr || badness(host->reach().state) > badness(worst->state)) {
            worst = &host->reach();
        }
    }
    m_reach = *worst;
    if (m_reach.state == Reach::State::Unreachable) {
        m_reach.reason = reasonsOf(*m_shared);
    }
    m_reach.hosts = static_cast<int>(m_shared->hosts.size());
    m_reach.connected = static_cast<int>(
        std::count_if(m_shared->hosts.begin(), m_shared->hosts.end(), [](const std::unique_ptr<Host>& host) {
            return host->reach().state == Reach::State::Connected;
        }));
    if (m_onReach) {
        const auto tell = m_onReach;
        tell(m_reach);
    }
}

EngineChoice SshTarget::engineChoice() const { return {m_spec.engine, false}; }

OperationPtr SshTarget::launch(LaunchPlan plan, std::function<void(LaunchProgress)> onProgress, DoneStatus done) {
    if (m_spec.maxGpus >= 0 && plan.plan.gpus > m_spec.maxGpus) {
        return postResult<void>(
            base::Error{"target.resources",
                        "The target " + m_spec.name + " gives a run at most " + std::to_string(m_spec.maxGpus) +
                            " GPUs a node, and this one asks for " + std::to_string(plan.plan.gpus) + ".",
                        "distribution.gpus"},
            std::move(done));
    }
    return launchOverSsh(m_shared, engineChoice(), std::move(plan), std::move(onProgress), std::move(done));
}

OperationPtr SshTarget::revive(const RunId& run, Deadline deadline, DoneStatus done) {
    return std::make_unique<SshRevive>(m_shared, run, deadline, std::move(done));
}

OperationPtr SshTarget::command(const RunId& run, const std::string& command, Deadline deadline, DoneStatus done) {
    return std::make_unique<OnPlaces<int>>(
        m_shared, run, deadline,
        [run, command, deadline](Host& host, Done<int> one) {
            return commandRun(host, run, command, deadline, std::move(one));
        },
        [done = std::move(done)](const Result<std::vector<std::size_t>>& places,
                                 const std::vector<std::pair<std::size_t, Result<int>>>& answers) {
            const auto call = done;
            // One node that took it tells the others, which may well be reached from there.
            const bool taken = std::any_of(answers.begin(), answers.end(),
                                           [](const auto& answer) { return answer.second.ok() && *answer.second > 0; });
            const auto error = places.ok() ? firstError(answers) : std::optional(places.error());
            call(error && !taken ? Status(*error) : Status());
        });
}

OperationPtr SshTarget::look(const RunId& run, Deadline deadline, Done<RunLook> done) {
    return std::make_unique<OnPlaces<std::vector<NodeLook>>>(
        m_shared, run, deadline,
        [run, deadline](Host& host, Done<std::vector<NodeLook>> one) {
            return lookAtRun(host, run, deadline, std::move(one));
        },
        [done = std::move(done),
         shared = m_shared](const Result<std::vector<std::size_t>>& places,
                            const std::vector<std::pair<std::size_t, Result<std::vector<NodeLook>>>>& answers) {
            const auto call = done;
            if (!places.ok() && places.error().code == "target.missing") {
                call(RunLook{{NodeLook{1, 0, AgentStatus::FolderMissing, {}}}, {}, {}});
                return;
            }
            const Heard<std::vector<NodeLook>> heard(*shared, answers);
            const auto error = places.ok() ? heard.error : std::optional(places.error());
            if (error) {
                call(*error);
                return;
            }
            std::map<int, NodeLook> byNode;
            std::set<std::size_t> silent;
            for (const auto& [host, looks] : answers) {
                if (!looks.ok()) {
                    silent.insert(host);
                    continue;
                }
                for (const NodeLook& look : *looks) {
                    const auto [found, fresh] = byNode.try_emplace(look.node, look);
                    if (!fresh && (look.attempt > found->second.attempt ||
                                   (look.attempt == found->second.attempt &&
                                    knowledge(look.status) > knowledge(found->second.status)))) {
                        found->second = look;
                    }
                }
            }
            RunLook all;
            all.silent = heard.silent;
            int newest = 1;
            for (const auto& [node, look] : byNode) {
                newest = std::max(newest, look.attempt);
            }
            for (std::size_t node = 0; node < places->size(); ++node) {
                const auto found = byNode.find(static_cast<int>(node));
                const bool unknown = silent.contains((*places)[node]);
                NodeLook look = found != byNode.end()
                                    ? found->second
                                    : NodeLook{newest,
                                               static_cast<int>(node),
                                               unknown ? AgentStatus::Unknown : AgentStatus::FolderMissing,
                                               {}};
                if (unknown && look.status == AgentStatus::OtherBoot) {
                    look.status = AgentStatus::Unknown;  // Seen by another machine through their common folder.
                }
                look.host = shared->hosts[(*places)[node]]->label();
                if (found != byNode.end() || unknown || node > 0 || byNode.empty()) {
                    all.nodes.push_back(std::move(look));
                }
            }
            call(std::move(all));
        },
        true);
}

OperationPtr SshTarget::follow(const RunId& run, std::vector<StreamPosition> from,
                               std::function<void(StreamChunk)> onChunk, std::function<void(base::Error)> onError) {
    return followOverSsh(m_shared, run, std::move(from), std::move(onChunk), std::move(onError));
}

OperationPtr SshTarget::listOutputs(const RunId& run, Deadline deadline, Done<OutputList> done) {
    return std::make_unique<OnPlaces<std::vector<OutputFile>>>(
        m_shared, run, deadline,
        [run, deadline](Host& host, Done<std::vector<OutputFile>> one) {
            return targets::listOutputs(host, run, deadline, std::move(one));
        },
        [done = std::move(done),
         shared = m_shared](const Result<std::vector<std::size_t>>& places,
                            const std::vector<std::pair<std::size_t, Result<std::vector<OutputFile>>>>& answers) {
            const auto call = done;
            const Heard<std::vector<OutputFile>> heard(*shared, answers);
            const auto error = places.ok() ? heard.error : std::optional(places.error());
            if (error) {
                call(*error);
                return;
            }
            OutputList all;
            // With one folder for all nodes whoever answers tells everything.
            bool toldAll = false;
            for (const auto& [host, files] : answers) {
                if (!files.ok() || toldAll) {
                    continue;
                }
                const auto node =
                    static_cast<std::size_t>(std::find(places->begin(), places->end(), host) - places->begin());
                toldAll = shared->spec.shared;
                for (OutputFile file : *files) {
                    file.path = node == 0 || toldAll ? file.path : "node-" + std::to_string(node) + "/" + file.path;
                    all.files.push_back(std::move(file));
                }
            }
            if (!toldAll) {
                all.silent = heard.silent;
            }
            call(std::move(all));
        });
}

OperationPtr SshTarget::fetchOutputs(const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                                     std::function<void(std::int64_t)> onProgress, Done<FetchReport> done) {
    return std::make_unique<SshFetch>(m_shared, run, std::move(files), into, std::move(onProgress), std::move(done));
}

OperationPtr SshTarget::listRuns(Deadline deadline, Done<std::vector<RunId>> done) {
    return std::make_unique<Gather<std::vector<RunId>>>(
        m_shared->hosts.size(),
        [&](std::size_t i, Done<std::vector<RunId>> one) {
            return targets::listRuns(*m_shared->hosts[i], deadline, std::move(one));
        },
        [done = std::move(done)](const Gather<std::vector<RunId>>::Answers& answers) {
            const auto call = done;
            if (const auto error = errorOfAll(answers)) {
                call(*error);
                return;
            }
            std::set<RunId> all;
            for (const auto& runs : answers) {
                if (runs.ok()) {
                    all.insert(runs->begin(), runs->end());
                }
            }
            call(std::vector<RunId>(all.begin(), all.end()));
        },
        hostPatience(m_shared, hostsOf(*m_shared)));
}

OperationPtr SshTarget::removeRun(const RunId& run, Deadline deadline, DoneStatus done) {
    return std::make_unique<OnPlaces<Nothing>>(
        m_shared, run, deadline,
        [run, deadline](Host& host, Done<Nothing> one) {
            return targets::removeRun(host, run, deadline, asStatus(std::move(one)));
        },
        [done = std::move(done), shared = m_shared,
         run](const Result<std::vector<std::size_t>>& places,
              const std::vector<std::pair<std::size_t, Result<Nothing>>>& answers) {
            const auto call = done;
            if (!places.ok() && places.error().code == "target.missing") {
                call({});
                return;
            }
            const Heard<Nothing> heard(*shared, answers);
            const auto error = places.ok() ? heard.error : std::optional(places.error());
            if (error) {
                call(*error);
            } else if (!heard.silent.empty() && !shared->spec.shared) {
                // Its places stay known: the rest is removed there once they answer.
                call(base::Error{"target.unreachable", textOf(heard.silent)});
            } else {
                shared->places.erase(run.str());
                call({});
            }
        });
}

OperationPtr SshTarget::connect(Deadline deadline, DoneStatus done) {
    return std::make_unique<Gather<Nothing>>(
        m_shared->hosts.size(),
        [&](std::size_t i, Done<Nothing> one) {
            return m_shared->hosts[i]->connect(deadline, asStatus(std::move(one)));
        },
        [done = std::move(done)](const Gather<Nothing>::Answers& answers) {
            const auto call = done;
            const auto error = firstError(answers);
            call(error ? Status(*error) : Status());
        });
}

OperationPtr SshTarget::doctor(Deadline deadline, std::function<void(DoctorLine)> onLine,
                               Done<std::vector<DoctorLine>> done) {
    return doctorOverSsh(m_shared, deadline, std::move(onLine), std::move(done));
}

OperationPtr SshTarget::load(Deadline deadline, Done<base::Json> done) {
    return std::make_unique<Gather<base::Json>>(
        m_shared->hosts.size(),
        [&](std::size_t i, Done<base::Json> one) { return loadOfHost(*m_shared->hosts[i], deadline, std::move(one)); },
        [done = std::move(done), shared = m_shared](const Gather<base::Json>::Answers& answers) {
            const auto call = done;
            base::Json hosts = base::Json::array();
            bool any = false;
            for (std::size_t i = 0; i < answers.size(); ++i) {
                if (answers[i].ok()) {
                    any = true;
                    hosts.push_back(*answers[i]);
                } else {
                    hosts.push_back(
                        {{"host", shared->hosts[i]->label()},
                         {"error", {{"code", answers[i].error().code}, {"message", answers[i].error().message}}}});
                }
            }
            if (!any && !answers.empty()) {
                call(answers.front().error());
                return;
            }
            call(base::Json{{"hosts", std::move(hosts)}});
        },
        hostPatience(m_shared, hostsOf(*m_shared)));
}

OperationPtr SshTarget::listCache(Deadline deadline, Done<std::vector<CacheEntry>> done) {
    return std::make_unique<Gather<std::vector<CacheEntry>>>(
        m_shared->spec.shared ? 1 : m_shared->hosts.size(),
        [&](std::size_t i, Done<std::vector<CacheEntry>> one) {
            return cacheOfHost(*m_shared->hosts[i], deadline, std::move(one));
        },
        [done = std::move(done)](const Gather<std::vector<CacheEntry>>::Answers& answers) {
            const auto call = done;
            if (const auto error = errorOfAll(answers)) {
                call(*error);
                return;
            }
            std::vector<CacheEntry> all;
            for (const auto& entries : answers) {
                if (entries.ok()) {
                    all.insert(all.end(), entries->begin(), entries->end());
                }
            }
            call(std::move(all));
        });
}

OperationPtr SshTarget::clearCache(std::vector<CacheEntry> entries, Deadline deadline, Done<std::int64_t> done) {
    std::vector<std::pair<Host*, std::vector<CacheEntry>>> byHost;
    for (const std::unique_ptr<Host>& host : m_shared->hosts) {
        std::vector<CacheEntry> own;
        std::copy_if(entries.begin(), entries.end(), std::back_inserter(own),
                     [&host](const CacheEntry& entry) { return entry.host == host->label(); });
        if (!own.empty()) {
            byHost.emplace_back(host.get(), std::move(own));
        }
    }
    return std::make_unique<Gather<std::int64_t>>(
        byHost.size(),
        [&](std::size_t i, Done<std::int64_t> one) {
            return clearCacheOfHost(*byHost[i].first, byHost[i].second, deadline, std::move(one));
        },
        [done = std::move(done)](const Gather<std::int64_t>::Answers& answers) {
            const auto call = done;
            if (const auto error = firstError(answers)) {
                call(*error);
                return;
            }
            std::int64_t freed = 0;
            for (const Result<std::int64_t>& answer : answers) {
                freed += *answer;
            }
            call(freed);
        });
}

OperationPtr SshTarget::measureUpload(const LaunchPlan& plan, Deadline deadline, Done<base::Json> done) {
    const auto nodes = static_cast<std::size_t>(std::max(1, plan.plan.nodes));
    const std::size_t wanted = m_shared->spec.shared ? 1 : std::min(nodes, m_shared->hosts.size());
    return std::make_unique<Gather<base::Json>>(
        m_shared->hosts.size(),
        [&](std::size_t i, Done<base::Json> one) {
            return measureDeploy(*m_shared->hosts[i], plan, engineChoice(), deadline, std::move(one));
        },
        [done = std::move(done), wanted](Gather<base::Json>::Answers answers) {
            const auto call = done;
            // The first hosts that answer are where it would go.
            const std::optional<base::Error> error = firstError(answers);
            std::erase_if(answers, [](const Result<base::Json>& answer) { return !answer.ok(); });
            if (answers.size() < wanted) {
                call(*error);
                return;
            }
            answers.erase(answers.begin() + static_cast<std::ptrdiff_t>(wanted), answers.end());
            std::int64_t files = 0;
            std::int64_t bytes = 0;
            std::int64_t rate = 0;
            std::int64_t fetchBytes = 0;
            std::set<std::string> fetches;
            base::Json disk;  // The tightest.
            const auto room = [](const base::Json& one) {
                base::ObjectReader reader(one, "");
                return reader.integer("free_bytes") - reader.integer("needed_bytes");
            };
            for (const Result<base::Json>& answer : answers) {
                base::ObjectReader reader(*answer, "");
                files += reader.integer("files");
                bytes += reader.integer("bytes");
                rate = std::max(rate, reader.integer("bytes_per_second"));
                fetchBytes = std::max(fetchBytes, reader.integer("fetch_bytes"));
                if (const base::Json& one = answer->at("disk");
                    one.is_object() && (disk.is_null() || room(one) < room(disk))) {
                    disk = one;
                }
                for (const std::string& input : reader.strings("fetches")) {
                    fetches.insert(input);
                }
            }
            call(base::Json{{"files", files},
                            {"bytes", bytes},
                            {"bytes_per_second", rate},
                            {"fetches", fetches},
                            {"fetch_bytes", fetchBytes},
                            {"disk", disk}});
        });
}

OperationPtr SshTarget::buildEngine(std::function<void(std::string line)> onLine, Done<base::Json> done) {
    return std::make_unique<SshEngineBuild>(m_shared, std::move(onLine), std::move(done));
}

}  // namespace trainyard::targets
