#include "ui/shell/Navigator.h"

namespace trainyard::ui {
namespace {
constexpr std::size_t kMostSteps = 200;
}

void Navigator::visit(const Address& address) {
    if (present() == address) return;
    if (!m_steps.empty()) m_steps.resize(m_at + 1);
    m_steps.push_back(address);
    if (m_steps.size() > kMostSteps) m_steps.erase(m_steps.begin());
    m_at = m_steps.size() - 1;
}

void Navigator::replace(const Address& address) {
    if (m_steps.empty()) {
        visit(address);
    } else {
        m_steps[m_at] = address;
    }
}

std::optional<Address> Navigator::goBack() {
    if (!canGoBack()) return std::nullopt;
    return m_steps[--m_at];
}

std::optional<Address> Navigator::goForward() {
    if (!canGoForward()) return std::nullopt;
    return m_steps[++m_at];
}

std::optional<Address> Navigator::present() const { return m_steps.empty() ? std::optional<Address>() : m_steps[m_at]; }

void Navigator::clear() {
    m_steps.clear();
    m_at = 0;
}

}  // namespace trainyard::ui
