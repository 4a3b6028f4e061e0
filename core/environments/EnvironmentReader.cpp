#include "core/environments/EnvironmentReader.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <utility>

#include "core/base/Text.h"
#include "core/environments/Yaml.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/EnvironmentText.h"

namespace trainyard::environments {

using base::Error;
using base::Json;
using base::Result;
using base::Status;

namespace {

constexpr int kDeepestFiles = 10;
constexpr std::size_t kMostLines = 20'000;

Error atLine(int line, const Error& error, const std::string& file = {}) {
    return {error.code, (file.empty() ? "Line " : file + ", line ") + std::to_string(line) + ": " + error.message,
            "file"};
}

Error atLine(int line, const char* code, const std::string& why) { return atLine(line, Error{code, why}); }

std::string shown(const std::string& text) {
    return "\"" + base::stripControl(base::toValidUtf8(text.substr(0, 100))) + "\"";
}

Json emptyDocument(const char* kind, const std::string& name) {
    return Json{{"format", spec::kEnvironmentSpecFormat},
                {"version", spec::kEnvironmentSpecVersion},
                {"name", name},
                {"kind", kind}};
}

/// What passes the grammar of its own language must pass ours too; without a name everything else is still checked.
Result<Imported> checked(Imported imported) {
    const auto spec = spec::environmentSpecFromJson(imported.document);
    if (!spec.ok()) {
        return Error{spec.error().code, spec.error().message, spec.error().field == "name" ? "name" : "file"};
    }
    imported.document = spec::toJson(*spec);
    return imported;
}

/// A name of another program, as ours: small letters, digits, dots, dashes.
std::string nameFrom(const std::string& text) {
    std::string name;
    for (const char c : text.substr(0, 64)) {
        const auto byte = static_cast<unsigned char>(c);
        name += std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : c == '.' || c == '_' ? c : '-';
    }
    name.erase(0, name.find_first_not_of(".-_"));
    return name;
}

// ---------------------------------------------------------------------------------------------------- conda

Status readTexts(const YamlNode& node, const std::string& key, std::vector<std::string>& out) {
    if (node.kind == YamlNode::Kind::Null) {
        return {};
    }
    if (node.kind != YamlNode::Kind::List) {
        return atLine(node.line, "environment.yaml", shown(key) + " is a list: one entry a line, each with a dash.");
    }
    for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::Scalar) {
            return atLine(item.line, "environment.yaml", "an entry of " + shown(key) + " is one word or line.");
        }
        out.push_back(item.text);
    }
    return {};
}

Status readPip(const YamlNode& node, Json& conda) {
    if (node.kind != YamlNode::Kind::List) {
        return atLine(node.line, "environment.yaml", "\"pip\" is a list: one requirement a line, each with a dash.");
    }
    for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::Scalar) {
            return atLine(item.line, "environment.yaml", "a requirement is one line.");
        }
        const std::string text = spec::requirementWithoutComment(item.text);
        if (text.empty()) {
            continue;
        }
        if (const Status fits = spec::checkRequirement(text); !fits.ok()) {
            return atLine(item.line, fits.error());
        }
        conda["pip"].push_back(text);
    }
    return {};
}

Status readDependencies(const YamlNode& node, Json& conda) {
    if (node.kind != YamlNode::Kind::List) {
        return atLine(node.line, "environment.yaml",
                      "\"dependencies\" is a list: one package a line, each with a dash.");
    }
    for (const YamlNode& item : node.items) {
        if (item.kind == YamlNode::Kind::Scalar) {
            if (const Status fits = spec::checkCondaPackage(item.text); !fits.ok()) {
                return atLine(item.line, fits.error());
            }
            conda["dependencies"].push_back(item.text);
            continue;
        }
        const bool pip =
            item.kind == YamlNode::Kind::Map && item.members.size() == 1 && item.members.front().first == "pip";
        if (!pip) {
            return atLine(item.line, "environment.key",
                          "inside \"dependencies\" only \"pip:\" has entries of its own.");
        }
        TRAINYARD_TRY(readPip(item.members.front().second, conda));
    }
    return {};
}

// ---------------------------------------------------------------------------------------------------- requirements

/// What a requirements file says, with all files that it takes in.
struct Requirements {
    std::vector<std::string> packages;
    std::vector<std::string> constraints;
    Json venv = Json::object();
    std::vector<std::string> notes;
    std::vector<std::string> open;  ///< Files that are being read: one that names itself is found.
    bool noIndex = false;
};

/// Lines with '\' at their end joined to the next; (number of the first, text).
std::vector<std::pair<int, std::string>> joinedLines(const std::string& text) {
    std::vector<std::pair<int, std::string>> lines;
    bool continues = false;
    int number = 0;
    for (std::string line : base::split(text, '\n')) {
        ++number;
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        const bool more = line.ends_with('\\');
        if (more) {
            line.pop_back();
        }
        if (continues) {
            lines.back().second += " " + line;
        } else {
            lines.emplace_back(number, std::move(line));
        }
        continues = more;
    }
    return lines;
}

