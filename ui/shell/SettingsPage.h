#pragma once
#include "ui/shell/Page.h"

namespace trainyard::ui {

class Settings;

/// Look, notifications, folders; every change holds at once.
class SettingsPage final : public Page {
    Q_OBJECT
public:
    SettingsPage(Shell& shell, Settings& settings, QWidget* parent);
    [[nodiscard]] QString title() const override { return tr("Settings"); }
};

}  // namespace trainyard::ui
