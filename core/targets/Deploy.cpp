#include "core/targets/Deploy.h"

#include <QPointer>
#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/Operations.h"

namespace trainyard::targets {
namespace {

constexpr std::int64_t kHostAnswerMillis = 60'000;
/// Unpacking and hashing of what was sent.
constexpr std::int64_t kFinishMillis = 1'800'000;
/// A large data set over a slow line.
constexpr std::int64_t kFetchMillis = 24 * 3600 * 1000;
constexpr std::int64_t kDeployConnectMillis = 300'000;  ///< A person may have to answer first.
/// Small files cost a round trip or two each; so many are on their way at once.
constexpr std::size_t kFilesAtOnce = 32;
constexpr std::size_t kHashesAtOnce = 8000;  ///< In one header of 1 MiB.
constexpr std::int64_t kReportNanos = 100'000'000;
/// What a run itself needs beside what is sent: streams, code.
constexpr std::int64_t kSpareBytes = 64 << 20;

/// All that the plan wants on the host, by kind and hash, each once.
struct Wanted {
    std::map<std::string, HostUpload> objects;
    std::map<std::string, const InputData*> data;
    std::string checkpoint;
};

Wanted wantedBy(const LaunchPlan& plan) {
    Wanted wanted;
    for (const SnapshotFile& file : plan.source) {
        HostUpload upload;
        upload.to = HostUpload::To::Object;
        upload.local = file.local;
        upload.sha256 = file.sha256;
        upload.size = file.size;
        wanted.objects.emplace(file.sha256, std::move(upload));
    }
    for (const InputData& input : plan.inputs) {
        if (input.origin == InputData::Origin::Here) {
            wanted.data.emplace(input.sha256, &input);
        }
    }
    return wanted;
}

/// A file from an address whose content hash is known before it is fetched.
bool isOneKnownFile(const InputData& input) {
    return input.origin == InputData::Origin::Address && input.fetch && !input.fetch->unpack && !input.sha256.empty() &&
           input.sha256 == input.fetch->sha256;
}

/// As far as it is known here; 0 otherwise.
std::int64_t sizeOf(const InputData& input) {
    std::int64_t bytes = 0;
    for (const InputData::File& file : input.files) {
        bytes += file.size;
    }
    return bytes;
}

std::vector<std::string> textsOf(const base::Json& answer, const char* member) {
    base::ObjectReader reader(answer, "");
    return reader.strings(member);
}

/// Looks what is missing; with `send`, also brings it.
class DeployOperation final : public Operation {
public:
    struct Outcome {
        Deployed deployed;
        std::int64_t files = 0;
        std::int64_t bytes = 0;
        std::vector<std::string> fetches;  ///< Inputs that the host is to fetch itself.
        std::int64_t fetchBytes = 0;       ///< Of those whose size is known.
        std::int64_t freeBytes = -1;       ///< On the work folder's disk; -1: not told.
        std::int64_t neededBytes = 0;      ///< For all that is to come there, unpacked; 0: nothing is.
    };

