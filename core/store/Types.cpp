#include "core/store/Types.h"

#include <charconv>

#include "core/base/Hash.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

IndexLocation IndexLocation::of(const Path& workspace) {
    std::error_code ignored;
    Path root = std::filesystem::weakly_canonical(workspace, ignored);
    if (root.empty()) root = workspace;
    if (!base::isNetworkFileSystem(root)) return {root, wire::WorkspaceLayout{root}.index(), false};
    const std::string key = base::sha256Hex(root.string()).substr(0, 16);
    return {root, base::xdgCacheHome() / "trainyard" / "index" / key / "history.sqlite", true};
}

std::string LogPlace::text() const {
    std::string text;
    for (const auto& [stream, lines] : taken)
        text += (text.empty() ? "" : ",") + std::to_string(stream.first) + "." + std::to_string(stream.second) + ":" +
                std::to_string(lines);
    return text;
}

std::optional<LogPlace> LogPlace::fromText(std::string_view text) {
    LogPlace place;
    while (!text.empty()) {
        int attempt = 0, node = 0;
        std::int64_t lines = 0;
        const char* const end = text.data() + text.size();
        const auto first = std::from_chars(text.data(), end, attempt);
        if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
        const auto second = std::from_chars(first.ptr + 1, end, node);
        if (second.ec != std::errc() || second.ptr == end || *second.ptr != ':') return std::nullopt;
        const auto third = std::from_chars(second.ptr + 1, end, lines);
        if (third.ec != std::errc() || attempt < 1 || node < 0 || lines < 0) return std::nullopt;
        place.taken[{attempt, node}] = lines;
        if (third.ptr == end) return place;
        if (*third.ptr != ',' || third.ptr + 1 == end) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(third.ptr + 1 - text.data()));
    }
    return place;
}

}  // namespace trainyard::store
