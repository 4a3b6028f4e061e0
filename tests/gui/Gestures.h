#pragma once
// What a person does with the window beyond a click: dropping a file on it, filling in a row of a form.
#include <QClipboard>
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QMimeData>
#include <QtTest>

#include "core/base/Files.h"
#include "tests/gui/WindowRig.h"
#include "ui/forms/FieldRow.h"

namespace trainyard::test {

/// Whether the window takes the file.
inline bool dropOn(WindowRig& rig, const base::Path& file) {
    QMimeData dragged;
    dragged.setUrls({QUrl::fromLocalFile(QString::fromStdString(file.string()))});
    QDragEnterEvent enter({400, 300}, Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
    enter.ignore();
    QApplication::sendEvent(&rig.window(), &enter);
    QDropEvent let(QPointF(400, 300), Qt::CopyAction, &dragged, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&rig.window(), &let);
    return enter.isAccepted() && let.isAccepted();
}

/// The input of a field that is in sight; nullptr without one.
inline QWidget* inputOf(const QWidget* page, const QString& path) {
    for (const ui::FieldRow* row : page->findChildren<ui::FieldRow*>()) {
        if (row->path() == path && row->isVisible()) return row->input();
    }
    return nullptr;
}

/// Pastes over what a field says, and leaves it. False when it is nowhere in sight.
inline bool pasteInto(const QWidget* page, const QString& path, const QString& value) {
    QWidget* input = inputOf(page, path);
    if (input == nullptr) return false;
    input->setFocus();
    QTest::keyClick(input, Qt::Key_A, Qt::ControlModifier);
    QGuiApplication::clipboard()->setText(value);
    QTest::keyClick(input, Qt::Key_V, Qt::ControlModifier);
    QTest::keyClick(input, Qt::Key_Tab);
    return true;
}

}  // namespace trainyard::test
