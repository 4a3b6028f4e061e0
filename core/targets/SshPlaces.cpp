#include "core/targets/SshPlaces.h"

#include <algorithm>

#include "core/targets/HostCalls.h"

namespace trainyard::targets {
namespace {

constexpr const char* kFile = "places.json";
constexpr const char* kFormat = "trainyard.places";

/// Host indices from the file's text; empty when it does not fit this target any more.
std::vector<std::size_t> readPlaces(const SshTarget::Shared& shared, const std::string& text) {
    std::vector<std::size_t> places;
    const base::Result<base::Json> json = base::parseJson(text);
    if (!json.ok() || !base::checkFormat(*json, kFormat, 1).ok()) {
        return places;
    }
    base::ObjectReader reader(*json, "");
    for (const base::Json& name : reader.array("hosts")) {
        const auto found =
            std::find_if(shared.hosts.begin(), shared.hosts.end(), [&](const std::unique_ptr<Host>& host) {
                return name.is_string() && host->label() == name.get<std::string>();
            });
        if (found == shared.hosts.end()) {
            return {};
        }
        places.push_back(static_cast<std::size_t>(found - shared.hosts.begin()));
    }
    return places;
}

}  // namespace

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

OperationPtr findPlaces(std::shared_ptr<SshTarget::Shared> shared, const RunId& run, Deadline deadline,
                        Done<std::vector<std::size_t>> done) {
    if (shared->hosts.size() == 1) {
        return postResult<std::vector<std::size_t>>(std::vector<std::size_t>{0}, std::move(done));
    }
    if (const auto known = shared->places.find(run.str()); known != shared->places.end()) {
        return postResult<std::vector<std::size_t>>(known->second, std::move(done));
    }
    return std::make_unique<Gather<ExecResult>>(
        shared->hosts.size(),
        [&](std::size_t i, Done<ExecResult> one) -> OperationPtr {
            // The work folder's absolute name is known only once the host has answered.
            ExecRequest read;
            read.argv = {"cat", "runs/" + run.str() + "/" + kFile};
            read.inWorkFolder = true;
            read.repeat = true;
            return shared->hosts[i]->exec(std::move(read), deadline, std::move(one));
        },
        [shared, run, done = std::move(done)](const Gather<ExecResult>::Answers& answers) {
            const auto call = done;
            std::optional<base::Error> silent;
            for (const Result<ExecResult>& answer : answers) {
                if (!answer.ok()) {
                    silent = silent ? silent : answer.error();
                } else if (const auto places = readPlaces(*shared, answer->out); !places.empty()) {
                    shared->places[run.str()] = places;
                    call(places);
                    return;
                }
            }
            if (silent) {
                call(*silent);
                return;
            }
            call(base::Error{"target.missing", "No host of " + shared->spec.name + " has the run."});
        });
}

}  // namespace trainyard::targets
