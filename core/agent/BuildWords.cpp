#include "core/agent/BuildWords.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMostWords = 500;
constexpr int kMostItems = 4;

std::string lowered(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return lower;
}

bool holdsAny(std::string_view text, std::initializer_list<std::string_view> parts) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

/// "PackagesNotFoundError: …", "ResolvePackageNotFound:", "CondaEnvException: …": the name of an exception and a colon.
bool beginsWithException(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || line[0] < 'A' || line[0] > 'Z') return false;
    const std::string_view name = line.substr(0, colon);
    const auto isWord = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return std::all_of(name.begin(), name.end(), isWord) &&
           (name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("NotFound"));
}

bool isError(std::string_view line) {
    const std::string lower = lowered(line);
    return lower.starts_with("error") || lower.starts_with("fatal") || lower.starts_with("critical libmamba") ||
           beginsWithException(line) || holdsAny(lower, {" error:", "was not created successfully"}) ||
           saysDiskIsFull(lower);
}

/// True of every failure of its kind: the line that says which one stands elsewhere.
bool saysLittle(std::string_view line) {
    const std::string lower = lowered(line);
    return lower.starts_with("critical libmamba could not solve") ||
           holdsAny(lower, {"for help visit", "pip failed", "pip subprocess error", "returned non-zero exit status",
                            "subprocess-exited-with-error"});
}

bool isItem(std::string_view line) {
    return line.starts_with("- ") || line.starts_with("* ") || line.starts_with("├─") || line.starts_with("└─") ||
           line.starts_with("│");
}

}  // namespace

bool saysDiskIsFull(std::string_view text) {
    return holdsAny(lowered(text), {"no space left on device", "disk quota exceeded"});
}

std::string whatWentWrong(const std::vector<std::string>& lines) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].empty()) continue;
        const bool error = isError(lines[i]);
        if (!best) {
            best = i;
            continue;
        }
        const bool bestIsError = isError(lines[*best]);
        // A full disk is the cause of whatever is said behind it.
        if (saysDiskIsFull(lines[*best])) continue;
        if (bestIsError && (!error || (saysLittle(lines[i]) && !saysLittle(lines[*best])))) continue;
        best = i;
    }
    if (!best) return {};
    std::string said = lines[*best];
    if (isError(said)) {
        int items = 0;
        for (std::size_t i = *best + 1; i < lines.size() && items < kMostItems; ++i) {
            if (lines[i].empty()) continue;
            if (!isItem(lines[i]) && !(items == 0 && lines[i].starts_with("The following"))) break;
            items += isItem(lines[i]) ? 1 : 0;
            said += " " + lines[i];
        }
    }
    if (said.size() <= kMostWords) return said;
    const auto isInside = [&said](std::size_t at) { return (static_cast<unsigned char>(said[at]) & 0xC0U) == 0x80U; };
    // Behind a long path.
    std::size_t from = said.size() - kMostWords;
    while (from < said.size() && isInside(from)) ++from;
    if (saysDiskIsFull(std::string_view(said).substr(from))) return "…" + said.substr(from);
    std::size_t end = kMostWords;
    while (end > 0 && isInside(end)) --end;
    return said.substr(0, end);
}

std::string remedyOf(std::string_view error) {
    const std::string lower = lowered(error);
    if (saysDiskIsFull(lower))
        return "Clear the target's cache, make room where the program writes, or give the target another work folder.";
    if (holdsAny(lower, {"not a supported wheel"}))
        return "The wheel is for another Python or another machine; take one that fits this environment's.";
    if (holdsAny(lower, {"no matching distribution", "could not find a version", "packagesnotfound",
                         "resolvepackagenotfound", "does not exist (perhaps a typo"})) {
        return "Check the name, the version and the Python, and whether the index, the wheel folder or the channels "
               "have it.";
    }
    if (holdsAny(lower, {"conflicting dependencies", "unsatisfiable", "incompatible", "could not solve",
                         "cannot install", "encountered problems while solving"})) {
        return "Loosen the versions that exclude each other.";
    }
    if (holdsAny(lower, {"manifest unknown", "name unknown", "repository does not exist", "pull access denied",
                         "failed to resolve source metadata", "initializing source", "conveyor failed", "short-name",
                         "image not known"})) {
        return "Check the image's name, and whether this machine has the image or reaches its registry.";
    }
    if (holdsAny(lower, {"was not created successfully", "no module named venv", "no module named ensurepip"})) {
        return "Install Python's venv on this machine (Debian: python3-venv).";
    }
    if (holdsAny(lower, {"connection failed", "connection refused", "connection timed out", "name resolution",
                         "could not resolve", "network is unreachable"})) {
        return "Check that this machine reaches the index, the channel or the registry, or give it a wheel folder.";
    }
    return "Mend the definition or this machine and start again; nothing of this build was kept.";
}

}  // namespace trainyard::agent
