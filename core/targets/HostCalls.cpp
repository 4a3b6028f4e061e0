#include "core/targets/HostCalls.h"

#include <QPointer>
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/base/Content.h"
#include "core/base/Text.h"
#include "core/targets/Ssh.h"

namespace trainyard::targets {
namespace {

/// Clocks that differ by more make times in a run look wrong.
constexpr std::int64_t kClockMicros = 2'000'000;
constexpr std::int64_t kSlowNanos = 300'000'000;

/// An answer turned into what the caller wants; "target.protocol" when it does not have the right members.
template <class T, class Read>
Done<base::Json> reading(Done<T> done, Read read) {
    return [done = std::move(done), read = std::move(read)](const Result<base::Json>& answer) {
        const auto call = done;
        if (!answer.ok()) {
            call(answer.error());
            return;
        }
        base::ObjectReader reader(*answer, "");
        T value = read(reader);
        const Status right = reader.status(false);
        call(right.ok() ? Result<T>(std::move(value))
                        : Result<T>(base::Error{"target.protocol",
                                                "The agent's answer cannot be read: " + right.error().message}));
    };
}

Done<base::Json> ignoring(DoneStatus done) {
    return [done = std::move(done)](const Result<base::Json>& answer) {
        const auto call = done;
        call(answer.ok() ? Status() : Status(answer.error()));
    };
}

base::Json verb(const char* name, const RunId& run) { return {{"verb", name}, {"run", run.str()}}; }

AgentStatus statusFrom(const std::string& name) {
    if (name == "alive") return AgentStatus::Alive;
    if (name == "gone") return AgentStatus::Gone;
    if (name == "other_boot") return AgentStatus::OtherBoot;
    if (name == "folder_missing") return AgentStatus::FolderMissing;
    return AgentStatus::NotStarted;
}

Finding findingFrom(const std::string& name) {
    if (name == "ok") return Finding::Ok;
    if (name == "warning") return Finding::Warning;
    if (name == "failure") return Finding::Failure;
    return Finding::Unknown;
}

DoctorLine lineFrom(const base::Json& json, const std::string& host) {
    base::ObjectReader reader(json, "");
    DoctorLine line;
    line.id = reader.string("id");
    line.title = reader.string("title");
    line.host = host;
    line.finding = findingFrom(reader.string("finding", "unknown"));
    line.text = saidText(reader.string("text"));
    line.remedy = saidText(reader.string("remedy"));
    line.values = reader.raw("values");
    return line;
}

std::string millis(std::int64_t nanos) { return base::formatSignificant(static_cast<double>(nanos) / 1e6, 3) + " ms"; }

/// The host's own lines first, then what its agent finds.
class DoctorOperation final : public Operation {
public:
    DoctorOperation(Host& host, DoctorNeeds needs, Deadline deadline, std::function<void(DoctorLine)> onLine,
                    Done<std::vector<DoctorLine>> done)
        : m_host(&host), m_needs(std::move(needs)), m_deadline(deadline), m_onLine(std::move(onLine)),
          m_done(std::move(done)) {
        m_step = host.connect(deadline, [this](const Status& status) { connected(status); });
    }

private:
    void connected(const Status& status) {
        if (!status.ok()) {
            unreachable(status.error());
            return;
        }
        // Connected may mean a cable that was pulled a second ago: only an answer proves it.
        HostRequest request;
        request.header = {{"verb", "hello"}, {"protocol", wire::kServeProtocol}, {"client", TRAINYARD_VERSION}};
        m_sentAt = base::monotonicNanos();
        m_step = m_host->request(std::move(request), m_deadline,
                                 [this](const Result<base::Json>& answer) { greeted(answer); });
    }

    void unreachable(const base::Error& error) {
        DoctorLine reach;
        reach.id = "reach";
        reach.title = "Connection";
        reach.host = m_host->label();
        reach.finding = Finding::Failure;
        reach.text = error.message;
        reach.remedy = m_host->options().overSsh ? "Try ssh " + base::shellQuote(m_host->label()) + " in a terminal."
                                                 : "Install Trainyard anew.";
        reach.values = {{"code", error.code}};
        add(std::move(reach));
        finish();
    }

