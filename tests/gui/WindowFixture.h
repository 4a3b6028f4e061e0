#pragma once
// The real window on a scratch workspace of made-up runs, for tests that look at it or click through it.
#include <QApplication>

#include <memory>
#include <optional>

#include "core/commands/Session.h"
#include "core/commands/Showcase.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/Pages.h"
#include "ui/charts/ChartView.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/MainWindow.h"
#include "ui/shell/Settings.h"
#include "ui/shell/Theme.h"

namespace trainyard::test {

class WindowFixture {
public:
    WindowFixture() { scratch.isolate(); }

    /// Makes a workspace; with `runs`, filled with made-up ones. Returns its folder.
    QString makeWorkspace(const char* name, std::optional<commands::ShowcaseOptions> runs) {
        const auto made = runs::initWorkspace(scratch / name, name);
        if (!made.ok()) qFatal("workspace: %s", made.error().message.c_str());
        if (runs) {
            auto filled = commands::makeShowcase(made->layout, *runs);
            if (!filled.ok()) qFatal("showcase: %s", filled.error().message.c_str());
            showcase = std::move(*filled);
        }
        return QString::fromStdString(made->layout.root.string());
    }

    /// A new window, shown and active. The one before is closed.
    ui::MainWindow& openWindow(QSize size = {1280, 720}) {
        window.reset();
        session.reset();
        settings.reset();
        settings = std::make_unique<ui::Settings>(scratch / "config/trainyard");
        session = std::make_unique<commands::Session>();
        window =
            std::make_unique<ui::MainWindow>(ui::WindowParts{*session, *settings, questions, desktop, ui::allPages()});
        window->resize(size);
        window->show();
        window->activateWindow();
        return *window;
    }

    [[nodiscard]] bool openWorkspace(const QString& folder) {
        window->openWorkspace(folder);
        return waitFor([&] { return session->isOpen() && window->isReady() && window->page() != nullptr; }, 15'000);
    }

    /// Until queries were answered and charts drawn: no chart busy for a while.
    void settle(int quietMillis = 350, int patienceMillis = 8000) {
        QElapsedTimer quiet, all;
        quiet.start();
        all.start();
        (void) waitFor(
            [&] {
                for (const ui::ChartView* chart : window->findChildren<ui::ChartView*>()) {
                    if (chart->isVisible() && chart->isBusy()) quiet.start();
                }
                return quiet.elapsed() > quietMillis || all.elapsed() > patienceMillis;
            },
            patienceMillis + 1000);
    }

    Scratch scratch;
    commands::Showcase showcase;
    ui::PreparedQuestions questions;
    ui::RecordingDesktop desktop;
    std::unique_ptr<ui::Settings> settings;
    std::unique_ptr<commands::Session> session;
    std::unique_ptr<ui::MainWindow> window;
};

}  // namespace trainyard::test
