#include "core/spec/EnvironmentSpec.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <type_traits>

#include "core/base/Text.h"
#include "core/spec/EnvironmentText.h"
#include "core/spec/Reading.h"

namespace trainyard::spec {

namespace {

const std::vector<std::string> kEnvironmentFreePaths = {"format", "version"};

constexpr std::pair<EnvironmentKind, const char*> kKinds[] = {
    {EnvironmentKind::Engine, "engine"},       {EnvironmentKind::Interpreter, "interpreter"},
    {EnvironmentKind::Venv, "venv"},           {EnvironmentKind::Conda, "conda"},
    {EnvironmentKind::Container, "container"}, {EnvironmentKind::Setup, "setup"}};

/// Every member but name and kind, with its path: what reading and writing share.
template <class Spec, class Visit>
void forEachMember(Spec& spec, Visit&& visit) {
    visit("description", spec.description);
    visit("label", spec.label);
    visit("engine.cuda", spec.engine.cuda);
    visit("interpreter.program", spec.interpreter.program);
    visit("interpreter.folder", spec.interpreter.folder);
    visit("interpreter.needs", spec.interpreter.needs);
    visit("interpreter.is_python", spec.interpreter.isPython);
    visit("venv.python", spec.venv.python);
    visit("venv.system_site_packages", spec.venv.systemSitePackages);
    visit("venv.requirements", spec.venv.requirements);
    visit("venv.constraints", spec.venv.constraints);
    visit("venv.wheel_folder", spec.venv.wheelFolder);
    visit("venv.index_url", spec.venv.indexUrl);
    visit("venv.extra_index_urls", spec.venv.extraIndexUrls);
    visit("venv.find_links", spec.venv.findLinks);
    visit("conda.tool", spec.conda.tool);
    visit("conda.channels", spec.conda.channels);
    visit("conda.dependencies", spec.conda.dependencies);
    visit("conda.pip", spec.conda.pip);
    visit("container.engine", spec.container.engine);
    visit("container.source", spec.container.source);
    visit("container.image", spec.container.image);
    visit("container.requirements", spec.container.requirements);
    visit("container.containerfile", spec.container.containerfile);
    visit("container.python", spec.container.python);
    visit("container.gpus", spec.container.gpus);
    visit("container.mounts", spec.container.mounts);
    visit("setup.shell", spec.setup.shell);
    visit("setup.script", spec.setup.script);
    visit("setup.python", spec.setup.python);
    visit("variables", spec.variables);
    visit("secrets", spec.secrets);
    visit("build_variables", spec.buildVariables);
    visit("need_mib", spec.needMiB);
}

EnvironmentSpec readSpec(const Json& document) {
    const Json complete = withDefaults(environmentSpecFields(), document);
    const Reading in(complete, environmentSpecFields());
    EnvironmentSpec spec;
    std::string kind;
    in.get("name", spec.name);
    in.get("kind", kind);
    for (const auto& [value, name] : kKinds) {
        if (kind == name) {
            spec.kind = value;
        }
    }
    forEachMember(spec, [&](const char* path, auto& member) { in.get(path, member); });
    return spec;
}

class Checks {
public:
    explicit Checks(std::vector<Error>& errors) : m_errors(errors) {}

    void fail(const char* code, std::string message, const std::string& field) {
        m_errors.push_back({code, std::move(message), field});
    }
    void take(const Status& status, const std::string& field, const std::string& where = {}) {
        if (!status.ok()) {
            m_errors.push_back({status.error().code, where + status.error().message, field});
        }
    }
    /// The first wrong line of a list.
    template <class Check>
    void lines(const std::vector<std::string>& list, const std::string& field, Check check) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (const Status status = check(list[i]); !status.ok()) {
                take(status, field, "Row " + std::to_string(i + 1) + ": ");
                return;
            }
        }
    }
    void path(const std::string& text, const std::string& field) {
        if (!text.empty()) {
            take(checkTargetPath(text), field);
        }
    }
    /// A name that is looked up in PATH, or a path.
    void program(const std::string& text, const std::string& field) {
        if (text.empty()) {
            return;
        }
        if (text.find('/') != std::string::npos) {
            path(text, field);
            return;
        }
        const bool fits = text.front() != '-' && std::ranges::all_of(text, [](unsigned char c) {
                              return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '+';
                          });
        if (!fits) {
            fail("environment.path",
                 "\"" + base::stripControl(text) + "\" is no program's name; write a path to name another file.",
                 field);
        }
    }

private:
    std::vector<Error>& m_errors;
};

