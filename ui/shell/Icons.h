#pragma once
#include <QIcon>
#include <QString>

#include "ui/shell/Theme.h"

namespace trainyard::ui {

/// An icon of resources/icons by its file's name ("play"), tinted by the theme each time it is painted, so it follows
/// a theme change. Disabled icons are faded; on a filled button give Role::AccentText.
[[nodiscard]] QIcon icon(const QString& name, Role role = Role::Text);
/// True when resources/icons has it.
[[nodiscard]] bool hasIcon(const QString& name);
/// All names, sorted.
[[nodiscard]] QStringList iconNames();

}  // namespace trainyard::ui
