#include "core/targets/SshLaunch.h"

#include <QRandomGenerator>
#include <algorithm>
#include <utility>

#include "core/base/Text.h"
#include "core/targets/HostCalls.h"
#include "core/targets/SshPlaces.h"
#include "core/wire/Layout.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kConnectMillis = 300'000;  ///< A person may have to answer first.
constexpr std::int64_t kAnswerMillis = 60'000;
constexpr int kLeadMillis = 30'000;
constexpr const char* kEngineVariable = "TRAINYARD_ENGINE";
constexpr const char* kManifestName = "snapshot.json";
constexpr const char* kCheckpointName = "resume.ckpt";

std::string newToken() {
    std::string token;
    for (int i = 0; i < 8; ++i) {
        token += QString::number(QRandomGenerator::system()->generate(), 16)
                     .rightJustified(8, QLatin1Char('0'))
                     .toStdString();
    }
    return token;
}

/// Another node can use it: a number that is not this machine's own loop.
bool isUsableAddress(const std::string& address) {
    return !address.empty() && !address.starts_with("127.") && address != "::1" &&
           address.find('%') == std::string::npos;
}

class SshLaunch final : public Operation {
public:
    SshLaunch(std::shared_ptr<SshTarget::Shared> shared, EngineChoice engine, LaunchPlan plan,
              std::function<void(LaunchProgress)> onProgress, DoneStatus done)
        : m_shared(std::move(shared)), m_engine(std::move(engine)), m_plan(std::move(plan)),
          m_onProgress(std::move(onProgress)), m_done(std::move(done)),
          m_nodes(static_cast<std::size_t>(std::max(1, m_plan.plan.nodes))) {
        if (m_nodes > m_shared->hosts.size()) {
            const std::string many = std::to_string(m_shared->hosts.size());
            m_step = postResult<void>(base::Error{"target.nodes",
                                                  "The run asks for " + std::to_string(m_nodes) +
                                                      " nodes, and the target " + m_shared->spec.name + " has " + many +
                                                      (many == "1" ? " host." : " hosts."),
                                                  "distribution.nodes"},
                                      [this](const Status& status) { end(status); });
            return;
        }
        if (!m_plan.hosts.empty()) {
            placeAgain();
            return;
        }
        if (m_plan.onPlaced) {
            // Somebody remembers where it was put, and it was not: no host need be asked.
            m_step = postResult<void>(Status(), [this](const Status&) { placeAnew(); });
            return;
        }
        m_step = findPlaces(m_shared, m_plan.plan.run, Deadline::inMillis(kConnectMillis),
                            [this](const Result<std::vector<std::size_t>>& places) {
                                if (places.ok() && places->size() >= m_nodes) {
                                    m_places = *places;
                                    deployNext();
                                } else {
                                    placeAnew();
                                }
                            });
    }

private:
    // ---- which hosts ----

    /// A launch that was cut off goes on where it was: what it started there may live.
    void placeAgain() {
        m_places = placesOf(*m_shared, m_plan.hosts);
        if (m_places.size() >= m_nodes) {
            m_shared->places[m_plan.plan.run.str()] = m_places;
            deployNext();
            return;
        }
        std::string names;
        for (const std::string& host : m_plan.hosts) {
            names += (names.empty() ? "" : ", ") + host;
        }
        m_step = postResult<void>(base::Error{"target.hosts",
                                              "The run was placed on " + names + ", and " + m_shared->spec.name +
                                                  " does not have all of these hosts any more.",
                                              "target"},
                                  [this](const Status& status) { end(status); });
    }

    void placeAnew() {
        if (m_shared->hosts.size() == m_nodes) {
            m_places = hostsOf(*m_shared);
            deployNext();
        } else {
            connectAll();
        }
    }

    void connectAll() {
        progress("connect", "Connecting to the hosts of " + m_shared->spec.name);
        Patience patience = hostPatience(m_shared, hostsOf(*m_shared));
        patience.enough = m_nodes;  // A slow one is waited for where it is needed.
        m_step = std::make_unique<Gather<base::Json>>(
            m_shared->hosts.size(),
            [this](std::size_t i, Done<base::Json> one) -> OperationPtr {
                m_shared->hosts[i]->connectNow();
                return loadOfHost(*m_shared->hosts[i], Deadline::inMillis(kConnectMillis), std::move(one));
            },
            [this](const Gather<base::Json>::Answers& loads) { chooseHosts(loads); }, std::move(patience));
    }