    void greeted(const Result<base::Json>& answer) {
        if (!answer.ok()) {
            unreachable(answer.error());
            return;
        }
        base::ObjectReader hello(*answer, "");
        DoctorLine reach;
        reach.id = "reach";
        reach.title = "Connection";
        reach.host = m_host->label();
        reach.finding = Finding::Ok;
        reach.text = "The agent answers as user " + saidText(hello.string("user")) + " on " +
                     saidText(hello.string("host")) + ".";
        reach.values = {{"user", hello.string("user")}, {"host", hello.string("host")}, {"work", hello.string("work")}};
        add(std::move(reach));
        DoctorLine latency{"latency", "Round trip", m_host->label(), Finding::Unknown, {}, {}, {}};
        DoctorLine clock{"clock", "Clock", m_host->label(), Finding::Unknown, {}, {}, {}};
        const std::int64_t now = base::monotonicNanos();
        const std::int64_t nanos =
            m_host->latencyNanos() >= 0 ? std::min(now - m_sentAt, m_host->latencyNanos()) : now - m_sentAt;
        const bool slow = nanos > kSlowNanos;
        latency.finding = slow ? Finding::Warning : Finding::Ok;
        latency.text = millis(nanos);
        latency.remedy =
            slow ? "Commands and logs arrive late; runs themselves are not slowed. Look at the network." : "";
        latency.values = {{"nanos", nanos}};
        const std::int64_t there = hello.integer("t");
        const std::int64_t offset = there - (base::wallMicros() - nanos / 2000);
        const bool wrong = std::llabs(offset) > kClockMicros;
        if (there != 0) {
            clock.finding = wrong ? Finding::Warning : Finding::Ok;
            clock.text = wrong ? "Its clock is " + base::formatDuration(std::llabs(offset) * 1000) +
                                     (offset > 0 ? " ahead of" : " behind") + " this machine's."
                               : "Within " + millis(std::llabs(offset) * 1000) + " of this machine's.";
            clock.remedy = wrong ? "Set it by NTP (timedatectl set-ntp true); times of runs look wrong otherwise." : "";
            clock.values = {{"offset_micros", offset}};
        } else {
            clock.text = "The agent did not tell its time.";
            clock.remedy = "Try again.";
        }
        add(std::move(latency));
        add(std::move(clock));
        HostRequest request;
        request.header = {{"verb", "probe"}, {"names", base::Json::array()}, {"need", m_needs.need}};
        if (!m_needs.python.empty()) {
            request.header["python"] = m_needs.python;
        }
        request.onEvent = [this](const base::Json& event, const std::string&) {
            if (event.contains("line")) {
                add(lineFrom(event.at("line"), m_host->label()));
            }
        };
        request.repeat = false;
        m_step = m_host->request(std::move(request), m_deadline, [this](const Result<base::Json>& end) {
            if (!end.ok()) {
                add({"probe",
                     "Probes",
                     m_host->label(),
                     Finding::Unknown,
                     "Not all probes ran: " + end.error().message,
                     "Run the doctor again.",
                     {}});
            }
            finish();
        });
    }

    void add(DoctorLine line) {
        m_lines.push_back(line);
        if (m_onLine) {
            m_onLine(std::move(line));
        }
    }
    void finish() {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(std::move(m_lines));
        }
    }

    QPointer<Host> m_host;
    DoctorNeeds m_needs;
    Deadline m_deadline;
    std::function<void(DoctorLine)> m_onLine;
    Done<std::vector<DoctorLine>> m_done;
    std::vector<DoctorLine> m_lines;
    std::int64_t m_sentAt = 0;
    OperationPtr m_step;
};

}  // namespace

OperationPtr putFiles(Host& host, const RunId& run, int attempt, int node,
                      const std::vector<std::pair<std::string, std::string>>& files, Deadline deadline,
                      DoneStatus done) {
    HostRequest request;
    request.header = verb("put", run);
    request.header["attempt"] = attempt;
    request.header["node"] = node;
    base::Json list = base::Json::array();
    for (const auto& [name, bytes] : files) {
        list.push_back({{"name", name}, {"size", bytes.size()}});
        request.payload += bytes;
    }
    request.header["files"] = std::move(list);
    return host.request(std::move(request), deadline, ignoring(std::move(done)));
}

OperationPtr startAgent(Host& host, const RunId& run, int attempt, int node, int waitLeadMillis, Deadline deadline,
                        Done<StartedAgent> done) {
    HostRequest request;
    request.header = verb("start", run);
    request.header["attempt"] = attempt;
    request.header["node"] = node;
    if (waitLeadMillis > 0) {
        request.header["wait_lead"] = waitLeadMillis;
    }
    return host.request(std::move(request), deadline,
                        reading<StartedAgent>(std::move(done), [](base::ObjectReader& reader) {
                            StartedAgent started;
                            started.pid = reader.integer("pid");
                            base::ObjectReader lead(reader.object("lead"), "lead");
                            started.leadAddress = lead.string("address");
                            started.leadPort = static_cast<int>(lead.integer("port"));
                            return started;
                        }));
}

OperationPtr commandRun(Host& host, const RunId& run, const std::string& command, Deadline deadline, Done<int> done) {
    HostRequest request;
    request.header = verb("command", run);
    request.header["name"] = command;
    return host.request(std::move(request), deadline, reading<int>(std::move(done), [](base::ObjectReader& reader) {
                            return static_cast<int>(reader.integer("nodes"));
                        }));
}

