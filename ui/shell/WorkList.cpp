#include "ui/shell/WorkList.h"

#include <algorithm>

#include "core/base/Clock.h"

namespace trainyard::ui {

int WorkList::begin(const QString& title, std::function<void()> cancel) {
    const int id = m_nextId++;
    m_entries.push_back(Entry{id, title, std::nullopt, std::nullopt, std::move(cancel), base::monotonicNanos()});
    Q_EMIT changed();
    return id;
}

void WorkList::progress(int id, double fraction, std::optional<std::int64_t> etaNanos) {
    const auto entry = std::find_if(m_entries.begin(), m_entries.end(), [id](const Entry& e) { return e.id == id; });
    if (entry == m_entries.end()) return;
    entry->fraction = fraction < 0 ? std::optional<double>() : std::min(1.0, fraction);
    entry->etaNanos = etaNanos;
    // An estimate from less than a twentieth, or from less than a second, is noise.
    const auto spent = base::monotonicNanos() - entry->startedNanos;
    if (!etaNanos && fraction > 0.05 && spent > 1'000'000'000) {
        entry->etaNanos = static_cast<std::int64_t>(static_cast<double>(spent) * (1 - fraction) / fraction);
    }
    Q_EMIT changed();
}

void WorkList::finish(int id) {
    if (std::erase_if(m_entries, [id](const Entry& e) { return e.id == id; }) > 0) Q_EMIT changed();
}

}  // namespace trainyard::ui
