#include "core/runs/TargetPool.h"

#include <utility>

#include "core/targets/SlurmTarget.h"
#include "core/targets/SshTarget.h"

namespace trainyard::runs {

using base::Error;
using base::Result;

namespace {

std::unique_ptr<targets::Target> makeTarget(const spec::TargetSpec& spec, const targets::LocalTargetOptions& local) {
    switch (spec.kind) {
    case spec::TargetKind::Local: return std::make_unique<targets::LocalTarget>(local, spec);
    case spec::TargetKind::Ssh: return std::make_unique<targets::SshTarget>(spec);
    case spec::TargetKind::Slurm: return std::make_unique<targets::SlurmTarget>(spec);
    }
    return nullptr;
}

}  // namespace

TargetPool::TargetPool(targets::LocalTargetOptions local, Definitions definitions, Make make)
    : m_local(std::move(local)), m_definitions(std::move(definitions)), m_make(make ? std::move(make) : makeTarget) {}

TargetPool::~TargetPool() {
    // An answer that still comes must find no target.
    m_questions.clear();
}

Result<spec::TargetSpec> TargetPool::definition(const std::string& name) const {
    Result<spec::TargetSpec> found =
        m_definitions ? m_definitions(name)
                      : Result<spec::TargetSpec>(Error{"target.unknown", "There is no target \"" + name + "\"."});
    if (!found.ok() && found.error().code == "target.unknown" && name == kLocalTarget) {
        spec::TargetSpec local;
        local.name = name;
        local.kind = spec::TargetKind::Local;
        return local;
    }
    return found;
}

Result<targets::Target*> TargetPool::get(const std::string& name) {
    if (const auto found = m_targets.find(name); found != m_targets.end()) {
        return found->second.get();
    }
    const Result<spec::TargetSpec> spec = definition(name);
    if (!spec.ok()) {
        return spec.error();
    }
    std::unique_ptr<targets::Target> target = m_make(*spec, m_local);
    if (!target) {
        return Error{"target.kind", "This version cannot reach targets of the kind of \"" + name + "\"."};
    }
    target->onReachChanged([this, name](const targets::Reach& reach) {
        if (reach.state == targets::Reach::State::Connected) {
            m_reached.insert(name);
        }
        Q_EMIT reachChanged(name, reach);
    });
    target->setAsk([this, name](const targets::Question& question, targets::AnswerQuestion answer) {
        m_questions[++m_lastQuestion] = {name, std::move(answer)};
        Q_EMIT asked(m_lastQuestion, question);
    });
    return m_targets.emplace(name, std::move(target)).first->second.get();
}

targets::Reach TargetPool::reach(const std::string& name) const {
    const auto found = m_targets.find(name);
    return found == m_targets.end() ? targets::Reach{} : found->second->reach();
}

std::vector<std::string> TargetPool::connected() const {
    std::vector<std::string> names;
    for (const auto& [name, target] : m_targets) {
        if (target->reach().state == targets::Reach::State::Connected) {
            names.push_back(name);
        }
    }
    return names;
}

void TargetPool::changed(const std::string& name) {
    if (!m_targets.contains(name)) {
        return;
    }
    Q_EMIT leaving(name);
    std::erase_if(m_questions, [&](const auto& question) { return question.second.target == name; });
    m_targets.erase(name);
    Q_EMIT reachChanged(name, {});
}

void TargetPool::answer(std::int64_t question, std::optional<std::string> text) {
    const auto found = m_questions.find(question);
    if (found == m_questions.end()) {
        return;
    }
    const targets::AnswerQuestion tell = std::move(found->second.answer);
    m_questions.erase(found);
    tell(std::move(text));
}

}  // namespace trainyard::runs