    DeployOperation(Host& host, const LaunchPlan& plan, EngineChoice engine, bool send, Deadline deadline,
                    std::function<void(LaunchProgress)> onProgress, Done<Outcome> done)
        : m_host(&host), m_plan(plan), m_engine(std::move(engine)), m_send(send), m_deadline(deadline),
          m_onProgress(std::move(onProgress)), m_done(std::move(done)) {
        if (host.reach().state != Reach::State::Connected) {
            tell("connect", "Connecting to " + host.label(), 0, 0, true);
        }
        host.onDeploy([self = QPointer<QObject>(&m_context), this](std::int64_t bytes, std::int64_t total) {
            if (self) {
                tell("deploy", "Sending the agent to " + m_host->label(), bytes, total, bytes == total);
            }
        });
        m_step = host.connect(deadline, [this](const Status& status) {
            if (status.ok()) {
                hashCheckpoint();
            } else {
                end(status.error());
            }
        });
    }
    ~DeployOperation() override {
        if (m_host) {
            m_host->onDeploy({});
        }
    }

private:
    void hashCheckpoint() {
        m_wanted = wantedBy(m_plan);
        if (m_plan.resumeCheckpoint.empty()) {
            choose();
            return;
        }
        m_step = std::make_unique<ThreadOperation<HostUpload>>(
            [file = m_plan.resumeCheckpoint](const KeepGoing& report) -> Result<HostUpload> {
                HostUpload upload;
                upload.local = file;
                const Result<std::string> hash = base::sha256File(file, report);
                std::error_code error;
                const auto size = std::filesystem::file_size(file, error);
                if (!hash.ok()) {
                    return hash.error();
                }
                if (error) {
                    return base::errnoError(error.value(), "The checkpoint cannot be read", file);
                }
                upload.sha256 = *hash;
                upload.size = static_cast<std::int64_t>(size);
                return upload;
            },
            std::function<void(std::int64_t)>{},
            [this](const Result<HostUpload>& upload) {
                if (!upload.ok()) {
                    end(upload.error());
                    return;
                }
                m_wanted.checkpoint = upload->sha256;
                m_wanted.objects.emplace(upload->sha256, *upload);
                choose();
            });
    }

    void choose() {
        if (!m_plan.needsEngine) {
            askNext();
            return;
        }
        m_step = chooseEngine(*m_host, {m_engine.setting, m_engine.needsCuda || m_plan.needsCuda}, m_deadline,
                              [this](const Result<ChosenEngine>& chosen) {
                                  if (!chosen.ok()) {
                                      end(chosen.error());
                                      return;
                                  }
                                  m_outcome.deployed.engine = chosen->program;
                                  m_outcome.deployed.engineKey = chosen->key;
                                  m_bundled = chosen->fromBundle;
                                  askNext();
                              });
    }

    /// "have", as often as the hashes do not fit into one header.
    void askNext() {
        if (m_asked == 0) {
            for (const auto& [hash, upload] : m_wanted.objects) {
                m_hashes.push_back(hash);
            }
        }
        HostRequest request;
        request.header = {{"verb", "have"}};
        base::Json objects = base::Json::array();
        for (; m_asked < m_hashes.size() && objects.size() < kHashesAtOnce; ++m_asked) {
            objects.push_back(m_hashes[m_asked]);
        }
        request.header["objects"] = std::move(objects);
        if (!m_askedRest) {
            base::Json data = base::Json::array();
            for (const auto& [hash, input] : m_wanted.data) {
                data.push_back(hash);
            }
            for (const InputData& input : m_plan.inputs) {
                if (isOneKnownFile(input)) {
                    data.push_back(input.sha256);
                }
            }
            request.header["data"] = std::move(data);
            if (m_bundled) {
                request.header["engines"] = {m_outcome.deployed.engineKey};
            }
            m_askedRest = true;
        }
        m_step = m_host->request(std::move(request), answerLimit(), [this](const Result<base::Json>& answer) {
            if (!answer.ok()) {
                end(answer.error());
                return;
            }
            for (const std::string& hash : textsOf(*answer, "objects")) {
                if (const auto found = m_wanted.objects.find(hash); found != m_wanted.objects.end()) {
                    m_needs.push_back(found->second);
                }
            }
            for (const std::string& hash : textsOf(*answer, "data")) {
                m_absent.insert(hash);
                if (const auto found = m_wanted.data.find(hash); found != m_wanted.data.end()) {
                    if (found->second->fetch) {
                        m_toFetch.push_back(found->second);
                    } else {
                        needData(*found->second);
                    }
                }
            }
            m_needsEngine = m_needsEngine || !textsOf(*answer, "engines").empty();
            if (m_asked < m_hashes.size()) {
                askNext();
                return;
            }
            for (const InputData& input : m_plan.inputs) {
                const bool there = isOneKnownFile(input) && !m_absent.contains(input.sha256);
                if (input.origin == InputData::Origin::Address && input.fetch && (m_send || !there)) {
                    m_toFetch.push_back(&input);  // What is there is answered at once, with its path.
                }
            }
            fetchNext();
        });
    }

