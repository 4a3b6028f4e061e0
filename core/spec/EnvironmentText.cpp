#include "core/spec/EnvironmentText.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <vector>

#include "core/base/Text.h"

namespace trainyard::spec {

using base::Error;
using base::Status;

namespace {

constexpr std::size_t kLongestLine = 4096;
constexpr std::size_t kLongestImage = 512;

bool isWord(unsigned char c) { return std::isalnum(c) != 0; }

std::string shown(std::string_view text) {
    return "\"" + base::stripControl(base::toValidUtf8(text.substr(0, 120))) + "\"";
}

bool hasControl(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// What no requirement, package or image has in it, and what a shell would act upon.
std::size_t shellCharacter(std::string_view text) { return text.find_first_of("$`|&\\\n\r{}"); }

Status refuseShell(std::string_view text, std::size_t at) {
    const std::string character =
        text[at] == '\n' || text[at] == '\r' ? "A line break" : std::string("'") + text[at] + "'";
    return Error{"environment.shell",
                 character + " has no place in " + shown(text) + ": it is a name and a version, not a command."};
}

/// Reads the text of one requirement from left to right.
class Requirement {
public:
    explicit Requirement(std::string_view text) : m_text(text) {}

    Status check() {
        TRAINYARD_TRY(name());
        skip();
        if (peek() == '[') {
            TRAINYARD_TRY(extras());
            skip();
        }
        if (peek() == '@') {
            ++m_at;
            skip();
            TRAINYARD_TRY(address());
        } else {
            TRAINYARD_TRY(versions());
        }
        skip();
        if (peek() == ';') {
            ++m_at;
            TRAINYARD_TRY(marker(0));
        }
        skip();
        while (m_text.substr(m_at).starts_with("--hash=")) {
            TRAINYARD_TRY(hash());
            skip();
        }
        return atEnd() ? Status{} : unexpected();
    }

private:
    static constexpr int kDeepestMarker = 20;

    [[nodiscard]] bool atEnd() const { return m_at >= m_text.size(); }
    [[nodiscard]] char peek() const { return atEnd() ? '\0' : m_text[m_at]; }
    void skip() {
        while (peek() == ' ' || peek() == '\t') {
            ++m_at;
        }
    }
    [[nodiscard]] Status refuse(const std::string& why) const {
        return Error{"environment.requirement", shown(m_text) + ": " + why};
    }
    [[nodiscard]] Status unexpected() const {
        return refuse(atEnd() ? "something is missing at its end."
                              : shown(m_text.substr(m_at)) + " is not expected here. Write name==version.");
    }

    std::string_view word(std::string_view more) {
        const std::size_t from = m_at;
        while (!atEnd() &&
               (isWord(static_cast<unsigned char>(peek())) || more.find(peek()) != std::string_view::npos)) {
            ++m_at;
        }
        return m_text.substr(from, m_at - from);
    }

    Status name() {
        const std::string_view found = word("._-");
        const bool fits = !found.empty() && isWord(static_cast<unsigned char>(found.front())) &&
                          isWord(static_cast<unsigned char>(found.back()));
        return fits ? Status{} : refuse("a package's name begins and ends with a letter or digit.");
    }

    Status extras() {
        ++m_at;
        for (;;) {
            skip();
            TRAINYARD_TRY(name());
            skip();
            if (peek() == ']') {
                ++m_at;
                return {};
            }
            if (peek() != ',') {
                return unexpected();
            }
            ++m_at;
        }
    }

    bool comparison() {
        for (const std::string_view one : {"===", "==", "~=", "!=", "<=", ">=", "<", ">"}) {
            if (m_text.substr(m_at).starts_with(one)) {
                m_at += one.size();
                return true;
            }
        }
        return false;
    }

    Status versions() {
        skip();
        const bool braced = peek() == '(';
        m_at += braced ? 1 : 0;
        skip();
        if (!braced && (atEnd() || peek() == ';' || peek() == '-')) {
            return {};
        }
        for (;;) {
            skip();
            if (!comparison()) {
                return unexpected();
            }
            skip();
            if (word(".*+!_-").empty()) {
                return refuse("a version is missing behind the comparison.");
            }
            skip();
            if (peek() != ',') {
                break;
            }
            ++m_at;
        }
        if (braced) {
            if (peek() != ')') {
                return unexpected();
            }
            ++m_at;
        }
        return {};
    }

    Status address() {
        const std::size_t end = std::min(m_text.find_first_of(" \t", m_at), m_text.size());
        std::string url(m_text.substr(m_at, end - m_at));
        m_at = end;
        for (const std::string_view prefix : {"git+", "hg+", "svn+", "bzr+"}) {
            if (url.starts_with(prefix)) {
                url.erase(0, prefix.size());
            }
        }
        return checkAddress(url);
    }

    Status hash() {
        m_at += std::string_view("--hash=").size();
        const std::string_view algorithm = word("");
        const bool known = algorithm == "sha256" || algorithm == "sha384" || algorithm == "sha512";
        if (!known || peek() != ':') {
            return refuse("a hash is --hash=sha256:…");
        }
        ++m_at;
        return word("").size() >= 64 ? Status{} : refuse("the hash is too short.");
    }

    /// marker := part {("and" | "or") part}
    Status marker(int depth) {
        if (depth > kDeepestMarker) {
            return refuse("its condition is nested too deeply.");
        }
        for (;;) {
            skip();
            if (peek() == '(') {
                ++m_at;
                TRAINYARD_TRY(marker(depth + 1));
                skip();
                if (peek() != ')') {
                    return unexpected();
                }
                ++m_at;
            } else {
                TRAINYARD_TRY(markerValue());
                skip();
                if (!comparison()) {
                    const std::string_view first = word("");
                    skip();
                    const bool notIn = first == "not" && word("") == "in";
                    if (first != "in" && !notIn) {
                        return refuse("a condition compares: python_version >= \"3.9\"");
                    }
                }
                skip();
                TRAINYARD_TRY(markerValue());
            }
            skip();
            const std::size_t before = m_at;
            const std::string_view next = word("");
            if (next != "and" && next != "or") {
                m_at = before;
                return {};
            }
        }
    }

    Status markerValue() {
        static const std::set<std::string_view> kNames = {"python_version",
                                                          "python_full_version",
                                                          "os_name",
                                                          "sys_platform",
                                                          "platform_release",
                                                          "platform_system",
                                                          "platform_version",
                                                          "platform_machine",
                                                          "implementation_name",
                                                          "implementation_version",
                                                          "extra",
                                                          "platform_python_implementation"};
        if (const char quote = peek(); quote == '"' || quote == '\'') {
            const std::size_t end = m_text.find(quote, m_at + 1);
            if (end == std::string_view::npos) {
                return refuse("a quote is not closed.");
            }
            m_at = end + 1;
            return {};
        }
        const std::string_view name = word("_.");
        return kNames.contains(name) ? Status{} : refuse(shown(name) + " is nothing that a condition can ask for.");
    }

    std::string_view m_text;
    std::size_t m_at = 0;
};

Status checkOption(const std::string& line) {
    const std::size_t blank = line.find_first_of(" \t=");
    const std::string option = line.substr(0, blank);
    const std::string value(base::trim(blank == std::string::npos ? "" : line.substr(blank + 1)));
    const auto refuse = [&](const std::string& why) { return Error{"environment.option", shown(line) + ": " + why}; };
    if (option == "--pre" || option == "--prefer-binary") {
        return value.empty() ? Status{} : refuse(option + " takes no value.");
    }
    if (option == "--no-binary" || option == "--only-binary") {
        const bool fits = !value.empty() && std::ranges::all_of(value, [](unsigned char c) {
            return isWord(c) || c == '.' || c == '_' || c == '-' || c == ',' || c == ':';
        });
        return fits ? Status{} : refuse(option + " takes names of packages, or :all:");
    }
    if (option == "-i" || option == "--index-url" || option == "--extra-index-url" || option == "-f" ||
        option == "--find-links" || option == "--no-index") {
        return refuse("package indexes have fields of their own.");
    }
    if (option == "-r" || option == "--requirement" || option == "-c" || option == "--constraint") {
        return refuse(
            "no file travels with a definition; import the requirements file, which takes in what it refers to.");
    }
    if (option == "-e" || option == "--editable") {
        return refuse("an editable package lies in a folder of yours; put it into the run's source folder instead.");
    }
    return refuse("an option that is not known here.");
}

}  // namespace

std::string requirementWithoutComment(std::string_view line) {
    // As pip does: a '#' begins a comment at the line's beginning or behind a blank; in an address it is a fragment.
    for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1)) {
        if (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') {
            line = line.substr(0, at);
            break;
        }
    }
    return std::string(base::trim(line));
}