void checkVenv(const EnvironmentSpec::Venv& venv, Checks& checks) {
    checks.program(venv.python, "venv.python");
    checks.lines(venv.requirements, "venv.requirements", checkRequirement);
    checks.lines(venv.constraints, "venv.constraints", checkRequirement);
    checks.path(venv.wheelFolder, "venv.wheel_folder");
    if (!venv.indexUrl.empty()) {
        checks.take(checkAddress(venv.indexUrl), "venv.index_url");
    }
    checks.lines(venv.extraIndexUrls, "venv.extra_index_urls", checkAddress);
    checks.lines(venv.findLinks, "venv.find_links", [](const std::string& text) {
        return text.starts_with('/') || text.starts_with("~/") ? checkTargetPath(text) : checkAddress(text);
    });
    if (!venv.wheelFolder.empty() && (!venv.indexUrl.empty() || !venv.extraIndexUrls.empty())) {
        checks.fail("environment.offline",
                    "With a wheel folder nothing is fetched; take either the folder or the package index away.",
                    "venv.wheel_folder");
    }
}

void checkConda(const EnvironmentSpec::Conda& conda, Checks& checks) {
    checks.lines(conda.channels, "conda.channels", checkCondaChannel);
    checks.lines(conda.dependencies, "conda.dependencies", checkCondaPackage);
    checks.lines(conda.pip, "conda.pip", checkRequirement);
    if (conda.dependencies.empty()) {
        checks.fail("spec.required", "A conda environment needs at least one dependency: python=3.11, say.",
                    "conda.dependencies");
    }
    const bool hasPip = std::ranges::any_of(conda.dependencies, [](const std::string& one) {
        const std::string name = one.substr(one.rfind("::") == std::string::npos ? 0 : one.rfind("::") + 2);
        return name == "pip" || name.starts_with("pip=") || name.starts_with("pip ") || name.starts_with("pip>") ||
               name.starts_with("pip<");
    });
    if (!conda.pip.empty() && !hasPip) {
        checks.fail("environment.conda_pip",
                    "Packages come from pip, but pip is not among the dependencies; add a row \"pip\" to them.",
                    "conda.dependencies");
    }
}

void checkContainer(const EnvironmentSpec::Container& container, Checks& checks) {
    if (container.source == "image") {
        checks.take(checkImageName(container.image, container.engine == "apptainer"), "container.image");
        checks.lines(container.requirements, "container.requirements", checkRequirement);
        if (container.engine == "apptainer" && !container.requirements.empty()) {
            checks.fail("environment.apptainer",
                        "Apptainer cannot put packages on an image; use podman or docker, or an image that has them.",
                        "container.requirements");
        }
    } else {
        checks.take(checkContainerfile(container.containerfile), "container.containerfile");
        if (container.engine == "apptainer") {
            checks.fail("environment.apptainer",
                        "Apptainer cannot build a Containerfile; use podman or docker, or name an image.",
                        "container.engine");
        }
    }
    if (container.python.empty() || container.python.front() == '-') {
        checks.fail("environment.path", "Python is the name or path of a program inside the container.",
                    "container.python");
    }
    checks.lines(container.mounts, "container.mounts", checkMount);
}

void checkInterpreter(const EnvironmentSpec::Interpreter& interpreter, Checks& checks) {
    checks.program(interpreter.program, "interpreter.program");
    checks.path(interpreter.folder, "interpreter.folder");
    if (!interpreter.program.empty() && !interpreter.folder.empty()) {
        checks.fail("spec.exclusive", "Name a program or an environment's folder, not both.", "interpreter.folder");
    }
    checks.lines(interpreter.needs, "interpreter.needs", [](const std::string& module) -> Status {
        const bool fits = !module.empty() && std::ranges::all_of(module, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '_' || c == '.';
        });
        return fits
                   ? Status{}
                   : Status(Error{"environment.module", "\"" + base::stripControl(module) + "\" is no module's name."});
    });
}

void checkNames(const EnvironmentSpec& spec, Checks& checks, std::vector<Error>& errors) {
    for (const auto& [list, field] : {std::pair{&spec.variables, "variables"},
                                      {&spec.secrets, "secrets"},
                                      {&spec.buildVariables, "build_variables"}}) {
        for (Error& error : checkVariables(*list, field)) {
            errors.push_back(std::move(error));
        }
    }
    std::set<std::string> names;
    for (const auto& [name, value] : spec.variables) {
        names.insert(name);
    }
    for (const auto& [name, place] : spec.secrets) {
        checks.take(checkSecretPlace(place), "secrets", name + ": ");
        if (names.contains(name)) {
            checks.fail("spec.exclusive", name + " is a variable and a secret; take one of them away.", "secrets");
        }
    }
}

}  // namespace

