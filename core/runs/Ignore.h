#pragma once
// Which files of a source folder do not travel: the rules of gitignore(5), from .trainyardignore, .amlignore or
// .gitignore.
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::runs {

/// One file of patterns, read. A value; safe to use from any thread.
class IgnoreRules {
public:
    /// `base`: the folder that the file lies in, relative to the root of the walk ("" for the root itself, "a/b" below
    /// it);
    /// "../" parts are not legal, a file above the root has `above` names between itself and the root: "project/src".
    IgnoreRules(std::string_view text, std::string base, std::string above = {});

    enum class Verdict { None, Ignored, Kept };
    /// Of a path relative to the root of the walk. The last pattern that matches counts.
    [[nodiscard]] Verdict judge(std::string_view path, bool isFolder) const;
    [[nodiscard]] bool empty() const { return m_patterns.empty(); }

private:
    struct Pattern {
        std::string glob;  ///< Without '!', leading and trailing '/'.
        bool keeps = false;
        bool foldersOnly = false;
        bool anchored = false;  ///< Matched against the whole path below the base, not against the name alone.
    };
    std::string m_base;
    std::string m_above;
    std::vector<Pattern> m_patterns;
};

/// gitignore's wildcards: '*' and '?' stop at '/', "**/", "/**" and "/**/" do not, [a-z], [!a-z], [[:alpha:]], '\'
/// quotes.
[[nodiscard]] bool globMatches(std::string_view glob, std::string_view text);

/// The rules of a tree as a walk meets them, from the root down.
class IgnoreStack {
public:
    /// Finds out which kind of file counts in this tree: .trainyardignore before .amlignore before .gitignore, as it
    /// lies in the root; of .gitignore also those above the root up to the repository's, and .git/info/exclude.
    [[nodiscard]] static base::Result<IgnoreStack> open(const base::Path& root);

    /// Name of the files that count, "" when there is none in the root; .gitignore files below it count all the same.
    [[nodiscard]] const std::string& fileName() const { return m_fileName; }
    /// Reads the rules of a folder below the root, when it has some. Must be balanced by leave().
    [[nodiscard]] base::Status enter(const base::Path& folder, const std::string& relative);
    void leave();
    [[nodiscard]] bool ignored(std::string_view path, bool isFolder) const;

private:
    std::string m_fileName;
    std::vector<IgnoreRules> m_rules;  ///< The deepest last.
    std::vector<bool> m_entered;       ///< Whether each enter() added rules.
};

}  // namespace trainyard::runs
