#include "core/runs/Ignore.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <system_error>

namespace trainyard::runs {

using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr std::array kNames = {".trainyardignore", ".amlignore", ".gitignore"};
constexpr const char* kGitName = ".gitignore";
constexpr std::int64_t kMostBytes = 1 << 20;

bool inClass(std::string_view name, unsigned char c) {
    if (name == "alpha") return std::isalpha(c) != 0;
    if (name == "digit") return std::isdigit(c) != 0;
    if (name == "alnum") return std::isalnum(c) != 0;
    if (name == "lower") return std::islower(c) != 0;
    if (name == "upper") return std::isupper(c) != 0;
    if (name == "space") return std::isspace(c) != 0;
    if (name == "blank") return c == ' ' || c == '\t';
    if (name == "punct") return std::ispunct(c) != 0;
    if (name == "xdigit") return std::isxdigit(c) != 0;
    if (name == "cntrl") return std::iscntrl(c) != 0;
    if (name == "graph") return std::isgraph(c) != 0;
    if (name == "print") return std::isprint(c) != 0;
    return false;
}

/// One bracket expression at `glob[at]` == '['. Sets `after` behind it; false in `valid` when it is never closed.
bool bracketMatches(std::string_view glob, std::size_t at, char c, std::size_t& after, bool& valid) {
    std::size_t i = at + 1;
    const bool negated = i < glob.size() && (glob[i] == '!' || glob[i] == '^');
    i += negated ? 1 : 0;
    bool found = false;
    for (bool first = true;; first = false) {
        if (i >= glob.size()) {
            valid = false;
            return false;
        }
        if (glob[i] == ']' && !first) {
            break;
        }
        if (glob.substr(i).starts_with("[:")) {
            const std::size_t end = glob.find(":]", i + 2);
            if (end != std::string_view::npos) {
                found = found || inClass(glob.substr(i + 2, end - i - 2), static_cast<unsigned char>(c));
                i = end + 2;
                continue;
            }
        }
        if (glob[i] == '\\' && i + 1 < glob.size()) {
            ++i;
        }
        const auto low = static_cast<unsigned char>(glob[i++]);
        auto high = low;
        if (i + 1 < glob.size() && glob[i] == '-' && glob[i + 1] != ']') {
            ++i;
            if (glob[i] == '\\' && i + 1 < glob.size()) {
                ++i;
            }
            high = static_cast<unsigned char>(glob[i++]);
        }
        const auto byte = static_cast<unsigned char>(c);
        found = found || (byte >= low && byte <= high);
    }
    valid = true;
    after = i + 1;
    return found != negated && c != '/';
}

bool matchFrom(std::string_view glob, std::size_t g, std::string_view text, std::size_t t, int& budget) {
    // A pattern of many stars over a long path would take for ever; no sane one comes near this.
    if (--budget < 0) {
        return false;
    }
    while (g < glob.size()) {
        const char c = glob[g];
        if (c == '*') {
            const std::size_t stars = glob.find_first_not_of('*', g);
            const std::size_t next = stars == std::string_view::npos ? glob.size() : stars;
            const bool atStart = g == 0 || glob[g - 1] == '/';
            const bool atEnd = next == glob.size() || glob[next] == '/';
            if (next - g == 2 && atStart && atEnd) {
                if (next == glob.size()) {
                    return t < text.size();  // "/**": everything inside.
                }
                // "**/": no folder or any number of them.
                for (std::size_t from = t;;) {
                    if (matchFrom(glob, next + 1, text, from, budget)) {
                        return true;
                    }
                    const std::size_t slash = text.find('/', from);
                    if (slash == std::string_view::npos) {
                        return false;
                    }
                    from = slash + 1;
                }
            }
            if (next == glob.size()) {
                return text.find('/', t) == std::string_view::npos;
            }
            for (std::size_t from = t; from <= text.size(); ++from) {
                if (matchFrom(glob, next, text, from, budget)) {
                    return true;
                }
                if (from < text.size() && text[from] == '/') {
                    return false;
                }
            }
            return false;
        }
        if (t >= text.size()) {
            return false;
        }
        if (c == '?') {
            if (text[t] == '/') {
                return false;
            }
            ++g;
        } else if (c == '[') {
            std::size_t after = 0;
            bool valid = false;
            if (!bracketMatches(glob, g, text[t], after, valid)) {
                return false;
            }
            g = after;
        } else {
            if (c == '\\') {
                if (++g == glob.size()) {
                    return false;  // A lone '\' at the end matches nothing.
                }
            }
            if (glob[g] != text[t]) {
                return false;
            }
            ++g;
        }
        ++t;
    }
    return t == text.size();
}

/// Trailing blanks go unless a '\' stands before them.
std::string_view withoutTrailingBlanks(std::string_view line) {
    std::size_t end = line.size();
    while (end > 0 && line[end - 1] == ' ') {
        std::size_t slashes = 0;
        while (slashes < end - 1 && line[end - 2 - slashes] == '\\') {
            ++slashes;
        }
        if (slashes % 2 == 1) {
            break;
        }
        --end;
    }
    return line.substr(0, end);
}

Result<std::string> textOf(const Path& file) {
    std::error_code error;
    const auto status = std::filesystem::symlink_status(file, error);
    if (error || !std::filesystem::is_regular_file(status)) {
        return std::string();
    }
    return base::readFile(file, kMostBytes);
}

}  // namespace

