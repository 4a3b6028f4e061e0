#pragma once
// What a run finds installed: workspace/environments/<name>/<version>.json. An edit writes the next version; a version
// that a run used is never changed.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::spec {

using base::Result;
using base::Status;

inline constexpr const char* kEnvironmentSpecFormat = "trainyard.environment";
inline constexpr int kEnvironmentSpecVersion = 1;
/// Names that begin so belong to the environments that come with the program.
inline constexpr std::string_view kCuratedPrefix = "trainyard-";

enum class EnvironmentKind { Engine, Interpreter, Venv, Conda, Container, Setup };

/// All paths are on the target: absolute, or beginning with "~/".
struct EnvironmentSpec {
    struct Engine {
        bool cuda = false;  ///< The run needs the engine that was built with CUDA.
    };
    struct Interpreter {
        std::string program;  ///< A name in PATH or a path; empty: the target's Python.
        std::string folder;  ///< Of a virtual or conda environment that is there: bin/python in it. Excludes `program`.
        bool isPython = true;            ///< False: a shell or the like; nothing is asked of it.
        std::vector<std::string> needs;  ///< Modules that must be importable.
    };
    struct Venv {
        std::string python;  ///< That the environment is made with; empty: the target's.
        bool systemSitePackages = false;
        std::vector<std::string> requirements;  ///< Lines of a requirements file, without the options below.
        std::vector<std::string> constraints;
        std::string wheelFolder;  ///< Set: nothing is fetched; packages come from the wheels there.
        std::string indexUrl;
        std::vector<std::string> extraIndexUrls;
        std::vector<std::string> findLinks;  ///< Addresses or folders.
    };
    struct Conda {
        std::string tool = "auto";  ///< "auto", "conda", "mamba", "micromamba"
        std::vector<std::string> channels;
        std::vector<std::string> dependencies;  ///< Conda's match specifications.
        std::vector<std::string> pip;           ///< Lines of a requirements file.
    };
    struct Container {
        std::string engine = "auto";   ///< "auto", "podman", "docker", "apptainer"
        std::string source = "image";  ///< "image", "containerfile"
        std::string image;             ///< With source image: what is run, or what `requirements` are put on.
        std::vector<std::string> requirements;
        std::string containerfile;       ///< Its text. No files travel with it.
        std::string python = "python3";  ///< Inside the container.
        bool gpus = false;
        std::vector<std::string> mounts;  ///< "/there:/inside", "/there:/inside:ro"
    };
    struct Setup {
        std::string shell = "bash";  ///< "bash", "sh"
        std::string script;          ///< Run once, in the environment's folder ($TRAINYARD_ENVIRONMENT).
        std::string python;          ///< Relative to that folder, or absolute; empty: the target's.
    };

    std::string name;  ///< [a-z0-9][a-z0-9._-]*, 64 at most.
    EnvironmentKind kind = EnvironmentKind::Venv;
    std::string description;
    std::string label;  ///< Shown beside the name: "Not verified".
    Engine engine;
    Interpreter interpreter;
    Venv venv;
    Conda conda;
    Container container;
    Setup setup;
    std::vector<std::pair<std::string, std::string>> variables;       ///< Of every rank.
    std::vector<std::pair<std::string, std::string>> buildVariables;  ///< Of the build's steps; part of what is built.
    /// Variable to where its value is: "file:/path", "file:~/path", or "variable:NAME" of the target's own environment.
    std::vector<std::pair<std::string, std::string>> secrets;
    std::int64_t needMiB = 0;  ///< Free disk that a build must find; 0: estimated.
};

[[nodiscard]] const char* environmentKindName(EnvironmentKind kind);
/// Every field of a definition, as runSpecFields() for runs.
[[nodiscard]] const std::vector<Field>& environmentSpecFields();
/// All that is wrong with a definition; an error in a text of several lines names the line.
[[nodiscard]] std::vector<Error> validateEnvironmentSpec(const Json& document);
[[nodiscard]] Result<EnvironmentSpec> environmentSpecFromJson(const Json& document);
/// Only the members that mean something for its kind.
[[nodiscard]] Json toJson(const EnvironmentSpec& spec);
[[nodiscard]] Json environmentSpecJsonSchema();

/// "name" or "name:3".
struct EnvironmentName {
    std::string name;
    int version = 0;  ///< 0: the newest.
};
/// "spec.name" for what cannot be one.
[[nodiscard]] Result<EnvironmentName> parseEnvironmentName(const std::string& text,
                                                           const std::string& field = "environment");

}  // namespace trainyard::spec
