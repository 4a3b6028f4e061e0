#pragma once
#include <QString>

#include "core/commands/Session.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {

/// Whether a target answers, as people see it everywhere: icon and word, never colour alone.
struct ReachLook {
    QString icon;
    QString word;
    Role ink;
};
[[nodiscard]] ReachLook lookOfReach(targets::Reach::State state, bool disabled);

}  // namespace trainyard::ui
