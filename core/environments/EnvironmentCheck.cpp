#include "core/environments/EnvironmentCheck.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "core/base/Text.h"
#include "core/environments/EnvironmentPlan.h"

namespace trainyard::environments {

using spec::EnvironmentKind;
using spec::EnvironmentSpec;

namespace {

using Level = EnvironmentFinding::Level;

class Findings {
public:
    explicit Findings(const TargetFacts& facts) : m_facts(facts) {}

    void add(Level level, const char* code, const char* field, const std::string& host, std::string message,
             std::string remedy) {
        m_all.push_back({level, code, field, host, std::move(message), std::move(remedy)});
    }
    [[nodiscard]] std::string place(const HostFacts& host) const {
        return host.host.empty() ? "the target " + m_facts.target : host.host;
    }
    /// The lines of a host that say something about the question; a warning for the rest.
    template <class Missing>
    void each(Known HostFacts::*known, Missing missing) {
        for (const HostFacts& host : m_facts.hosts) {
            if (host.*known == Known::No) {
                missing(host);
            }
        }
    }
    std::vector<EnvironmentFinding> take() {
        std::ranges::stable_sort(m_all, {}, &EnvironmentFinding::level);
        return std::move(m_all);
    }

private:
    const TargetFacts& m_facts;
    std::vector<EnvironmentFinding> m_all;
};

/// Whether an interpreter other than the target's own is there: the doctor lists those in the folders of PATH alone.
Known hasPython(const HostFacts& host, const std::string& python) {
    const std::size_t slash = python.rfind('/');
    const std::string name = slash == std::string::npos ? python : python.substr(slash + 1);
    const std::string folder = slash == std::string::npos ? std::string() : python.substr(0, slash + 1);
    const bool isListable = name.starts_with("python") && name.find_first_not_of("0123456789.", 6) == std::string::npos;
    bool looked = false;
    for (const std::string& one : host.pythons) {
        const std::size_t end = one.rfind('/') + 1;
        const bool sameFolder = folder.empty() || one.compare(0, end, folder) == 0;
        if (sameFolder && one.compare(end, std::string::npos, name) == 0) {
            return Known::Yes;
        }
        looked = looked || sameFolder;
    }
    return looked && isListable ? Known::No : Known::Unknown;
}

void checkPython(const EnvironmentSpec& spec, const TargetFacts& facts, const char* field, Findings& findings) {
    const std::string python = pythonOf(spec, facts);
    const bool isTargets = python == facts.python || std::ranges::any_of(facts.hosts, [&](const HostFacts& host) {
                               return host.pythonPath == python;
                           });
    const auto missing = [&](const HostFacts& host) {
        std::string others;
        for (const std::string& one : host.pythons) {
            others += (others.empty() ? "" : ", ") + one;
        }
        findings.add(Level::Failure, "environment.no_python", field, host.host,
                     "There is no " + python + " on " + findings.place(host) +
                         (others.empty() ? "." : ", where the doctor found " + others + "."),
                     "Install Python 3 there, or name another interpreter in the target's definition or here. Examine "
                     "the target again after a change.");
    };
    if (isTargets) {
        findings.each(&HostFacts::python, missing);
        return;
    }
    bool isKnown = !facts.hosts.empty();
    for (const HostFacts& host : facts.hosts) {
        const Known known = hasPython(host, python);
        isKnown = isKnown && known != Known::Unknown;
        if (known == Known::No) {
            missing(host);
        }
    }
    if (!isKnown) {
        findings.add(Level::Unknown, "environment.python", field, "",
                     "Whether " + python + " is on the target is not known until the run starts.",
                     "Look there, or leave it empty for the target's own Python.");
    }
}

void checkGpus(const char* field, Findings& findings) {
    findings.each(&HostFacts::gpus, [&](const HostFacts& host) {
        findings.add(Level::Failure, "environment.no_gpu", field, host.host,
                     "There is no GPU on " + findings.place(host) + ".",
                     "Choose a target with GPUs, or an environment without them.");
    });
}

void checkContainer(const EnvironmentSpec& spec, const TargetFacts& facts, Findings& findings) {
    const std::string wanted = spec.container.engine;
    const bool buildsImage = spec.container.source != "image" || !spec.container.requirements.empty();
    for (const HostFacts& host : facts.hosts) {
        if (host.engines == Known::Unknown) {
            continue;
        }
        const auto& there = host.containerEngines;
        const auto isWanted = [&](const std::string& engine) {
            return wanted == "auto" || engine == wanted || (isApptainer(wanted) && isApptainer(engine));
        };
        if (std::ranges::none_of(there, isWanted)) {
            const std::string what =
                wanted == "auto" ? "no container engine that works" : "no " + wanted + " that works";
            findings.add(Level::Failure, "environment.no_engine", "container.engine", host.host,
                         "There is " + what + " on " + findings.place(host) +
                             (host.enginesText.empty() ? "." : ": " + host.enginesText + "."),
                         host.enginesRemedy.empty() ? "Install podman there, or choose an engine that is there."
                                                    : host.enginesRemedy);
        } else if (buildsImage && std::ranges::all_of(there, isApptainer)) {
            findings.add(Level::Failure, "environment.apptainer", "container.engine", host.host,
                         "Only " + there.front() + " is on " + findings.place(host) +
                             ", which builds no Containerfile and adds no packages.",
                         "Install podman there, or name an image that has all that is needed.");
        }
    }
    if (spec.container.gpus) {
        checkGpus("container.gpus", findings);
    }
}

void checkConda(const EnvironmentSpec& spec, const TargetFacts& facts, Findings& findings) {
    for (const HostFacts& host : facts.hosts) {
        const auto& there = host.condaTools;
        if (host.conda == Known::Unknown ||
            (spec.conda.tool == "auto" ? !there.empty() : std::ranges::find(there, spec.conda.tool) != there.end())) {
            continue;
        }
        findings.add(Level::Failure, "environment.no_conda", "conda.tool", host.host,
                     "There is no " +
                         (spec.conda.tool == "auto" ? std::string("micromamba, mamba or conda") : spec.conda.tool) +
                         " on " + findings.place(host) + ".",
                     "Install micromamba there (one file, in PATH), or choose another kind of environment.");
    }
}

void checkDisk(const EnvironmentSpec& spec, const TargetFacts& facts, Findings& findings) {
    const std::int64_t need = neededBytes(spec);
    for (const HostFacts& host : facts.hosts) {
        if (host.freeBytes >= 0 && host.freeBytes < need) {
            findings.add(Level::Failure, "environment.disk", "need_mib", host.host,
                         "Building it takes about " + base::formatBytes(need) + ", and " +
                             base::formatBytes(host.freeBytes) + " are free on " + findings.place(host) + ".",
                         "Clear the target's cache, make room there, or correct the number in the definition.");
        }
    }
}

void checkInClear(const EnvironmentSpec& spec, Findings& findings) {
    for (const auto& [name, value] : spec.variables) {
        std::string upper = name;
        std::ranges::transform(upper, upper.begin(),
                               [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        const bool telling =
            std::ranges::any_of(std::initializer_list<const char*>{"TOKEN", "PASSWORD", "PASSWD", "SECRET", "API_KEY",
                                                                   "APIKEY", "CREDENTIAL"},
                                [&](const char* word) { return upper.find(word) != std::string::npos; });
        if (telling && !value.empty() && !value.starts_with('/')) {
            findings.add(Level::Warning, "environment.in_clear", "variables", "",
                         name + " looks like a secret and is kept in clear in the workspace.",
                         "Make it a secret: its value then stays on the target (file:~/… or variable:NAME) and is "
                         "masked in logs.");
        }
    }
}

}  // namespace

std::vector<EnvironmentFinding> checkEnvironment(const EnvironmentSpec& spec, const TargetFacts& facts) {
    Findings findings(facts);
    checkInClear(spec, findings);
    const bool asksForNothing = spec.kind == EnvironmentKind::Engine && !spec.engine.cuda;
    if (!facts.examined && !asksForNothing) {
        findings.add(Level::Unknown, "environment.not_examined", "", "",
                     "What the target " + facts.target + " has is not known.",
                     "Examine it first: its page, or trainyard-cli target doctor " + facts.target + ".");
        return findings.take();
    }
    switch (spec.kind) {
    case EnvironmentKind::Engine:
        if (spec.engine.cuda) {
            checkGpus("engine.cuda", findings);
        }
        break;
    case EnvironmentKind::Interpreter:
        if (!spec.interpreter.isPython) {
            break;
        }
        checkPython(spec, facts, "interpreter.program", findings);
        if (std::ranges::find(spec.interpreter.needs, "torch") != spec.interpreter.needs.end() &&
            pythonOf(spec, facts) == facts.python) {
            findings.each(&HostFacts::torch, [&](const HostFacts& host) {
                findings.add(Level::Failure, "environment.no_torch", "interpreter.needs", host.host,
                             "The Python of " + findings.place(host) + " has no torch: " + host.torchText + ".",
                             "Install PyTorch for it, or choose an environment that brings one.");
            });
        }
        break;
    case EnvironmentKind::Venv: checkPython(spec, facts, "venv.python", findings); break;
    case EnvironmentKind::Conda: checkConda(spec, facts, findings); break;
    case EnvironmentKind::Container: checkContainer(spec, facts, findings); break;
    case EnvironmentKind::Setup: break;
    }
    checkDisk(spec, facts, findings);
    return findings.take();
}

base::Json toJson(const EnvironmentFinding& finding) {
    const char* level = finding.level == Level::Failure   ? "failure"
                        : finding.level == Level::Warning ? "warning"
                                                          : "unknown";
    return base::Json{{"finding", level},     {"code", finding.code},       {"field", finding.field},
                      {"host", finding.host}, {"message", finding.message}, {"remedy", finding.remedy}};
}

}  // namespace trainyard::environments