    // ------------------------------------------------------------------------------------- what the host fetches
    // itself

    /// One after another: they share the host's line.
    void fetchNext() {
        if (!m_send) {
            for (const InputData* input : m_toFetch) {
                m_outcome.fetches.push_back(input->name);
                m_outcome.fetchBytes += sizeOf(*input);
            }
        }
        if (m_toFetch.empty() || !m_send) {
            count();
            return;
        }
        const InputData& input = *m_toFetch.front();
        const InputData::Fetch& fetch = *input.fetch;
        const bool knows = input.origin == InputData::Origin::Here;
        HostRequest request;
        request.header = {{"verb", "fetch"},
                          {"name", input.name},
                          {"address", fetch.address},
                          {"sha256", fetch.sha256},
                          {"unpack", fetch.unpack},
                          {"only", fetch.only},
                          {"entry", fetch.unpack && knows ? input.sha256 : std::string()},
                          {"size", sizeOf(input)}};
        request.patient = true;
        request.onEvent = [this](const base::Json& event, const std::string&) {
            base::ObjectReader reader(event, "");
            const bool isBytes = reader.string("unit") == "bytes";
            tell("fetch", base::stripControl(reader.string("stage")) + " on " + m_host->label(),
                 isBytes ? reader.integer("count") : 0, isBytes ? reader.integer("total") : 0, false);
        };
        m_step = m_host->request(std::move(request), Deadline::inMillis(kFetchMillis),
                                 [this](const Result<base::Json>& answer) { fetched(answer); });
    }

    void fetched(const Result<base::Json>& answer) {
        const InputData& input = *m_toFetch.front();
        if (answer.ok()) {
            base::ObjectReader reader(*answer, "");
            FoundThere found{reader.string("path"), reader.string("entry")};
            if (const Status read = reader.status(false); !read.ok()) {
                end(read.error());
                return;
            }
            if (input.sha256 != found.entry && m_plan.onFetched) {
                m_plan.onFetched(input.name, found.entry);
            }
            m_found[input.name] = std::move(found);
            nextAfterFetch();
            return;
        }
        const base::Error& error = answer.error();
        if (error.code == "canceled" || error.code == "target.disk_full" || error.code == "target.unreachable" ||
            error.code == "target.refused" || error.code == "target.deadline" || error.code == "target.protocol") {
            end(error);
            return;
        }
        const std::string instead = m_host->label() + " cannot fetch " + input.name + " itself: " + error.message;
        if (input.origin == InputData::Origin::Here) {
            tell("instead", instead + " It is sent from here.", 0, 0, true);
            needData(input);
            nextAfterFetch();
            return;
        }
        if (!input.bringHere) {
            end(error);
            return;
        }
        tell("instead", instead + " It is fetched here and sent.", 0, 0, true);
        m_step = std::make_unique<ThreadOperation<InputData>>(
            [bring = input.bringHere](const KeepGoing& report) { return bring(report); },
            [this, name = input.name](std::int64_t bytes) {
                tell("fetch", "Fetching " + name + " here", bytes, 0, false);
            },
            [this, instead](const Result<InputData>& brought) {
                if (!brought.ok()) {
                    end(base::Error{brought.error().code, instead + " Nor can this machine: " + brought.error().message,
                                    brought.error().field});
                    return;
                }
                const InputData& here = m_brought[m_toFetch.front()->name] = *brought;
                if (m_plan.onFetched) {
                    m_plan.onFetched(here.name, here.sha256);
                }
                askBrought(here);
            });
    }

    /// Another run may have sent it before.
    void askBrought(const InputData& here) {
        HostRequest request;
        request.header = {{"verb", "have"}, {"data", {here.sha256}}};
        m_step = m_host->request(std::move(request), answerLimit(), [this, &here](const Result<base::Json>& answer) {
            if (!answer.ok()) {
                end(answer.error());
                return;
            }
            if (!textsOf(*answer, "data").empty()) {
                needData(here);
            }
            nextAfterFetch();
        });
    }

