#pragma once

class QWidget;

namespace trainyard::ui {

/// Moves the keyboard focus from within `from` to the first part of `to` that takes it; nothing when it is elsewhere.
/// Before a button is switched off or a part hides: Qt would pass the focus to whatever comes next in the window.
void handFocus(const QWidget* from, QWidget* to);

}  // namespace trainyard::ui