    void chooseHosts(const Gather<base::Json>::Answers& loads) {
        std::vector<std::size_t> idle;
        std::vector<std::size_t> busy;
        std::optional<base::Error> silent;
        for (std::size_t i = 0; i < loads.size(); ++i) {
            if (!loads[i].ok()) {
                silent = silent ? silent : loads[i].error();
                continue;
            }
            base::ObjectReader reader(*loads[i], "");
            const auto gpus = static_cast<int>(reader.array("gpus").size());
            if (gpus < m_plan.plan.gpus) {
                continue;
            }
            const bool free = reader.array("waiting").empty() &&
                              reader.integer("cores") - reader.integer("cores_busy") >= m_plan.plan.cores &&
                              freeGpus(*loads[i]) >= m_plan.plan.gpus;
            (free ? idle : busy).push_back(i);
        }
        idle.insert(idle.end(), busy.begin(), busy.end());
        if (idle.size() < m_nodes) {
            end(silent ? *silent
                       : base::Error{"target.resources",
                                     "Only " + std::to_string(idle.size()) + " hosts of " + m_shared->spec.name +
                                         " have " + std::to_string(m_plan.plan.gpus) + " GPUs, and the run asks for " +
                                         std::to_string(m_nodes) + " nodes.",
                                     "distribution.gpus"});
            return;
        }
        idle.resize(m_nodes);
        // In the definition's order, so that two runs never wait for each other's halves.
        std::sort(idle.begin(), idle.end());
        m_places = std::move(idle);
        deployNext();
    }

    static int freeGpus(const base::Json& load) {
        int free = 0;
        base::ObjectReader reader(load, "");
        for (const base::Json& gpu : reader.array("gpus")) {
            const auto taken = [&gpu](const char* key) {
                return gpu.is_object() && gpu.contains(key) && !gpu.at(key).is_null() && gpu.at(key) != "" &&
                       gpu.at(key) != false;
            };
            free += taken("lease") || taken("stranger") ? 0 : 1;
        }
        return free;
    }

    // ---- what they lack ----

    [[nodiscard]] Host& hostOf(std::size_t node) const { return *m_shared->hosts[m_places[node]]; }

    void deployNext() {
        const std::vector<std::size_t> once = distinct(m_places);
        // With one work folder for all, what the first has the others have too.
        const std::size_t wanted = m_shared->spec.shared ? 1 : once.size();
        if (m_deployed.size() == wanted) {
            connectRest();
            return;
        }
        m_step = deploy(*m_shared->hosts[once[m_deployed.size()]], m_plan, m_engine, m_onProgress,
                        [this](const Result<Deployed>& deployed) {
                            if (!deployed.ok()) {
                                end(deployed.error());
                                return;
                            }
                            m_deployed.push_back(*deployed);
                            deployNext();
                        });
    }

    void connectRest() {
        const std::vector<std::size_t> once = distinct(m_places);
        m_step = std::make_unique<Gather<Nothing>>(
            once.size(),
            [this, &once](std::size_t i, Done<Nothing> one) {
                return m_shared->hosts[once[i]]->connect(Deadline::inMillis(kConnectMillis), asStatus(std::move(one)));
            },
            [this](const Gather<Nothing>::Answers& answers) {
                for (const Result<Nothing>& answer : answers) {
                    if (!answer.ok()) {
                        end(answer.error());
                        return;
                    }
                }
                lookAtAll();
            });
    }

    /// Which nodes' agents have run already.
    void lookAtAll() {
        const std::vector<std::size_t> once = distinct(m_places);
        m_step = std::make_unique<Gather<std::vector<NodeLook>>>(
            once.size(),
            [this, &once](std::size_t i, Done<std::vector<NodeLook>> one) {
                return lookAtRun(*m_shared->hosts[once[i]], m_plan.plan.run, Deadline::inMillis(kAnswerMillis),
                                 std::move(one));
            },
            [this](const Gather<std::vector<NodeLook>>::Answers& answers) {
                m_started.assign(m_nodes, false);
                for (const Result<std::vector<NodeLook>>& answer : answers) {
                    if (!answer.ok()) {
                        end(answer.error());
                        return;
                    }
                    for (const NodeLook& look : *answer) {
                        const auto node = static_cast<std::size_t>(std::max(0, look.node));
                        if (look.attempt >= m_plan.plan.attempt && node < m_nodes &&
                            look.status != AgentStatus::NotStarted && look.status != AgentStatus::FolderMissing) {
                            m_started[node] = true;
                        }
                    }
                }
                findAddresses();
            });
    }

    // ---- how the nodes reach each other ----

