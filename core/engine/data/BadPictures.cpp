#include "core/engine/data/BadPictures.h"

#include <utility>

namespace trainyard::engine {

bool BadPictures::add(std::size_t file) {
    const std::lock_guard lock(m_mutex);
    if (m_known[file]) {
        return false;
    }
    m_known[file] = true;
    ++m_count;
    m_news.push_back(static_cast<std::int64_t>(file));
    return true;
}

std::vector<std::int64_t> BadPictures::takeNews() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_news, {});
}

void BadPictures::learn(const std::vector<std::int64_t>& files) {
    const std::lock_guard lock(m_mutex);
    for (const std::int64_t file : files) {
        const auto place = static_cast<std::size_t>(file);
        if (place < m_known.size() && !m_known[place]) {
            m_known[place] = true;
            ++m_count;
        }
    }
}

std::size_t BadPictures::count() const {
    const std::lock_guard lock(m_mutex);
    return m_count;
}

}  // namespace trainyard::engine