    void nextAfterFetch() {
        m_toFetch.erase(m_toFetch.begin());
        fetchNext();
    }

    void needData(const InputData& input) {
        for (const InputData::File& file : input.files) {
            HostUpload upload;
            upload.to = HostUpload::To::Data;
            upload.local = file.local;
            upload.sha256 = file.sha256;
            upload.size = file.size;
            upload.entry = input.sha256;
            upload.path = file.path;
            m_needs.push_back(std::move(upload));
        }
        m_unfinished.push_back(&input);
    }

    void count() {
        if (m_needsEngine) {
            const Result<EngineBundle> bundle = findEngineBundle();  // Its hash is known by now.
            if (!bundle.ok()) {
                end(bundle.error());
                return;
            }
            HostUpload upload;
            upload.to = HostUpload::To::Engine;
            upload.local = bundle->archive;
            upload.sha256 = bundle->key;
            upload.size = bundle->size;
            upload.entry = bundle->key;
            m_needs.push_back(std::move(upload));
        }
        for (const HostUpload& upload : m_needs) {
            ++m_outcome.files;
            m_outcome.bytes += upload.size;
        }
        if (m_send && m_needs.empty()) {
            afterFiles();
            return;
        }
        HostRequest request;
        request.header = {{"verb", "hello"}, {"protocol", wire::kServeProtocol}, {"client", TRAINYARD_VERSION}};
        m_step = m_host->request(std::move(request), answerLimit(), [this](const Result<base::Json>& hello) {
            if (!hello.ok()) {
                end(hello.error());
                return;
            }
            base::ObjectReader reader(*hello, "");
            const std::int64_t free = reader.integer("disk_free_bytes", -1);
            // The unpacked engine takes four times its archive.
            const std::int64_t coming = m_outcome.bytes + (m_needsEngine ? 4 * m_needs.back().size : 0);
            if (!m_send) {
                const std::int64_t all = coming + m_outcome.fetchBytes;
                m_outcome.freeBytes = free;
                m_outcome.neededBytes = all > 0 ? all + kSpareBytes : 0;
                afterFiles();
                return;
            }
            if (free >= 0 && free < coming + kSpareBytes) {
                end(base::Error{"target.disk_full",
                                "On " + m_host->label() + ", " + base::formatBytes(coming) + " are to be put into " +
                                    m_host->workFolder() + ", and " + base::formatBytes(free) +
                                    " are free there. Make room, clear the target's cache or choose another "
                                    "work folder."});
                return;
            }
            m_began = base::monotonicNanos();
            m_progress.assign(m_needs.size(), 0);
            m_running.resize(m_needs.size());
            sendMore();
        });
    }

    void sendMore() {
        while (m_next < m_needs.size() && m_underWay < kFilesAtOnce) {
            const std::size_t at = m_next++;
            ++m_underWay;
            m_running[at] = m_host->upload(
                m_needs[at],
                [this, at](std::int64_t bytes) {
                    m_sent += bytes - m_progress[at];
                    m_progress[at] = bytes;
                    report(false);
                },
                [this, at](const Status& status) {
                    if (!status.ok()) {
                        end(status.error());
                        return;
                    }
                    m_finishedOnes.push_back(std::move(m_running[at]));  // It is on the stack below us.
                    --m_underWay;
                    ++m_arrived;
                    m_sent += m_needs[at].size - m_progress[at];
                    m_progress[at] = m_needs[at].size;
                    if (m_arrived == m_needs.size()) {
                        m_host->noteUpload(m_outcome.bytes, base::monotonicNanos() - m_began);
                        report(true);
                        afterFiles();
                    } else {
                        if (m_finishedOnes.size() > kFilesAtOnce) {
                            m_finishedOnes.erase(m_finishedOnes.begin(), m_finishedOnes.end() - 1);
                        }
                        sendMore();
                    }
                });
        }
    }

