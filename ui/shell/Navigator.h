#pragma once
#include <optional>
#include <vector>

#include "ui/shell/Address.h"

namespace trainyard::ui {

/// Back and forward, as browsers do it: going somewhere new drops what was ahead. At most 200 steps are kept.
class Navigator {
public:
    /// Records an address; the present one again is no step.
    void visit(const Address& address);
    /// The present step now reads differently (another tab of the same object); no new step.
    void replace(const Address& address);
    [[nodiscard]] bool canGoBack() const { return m_at > 0; }
    [[nodiscard]] bool canGoForward() const { return m_at + 1 < m_steps.size(); }
    std::optional<Address> goBack();
    std::optional<Address> goForward();
    [[nodiscard]] std::optional<Address> present() const;
    void clear();

private:
    std::vector<Address> m_steps;
    std::size_t m_at = 0;
};

}  // namespace trainyard::ui
