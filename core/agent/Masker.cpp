#include "core/agent/Masker.h"

#include <algorithm>

#include "core/base/Json.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace {

/// A line of a key or certificate; shorter ones are seldom secret ("}", "true").
constexpr std::size_t kLeastLine = 8;

}  // namespace

void Masker::insert(std::string secret) {
    if (std::find(m_secrets.begin(), m_secrets.end(), secret) != m_secrets.end()) return;
    m_secrets.push_back(std::move(secret));
    std::stable_sort(m_secrets.begin(), m_secrets.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

bool Masker::add(const std::string& secret) {
    if (secret.size() < kLeast) return false;
    insert(secret);
    const std::string json = base::dumpJson(base::Json(base::toValidUtf8(secret)));
    insert(json.substr(1, json.size() - 2));
    if (secret.find('\n') == std::string::npos) return true;
    for (const std::string& line : base::split(secret, '\n')) {
        const std::string text(base::trim(line));
        if (text.size() >= kLeastLine) insert(text);
    }
    return true;
}

std::optional<std::pair<std::size_t, std::size_t>> Masker::find(std::string_view text, std::size_t from) const {
    std::optional<std::pair<std::size_t, std::size_t>> first;
    for (const std::string& secret : m_secrets) {
        const std::size_t at = text.find(secret, from);
        if (at != std::string_view::npos && (!first || at < first->first)) first = {at, secret.size()};
    }
    return first;
}

std::size_t Masker::undecided(std::string_view text) const {
    std::size_t most = 0;
    for (const std::string& secret : m_secrets) {
        for (std::size_t length = std::min(secret.size() - 1, text.size()); length > most; --length) {
            if (text.ends_with(std::string_view(secret).substr(0, length))) most = length;
        }
    }
    return most;
}

std::string Masker::mask(std::string_view text) const {
    std::string shown;
    std::size_t at = 0;
    while (const auto found = find(text, at)) {
        shown += text.substr(at, found->first - at);
        shown += kMask;
        at = found->first + found->second;
    }
    return shown += text.substr(at);
}

}  // namespace trainyard::agent