    void findAddresses() {
        if (m_nodes == 1) {
            m_addresses.assign(1, hostOf(0).options().where.address);
            findToken();
            return;
        }
        m_step = std::make_unique<Gather<ExecResult>>(
            m_nodes,
            [this](std::size_t node, Done<ExecResult> one) -> OperationPtr {
                ExecRequest ask;
                ask.argv = {"printenv", "SSH_CONNECTION"};
                ask.repeat = true;
                return hostOf(node).exec(std::move(ask), Deadline::inMillis(kAnswerMillis), std::move(one));
            },
            [this](const Gather<ExecResult>::Answers& answers) {
                for (std::size_t node = 0; node < m_nodes; ++node) {
                    std::string address = hostOf(node).options().where.address;
                    if (address.empty() && answers[node].ok()) {
                        // Client's address and port, ours and port: where ssh reaches it, its neighbours mostly do too.
                        const auto words = base::split(base::trim(answers[node]->out), ' ');
                        address = words.size() == 4 && isUsableAddress(words[2]) ? words[2] : std::string();
                    }
                    m_addresses.push_back(std::move(address));
                }
                findToken();
            });
    }

    /// A launch that is repeated must not give late nodes another token than the first ones have.
    void findToken() {
        if (!m_plan.plan.token.empty() || !m_started[0]) {
            if (m_plan.plan.token.empty()) {
                m_plan.plan.token = newToken();
            }
            startNode(0);
            return;
        }
        ExecRequest read;
        read.argv = {"cat",
                     "runs/" + m_plan.plan.run.str() + "/a" + std::to_string(m_plan.plan.attempt) + "/n0/plan.json"};
        read.inWorkFolder = true;
        read.repeat = true;
        m_step =
            hostOf(0).exec(std::move(read), Deadline::inMillis(kAnswerMillis), [this](const Result<ExecResult>& said) {
                const base::Result<base::Json> json =
                    said.ok() ? base::parseJson(said->out) : base::Result<base::Json>(said.error());
                const base::Result<wire::Plan> plan =
                    json.ok() ? wire::planFromJson(*json) : base::Result<wire::Plan>(json.error());
                if (!plan.ok()) {
                    end(plan.error());
                    return;
                }
                m_plan.plan.token = plan->token;
                startNode(0);
            });
    }

    // ---- plans ----

    [[nodiscard]] wire::Plan planOf(std::size_t node) const {
        const spec::TargetSpec& spec = m_shared->spec;
        const Host& host = hostOf(node);
        const std::string work = host.workFolder();
        const std::vector<std::size_t> once = distinct(m_places);
        const auto position =
            static_cast<std::size_t>(std::find(once.begin(), once.end(), m_places[node]) - once.begin());
        const Deployed& deployed = m_deployed[std::min(position, m_deployed.size() - 1)];
        wire::Plan plan = m_plan.plan;
        plan.node = static_cast<int>(node);
        plan.workFolder = work;
        plan.outputsFolder = work + "/runs/" + plan.run.str() + "/outputs";
        plan.slotsFolder = spec.slotsFolder.empty() ? wire::kSharedSlots : spec.slotsFolder;
        if (spec.cores > 0) {
            plan.cores = static_cast<int>(std::min<std::int64_t>(plan.cores, spec.cores));
        }
        const std::string folder =
            work + "/runs/" + plan.run.str() + "/a" + std::to_string(plan.attempt) + "/n" + std::to_string(node);
        // By variables, which the agent expands once: a folder may have a '$' in its name.
        if (m_plan.needsEngine) {
            plan.variables.emplace_back(kEngineVariable, deployed.engine);
        }
        for (const auto& [name, value] : spec.variables) {
            const bool set = std::any_of(plan.variables.begin(), plan.variables.end(),
                                         [&name = name](const auto& variable) { return variable.first == name; });
            if (!set) {
                plan.variables.emplace_back(name, value);
            }
        }
        plan.peers.clear();
        for (std::size_t i = 0; i < m_nodes; ++i) {
            const Host& peer = hostOf(i);
            plan.peers.push_back({peer.label(), m_addresses[i], peer.options().where.interface});
        }
        if (node > 0) {
            plan.leadPort = m_leadPort;
            plan.peers[0].address = m_leadAddress;
        }
        plan.sharedFolder = spec.shared;
        plan.scheduler = false;
        plan.sourceManifest = m_plan.hasSource ? kManifestName : "";
        plan.inputs = deployed.inputs;
        plan.resumeCheckpoint = deployed.resumeCheckpoint.empty() ? "" : folder + "/" + kCheckpointName;
        return plan;
    }

