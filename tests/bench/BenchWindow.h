#pragma once
// What the benchmarks of the window share: their options, an application without a screen, a run to look at.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "tests/gui/WindowRig.h"

namespace trainyard::bench {

[[noreturn]] inline void stop(const std::string& why) {
    std::fprintf(stderr, "%s: %s\n", QCoreApplication::applicationName().toUtf8().constData(), why.c_str());
    std::exit(1);
}

/// --json, and the number behind the option that a benchmark has.
struct Options {
    bool json = false;
    int number = 0;
};

inline Options readOptions(int argc, char** argv, const char* name, int number, int least) {
    Options options{false, number};
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--json") == 0) options.json = true;
        if (std::strcmp(argv[i], name) == 0 && i + 1 < argc) options.number = std::max(least, std::atoi(argv[++i]));
    }
    return options;
}

/// As the program's own, on no screen unless one is named.
class Application : public QApplication {
public:
    Application(int& argc, char** argv) : QApplication(offscreen(argc), argv) { ui::Theme::install(*this); }

private:
    static int& offscreen(int& argc) {
        if (qEnvironmentVariableIsEmpty("QT_QPA_PLATFORM")) qputenv("QT_QPA_PLATFORM", "offscreen");
        return argc;
    }
};

/// Launches a command in the window's workspace; the run's id.
inline std::string submit(test::WindowRig& rig, const std::vector<std::string>& command,
                          const base::Json& distribution = base::Json::object()) {
    const base::Json spec{{"format", "trainyard.run-spec"},
                          {"version", 1},
                          {"experiment", "bench"},
                          {"distribution", distribution},
                          {"task", {{"kind", "command"}, {"command", command}}}};
    std::string run;
    std::string failed;
    QObject context;
    rig.session().start("run.submit", base::Json{{"spec", spec}}, &context,
                        [&](const base::Result<base::Json>& answer) {
                            if (answer.ok()) run = answer->at("run").get<std::string>();
                            if (!answer.ok()) failed = answer.error().message;
                        });
    if (!test::waitFor([&] { return !run.empty() || !failed.empty(); }, 30'000) || run.empty()) {
        stop("the run was not taken: " + failed);
    }
    return run;
}

}  // namespace trainyard::bench