    void report(bool always) {
        const bool engine = m_needsEngine && m_arrived + 1 >= m_needs.size();
        tell(engine ? "engine" : "upload",
             engine ? "Sending the engine to " + m_host->label()
                    : "Sending " + base::formatCount(static_cast<std::int64_t>(m_needs.size())) +
                          (m_needs.size() == 1 ? " file to " : " files to ") + m_host->label(),
             m_sent, m_outcome.bytes, always);
    }

    void afterFiles() {
        if (m_send && !m_unfinished.empty()) {
            finishData();
            return;
        }
        if (m_send && m_needsEngine) {
            finishEngine();
            return;
        }
        fillIn();
        end(m_outcome);
    }

    void finishData() {
        const InputData* input = m_unfinished.back();
        m_unfinished.pop_back();
        tell("upload", "Checking the data " + input->name + " on " + m_host->label(), m_outcome.bytes, m_outcome.bytes,
             true);
        base::Json list = base::Json::array();
        for (const InputData::File& file : input->files) {
            list.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
        }
        HostRequest request;
        request.payload = base::dumpJson(list);
        request.header = {{"verb", "finish_data"},
                          {"entry", input->sha256},
                          {"name", input->name},
                          {"bytes", static_cast<std::int64_t>(request.payload.size())}};
        finish(std::move(request));
    }

    void finishEngine() {
        m_needsEngine = false;
        tell("engine", "Unpacking the engine on " + m_host->label(), m_outcome.bytes, m_outcome.bytes, true);
        HostRequest request;
        request.header = {{"verb", "finish_engine"},
                          {"key", m_outcome.deployed.engineKey},
                          {"archive", m_outcome.deployed.engineKey}};
        finish(std::move(request));
    }

    void finish(HostRequest request) {
        request.patient = true;
        m_step = m_host->request(std::move(request), Deadline::inMillis(kFinishMillis),
                                 [this](const Result<base::Json>& answer) {
                                     if (answer.ok()) {
                                         afterFiles();
                                     } else {
                                         end(answer.error());
                                     }
                                 });
    }

    void fillIn() {
        const std::string work = m_host->workFolder();
        for (const InputData& wanted : m_plan.inputs) {
            const auto brought = m_brought.find(wanted.name);
            const InputData& input = brought != m_brought.end() ? brought->second : wanted;
            wire::PlanInput planned;
            planned.name = input.name;
            planned.sha256 = input.sha256;
            if (const auto found = m_found.find(input.name);
                found != m_found.end() && input.origin == InputData::Origin::Address) {
                planned.path = found->second.path;
                planned.sha256 = found->second.entry;
                m_outcome.deployed.inputs.push_back(std::move(planned));
                continue;
            }
            switch (input.origin) {
            case InputData::Origin::Here:
                planned.path = work + "/data/" + input.sha256 + "/files";
                if (!input.isFolder && !input.files.empty()) {
                    planned.path += "/" + input.files.front().path;
                }
                break;
            case InputData::Origin::OnTarget:
                planned.path = input.location;
                planned.verify = !input.sha256.empty();
                break;
            case InputData::Origin::Address: planned.address = input.location; break;
            }
            m_outcome.deployed.inputs.push_back(std::move(planned));
        }
        if (!m_wanted.checkpoint.empty()) {
            m_outcome.deployed.resumeCheckpoint = work + "/objects/" + m_wanted.checkpoint;
        }
    }

    [[nodiscard]] Deadline answerLimit() const {
        return Deadline::inMillis(std::min<std::int64_t>(m_deadline.millisLeft(), kHostAnswerMillis));
    }

    void tell(const char* step, std::string text, std::int64_t bytes, std::int64_t total, bool always) {
        const std::int64_t now = base::monotonicNanos();
        if (!m_onProgress || (!always && now - m_told < kReportNanos)) {
            return;
        }
        m_told = now;
        QMetaObject::invokeMethod(
            &m_context,
            [call = m_onProgress, progress = LaunchProgress{step, std::move(text), bytes, total}] { call(progress); },
            Qt::QueuedConnection);
    }

