#pragma once
// What a command line asks for.
#include <string>
#include <variant>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::cli {

/// Documented in resources/docs/guide/cli.md.
enum ExitCode {
    kOk = 0,
    kActionFailed = 1,
    kUsage = 2,
    kNotFound = 3,
    kInvalidSpec = 4,
    kRunFailed = 5,
    kRunCanceled = 6,
    kWorkspaceTrouble = 7,
    kInterrupted = 130,
};

/// Where the spec of `run submit` and `run check` comes from. Later parts change what earlier ones said.
struct SpecSource {
    std::string file;    ///< Empty: defaults; "-": standard input.
    std::string draft;   ///< Id of a draft in the workspace.
    std::string source;  ///< --source: the folder that travels.
    std::string script;  ///< --script: then `command` is its arguments.
    std::string target;
    std::vector<std::string> sets;  ///< "path=value"
    std::vector<std::string> command;
};

/// Where the definition of `target add`, `target edit` and of `environment create`, `edit` and `validate` comes from.
struct TargetSource {
    std::string name;
    std::string file;  ///< Empty: defaults, or the present definition; "-": standard input.
    std::string kind;
    std::vector<std::string> hosts;
    std::vector<std::string> sets;
};

struct Request {
    std::string action;  ///< "run.submit"
    base::Json parameters = base::Json::object();
    SpecSource spec;
    TargetSource targetSource;
    bool json = false;
    bool quiet = false;
    bool yes = false;
    bool wait = false;
    bool follow = false;    ///< run logs: go on until the run has ended.
    bool log = false;       ///< While waiting, print log lines.
    std::string workspace;  ///< --workspace, else empty.
};

/// A command line that ends the program at once: help, version, a usage error.
struct Answer {
    int exitCode = kOk;
    std::string out;
    std::string err;
};

[[nodiscard]] std::variant<Request, Answer> parseCommandLine(int argc, const char* const* argv);

/// The document that the parts of a spec source make together. `base` is the draft's spec, or null.
[[nodiscard]] base::Result<base::Json> makeDocument(const SpecSource& source, const base::Json& base);

/// The definition that the parts of a target's source make together. `base`: what it is now, or null.
[[nodiscard]] base::Result<base::Json> makeTargetDocument(const TargetSource& source, const base::Json& base);

/// The same for an environment.
[[nodiscard]] base::Result<base::Json> makeEnvironmentDocument(const TargetSource& source, const base::Json& base);

/// Actions whose parameter "spec" is an environment's.
[[nodiscard]] bool definesEnvironment(const std::string& action);

/// Actions whose parameter "spec" is a run's.
[[nodiscard]] bool takesRunSpec(const std::string& action);

/// Actions that remove what cannot be brought back.
[[nodiscard]] bool asksFirst(const std::string& action);

/// The exit code of a failed action.
[[nodiscard]] int exitCodeOf(const base::Error& error);

}  // namespace trainyard::cli