bool globMatches(std::string_view glob, std::string_view text) {
    int budget = 100'000;
    return matchFrom(glob, 0, text, 0, budget);
}

IgnoreRules::IgnoreRules(std::string_view text, std::string base, std::string above)
    : m_base(std::move(base)), m_above(std::move(above)) {
    if (text.starts_with("\xEF\xBB\xBF")) {
        text.remove_prefix(3);
    }
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (line.starts_with('#')) {
            continue;
        }
        line = withoutTrailingBlanks(line);
        Pattern pattern;
        if (line.starts_with('!')) {
            pattern.keeps = true;
            line.remove_prefix(1);
        }
        if (line.ends_with('/')) {
            pattern.foldersOnly = true;
            line.remove_suffix(1);
        }
        pattern.anchored = line.find('/') != std::string_view::npos;
        if (line.starts_with('/')) {
            line.remove_prefix(1);
        }
        if (!line.empty()) {
            pattern.glob = line;
            m_patterns.push_back(std::move(pattern));
        }
    }
}

IgnoreRules::Verdict IgnoreRules::judge(std::string_view path, bool isFolder) const {
    std::string below;
    if (!m_base.empty()) {
        if (!path.starts_with(m_base + "/")) {
            return Verdict::None;
        }
        path.remove_prefix(m_base.size() + 1);
    } else if (!m_above.empty()) {
        below = m_above + "/" + std::string(path);
        path = below;
    }
    const std::size_t slash = path.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    for (auto pattern = m_patterns.rbegin(); pattern != m_patterns.rend(); ++pattern) {
        if (pattern->foldersOnly && !isFolder) {
            continue;
        }
        if (globMatches(pattern->glob, pattern->anchored ? path : name)) {
            return pattern->keeps ? Verdict::Kept : Verdict::Ignored;
        }
    }
    return Verdict::None;
}

Result<IgnoreStack> IgnoreStack::open(const Path& root) {
    IgnoreStack stack;
    std::error_code error;
    for (const char* name : kNames) {
        if (std::filesystem::is_regular_file(std::filesystem::symlink_status(root / name, error))) {
            stack.m_fileName = name;
            break;
        }
    }
    if (stack.m_fileName.empty() || stack.m_fileName == kGitName) {
        // The repository's rules hold for a folder inside it too.
        std::vector<std::pair<Path, std::string>> folders;
        std::string above;
        Path folder = std::filesystem::weakly_canonical(root, error);
        for (; !error && !std::filesystem::exists(folder / ".git", error) && folder.has_relative_path();
             folder = folder.parent_path()) {
            above = above.empty() ? folder.filename().string() : folder.filename().string() + "/" + above;
            folders.emplace_back(folder.parent_path(), above);
        }
        if (std::filesystem::exists(folder / ".git", error)) {
            const auto add = [&](const Path& file, const std::string& between) -> Status {
                auto text = textOf(file);
                if (!text.ok()) {
                    return text.error();
                }
                stack.m_rules.emplace_back(*text, std::string(), between);
                return {};
            };
            TRAINYARD_TRY(add(folder / ".git" / "info" / "exclude", above));
            for (auto entry = folders.rbegin(); entry != folders.rend(); ++entry) {
                TRAINYARD_TRY(add(entry->first / kGitName, entry->second));
            }
        }
    }
    TRAINYARD_TRY(stack.enter(root, ""));
    return stack;
}

Status IgnoreStack::enter(const Path& folder, const std::string& relative) {
    auto text = textOf(folder / (m_fileName.empty() ? kGitName : m_fileName));
    if (!text.ok()) {
        return text.error();
    }
    IgnoreRules rules(*text, relative);
    m_entered.push_back(!rules.empty());
    if (!rules.empty()) {
        m_rules.push_back(std::move(rules));
    }
    return {};
}

void IgnoreStack::leave() {
    if (m_entered.back()) {
        m_rules.pop_back();
    }
    m_entered.pop_back();
}

bool IgnoreStack::ignored(std::string_view path, bool isFolder) const {
    for (auto rules = m_rules.rbegin(); rules != m_rules.rend(); ++rules) {
        const IgnoreRules::Verdict verdict = rules->judge(path, isFolder);
        if (verdict != IgnoreRules::Verdict::None) {
            return verdict == IgnoreRules::Verdict::Ignored;
        }
    }
    return false;
}

}  // namespace trainyard::runs
