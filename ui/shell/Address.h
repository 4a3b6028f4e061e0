#pragma once
#include <QString>
#include <QStringList>

#include <optional>

namespace trainyard::ui {

/// Where something is in the window, as text that can be copied: trainyard://run/12, trainyard://runs?q=state:failed.
/// `head` chooses the page, `parts` the object on it, `query` its view.
struct Address {
    QString head;
    QStringList parts{};
    QString query{};

    [[nodiscard]] QString toString() const;
    [[nodiscard]] static std::optional<Address> fromString(const QString& text);
    bool operator==(const Address&) const = default;
};

}  // namespace trainyard::ui