Status checkRequirement(const std::string& line) {
    const std::string text = requirementWithoutComment(line);
    if (text.size() > kLongestLine) {
        return Error{"environment.requirement", "A requirement is too long: " + shown(text)};
    }
    if (const std::size_t at = shellCharacter(text); at != std::string::npos) {
        return refuseShell(text, at);
    }
    if (std::ranges::any_of(text, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; })) {
        return Error{"environment.requirement", shown(text) + " has a control character in it."};
    }
    if (text.empty()) {
        return Error{"environment.requirement", "The row is empty; take it away."};
    }
    if (text.front() == '-') {
        return checkOption(text);
    }
    if (text.front() == '/' || text.front() == '.' || text.front() == '~') {
        return Error{
            "environment.requirement",
            shown(text) +
                " is a file's path; name the folder of the wheels, or write NAME @ file:///path on the target."};
    }
    return Requirement(text).check();
}

Status checkCondaPackage(const std::string& text) {
    if (const std::size_t at = std::min(shellCharacter(text), text.find_first_of(";\"'()#@%^?"));
        at != std::string::npos) {
        return refuseShell(text, at);
    }
    const std::size_t colons = text.rfind("::");
    if (colons != std::string::npos) {
        TRAINYARD_TRY(checkCondaChannel(text.substr(0, colons)));
    }
    const std::string_view rest = std::string_view(text).substr(colons == std::string::npos ? 0 : colons + 2);
    std::size_t end = 0;
    while (end < rest.size() && (isWord(static_cast<unsigned char>(rest[end])) || rest[end] == '.' ||
                                 rest[end] == '_' || rest[end] == '-')) {
        ++end;
    }
    const auto refuse = [&](const char* why) { return Error{"environment.conda_package", shown(text) + ": " + why}; };
    if (end == 0 || rest.front() == '-' || rest.front() == '.') {
        return refuse("a package's name begins with a letter, a digit or '_'.");
    }
    if (text.size() > kLongestLine) {
        return refuse("it is too long.");
    }
    const std::string_view version = rest.substr(end);
    if (!version.empty() && std::string_view("=<>!~ ").find(version.front()) == std::string_view::npos) {
        return refuse("behind the name comes a version: python=3.11, numpy>=1.24.");
    }
    const bool fits = std::ranges::all_of(version, [](unsigned char c) {
        return isWord(c) || std::string_view("=<>!~ .,*_+-").find(static_cast<char>(c)) != std::string_view::npos;
    });
    return fits ? Status{} : refuse("its version has a character that none has.");
}