/// "--name value", "--name=value", "-rvalue": name and value of an option line.
std::pair<std::string, std::string> splitOption(const std::string& line) {
    if (line.starts_with("--")) {
        const std::size_t end = line.find_first_of(" \t=");
        return {line.substr(0, end), end == std::string::npos ? "" : std::string(base::trim(line.substr(end + 1)))};
    }
    return {line.substr(0, 2), line.size() > 2 ? std::string(base::trim(line.substr(2))) : ""};
}

Status readFile(const std::string& text, const std::string& file, const ReadBeside& beside, bool constraints,
                Requirements& out);

Status takeIn(const std::string& path, const ReadBeside& beside, bool constraints, Requirements& out) {
    if (path.empty()) {
        return Error{"environment.option", "no file is named."};
    }
    if (path.find("://") != std::string::npos) {
        return Error{"environment.option",
                     "a file at an address is not taken in; fetch it and put it beside this one."};
    }
    if (std::ranges::find(out.open, path) != out.open.end() || out.open.size() >= kDeepestFiles) {
        return Error{"environment.option", shown(path) + " takes in itself, or files are nested too deeply."};
    }
    const auto text =
        beside ? beside(path) : Result<std::string>(Error{"environment.option", shown(path) + " is not at hand."});
    if (!text.ok()) {
        return text.error();
    }
    out.open.push_back(path);
    TRAINYARD_TRY(readFile(*text, path, beside, constraints, out));
    out.open.pop_back();
    return {};
}

Status takeOption(const std::string& line, const ReadBeside& beside, bool constraints, Requirements& out) {
    const auto [name, value] = splitOption(line);
    if (name == "-r" || name == "--requirement") {
        return takeIn(value, beside, constraints, out);
    }
    if (name == "-c" || name == "--constraint") {
        return takeIn(value, beside, true, out);
    }
    if (name == "-i" || name == "--index-url") {
        TRAINYARD_TRY(spec::checkAddress(value));
        out.venv["index_url"] = value;
        return {};
    }
    if (name == "--extra-index-url") {
        TRAINYARD_TRY(spec::checkAddress(value));
        out.venv["extra_index_urls"].push_back(value);
        return {};
    }
    if (name == "-f" || name == "--find-links") {
        const bool path = value.starts_with('/') || value.starts_with("~/");
        TRAINYARD_TRY(path ? spec::checkTargetPath(value) : spec::checkAddress(value));
        out.venv["find_links"].push_back(value);
        return {};
    }
    if (name == "--no-index") {
        out.noIndex = true;
        return {};
    }
    if (name == "--trusted-host" || name == "--require-hashes" || name == "--use-feature") {
        return Error{"environment.option",
                     shown(name) + " is not taken over; set it up in pip's own configuration on the target."};
    }
    TRAINYARD_TRY(spec::checkRequirement(line));
    out.packages.push_back(line);
    return {};
}

Status readFile(const std::string& text, const std::string& file, const ReadBeside& beside, bool constraints,
                Requirements& out) {
    if (!base::isValidUtf8(text) || text.find('\0') != std::string::npos) {
        return Error{"environment.requirement", (file.empty() ? "The file" : file) + std::string(" is no text."),
                     "file"};
    }
    for (const auto& [number, raw] : joinedLines(text)) {
        const std::string line = spec::requirementWithoutComment(raw);
        if (line.empty()) {
            continue;
        }
        const Status taken =
            line.front() == '-' ? takeOption(line, beside, constraints, out) : spec::checkRequirement(line);
        if (!taken.ok()) {
            // What an inner file says of itself has its line already.
            return taken.error().field == "file" ? taken.error() : atLine(number, taken.error(), file);
        }
        if (line.front() != '-') {
            (constraints ? out.constraints : out.packages).push_back(line);
        }
        if (out.packages.size() + out.constraints.size() > kMostLines) {
            return atLine(number, "environment.requirement", "there are too many requirements.");
        }
    }
    return {};
}

}  // namespace

std::string kindOfFile(const std::string& fileName) {
    const std::filesystem::path path(fileName);
    const std::string name = path.filename().string();
    const std::string extension = path.extension().string();
    if (extension == ".yml" || extension == ".yaml") return "conda";
    if (extension == ".txt" || extension == ".in") return "requirements";
    if (extension == ".json") return "definition";
    if (name.starts_with("Containerfile") || name.starts_with("Dockerfile") || extension == ".containerfile" ||
        extension == ".dockerfile")
        return "containerfile";
    return {};
}

