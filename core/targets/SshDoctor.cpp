#include "core/targets/SshDoctor.h"

#include <QRandomGenerator>
#include <algorithm>
#include <utility>

#include "core/base/Text.h"
#include "core/targets/Gather.h"
#include "core/targets/HostCalls.h"

namespace trainyard::targets {
namespace {

constexpr int kPairMillis = 4000;

class SshDoctor final : public Operation {
public:
    SshDoctor(std::shared_ptr<SshTarget::Shared> shared, Deadline deadline, std::function<void(DoctorLine)> onLine,
              Done<std::vector<DoctorLine>> done)
        : m_shared(std::move(shared)), m_deadline(deadline), m_onLine(std::move(onLine)), m_done(std::move(done)) {
        m_step = std::make_unique<Gather<std::vector<DoctorLine>>>(
            m_shared->hosts.size(),
            [this](std::size_t i, Done<std::vector<DoctorLine>> one) {
                return doctorHost(
                    *m_shared->hosts[i], doctorNeeds(m_shared->spec), m_deadline,
                    [this](const DoctorLine& line) { add(line); }, std::move(one));
            },
            [this](const Gather<std::vector<DoctorLine>>::Answers&) { findAddresses(); });
    }

private:
    void findAddresses() {
        if (m_shared->hosts.size() < 2) {
            finish();
            return;
        }
        m_step = std::make_unique<Gather<ExecResult>>(
            m_shared->hosts.size(),
            [this](std::size_t i, Done<ExecResult> one) -> OperationPtr {
                ExecRequest ask;
                ask.argv = {"printenv", "SSH_CONNECTION"};
                ask.repeat = true;
                return m_shared->hosts[i]->exec(std::move(ask), m_deadline, std::move(one));
            },
            [this](const Gather<ExecResult>::Answers& answers) {
                for (std::size_t i = 0; i < answers.size(); ++i) {
                    std::string address = m_shared->hosts[i]->options().where.address;
                    if (address.empty() && answers[i].ok()) {
                        const auto words = base::split(base::trim(answers[i]->out), ' ');
                        address = words.size() == 4 ? words[2] : std::string();
                    }
                    m_addresses.push_back(std::move(address));
                }
                nextPair();
            });
    }

    void nextPair() {
        const std::size_t n = m_shared->hosts.size();
        while (m_pair < n * n && m_pair / n == m_pair % n) {
            ++m_pair;
        }
        if (m_pair == n * n) {
            finish();
            return;
        }
        m_from = m_pair / n;
        m_to = m_pair % n;
        ++m_pair;
        m_reached.reset();
        m_reachStep.reset();
        if (m_addresses[m_to].empty()) {
            pairLine(Finding::Unknown, "No address of " + label(m_to) + " is known.",
                     "Give the host's address for the other nodes in the target's definition.", 0);
            nextPair();
            return;
        }
        m_nonce = QString::number(QRandomGenerator::system()->generate64(), 16).toStdString();
        HostRequest listen;
        listen.header = {
            {"verb", "listen"}, {"address", m_addresses[m_to]}, {"nonce", m_nonce}, {"limit_ms", kPairMillis}};
        listen.repeat = false;
        listen.onEvent = [this](const base::Json& event, const std::string&) {
            base::ObjectReader reader(event, "");
            if (reader.string("event") == "listening") {
                reachOut(reader.integer("port"));
            }
        };
        m_step = m_shared->hosts[m_to]->request(std::move(listen), Deadline::inMillis(kPairMillis + 5000),
                                                [this](const Result<base::Json>& heard) { judge(heard); });
    }

    void reachOut(std::int64_t port) {
        HostRequest reach;
        reach.header = {{"verb", "reach"},
                        {"address", m_addresses[m_to]},
                        {"port", port},
                        {"nonce", m_nonce},
                        {"limit_ms", kPairMillis - 1000}};
        reach.repeat = false;
        m_reachStep =
            m_shared->hosts[m_from]->request(std::move(reach), Deadline::inMillis(kPairMillis + 4000),
                                             [this](const Result<base::Json>& answer) { m_reached = answer; });
    }

    void judge(const Result<base::Json>& heard) {
        const std::string arrow = label(m_from) + " to " + label(m_to) + " (" + m_addresses[m_to] + ")";
        if (heard.ok()) {
            std::int64_t nanos = 0;
            if (m_reached && m_reached->ok()) {
                base::ObjectReader reader(**m_reached, "");
                nanos = reader.integer("nanos");
            }
            pairLine(
                Finding::Ok,
                arrow + ": connected" +
                    (nanos > 0 ? " in " + base::formatSignificant(static_cast<double>(nanos) / 1e6, 3) + " ms." : "."),
                "", nanos);
        } else if (heard.error().code == "target.unreachable" ||
                   (m_reached && !m_reached->ok() && unreachable(m_reached->error()))) {
            pairLine(Finding::Unknown, arrow + ": not tried, a host cannot be reached from here.",
                     "Mend the connection first (see its line).", 0);
        } else {
            const std::string why = m_reached && !m_reached->ok() ? m_reached->error().message : heard.error().message;
            pairLine(Finding::Failure, arrow + ": no connection. " + why,
                     "Open the firewall between the hosts for all TCP ports above 1024, or give another address of the "
                     "host in "
                     "the target's definition.",
                     0);
        }
        nextPair();
    }

    static bool unreachable(const base::Error& error) { return error.code == "target.unreachable"; }
    [[nodiscard]] const std::string& label(std::size_t i) const { return m_shared->hosts[i]->label(); }

    void pairLine(Finding finding, std::string text, std::string remedy, std::int64_t nanos) {
        DoctorLine line;
        line.id = "pair";
        line.title = "Between the hosts";
        line.host = label(m_from);
        line.finding = finding;
        line.text = std::move(text);
        line.remedy = std::move(remedy);
        line.values = {{"from", label(m_from)}, {"to", label(m_to)}, {"address", m_addresses[m_to]}, {"nanos", nanos}};
        add(line);
    }

    void add(const DoctorLine& line) {
        m_lines.push_back(line);
        if (m_onLine) {
            m_onLine(line);
        }
    }
    void finish() {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(std::move(m_lines));
        }
    }

    std::shared_ptr<SshTarget::Shared> m_shared;
    Deadline m_deadline;
    std::function<void(DoctorLine)> m_onLine;
    Done<std::vector<DoctorLine>> m_done;
    std::vector<DoctorLine> m_lines;
    std::vector<std::string> m_addresses;
    std::size_t m_pair = 0;
    std::size_t m_from = 0;
    std::size_t m_to = 0;
    std::string m_nonce;
    std::optional<Result<base::Json>> m_reached;
    OperationPtr m_reachStep;
    OperationPtr m_step;
};

}  // namespace

OperationPtr doctorOverSsh(std::shared_ptr<SshTarget::Shared> shared, Deadline deadline,
                           std::function<void(DoctorLine)> onLine, Done<std::vector<DoctorLine>> done) {
    return std::make_unique<SshDoctor>(std::move(shared), deadline, std::move(onLine), std::move(done));
}

}  // namespace trainyard::targets
