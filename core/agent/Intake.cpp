#include "core/agent/Intake.h"

#include <sys/random.h>

#include <array>

#include "core/agent/Clients.h"
#include "core/agent/RankEnvironment.h"
#include "core/base/Clock.h"

namespace trainyard::agent {

namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr std::int64_t kServiceNanos = 20'000'000;

/// 128 bits; empty when the kernel has none.
std::string newSecret() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

}  // namespace

Intake::Intake(const NodeLayout& layout, const wire::Plan& plan, const Masker& masker)
    : m_layout(layout), m_plan(plan), m_masker(masker) {}

std::vector<std::string> Intake::tokens(const std::string& secret) const {
    std::vector<std::string> all;
    for (int rank = 0; rank < m_plan.processes; ++rank) all.push_back(secret + "-" + std::to_string(rank));
    return all;
}

void Intake::prepare(Launch& launch, StreamSink& sink) {
    if (m_plan.engine) return;
    const auto unpacked =
        unpackClients(m_plan.workFolder.empty() ? m_layout.root / "clients" : Path(m_plan.workFolder) / "clients");
    if (unpacked.ok()) {
        launch.clients = unpacked->string();
    } else {
        sink.putWarning(wire::kNoRank, "clients.unpack",
                        "Scripts do not find Trainyard's modules: " + unpacked.error().message);
    }
    const std::string secret = newSecret();
    m_mlflow = std::make_unique<Mlflow>(m_layout, m_plan);
    auto server = HttpServer::listen(kLoopback, 0, tokens(secret), *m_mlflow);
    if (!server.ok() || secret.empty()) {
        sink.putWarning(wire::kNoRank, "mlflow.listen",
                        "MLflow calls of scripts are not taken: " +
                            (server.ok() ? std::string("no random numbers.") : server.error().message));
        return;
    }
    m_server.emplace(std::move(server).value());
    launch.trackingPort = m_server->port();
    launch.trackingToken = secret;
}

void Intake::begin(const Launch& launch, const std::map<std::string, std::int64_t>& offsets, StreamSink& sink) {
    if (m_plan.engine) return;
    if (!m_server && launch.trackingPort != 0) {
        m_mlflow = std::make_unique<Mlflow>(m_layout, m_plan);
        auto server = HttpServer::listen(kLoopback, launch.trackingPort, tokens(launch.trackingToken), *m_mlflow);
        if (server.ok()) {
            m_server.emplace(std::move(server).value());
        } else {
            sink.putWarning(wire::kNoRank, "mlflow.listen",
                            "MLflow calls of scripts are not taken any more: " + server.error().message);
        }
    }
    const Path working = workingFolderOf(m_layout, m_plan);
    std::vector<EventFolder> folders{{"logs", working / "logs"}, {"runs", working / "runs"}};
    // A run's folder is where the outputs lie too.
    if (m_plan.node == 0 || !m_plan.sharedFolder) folders.push_back({"outputs", m_plan.outputsFolder});
    m_events.emplace(std::move(folders), m_plan.node * m_plan.processes, launch.t, offsets);
    m_events->maskWith(&m_masker);
}

void Intake::addDescriptors(std::vector<pollfd>& into) const {
    if (m_server) m_server->addDescriptors(into);
}

bool Intake::service() { return m_server && m_server->service(kServiceNanos); }

bool Intake::drain(StreamSink& sink, wire::ClientLineTranslator& translator) {
    return m_events && m_events->drain(sink, translator);
}

bool Intake::finish(StreamSink& sink, wire::ClientLineTranslator& translator) {
    m_server.reset();
    if (m_events && !m_events->finish(sink, translator)) return false;
    m_events.reset();
    return true;
}

}  // namespace trainyard::agent