Status checkCondaChannel(const std::string& text) {
    if (text.find("://") != std::string::npos) {
        return checkAddress(text);
    }
    const bool fits =
        !text.empty() && text.size() <= 256 && text.front() != '-' && std::ranges::all_of(text, [](unsigned char c) {
            return isWord(c) || c == '.' || c == '_' || c == '-' || c == '/';
        });
    return fits ? Status{}
                : Status(Error{"environment.channel",
                               shown(text) + " is no channel: a name (conda-forge) or an address."});
}

Status checkAddress(const std::string& text) {
    const std::size_t scheme = text.find("://");
    const std::string name = text.substr(0, scheme == std::string::npos ? 0 : scheme);
    const auto refuse = [&](const char* why) { return Error{"environment.address", shown(text) + ": " + why}; };
    if (name != "http" && name != "https" && name != "file" && name != "ssh") {
        return refuse("an address begins with https://, http:// or file://.");
    }
    if (text.size() > kLongestLine || text.size() == scheme + 3) {
        return refuse("that is no address.");
    }
    const bool plain = std::ranges::all_of(text, [](unsigned char c) {
        return c > 0x20 && c < 0x7f &&
               std::string_view("\"'`\\$|<>{}^;").find(static_cast<char>(c)) == std::string_view::npos;
    });
    if (!plain) {
        return refuse(
            "it has a blank, a quote or a character in it that a shell would take up; write such characters as %20.");
    }
    const std::size_t host = scheme + 3;
    const std::string_view authority = std::string_view(text).substr(host, text.find('/', host) - host);
    if (const std::size_t at = authority.find('@');
        at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos) {
        return Error{"environment.secret",
                     "The address of " + std::string(authority.substr(at + 1)) +
                         " has a password in it, and definitions are kept in clear. Make the whole address a secret: "
                         "PIP_INDEX_URL = file:~/index-address."};
    }
    return {};
}