    [[nodiscard]] HostRequest putOf(std::size_t node) const {
        const wire::Plan plan = planOf(node);
        HostRequest put;
        put.header = {{"verb", "put"}, {"run", plan.run.str()}, {"attempt", plan.attempt}, {"node", plan.node}};
        base::Json list = base::Json::array();
        const auto add = [&](const std::string& name, const std::string& bytes) {
            list.push_back({{"name", name}, {"size", bytes.size()}});
            put.payload += bytes;
        };
        for (const auto& [name, bytes] : m_plan.files) {
            add(name, bytes);
        }
        if (m_plan.hasSource) {
            add(kManifestName, snapshotManifest(m_plan.source));
        }
        if (!plan.resumeCheckpoint.empty()) {
            const std::string& object = m_deployed.front().resumeCheckpoint;
            list.push_back({{"name", kCheckpointName}, {"sha256", object.substr(object.rfind('/') + 1)}});
        }
        // Last: an agent that finds a plan finds all that belongs to it.
        add("plan.json", base::dumpJsonPretty(wire::toJson(plan)));
        put.header["files"] = std::move(list);
        return put;
    }

    // ---- start ----

    void startNode(std::size_t node) {
        if (node == m_nodes) {
            end({});
            return;
        }
        if (node == 0) {
            // From here on the run may be there: repeated after a cut, the launch must not choose other hosts.
            m_shared->places[m_plan.plan.run.str()] = m_places;
            std::vector<std::string> hosts;
            for (std::size_t i = 0; i < m_nodes; ++i) {
                hosts.push_back(hostOf(i).label());
            }
            if (const Status noted = m_plan.placeOn(hosts); !noted.ok()) {
                end(noted);
                return;
            }
        }
        progress(node == 0 ? "submit" : "start", "Starting on " + hostOf(node).label());
        if (m_started[node]) {
            started(node);
            return;
        }
        const auto file = placesFile(*m_shared, m_places);
        m_step = putFiles(hostOf(node), m_plan.plan.run, 0, 0, {file}, Deadline::inMillis(kAnswerMillis),
                          [this, node](const Status& status) {
                              if (!status.ok()) {
                                  end(status);
                                  return;
                              }
                              putPlan(node);
                          });
    }

    void putPlan(std::size_t node) {
        m_step = hostOf(node).request(putOf(node), Deadline::inMillis(kAnswerMillis),
                                      [this, node](const Result<base::Json>& put) {
                                          if (put.ok()) {
                                              started(node);
                                          } else {
                                              end(put.error());
                                          }
                                      });
    }

    void started(std::size_t node) {
        const bool mustTell = node == 0 && m_nodes > 1;
        if (m_started[node] && !mustTell) {
            startNode(node + 1);
            return;
        }
        m_step = startAgent(hostOf(node), m_plan.plan.run, m_plan.plan.attempt, static_cast<int>(node),
                            mustTell ? kLeadMillis : 0, Deadline::inMillis(kAnswerMillis + kLeadMillis),
                            [this, node](const Result<StartedAgent>& agent) {
                                if (!agent.ok()) {
                                    end(agent.error());
                                    return;
                                }
                                if (node == 0) {
                                    m_leadPort = agent->leadPort;
                                    m_leadAddress = !hostOf(0).options().where.address.empty() ||
                                                            agent->leadAddress.empty() ||
                                                            !isUsableAddress(agent->leadAddress)
                                                        ? m_addresses[0]
                                                        : agent->leadAddress;
                                }
                                startNode(node + 1);
                            });
    }

    void progress(const char* step, std::string text) {
        if (m_onProgress) {
            m_onProgress({step, std::move(text), 0, 0});
        }
    }

    void end(const Status& status) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(status);
        }
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    EngineChoice m_engine;
    LaunchPlan m_plan;
    std::function<void(LaunchProgress)> m_onProgress;
    DoneStatus m_done;
    std::size_t m_nodes;
    std::vector<std::size_t> m_places;
    std::vector<Deployed> m_deployed;
    std::vector<bool> m_started;
    std::vector<std::string> m_addresses;
    std::string m_leadAddress;
    int m_leadPort = 0;
    OperationPtr m_step;
};

}  // namespace

OperationPtr launchOverSsh(std::shared_ptr<SshTarget::Shared> shared, EngineChoice engine, LaunchPlan plan,
                           std::function<void(LaunchProgress)> onProgress, DoneStatus done) {
    return std::make_unique<SshLaunch>(std::move(shared), std::move(engine), std::move(plan), std::move(onProgress),
                                       std::move(done));
}

}  // namespace trainyard::targets
