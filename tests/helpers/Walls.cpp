#include "tests/helpers/Walls.h"

#include <QDir>
#include <QLibraryInfo>
#include <algorithm>
#include <functional>
#include <regex>
#include <set>

#include "core/base/Text.h"
#include "tests/helpers/Program.h"

namespace trainyard::test {

namespace {

using base::Json;
using base::Path;

struct Include {
    int line = 0;
    std::string name;  ///< As between the quotes; Qt's class headers with their module in front.
};

std::vector<std::string> strings(const Json& row, const char* key) {
    std::vector<std::string> out;
    if (row.contains(key)) {
        for (const Json& item : row[key]) {
            out.push_back(item.get<std::string>());
        }
    }
    return out;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

bool matches(const std::string& text, const std::string& pattern) {
    static std::map<std::string, std::regex> compiled;
    const auto at = compiled.try_emplace(pattern, pattern).first;
    return std::regex_search(text, at->second);
}

/// "QString" becomes "QtCore/QString": the module that has such a header.
std::string withQtModule(const std::string& name) {
    static std::map<std::string, std::string> known;
    const bool isQt = name.size() > 1 && name[0] == 'Q' && name.find('/') == std::string::npos;
    if (!isQt) {
        return name;
    }
    const auto [entry, isNew] = known.try_emplace(name, name);
    if (isNew) {
        const QDir headers(QLibraryInfo::path(QLibraryInfo::HeadersPath));
        QStringList modules = headers.entryList({QStringLiteral("Qt*")}, QDir::Dirs, QDir::Name);
        modules.removeOne(QStringLiteral("QtCore"));
        modules.prepend(QStringLiteral("QtCore"));
        for (const QString& module : modules) {
            const QString path = module + u'/' + QString::fromStdString(name);
            // QtWidgets, the header of a whole module, stands in the folder of its own name.
            if (headers.exists(path)) {
                entry->second = path.toStdString();
                break;
            }
        }
    }
    return entry->second;
}

std::vector<Include> includesOf(const Path& file) {
    static const std::regex pattern(R"re(^\s*#\s*include\s*[<"]([^">]+)[">])re");
    std::vector<Include> out;
    int number = 0;
    for (const std::string& line : base::split(base::readFile(file).valueOr({}), '\n')) {
        ++number;
        std::smatch match;
        if (line.find("include") != std::string::npos && std::regex_search(line, match, pattern)) {
            out.push_back({number, withQtModule(match[1].str())});
        }
    }
    return out;
}

bool isOurs(const std::string& include) {
    return include.starts_with("core/") || include.starts_with("ui/") || include.starts_with("app/") ||
           include.starts_with("tests/");
}

}  // namespace

Walls Walls::fromTable(const Path& roomsJson) {
    const auto text = base::readFile(roomsJson);
    const auto table = text.ok() ? base::parseJson(*text) : base::Result<Json>(text.error());
    if (!table.ok()) {
        qFatal("%s: %s", roomsJson.c_str(), table.error().message.c_str());
    }
    Walls walls;
    walls.m_table = *table;
    return walls;
}

std::string Walls::libraryOf(const std::string& text, const char* pattern) const {
    for (const Json& library : m_table["libraries"]) {
        if (matches(text, library[pattern].get<std::string>())) {
            return library["name"].get<std::string>();
        }
    }
    return {};
}

const Json* Walls::roomOf(const std::string& file) const {
    for (const Json& room : m_table["rooms"]) {
        if (file.starts_with(room["folder"].get<std::string>() + "/")) {
            return &room;
        }
    }
    return nullptr;
}

std::vector<std::string> Walls::checkIncludes(const Path& root) const {
    std::map<std::string, std::vector<Include>> files;
    for (const char* top : {"core", "ui", "app"}) {
        std::error_code error;
        for (auto entry = std::filesystem::recursive_directory_iterator(root / top, error);
             !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
            const std::string extension = entry->path().extension().string();
            if (extension == ".h" || extension == ".cpp" || extension == ".hpp" || extension == ".cc") {
                files[entry->path().lexically_relative(root).string()] = includesOf(entry->path());
            }
        }
    }

    std::vector<std::string> wrong;
    for (const auto& [file, includes] : files) {
        const Json* room = roomOf(file);
        if (room == nullptr) {
            wrong.push_back(file + ":1: stands in no room of the table");
            continue;
        }
        const std::string name = (*room)["name"].get<std::string>();
        const std::vector<std::string> rooms = strings(*room, "rooms");
        const std::vector<std::string> libraries = strings(*room, "libraries");
        const auto say = [&, &at = file](const Include& include, const std::string& why) {
            wrong.push_back(at + ":" + std::to_string(include.line) + ": " + name + " " + why + " (" + include.name +
                            ")");
        };
        for (const Include& include : includes) {
            for (const std::string& pattern : strings(*room, "forbidden_includes")) {
                if (matches(include.name, pattern)) {
                    say(include, "must not include this");
                }
            }
            // A file beside the including one, without a path (libtorch's compatibility headers); not ours to judge.
            if (files.contains((Path(file).parent_path() / include.name).string())) {
                say(include, "must spell includes from the root");
                continue;
            }
            if (!isOurs(include.name)) {
                const std::string library = libraryOf(include.name, "include");
                if (library.empty()) {
                    say(include, "includes a header of no library in the table");
                } else if (!contains(libraries, library)) {
                    say(include, "may not include " + library);
                }
                continue;
            }
            const Json* other = roomOf(include.name);
            if (other == nullptr) {
                say(include, "includes from no room");
                continue;
            }
            const std::string otherName = (*other)["name"].get<std::string>();
            if (otherName == name) {
                continue;
            }
            if (otherName.starts_with("app/")) {
                say(include, "includes app/, which nothing may");
            } else if (!contains(rooms, otherName)) {
                say(include, "may not include the room " + otherName);
            } else if (room->contains("headers") && (*room)["headers"].contains(otherName) &&
                       !contains(strings((*room)["headers"], otherName.c_str()), include.name)) {
                say(include, "may include only some headers of the room " + otherName);
            }
        }

        // What comes in by way of our own headers.
        const std::vector<std::string> never = strings(*room, "never_reaches");
        std::set<std::string> seen;
        const std::function<void(const std::string&, const Include&)> follow = [&](const std::string& at,
                                                                                   const Include& from) {
            const auto found = files.find(at);
            if (found == files.end() || !seen.insert(at).second) {
                return;
            }
            for (const Include& include : found->second) {
                const std::string library = isOurs(include.name) ? std::string() : libraryOf(include.name, "include");
                if (!library.empty() && contains(never, library)) {
                    say(from, "reaches " + library + " by way of " + at);
                }
                follow(include.name, from);
            }
        };
        if (!never.empty()) {
            for (const Include& include : includes) {
                follow(include.name, include);
            }
        }
    }
    return wrong;
}

std::vector<std::string> Walls::programs() const {
    std::vector<std::string> out;
    for (const Json& program : m_table["programs"]) {
        out.push_back(program["name"].get<std::string>());
    }
    return out;
}

std::vector<std::string> Walls::checkBinary(const std::string& program, const Binary& binary) const {
    std::vector<std::string> wrong;
    for (const Json& row : m_table["programs"]) {
        if (row["name"] != program) {
            continue;
        }
        const std::vector<std::string> never = strings(row, "never");
        for (const std::string& needed : binary.needed) {
            const std::string library = libraryOf(needed, "needed");
            if (contains(never, library)) {
                wrong.push_back(program + " needs " + needed + ", and must never need " + library);
            }
        }
        if (row.value("static", false) && (binary.hasInterpreter || !binary.needed.empty())) {
            wrong.push_back(program + " is not fully static");
        }
        if (row.contains("max_bytes") && binary.bytes > row["max_bytes"].get<std::int64_t>()) {
            wrong.push_back(program + " has " + base::formatBytes(binary.bytes) + ", more than " +
                            base::formatBytes(row["max_bytes"].get<std::int64_t>()));
        }
    }
    return wrong;
}

Walls::Binary readBinary(const Path& program) {
    const ProgramResult run =
        runProgram("/usr/bin/readelf", {"--wide", "--dynamic", "--program-headers", program.string()},
                   {.variables = {{"LC_ALL", "C"}}});
    if (run.exitCode != 0) {
        qFatal("readelf %s: %s", program.c_str(), run.err.c_str());
    }
    Walls::Binary binary;
    static const std::regex needed(R"(\(NEEDED\).*\[(.+)\])");
    for (const std::string& line : base::split(run.out, '\n')) {
        std::smatch match;
        if (std::regex_search(line, match, needed)) {
            binary.needed.push_back(match[1].str());
        }
        binary.hasInterpreter = binary.hasInterpreter || line.find(" INTERP ") != std::string::npos;
    }
    binary.bytes = static_cast<std::int64_t>(std::filesystem::file_size(program));
    return binary;
}

}  // namespace trainyard::test