Result<Imported> importConda(const std::string& text, const std::string& name) {
    static constexpr std::array kKnown = {"name",   "channels",  "dependencies", "variables",
                                          "prefix", "platforms", "category"};
    const auto root = parseYaml(text);
    if (!root.ok()) {
        return Error{root.error().code, root.error().message, "file"};
    }
    if (root->kind != YamlNode::Kind::Map) {
        return atLine(std::max(1, root->line), "environment.yaml",
                      "a conda environment begins with keys: name:, channels:, dependencies:.");
    }
    Imported imported;
    std::string own;
    Json conda{{"channels", Json::array()}, {"dependencies", Json::array()}, {"pip", Json::array()}};
    Json variables = Json::object();
    bool hasDependencies = false;
    for (const auto& [key, value] : root->members) {
        if (key == "name") {
            own = value.text;
        } else if (key == "channels") {
            std::vector<std::string> channels;
            TRAINYARD_TRY(readTexts(value, key, channels));
            for (std::size_t i = 0; i < channels.size(); ++i) {
                if (const Status fits = spec::checkCondaChannel(channels[i]); !fits.ok()) {
                    return atLine(value.items[i].line, fits.error());
                }
            }
            conda["channels"] = channels;
        } else if (key == "dependencies") {
            hasDependencies = true;
            TRAINYARD_TRY(readDependencies(value, conda));
        } else if (key == "variables") {
            for (const auto& [variable, setting] : value.members) {
                if (setting.kind != YamlNode::Kind::Scalar) {
                    return atLine(setting.line, "environment.yaml", "a variable's value is one line of text.");
                }
                variables[variable] = setting.text;
            }
        } else if (key == "prefix" || key == "platforms" || key == "category") {
            imported.notes.push_back("Line " + std::to_string(value.line) + ": \"" + key +
                                     "\" was left out; it says where and for whom an environment was made.");
        } else {
            std::string known;
            for (const char* one : kKnown) {
                known += std::string(known.empty() ? "" : ", ") + one;
            }
            return atLine(value.line, "environment.key",
                          shown(key) + " is no key of a conda environment; there are " + known + ".");
        }
    }
    if (!hasDependencies) {
        return Error{"environment.key", "The file has no \"dependencies\": nothing says what is to be installed.",
                     "file"};
    }
    const bool hasPip = std::ranges::any_of(conda["dependencies"], [](const Json& one) {
        const std::string package = one.get<std::string>();
        return package == "pip" || package.starts_with("pip=") || package.starts_with("pip>") ||
               package.starts_with("pip<") || package.starts_with("pip ");
    });
    if (!conda["pip"].empty() && !hasPip) {
        conda["dependencies"].push_back("pip");
        imported.notes.emplace_back("\"pip\" was added to the dependencies, because packages are installed with it.");
    }
    imported.document = emptyDocument("conda", name.empty() ? nameFrom(own) : name);
    imported.document["conda"] = std::move(conda);
    imported.document["variables"] = std::move(variables);
    return checked(std::move(imported));
}

Result<Imported> importRequirements(const std::string& text, const std::string& name, const ReadBeside& beside) {
    Requirements found;
    TRAINYARD_TRY(readFile(text, {}, beside, false, found));
    Imported imported;
    imported.notes = std::move(found.notes);
    if (found.noIndex) {
        // pip's way to say "from these folders alone".
        Json& links = found.venv["find_links"];
        const bool folder = links.size() == 1 && !links[0].get<std::string>().starts_with("http");
        if (!folder || found.venv.contains("index_url")) {
            return Error{"environment.option",
                         "--no-index needs one --find-links with a folder of the target, and no index.", "file"};
        }
        found.venv["wheel_folder"] = links[0];
        found.venv.erase("find_links");
    }
    imported.document = emptyDocument("venv", name);
    imported.document["venv"] = std::move(found.venv);
    imported.document["venv"]["requirements"] = found.packages;
    imported.document["venv"]["constraints"] = found.constraints;
    return checked(std::move(imported));
}

Result<Imported> importContainerfile(const std::string& text, const std::string& name) {
    Imported imported;
    imported.document = emptyDocument("container", name);
    imported.document["container"] = Json{{"source", "containerfile"}, {"containerfile", text}};
    return checked(std::move(imported));
}

Result<Imported> importImage(const std::string& image, const std::string& name) {
    Imported imported;
    imported.document = emptyDocument("container", name);
    imported.document["container"] = Json{{"source", "image"}, {"image", image}};
    return checked(std::move(imported));
}

Result<Imported> importDefinition(const std::string& text, const std::string& name) {
    auto document = base::parseJson(text);
    if (!document.ok()) {
        return Error{document.error().code, document.error().message, "file"};
    }
    Imported imported;
    imported.document = std::move(*document);
    if (!name.empty() && imported.document.is_object()) {
        imported.document["name"] = name;
    }
    return checked(std::move(imported));
}

}  // namespace trainyard::environments
