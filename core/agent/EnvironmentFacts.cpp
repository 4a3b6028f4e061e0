#include "core/agent/EnvironmentFacts.h"

#include <algorithm>

#include "core/agent/Environment.h"
#include "core/base/Process.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kLimitMillis = 30'000;
constexpr std::size_t kMostBytes = 4 << 20;
constexpr std::int64_t kImageIdBytes = 4096;

}  // namespace

EnvironmentFacts::EnvironmentFacts(const NodeLayout& layout, const wire::Plan& plan, const Machine& machine,
                                   const Masker& masker)
    : m_environment(plan.environment), m_masker(masker), m_names(environmentNames(layout, plan)) {
    if (!m_environment.hash.empty()) m_folder = wire::WorkLayout{plan.workFolder}.environment(m_environment.hash);
    Launch nothing;
    m_variables = rankEnvironment(currentEnvironment(), plan, layout, nothing, 0);
    m_body["name"] = m_environment.name;
    m_body["type"] = m_environment.kind;
    m_body["hash"] = m_environment.hash;
    m_body["host"] = machine.host;
    m_body["kernel"] = machine.kernel;
    if (!machine.driver.empty()) m_body["driver"] = machine.driver;
}

void EnvironmentFacts::start(bool cached, std::int64_t prepareNanos) {
    m_begun = true;
    m_body["cached"] = cached;
    m_body["prepare_ns"] = prepareNanos;
    if (!m_environment.interpreter.empty()) m_body["interpreter"] = expandVariables(m_environment.interpreter, m_names);
    if (m_folder.empty()) return;
    const std::string image(base::trim(base::readFileRange(m_folder / "image.id", 0, kImageIdBytes).valueOr({})));
    if (!image.empty()) m_body["image"] = base::stripControl(base::toValidUtf8(image));
}

std::optional<Json> EnvironmentFacts::kept() const {
    if (m_folder.empty()) return {};
    auto json = readJsonFile(m_folder / "facts.json");
    if (!json.ok() || !json->is_object() || json->value("boot_id", Json()) != base::bootId() ||
        !json->contains("facts"))
        return {};
    return (*json)["facts"];
}

void EnvironmentFacts::keep(const Json& facts) const {
    if (m_folder.empty()) return;
    // Only to save the next run the question: it is asked again where this is lost.
    const auto written =
        replaceFile(m_folder / "facts.json", base::dumpJson(Json{{"boot_id", base::bootId()}, {"facts", facts}}));
    if (!written.ok()) std::fprintf(stderr, "trainyard-agent: %s\n", written.error().message.c_str());
}

void EnvironmentFacts::service(StreamSink& sink) {
    if (!m_begun || m_told) return;
    if (m_environment.facts.empty()) {
        tell(sink, {}, {});
        return;
    }
    if (!m_child) {
        if (const auto known = kept()) {
            tell(sink, *known, {});
            return;
        }
        ChildSpec spec;
        for (const std::string& argument : m_environment.facts)
            spec.argv.push_back(expandVariables(argument, m_variables));
        for (const auto& [name, value] : m_variables) spec.environment.emplace_back(name, value);
        spec.pipeErr = false;
        auto child = Child::start(spec);
        if (!child.ok()) {
            tell(sink, {}, child.error().message);
            return;
        }
        m_child.emplace(std::move(child).value());
        m_limit = base::Deadline::inMillis(kLimitMillis);
    }
    const bool open = readAvailable(m_child->out.get(), m_out, kMostBytes);
    if (open && !m_limit->passed() && m_out.size() <= kMostBytes) return;
    m_child.reset();
    const std::string name = m_environment.facts.front();
    if (open) {
        tell(sink, {}, name + (m_out.size() > kMostBytes ? " said too much." : " did not answer within 30 s."));
        return;
    }
    auto json = base::parseJson(m_out);
    if (!json.ok() || !json->is_object()) {
        const std::string said = base::stripControl(base::toValidUtf8(m_masker.mask(base::trim(m_out)))).substr(0, 200);
        tell(sink, {}, name + (said.empty() ? " said nothing." : " answered no JSON object: " + said));
        return;
    }
    m_masker.maskAll(*json);
    keep(*json);
    tell(sink, *json, {});
}

void EnvironmentFacts::tell(StreamSink& sink, const Json& facts, const std::string& error) {
    m_told = true;
    if (facts.is_object()) m_body["facts"] = facts;
    if (!error.empty()) m_body["facts_error"] = error;
    sink.put(wire::kNoRank, wire::kind::kEnvironment, m_body);
}

}  // namespace trainyard::agent
