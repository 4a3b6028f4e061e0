#include "core/agent/Container.h"

#include <algorithm>
#include <cstdio>

#include "core/agent/Child.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kRemoveMillis = 15'000;

}  // namespace

std::string containerName(const wire::Plan& plan, int rank) {
    return "trainyard-" + plan.run.str() + "-a" + std::to_string(plan.attempt) + "-r" +
           std::to_string(plan.node * plan.processes + rank);
}

std::optional<Container> containerIn(std::vector<std::string>& wrap, const std::string& name) {
    if (wrap.empty()) return {};
    const std::string program = wrap.front().substr(wrap.front().rfind('/') + 1);
    if (program != "podman" && program != "docker") return {};
    const auto run = std::find(wrap.begin(), wrap.end(), "run");
    if (run == wrap.end()) return {};
    for (auto word = run; word != wrap.end(); ++word) {
        if (word->starts_with("--name=")) return Container{wrap.front(), word->substr(7)};
        if (*word == "--name" && word + 1 != wrap.end()) return Container{wrap.front(), *(word + 1)};
    }
    wrap.insert(run + 1, "--name=" + name);
    return Container{wrap.front(), name};
}

std::vector<std::string> removalOf(const Container& container) {
    return {container.engine, "rm", "--force", "--volumes", container.name};
}

void removeContainer(const Container& container) {
    ChildSpec spec;
    spec.argv = removalOf(container);
    const ProgramResult result = runProgram(spec, kRemoveMillis);
    // One that is gone already is what was wanted.
    if (!result.succeeded() && result.err.find("o such container") == std::string::npos &&
        result.err.find("no container with") == std::string::npos) {
        std::fprintf(stderr, "trainyard-agent: %s\n", result.trouble(container.engine + " rm").c_str());
    }
}

}  // namespace trainyard::agent
