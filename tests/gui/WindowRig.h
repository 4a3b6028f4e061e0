#pragma once
// The real window over a workspace of its own, with prepared answers instead of dialogs.
#include <QApplication>
#include <QtTest>
#include <memory>

#include "core/commands/Session.h"
#include "core/commands/Showcase.h"
#include "core/runs/Workspace.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/Pages.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/MainWindow.h"
#include "ui/shell/Settings.h"
#include "ui/shell/Theme.h"

namespace trainyard::test {

using base::Json;

class WindowRig {
public:
    enum class Fill { Nothing, Showcase };

    explicit WindowRig(Fill fill, int completed = 6) {
        m_scratch.isolate();
        auto made = runs::initWorkspace(m_scratch / "work space", "Lab");
        if (!made) qFatal("%s", made.error().message.c_str());
        m_layout = made->layout;
        if (fill == Fill::Showcase) {
            commands::ShowcaseOptions options;
            options.completed = completed;
            options.stepsPerRun = 600;
            auto showcase = commands::makeShowcase(m_layout, options);
            if (!showcase) qFatal("%s", showcase.error().message.c_str());
            m_showcase = std::move(*showcase);
        }
        open();
    }

    /// A window as after a start: nothing is left of the one before but what it had saved.
    void open() {
        m_window.reset();
        m_settings.reset();
        m_session.reset();
        m_session = std::make_unique<commands::Session>();
        m_settings = std::make_unique<ui::Settings>(m_scratch / "config");
        m_window = std::make_unique<ui::MainWindow>(
            ui::WindowParts{*m_session, *m_settings, m_questions, m_desktop, ui::allPages()});
        m_window->resize(1280, 800);
        m_window->openWorkspace(QString::fromStdString(m_layout.root.string()));
        m_window->show();
        if (!waitFor([this] { return m_window->isReady(); }, 20000)) qFatal("the window did not become ready");
    }

    template <class P>
    P* go(const QString& address) {
        const auto where = ui::Address::fromString(QStringLiteral("trainyard://") + address);
        if (!where || !m_window->shell().open(*where)) return nullptr;
        return qobject_cast<P*>(m_window->page());
    }
    template <class W>
    W* visible(const QString& name) const {
        const QList<W*> all = m_window->findChildren<W*>(name);
        for (W* one : all) {
            if (one->isVisible()) return one;
        }
        return nullptr;
    }
    [[nodiscard]] QAction* action(const QString& name) const { return m_window->page()->findChild<QAction*>(name); }

    /// Keeps a picture of the window when TRAINYARD_PICTURES names a folder, to look at what a test saw.
    void picture(const QString& name) {
        const QString folder = qEnvironmentVariable("TRAINYARD_PICTURES");
        if (folder.isEmpty()) return;
        QTest::qWait(600);
        if (!m_window->grab().save(folder + u'/' + name + QStringLiteral(".png")))
            qWarning("no picture %s", qPrintable(name));
    }

    [[nodiscard]] ui::MainWindow& window() { return *m_window; }
    [[nodiscard]] commands::Session& session() { return *m_session; }
    [[nodiscard]] ui::PreparedQuestions& questions() { return m_questions; }
    [[nodiscard]] const wire::WorkspaceLayout& layout() const { return m_layout; }
    [[nodiscard]] const commands::Showcase& showcase() const { return m_showcase; }
    [[nodiscard]] const Scratch& scratch() const { return m_scratch; }

private:
    Scratch m_scratch;
    wire::WorkspaceLayout m_layout;
    commands::Showcase m_showcase;
    ui::PreparedQuestions m_questions;
    ui::RecordingDesktop m_desktop;
    std::unique_ptr<commands::Session> m_session;
    std::unique_ptr<ui::Settings> m_settings;
    std::unique_ptr<ui::MainWindow> m_window;
};

/// The main of a GUI test: the theme stands before the first widget.
#define TRAINYARD_GUI_TEST(Test)                                                                                       \
    int main(int argc, char** argv) {                                                                                  \
        QApplication application(argc, argv);                                                                          \
        trainyard::ui::Theme::install(application);                                                                    \
        Test test;                                                                                                     \
        return QTest::qExec(&test, argc, argv);                                                                        \
    }

}  // namespace trainyard::test
