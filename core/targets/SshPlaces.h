#pragma once
// On which hosts of an SSH target the nodes of a run live. Inside this room only.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/targets/Gather.h"
#include "core/targets/SshTarget.h"

namespace trainyard::targets {

/// The host indices by node. Known at once with one host or after a launch; otherwise every host is asked for the file
/// that lies beside the run. Errors: "target.missing" (all answered, none has the run), else why the first host that
/// did not answer cannot be reached.
[[nodiscard]] OperationPtr findPlaces(std::shared_ptr<SshTarget::Shared> shared, const RunId& run, Deadline deadline,
                                      Done<std::vector<std::size_t>> done);

/// Host indices of such labels, by node; empty when the target has not got one of them any more.
[[nodiscard]] std::vector<std::size_t> placesOf(const SshTarget::Shared& shared,
                                                const std::vector<std::string>& labels);

/// Name and bytes of the file beside a run.
[[nodiscard]] std::pair<std::string, std::string> placesFile(const SshTarget::Shared& shared,
                                                             const std::vector<std::size_t>& places);

/// The run's hosts, each once: with a shared folder only the first that answers need be asked.
[[nodiscard]] std::vector<std::size_t> distinct(const std::vector<std::size_t>& places);

/// The answers of hosts, sorted: who does not answer now, and the first error of one that does.
template <class T>
struct Heard {
    std::vector<SilentHost> silent;
    std::optional<base::Error> error;
    bool any = false;  ///< At least one gave an answer.

    Heard(const SshTarget::Shared& shared, const std::vector<std::pair<std::size_t, Result<T>>>& answers) {
        for (const auto& [host, answer] : answers) {
            if (answer.ok()) {
                any = true;
            } else if (mayAnswerLater(answer.error())) {
                silent.push_back({shared.hosts[host]->label(), answer.error()});
            } else if (!error) {
                error = answer.error();
            }
        }
        if (!any && !error && !silent.empty()) {
            error = silent.front().error;
        }
    }
};

/// For questions that a host answers at once where it answers at all.
inline constexpr int kHostPatienceMillis = 5000;

/// What a host of these is taken to have answered that said nothing for so long while another did.
[[nodiscard]] Patience hostPatience(std::shared_ptr<SshTarget::Shared> shared, std::vector<std::size_t> hosts);
/// The indices of a target's hosts.
[[nodiscard]] std::vector<std::size_t> hostsOf(const SshTarget::Shared& shared);

/// findPlaces, and then the same question to each of the run's hosts, each once. `done` gets the places and the answers
/// of distinct(places), or the error of findPlaces. `quick`: with kHostPatienceMillis for those that do not answer.
template <class T>
class OnPlaces final : public Operation {
public:
    using Start = std::function<OperationPtr(Host&, Done<T>)>;
    using Answers =
        std::function<void(Result<std::vector<std::size_t>>, std::vector<std::pair<std::size_t, Result<T>>>)>;

    OnPlaces(std::shared_ptr<SshTarget::Shared> shared, const RunId& run, Deadline deadline, Start start, Answers done,
             bool quick = false)
        : m_shared(std::move(shared)), m_start(std::move(start)), m_done(std::move(done)) {
        m_step = findPlaces(m_shared, run, deadline, [this, quick](const Result<std::vector<std::size_t>>& places) {
            if (!places.ok()) {
                const auto call = std::move(m_done);
                call(places.error(), {});
                return;
            }
            m_places = *places;
            m_hosts = distinct(m_places);
            m_step = std::make_unique<Gather<T>>(
                m_hosts.size(),
                [this](std::size_t i, Done<T> one) { return m_start(*m_shared->hosts[m_hosts[i]], std::move(one)); },
                [this](typename Gather<T>::Answers answers) {
                    std::vector<std::pair<std::size_t, Result<T>>> all;
                    for (std::size_t i = 0; i < answers.size(); ++i) {
                        all.emplace_back(m_hosts[i], std::move(answers[i]));
                    }
                    const auto call = std::move(m_done);
                    const auto at = m_places;
                    call(at, std::move(all));
                },
                quick ? hostPatience(m_shared, m_hosts) : Patience{});
        });
    }

private:
    std::shared_ptr<SshTarget::Shared> m_shared;
    Start m_start;
    Answers m_done;
    std::vector<std::size_t> m_places;
    std::vector<std::size_t> m_hosts;
    OperationPtr m_step;
};

}  // namespace trainyard::targets