Status checkImageName(const std::string& text, bool apptainer) {
    const auto refuse = [&](const char* why) { return Error{"environment.image", shown(text) + ": " + why}; };
    if (text.empty()) {
        return Error{"environment.image", "The image is not named."};
    }
    if (text.size() > kLongestImage) {
        return refuse("it is too long.");
    }
    if (apptainer && (text.front() == '/' || text.starts_with("~/"))) {
        return checkTargetPath(text);
    }
    std::string_view rest = text;
    for (const std::string_view scheme : {"docker://", "oras://", "library://"}) {
        if (rest.starts_with(scheme)) {
            if (!apptainer) {
                return refuse("leave the part up to // away; only apptainer has it.");
            }
            rest.remove_prefix(scheme.size());
        }
    }
    if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
        const std::string_view digest = rest.substr(at + 1);
        const bool hex = digest.starts_with("sha256:") && digest.size() == 71 &&
                         std::ranges::all_of(digest.substr(7),
                                             [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
        if (!hex) {
            return refuse("behind '@' comes sha256: and 64 digits.");
        }
        rest = rest.substr(0, at);
    }
    const std::size_t slash = rest.rfind('/');
    const std::size_t colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
    if (colon != std::string_view::npos) {
        const std::string_view tag = rest.substr(colon + 1);
        const bool fits =
            !tag.empty() && tag.size() <= 128 && tag.front() != '.' && tag.front() != '-' &&
            std::ranges::all_of(tag, [](unsigned char c) { return isWord(c) || c == '.' || c == '_' || c == '-'; });
        if (!fits) {
            return refuse("behind the last ':' comes a tag of letters, digits, '.', '_' and '-'.");
        }
        rest = rest.substr(0, colon);
    }
    const std::vector<std::string> parts = base::split(rest, '/');
    for (std::size_t i = 0; i < parts.size(); ++i) {
        // The first may be a registry with its port, in which capitals are allowed.
        const bool registry = i == 0 && parts.size() > 1 && parts[i].find_first_of(".:") != std::string::npos;
        const bool fits = !parts[i].empty() && isWord(static_cast<unsigned char>(parts[i].front())) &&
                          isWord(static_cast<unsigned char>(parts[i].back())) &&
                          std::ranges::all_of(parts[i], [&](unsigned char c) {
                              return std::isdigit(c) != 0 || std::islower(c) != 0 || c == '.' || c == '_' || c == '-' ||
                                     (registry && (c == ':' || std::isupper(c) != 0));
                          });
        if (!fits) {
            return refuse("an image's name has small letters, digits, '.', '_', '-' and '/': registry/name:tag.");
        }
    }
    return {};
}

Status checkMount(const std::string& text) {
    const auto refuse = [&](const char* why) { return Error{"environment.mount", shown(text) + ": " + why}; };
    std::vector<std::string> parts = base::split(text, ':');
    if (parts.size() == 3 && parts[2] != "ro" && parts[2] != "rw") {
        return refuse("the third part is ro or rw.");
    }
    if (parts.size() != 2 && parts.size() != 3) {
        return refuse("write /on/the/target:/inside, with :ro to have it read-only.");
    }
    TRAINYARD_TRY(checkTargetPath(parts[0]));
    const bool inside = parts[1].starts_with('/') && parts[1].size() > 1;
    if (!inside || text.find_first_of(",\"'") != std::string::npos || hasControl(text)) {
        return refuse("the place inside is an absolute path below /, without commas and quotes.");
    }
    for (const std::string& part : base::split(parts[1], '/')) {
        if (part == "..") {
            return refuse("a path inside cannot have \"..\" in it.");
        }
    }
    return {};
}

Status checkTargetPath(const std::string& text) {
    if (!text.starts_with('/') && !text.starts_with("~/")) {
        return Error{"environment.path", shown(text) + ": a path on the target is absolute, or begins with ~/."};
    }
    if (text.size() > kLongestLine || hasControl(text) || !base::isValidUtf8(text)) {
        return Error{"environment.path", shown(text) + " is too long for a path, or has a control character in it."};
    }
    return {};
}

Status checkSecretPlace(const std::string& text) {
    if (text.starts_with("file:")) {
        return checkTargetPath(text.substr(5));
    }
    constexpr std::string_view kVariable = "variable:";
    const std::string name = text.starts_with(kVariable) ? text.substr(kVariable.size()) : std::string();
    const bool fits = !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
                      std::ranges::all_of(name, [](unsigned char c) { return isWord(c) || c == '_'; });
    // The text itself may be the secret: it is not repeated.
    return fits ? Status{}
                : Status(Error{"environment.secret", "a secret is named by its place on the target, file:/path or "
                                                     "variable:NAME, and never written down here."});
}

Status checkContainerfile(const std::string& text) {
    static constexpr std::array kInstructions = {"ADD",    "ARG",   "CMD",         "COPY",  "ENTRYPOINT", "ENV",
                                                 "EXPOSE", "FROM",  "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
                                                 "RUN",    "SHELL", "STOPSIGNAL",  "USER",  "VOLUME",     "WORKDIR"};
    const auto refuse = [](std::size_t line, const std::string& why) {
        return Error{"environment.containerfile", "Line " + std::to_string(line) + ": " + why};
    };
    if (text.find('\0') != std::string::npos || !base::isValidUtf8(text)) {
        return Error{"environment.containerfile", "The Containerfile is no text."};
    }
    const std::vector<std::string> lines = base::split(text, '\n');
    bool begun = false;
    bool continued = false;
    std::string heredoc;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string line(base::trim(lines[i]));
        if (!heredoc.empty()) {
            heredoc = line == heredoc ? std::string() : heredoc;
            continue;
        }
        if (line.empty() || line.front() == '#') {
            continue;
        }
        const bool first = !continued;
        continued = line.back() == '\\';
        if (!first) {
            continue;
        }
        std::string word = line.substr(0, line.find_first_of(" \t\\"));
        std::ranges::transform(word, word.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        if (std::ranges::find(kInstructions, word) == kInstructions.end()) {
            return refuse(i + 1, shown(word) + " is no instruction of a Containerfile.");
        }
        if (!begun && word != "FROM" && word != "ARG") {
            return refuse(i + 1, "before " + word + " there must be FROM and an image.");
        }
        begun = begun || word == "FROM";
        const std::string rest(base::trim(line.substr(word.size())));
        if (rest.empty() && !continued) {
            return refuse(i + 1, word + " needs something behind it.");
        }
        const bool remote = rest.find("--from=") != std::string::npos || rest.find("<<") != std::string::npos ||
                            (word == "ADD" && (rest.starts_with("http://") || rest.starts_with("https://")));
        if ((word == "COPY" || word == "ADD") && !remote && !continued) {
            return refuse(i + 1, word + " takes files of a folder of yours, and none travels; take them from another "
                                        "image (--from=), or put "
                                        "them into the run's source folder.");
        }
        if (const std::size_t at = rest.find("<<");
            at != std::string::npos && (word == "RUN" || word == "COPY" || word == "ADD")) {
            std::string_view mark = std::string_view(rest).substr(at + 2);
            while (!mark.empty() && (mark.front() == '-' || mark.front() == '"' || mark.front() == '\'')) {
                mark.remove_prefix(1);
            }
            std::size_t end = 0;
            while (end < mark.size() && (isWord(static_cast<unsigned char>(mark[end])) || mark[end] == '_')) {
                ++end;
            }
            heredoc = std::string(mark.substr(0, end));
        }
    }
    if (!heredoc.empty()) {
        return refuse(lines.size(), "the text that ends with " + heredoc + " has no end.");
    }
    return begun ? Status{}
                 : refuse(lines.size(), "there is no FROM: a Containerfile begins with the image that it builds on.");
}

}  // namespace trainyard::spec
