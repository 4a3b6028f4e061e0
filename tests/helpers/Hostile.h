#pragma once
// Values that do harm wherever a shell, an option parser, a line reader or an encoding takes them for more than text.
// One table for the form, the command line, JSON and the targets. Each either arrives byte for byte or is refused with
// its field named; the canary never appears.
#include <string>
#include <vector>

namespace trainyard::test {

struct HostileValue {
    const char* name;   ///< For the row of a table.
    std::string value;  ///< UTF-8 without NUL.
    bool oneLine;       ///< Without a line break or another control character: may stand in one field of a form.
};

/// Text of any field. `canary`: absolute path, without spaces, of a file that is made when a value is run as code.
inline std::vector<HostileValue> hostileValues(const std::string& canary) {
    return {
        {"space", "two words", true},
        {"spaces around", "  leading and trailing  ", true},
        {"option", "-oProxyCommand=touch " + canary, true},
        {"option without space", "-oProxyCommand=touch${IFS}" + canary, true},
        {"long option", "--wrap=touch " + canary, true},
        {"end of options", "--", true},
        {"dash", "-", true},
        {"substitution", "$(touch " + canary + ")", true},
        {"backticks", "`touch " + canary + "`", true},
        {"semicolon", "; touch " + canary + " ;", true},
        {"pipe", "| touch " + canary, true},
        {"ampersand", "& touch " + canary + " &", true},
        {"and, or", "&& touch " + canary + " || touch " + canary, true},
        {"redirection", "> " + canary, true},
        {"single quote", "'; touch " + canary + "; '", true},
        {"double quote", "\"; touch " + canary + "; \"", true},
        {"both quotes", "it's \"quoted\"", true},
        {"backslash", "back\\slash \\n \\", true},
        {"glob", "* ? [a-z] {a,b} ~", true},
        {"home", "~/x", true},
        {"comment", "# not a comment", true},
        {"history", "!! !x", true},
        {"percent", "%j %s %n %%", true},
        {"variable that is not there", "$TRAINYARD_NO_SUCH_VARIABLE_", true},
        {"here document", "<<END", true},
        {"non-ASCII", "Gr\u00f6\u00dfe \u6a5f\u68b0 \U0001F600", true},
        {"direction", "abc\u202Egnp.exe", true},
        {"markup", "<b>&amp;</b><img src=x>", true},
        {"JSON", "\"}, {\"command\": [\"touch\", \"" + canary + "\"]", true},
        {"newline", "a\ntouch " + canary + "\n", false},
        {"return", "a\r\ntouch " + canary + "\r\n", false},
        {"directive", "x\n#SBATCH --wrap='touch " + canary + "'\n", false},
        {"configuration", "x\n  ProxyCommand touch " + canary + "\n", false},
        {"tab", "a\tb", false},
        {"control", "\x1b[31mred\x1b[0m\x07\x01", false},
        {"empty", "", true},
    };
}

/// Names of files that a file system takes: one component, one line, relative canary in the folder that a shell would
/// be in.
inline std::vector<std::string> hostileFileNames() {
    return {"two words",
            " leading",
            "trailing ",
            "-oProxyCommand=touch canary",
            "-rf",
            "$(touch canary)",
            "`touch canary`",
            "; touch canary ;",
            "| touch canary",
            "& touch canary &",
            "'; touch canary; '",
            "\"; touch canary; \"",
            "it's \"quoted\"",
            "back\\slash",
            "star*?[a-z]{a,b}",
            "#comment",
            "~",
            "%j",
            "$HOME",
            "...",
            "Gr\u00f6\u00dfe \u6a5f",
            "<b>x<b>"};
}

}  // namespace trainyard::test