OperationPtr lookAtRun(Host& host, const RunId& run, Deadline deadline, Done<std::vector<NodeLook>> done) {
    HostRequest request;
    request.header = verb("look", run);
    return host.request(std::move(request), deadline,
                        reading<std::vector<NodeLook>>(std::move(done), [](base::ObjectReader& reader) {
                            std::vector<NodeLook> looks;
                            for (const base::Json& node : reader.array("nodes")) {
                                base::ObjectReader one(node, "nodes");
                                NodeLook look;
                                look.attempt = static_cast<int>(one.integer("attempt", 1));
                                look.node = static_cast<int>(one.integer("node", 0));
                                look.status = statusFrom(one.string("status"));
                                look.host = one.string("host");
                                looks.push_back(std::move(look));
                                reader.merge(one);
                            }
                            return looks;
                        }));
}

OperationPtr listOutputs(Host& host, const RunId& run, Deadline deadline, Done<std::vector<OutputFile>> done) {
    HostRequest request;
    request.header = verb("outputs", run);
    return host.request(std::move(request), deadline,
                        reading<std::vector<OutputFile>>(std::move(done), [](base::ObjectReader& reader) {
                            std::vector<OutputFile> files;
                            for (const base::Json& file : reader.array("files")) {
                                base::ObjectReader one(file, "files");
                                OutputFile output{one.string("path"), one.integer("size"), {}};
                                if (base::isPlainRelativePath(output.path)) {
                                    files.push_back(std::move(output));
                                }
                                reader.merge(one);
                            }
                            return files;
                        }));
}

OperationPtr listRuns(Host& host, Deadline deadline, Done<std::vector<RunId>> done) {
    HostRequest request;
    request.header = {{"verb", "runs"}};
    return host.request(std::move(request), deadline,
                        reading<std::vector<RunId>>(std::move(done), [](base::ObjectReader& reader) {
                            std::vector<RunId> runs;
                            for (const std::string& id : reader.strings("runs")) {
                                if (RunId run(id); run.isValid()) {
                                    runs.push_back(std::move(run));
                                }
                            }
                            return runs;
                        }));
}

OperationPtr removeRun(Host& host, const RunId& run, Deadline deadline, DoneStatus done) {
    HostRequest request;
    request.header = verb("remove", run);
    return host.request(std::move(request), deadline, ignoring(std::move(done)));
}

DoctorNeeds doctorNeeds(const spec::TargetSpec& spec) {
    DoctorNeeds needs{spec.python, {}};
    // One that was named is wanted. Of a cluster only the login host is asked, and runs go elsewhere.
    if (spec.kind != spec::TargetKind::Slurm) {
        if (spec.python != spec::TargetSpec().python) {
            needs.need.emplace_back("python");
        }
        if (spec.maxGpus > 0) {
            needs.need.emplace_back("gpus");
        }
    }
    return needs;
}

OperationPtr doctorHost(Host& host, DoctorNeeds needs, Deadline deadline, std::function<void(DoctorLine)> onLine,
                        Done<std::vector<DoctorLine>> done) {
    return std::make_unique<DoctorOperation>(host, std::move(needs), deadline, std::move(onLine), std::move(done));
}

OperationPtr loadOfHost(Host& host, Deadline deadline, Done<base::Json> done) {
    HostRequest request;
    request.header = {{"verb", "load"}};
    return host.request(std::move(request), deadline,
                        [label = host.label(), done = std::move(done)](const Result<base::Json>& answer) {
                            const auto call = done;
                            if (!answer.ok()) {
                                call(answer.error());
                                return;
                            }
                            base::Json load{{"host", label}};
                            for (const auto& [key, value] : answer->items()) {
                                if (key != "host") {
                                    load[key] = value;
                                }
                            }
                            call(std::move(load));
                        });
}

OperationPtr cacheOfHost(Host& host, Deadline deadline, Done<std::vector<CacheEntry>> done) {
    HostRequest request;
    request.header = {{"verb", "cache"}};
    return host.request(
        std::move(request), deadline,
        reading<std::vector<CacheEntry>>(std::move(done), [label = host.label()](base::ObjectReader& reader) {
            std::vector<CacheEntry> entries;
            for (const base::Json& entry : reader.array("entries")) {
                base::ObjectReader one(entry, "entries");
                CacheEntry cached;
                cached.host = label;
                cached.kind = one.string("kind");
                cached.key = one.string("key");
                cached.name = saidText(one.string("name"));
                cached.bytes = one.integer("bytes");
                cached.lastUse = one.integer("last_use");
                cached.inUse = one.boolean("in_use");
                entries.push_back(std::move(cached));
                reader.merge(one);
            }
            return entries;
        }));
}

OperationPtr clearCacheOfHost(Host& host, std::vector<CacheEntry> entries, Deadline deadline, Done<std::int64_t> done) {
    HostRequest request;
    request.header = {{"verb", "clear"}};
    base::Json list = base::Json::array();
    for (const CacheEntry& entry : entries) {
        list.push_back({{"kind", entry.kind}, {"key", entry.key}});
    }
    request.header["entries"] = std::move(list);
    return host.request(std::move(request), deadline,
                        reading<std::int64_t>(
                            std::move(done), [](base::ObjectReader& reader) { return reader.integer("freed_bytes"); }));
}

}  // namespace trainyard::targets
