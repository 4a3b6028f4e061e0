#include "core/targets/Bootstrap.h"

#include <sys/stat.h>

#include <charconv>
#include <map>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Ssh.h"

namespace trainyard::targets {
namespace {

constexpr std::string_view kMark = "TRAINYARD-BOOT ";
constexpr const char* kMachine = "x86_64";

// Reads: work folder, hash, size, processor, client's id, slots' folder; a line each.
constexpr const char* kScript =
    "umask 077; "
    "IFS= read -r w; IFS= read -r h; IFS= read -r n; IFS= read -r m; IFS= read -r c; IFS= read -r t; "
    "say() { printf \"\\nTRAINYARD-BOOT %s\\n\" \"$*\"; }; "
    "bad() { say error \"$@\"; exit 0; }; "
    "u=$(uname -s -m 2>&1); [ \"$u\" = \"Linux $m\" ] || bad machine \"$u\"; "
    "case $w in \"\") w=${XDG_DATA_HOME:-$HOME/.local/share}/trainyard/work;; \"~/\"*) w=$HOME/${w#??};; esac; "
    "b=$w/bin/$h; a=$b/trainyard-agent; "
    "e=$(mkdir -p -- \"$b\" 2>&1) || case $e in *[Ss]pace*|*quota*) bad full \"$e\";; *) bad work \"$e\";; esac; "
    "[ -w \"$b\" ] || bad work \"$b is not writable\"; "
    "if [ -x \"$a\" ]; then :; else "
    "p=$b/part.$c; k=0; [ -f \"$p\" ] && k=$(wc -c < \"$p\"); k=$((k+0)); "
    "[ \"$k\" -le \"$n\" ] || { rm -f -- \"$p\"; k=0; }; "
    "f=$(df -Pk -- \"$b\" 2>/dev/null | { read -r x; read -r x x x f x; echo \"$f\"; }); "
    "say need \"$k\" \"${f:-unknown}\"; "
    "e=$(head -c \"$((n-k))\" 2>&1 >> \"$p\"); "
    "k=$(wc -c < \"$p\"); k=$((k+0)); "
    "[ \"$k\" -eq \"$n\" ] || { [ -z \"$e\" ] && bad short \"$k\"; bad full \"$e\"; }; "
    "s=$(sha256sum < \"$p\" 2>/dev/null); s=${s%% *}; "
    "[ -z \"$s\" ] || [ \"$s\" = \"$h\" ] || { rm -f -- \"$p\"; bad hash \"$s\"; }; "
    "e=$(chmod 700 \"$p\" 2>&1 && mv -f -- \"$p\" \"$a\" 2>&1) || bad work \"$e\"; "
    "fi; "
    "e=$(\"$a\" --version 2>&1) || bad start \"$? $e\"; "
    "[ -z \"$t\" ] || exec \"$a\" serve --work \"$w\" --slots \"$t\"; "
    "exec \"$a\" serve --work \"$w\"";

std::optional<std::int64_t> wholeNumber(std::string_view text) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value < 0) {
        return std::nullopt;
    }
    return value;
}

base::Error bootError(const std::string& kind, const std::string& words, const std::string& destination,
                      const std::string& workFolder) {
    const std::string said = words.empty() ? "." : ": " + words;
    const std::string work = workFolder.empty() ? "its work folder" : "the work folder " + workFolder;
    if (kind == "machine") {
        return {"target.program", destination + " is a machine of the kind \"" + words +
                                      "\"; this installation brings an agent for \"Linux " + std::string(kMachine) +
                                      "\" only. Choose another host."};
    }
    if (kind == "work") {
        return {"file.denied", "On " + destination + ", " + work + " cannot be used" + said +
                                   ". Choose another work folder in the target's definition."};
    }
    if (kind == "full") {
        return {"target.disk_full", "On " + destination + ", there is no room for the agent in " + work + said +
                                        ". Make room there or choose another work folder."};
    }
    if (kind == "start") {
        const bool refused = words.starts_with("126");
        return {
            "target.program",
            "On " + destination + ", the agent does not start from " + work +
                (refused
                     ? ". The file system is probably mounted with noexec, or the login may not start programs there. "
                     : ". ") +
                "Choose another work folder. The shell says: " + words};
    }
    // "short": the channel broke while it was sent; "hash": two sent at once. Trying again helps.
    return {"target.unreachable", "The agent did not arrive whole at " + destination + " (" + kind + said + ")."};
}

}  // namespace

base::Result<AgentFile> findAgentFile(const base::Path& path) {
    static std::mutex mutex;
    static std::map<std::string, std::pair<std::int64_t, AgentFile>>
        known;  // By path and inode, with the time of change.
    AgentFile file;
    file.path = path.empty() ? LocalTarget::findProgram("trainyard-agent") : path;
    struct stat info {};
    if (file.path.empty() || ::stat(file.path.c_str(), &info) != 0) {
        return base::Error{
            "target.program",
            "trainyard-agent was found neither beside this program nor in ../lib/trainyard; the installation is "
            "incomplete."};
    }
    const std::string key = file.path.string() + ":" + std::to_string(info.st_ino);
    const std::int64_t changed = static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
    const std::lock_guard lock(mutex);
    if (const auto found = known.find(key);
        found != known.end() && found->second.first == changed && found->second.second.size == info.st_size) {
        return found->second.second;
    }
    const base::Result<std::string> hash = base::sha256File(file.path);
    if (!hash.ok()) {
        return hash.error();
    }
    file.sha256 = *hash;
    file.size = info.st_size;
    known[key] = {changed, file};
    return file;
}

std::string bootstrapCommand() { return "exec sh -c " + base::shellQuote(kScript); }

std::string bootstrapInput(const AgentFile& agent, const std::string& workFolder, const std::string& slotsFolder,
                           const std::string& clientId) {
    return workFolder + "\n" + agent.sha256 + "\n" + std::to_string(agent.size) + "\n" + kMachine + "\n" + clientId +
           "\n" + slotsFolder + "\n";
}

std::optional<BootWord> takeBootWord(std::string& bytes, const std::string& destination,
                                     const std::string& workFolder) {
    const auto at = bytes.find(kMark);
    const auto end = at == std::string::npos ? at : bytes.find('\n', at);
    if (end == std::string::npos) {
        return std::nullopt;
    }
    const std::string line = bytes.substr(at + kMark.size(), end - at - kMark.size());
    bytes.erase(0, end + 1);
    const std::vector<std::string> words = base::split(line, ' ');
    BootWord word;
    if (words.size() == 3 && words[0] == "need" && wholeNumber(words[1])) {
        word.offset = *wholeNumber(words[1]);
        if (const auto free = wholeNumber(words[2]); free && *free < (std::int64_t{1} << 50)) {
            word.freeBytes = *free * 1024;
        }
        return word;
    }
    word.kind = BootWord::Kind::Error;
    const auto rest = line.find(' ', line.find(' ') + 1);
    word.error = words.size() >= 2 && words[0] == "error"
                     ? bootError(words[1], rest == std::string::npos ? std::string() : saidText(line.substr(rest + 1)),
                                 destination, workFolder)
                     : base::Error{"target.protocol", destination + " answers \"" + saidText(line.substr(0, 200)) +
                                                          "\", which is not how an agent is started."};
    return word;
}

}  // namespace trainyard::targets