const char* environmentKindName(EnvironmentKind kind) {
    for (const auto& [value, name] : kKinds) {
        if (value == kind) {
            return name;
        }
    }
    return "";
}

std::vector<Error> validateEnvironmentSpec(const Json& document) {
    if (const Status format = base::checkFormat(document, kEnvironmentSpecFormat, kEnvironmentSpecVersion);
        !format.ok()) {
        return {format.error()};
    }
    std::vector<Error> errors = checkDocument(environmentSpecFields(), document, kEnvironmentFreePaths);
    std::vector<Error> more;
    Checks checks(more);
    const EnvironmentSpec spec = readSpec(document);
    if (!isTargetName(spec.name)) {
        checks.fail(
            "spec.name",
            "An environment's name has small letters, digits, '.', '-' and '_', and begins with a letter or digit.",
            "name");
    }
    switch (spec.kind) {
    case EnvironmentKind::Engine: break;
    case EnvironmentKind::Interpreter: checkInterpreter(spec.interpreter, checks); break;
    case EnvironmentKind::Venv: checkVenv(spec.venv, checks); break;
    case EnvironmentKind::Conda: checkConda(spec.conda, checks); break;
    case EnvironmentKind::Container: checkContainer(spec.container, checks); break;
    case EnvironmentKind::Setup:
        if (spec.setup.script.find('\0') != std::string::npos) {
            checks.fail("spec.control", "The script has a zero byte in it.", "setup.script");
        }
        if (spec.setup.python.starts_with('/') || spec.setup.python.starts_with("~/")) {
            checks.path(spec.setup.python, "setup.python");
        } else if (const auto parts = base::split(spec.setup.python, '/');
                   std::ranges::find(parts, "..") != parts.end() || spec.setup.python.starts_with('-')) {
            checks.fail("environment.path", "Python lies inside the environment's folder, or has an absolute path.",
                        "setup.python");
        }
        break;
    }
    checkNames(spec, checks, more);
    for (Error& error : more) {
        if (std::ranges::none_of(errors, [&](const Error& known) { return known.field == error.field; })) {
            errors.push_back(std::move(error));
        }
    }
    return errors;
}

Result<EnvironmentSpec> environmentSpecFromJson(const Json& document) {
    if (const std::vector<Error> errors = validateEnvironmentSpec(document); !errors.empty()) {
        return errors.front();
    }
    return readSpec(document);
}

Json toJson(const EnvironmentSpec& spec) {
    Json document{{"format", kEnvironmentSpecFormat},
                  {"version", kEnvironmentSpecVersion},
                  {"name", spec.name},
                  {"kind", environmentKindName(spec.kind)}};
    const auto write = [&](const char* path, const auto& member) {
        using T = std::decay_t<decltype(member)>;
        if constexpr (std::is_same_v<T, std::vector<std::pair<std::string, std::string>>>) {
            setValueAt(document, path, textMap(member));
        } else {
            setValueAt(document, path, Json(member));
        }
    };
    // What a later condition looks at must be there first.
    write("container.source", spec.container.source);
    if (spec.kind != EnvironmentKind::Container) {
        document.erase("container");
    }
    forEachMember(spec, [&](const char* path, const auto& member) {
        if (fieldAt(environmentSpecFields(), path, document) != nullptr) {
            write(path, member);
        }
    });
    return document;
}

Json environmentSpecJsonSchema() {
    return jsonSchema(environmentSpecFields(), "Trainyard environment", "trainyard.environment");
}

Result<EnvironmentName> parseEnvironmentName(const std::string& text, const std::string& field) {
    EnvironmentName parsed;
    const std::size_t colon = text.find(':');
    parsed.name = text.substr(0, colon);
    bool fits = isTargetName(parsed.name);
    if (colon != std::string::npos) {
        const std::string version = text.substr(colon + 1);
        const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), parsed.version);
        fits = fits && error == std::errc{} && end == version.data() + version.size() && parsed.version > 0;
    }
    if (!fits) {
        return Error{"spec.name",
                     "\"" + base::stripControl(text.substr(0, 100)) +
                         "\" is no environment's name; write NAME or NAME:VERSION.",
                     field};
    }
    return parsed;
}

}  // namespace trainyard::spec
