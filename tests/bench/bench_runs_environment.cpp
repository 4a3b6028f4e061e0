// What a cached environment costs a run: submit to first line of log with and without one, in pairs, here and over SSH.
// Starts an sshd of its own on 127.0.0.1 and needs sshd, ssh, python3-venv.
#include <QCoreApplication>
#include <QTemporaryDir>
#include <cstdio>
#include <string>
#include <vector>

#include "core/environments/EnvironmentPlan.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/SshTarget.h"
#include "tests/bench/FirstLine.h"

using namespace trainyard;
using namespace trainyard::bench;

namespace {

/// The first launch builds it and does not count.
base::Json measure(targets::Target& target, const wire::PlanEnvironment& environment, int rounds) {
    const auto once = [&](bool with) {
        targets::LaunchPlan plan = linePlan();
        if (with) {
            plan.plan.environment = environment;
        }
        return firstLine(target, std::move(plan), 120);
    };
    once(true);
    once(false);
    std::vector<double> plain, cached, cost;
    for (int i = 0; i < rounds; ++i) {
        const bool first = i % 2 == 0;
        const double one = once(first);
        const double other = once(!first);
        cached.push_back(first ? one : other);
        plain.push_back(first ? other : one);
        cost.push_back(cached.back() - plain.back());
    }
    return {{"plain_seconds", spread(plain)}, {"cached_seconds", spread(cached)}, {"cost_seconds", spread(cost)}};
}

}  // namespace

int main(int argc, char** argv) {
    QCoreApplication application(argc, argv);
    const QStringList words = application.arguments();
    const int rounds = words.contains(QStringLiteral("--quick")) ? 5 : 15;
    const QTemporaryDir folder(QStringLiteral("/var/tmp/ty-bench-XXXXXX"));
    const base::Path scratch = folder.path().toStdString();
    qputenv("XDG_RUNTIME_DIR", "/nonexistent");
    spec::EnvironmentSpec venv;
    venv.name = "bench";
    venv.kind = spec::EnvironmentKind::Venv;
    const auto environment =
        environments::planEnvironment(venv, 1, environments::factsOf("bench", "/usr/bin/python3", {}));
    if (!environment.ok()) {
        stop(environment.error().message);
    }
    targets::LocalTargetOptions options;
    options.work = scratch / "here";
    options.slots = scratch / "slots";
    targets::LocalTarget here(options);
    const base::Json local = measure(here, *environment, rounds);
    const Sshd sshd(scratch);
    targets::SshTarget host(benchSpec(scratch / "there"));
    const base::Json remote = measure(host, *environment, rounds);
    if (words.contains(QStringLiteral("--json"))) {
        const base::Json result{{"bench", "runs_environment"}, {"here", local}, {"over_ssh", remote}};
        std::printf("%s\n", base::dumpJson(result).c_str());
        return 0;
    }
    const auto tell = [](const char* where, const base::Json& of) {
        const auto millis = [&](const char* what, const char* which) {
            return 1000 * of.at(what).at(which).get<double>();
        };
        std::printf(
            "%s: submit to first line %.0f ms, with a cached environment %.0f ms; it costs %.0f ms (%.0f to %.0f)\n",
            where, millis("plain_seconds", "median"), millis("cached_seconds", "median"),
            millis("cost_seconds", "median"), millis("cost_seconds", "lowest"), millis("cost_seconds", "highest"));
    };
    tell("here", local);
    tell("over ssh", remote);
    return 0;
}
