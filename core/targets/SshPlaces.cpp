#include "core/targets/SshPlaces.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "core/targets/HostCalls.h"

namespace trainyard::targets {
namespace {

constexpr const char* kFile = "places.json";
constexpr const char* kFormat = "trainyard.places";

/// Host indices from the file's text; empty when it does not fit this target any more.
std::vector<std::size_t> readPlaces(const SshTarget::Shared& shared, const std::string& text) {
    const base::Result<base::Json> json = base::parseJson(text);
    if (!json.ok() || !base::checkFormat(*json, kFormat, 1).ok()) {
        return {};
    }
    base::ObjectReader reader(*json, "");
    return placesOf(shared, reader.strings("hosts"));
}

/// Asks all hosts; the first that knows ends it, since one that cannot be reached would answer late.
class FindPlaces final : public Operation {
public:
    FindPlaces(std::shared_ptr<SshTarget::Shared> shared, const RunId& run, Deadline deadline,
               Done<std::vector<std::size_t>> done)
        : m_shared(std::move(shared)), m_run(run.str()), m_done(std::move(done)), m_left(m_shared->hosts.size()) {
        for (const std::unique_ptr<Host>& host : m_shared->hosts) {
            // The work folder's absolute name is known only once the host has answered.
            ExecRequest read;
            read.argv = {"cat", "runs/" + m_run + "/" + kFile};
            read.inWorkFolder = true;
            read.repeat = true;
            m_parts.push_back(
                host->exec(std::move(read), deadline, [this](const Result<ExecResult>& answer) { take(answer); }));
        }
    }

private:
    void take(const Result<ExecResult>& answer) {
        --m_left;
        if (!answer.ok()) {
            m_silent = m_silent ? m_silent : answer.error();
        } else if (const auto places = readPlaces(*m_shared, answer->out); !places.empty()) {
            m_shared->places[m_run] = places;
            end(places);
            return;
        }
        if (m_left == 0) {
            end(m_silent ? *m_silent
                         : base::Error{"target.missing", "No host of " + m_shared->spec.name + " has the run."});
        }
    }

    void end(const Result<std::vector<std::size_t>>& result) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(result);
        }
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    std::string m_run;
    Done<std::vector<std::size_t>> m_done;
    std::size_t m_left;
    std::optional<base::Error> m_silent;
    std::vector<OperationPtr> m_parts;
};

}  // namespace

std::vector<std::size_t> placesOf(const SshTarget::Shared& shared, const std::vector<std::string>& labels) {
    std::vector<std::size_t> places;
    for (const std::string& label : labels) {
        const auto found = std::find_if(shared.hosts.begin(), shared.hosts.end(),
                                        [&](const std::unique_ptr<Host>& host) { return host->label() == label; });
        if (found == shared.hosts.end()) {
            return {};
        }
        places.push_back(static_cast<std::size_t>(found - shared.hosts.begin()));
    }
    return places;
}

std::pair<std::string, std::string> placesFile(const SshTarget::Shared& shared,
                                               const std::vector<std::size_t>& places) {
    base::Json json{{"format", kFormat}, {"version", 1}};
    base::Json hosts = base::Json::array();
    for (const std::size_t place : places) {
        hosts.push_back(shared.hosts[place]->label());
    }
    json["hosts"] = std::move(hosts);
    return {kFile, base::dumpJson(json)};
}

std::vector<std::size_t> distinct(const std::vector<std::size_t>& places) {
    std::vector<std::size_t> once;
    for (const std::size_t place : places) {
        if (std::find(once.begin(), once.end(), place) == once.end()) {
            once.push_back(place);
        }
    }
    return once;
}

std::vector<std::size_t> hostsOf(const SshTarget::Shared& shared) {
    std::vector<std::size_t> hosts(shared.hosts.size());
    std::iota(hosts.begin(), hosts.end(), std::size_t{0});
    return hosts;
}

Patience hostPatience(std::shared_ptr<SshTarget::Shared> shared, std::vector<std::size_t> hosts) {
    return {kHostPatienceMillis, [shared = std::move(shared), hosts = std::move(hosts)](std::size_t i) {
                const Host& host = *shared->hosts[hosts[i]];
                const std::string& why = host.reach().reason;
                return base::Error{"target.unreachable", !why.empty()
                                                             ? why
                                                             : host.label() + " has not answered for " +
                                                                   std::to_string(kHostPatienceMillis / 1000) + " s."};
            }};
}

OperationPtr findPlaces(std::shared_ptr<SshTarget::Shared> shared, const RunId& run, Deadline deadline,
                        Done<std::vector<std::size_t>> done) {
    if (shared->hosts.size() == 1) {
        return postResult<std::vector<std::size_t>>(std::vector<std::size_t>{0}, std::move(done));
    }
    if (const auto known = shared->places.find(run.str()); known != shared->places.end()) {
        return postResult<std::vector<std::size_t>>(known->second, std::move(done));
    }
    return std::make_unique<FindPlaces>(std::move(shared), run, deadline, std::move(done));
}

}  // namespace trainyard::targets