    void end(const Result<Outcome>& result) {
        if (!m_done) {
            return;
        }
        if (m_host) {
            m_host->onDeploy({});
        }
        const auto done = std::exchange(m_done, {});
        done(result);
    }

    QObject m_context;
    QPointer<Host> m_host;
    const LaunchPlan m_plan;  ///< m_wanted and m_unfinished point into it.
    EngineChoice m_engine;
    bool m_send;
    Deadline m_deadline;
    std::function<void(LaunchProgress)> m_onProgress;
    Done<Outcome> m_done;
    Wanted m_wanted;
    Outcome m_outcome;
    bool m_bundled = false;
    bool m_needsEngine = false;
    bool m_askedRest = false;
    std::vector<std::string> m_hashes;
    std::size_t m_asked = 0;
    struct FoundThere {
        std::string path;
        std::string entry;
    };
    std::vector<const InputData*> m_toFetch;
    std::set<std::string> m_absent;              ///< Of the data asked about.
    std::map<std::string, FoundThere> m_found;   ///< Fetched there, by input.
    std::map<std::string, InputData> m_brought;  ///< Fetched here instead, by input.
    std::vector<HostUpload> m_needs;
    std::vector<const InputData*> m_unfinished;
    std::vector<std::int64_t> m_progress;
    std::vector<OperationPtr> m_running;
    std::vector<OperationPtr> m_finishedOnes;
    std::size_t m_next = 0;
    std::size_t m_underWay = 0;
    std::size_t m_arrived = 0;
    std::int64_t m_sent = 0;
    std::int64_t m_began = 0;
    std::int64_t m_told = 0;
    OperationPtr m_step;
};

}  // namespace

std::string snapshotManifest(const std::vector<SnapshotFile>& files) {
    base::Json list = base::Json::array();
    for (const SnapshotFile& file : files) {
        list.push_back(
            {{"path", file.path}, {"sha256", file.sha256}, {"size", file.size}, {"executable", file.executable}});
    }
    base::Json manifest{{"format", wire::kSnapshotFormat}, {"version", wire::kSnapshotVersion}};
    manifest["files"] = std::move(list);
    return base::dumpJson(manifest);
}

OperationPtr deploy(Host& host, const LaunchPlan& plan, EngineChoice engine,
                    std::function<void(LaunchProgress)> onProgress, Done<Deployed> done) {
    return std::make_unique<DeployOperation>(
        host, plan, std::move(engine), true, Deadline::inMillis(kDeployConnectMillis), std::move(onProgress),
        [done = std::move(done)](const Result<DeployOperation::Outcome>& outcome) {
            const auto call = done;
            call(outcome.ok() ? Result<Deployed>(outcome->deployed) : Result<Deployed>(outcome.error()));
        });
}

OperationPtr measureDeploy(Host& host, const LaunchPlan& plan, EngineChoice engine, Deadline deadline,
                           Done<base::Json> done) {
    return std::make_unique<DeployOperation>(
        host, plan, std::move(engine), false, deadline, std::function<void(LaunchProgress)>{},
        [done = std::move(done), at = QPointer<Host>(&host)](const Result<DeployOperation::Outcome>& outcome) {
            const auto call = done;
            if (!outcome.ok()) {
                call(outcome.error());
                return;
            }
            base::Json answer{{"files", outcome->files},
                              {"bytes", outcome->bytes},
                              {"fetches", outcome->fetches},
                              {"fetch_bytes", outcome->fetchBytes},
                              {"bytes_per_second", at ? at->uploadBytesPerSecond() : 0},
                              {"disk", nullptr}};
            if (at && outcome->freeBytes >= 0) {
                answer["disk"] = base::Json{{"host", at->label()},
                                            {"folder", at->workFolder()},
                                            {"free_bytes", outcome->freeBytes},
                                            {"needed_bytes", outcome->neededBytes}};
            }
            call(std::move(answer));
        });
}

}  // namespace trainyard::targets
