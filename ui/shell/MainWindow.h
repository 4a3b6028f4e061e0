#pragma once
#include <QElapsedTimer>
#include <QHash>
#include <QList>
#include <QPointer>
#include <QWidget>

#include <memory>
#include <vector>

#include "core/base/Ids.h"
#include "core/commands/Session.h"
#include "core/spec/RunState.h"
#include "core/store/Types.h"
#include "ui/charts/ChartView.h"
#include "ui/shell/Navigator.h"
#include "ui/shell/Page.h"
#include "ui/shell/Shell.h"
#include "ui/shell/StateFile.h"

class QStackedWidget;

namespace trainyard::ui {

class Desktop;
class Header;
class NoticeBar;
class Palette;
class QuestionBar;
class Questions;
class Rail;
class Settings;
class StatusBar;
class TargetWatch;
class WelcomePage;
class WorkList;

/// The parts that the window works with and does not own. They outlive it.
struct WindowParts {
    commands::Session& session;
    Settings& settings;
    Questions& questions;
    Desktop& desktop;
    std::vector<PageEntry> pages;
};

/// The window: rail, header, pages, status line, palette. Pages are made when first opened and go with their workspace;
/// what they keep is saved within a second, so kill -9 costs nothing. GUI thread.
class MainWindow : public QWidget, public ChartHost {
    Q_OBJECT
public:
    explicit MainWindow(WindowParts parts);
    ~MainWindow() override;

    [[nodiscard]] Shell& shell();
    /// The page that is shown; null before the first.
    [[nodiscard]] Page* page() const { return m_page; }
    [[nodiscard]] Palette& commandPalette() const { return *m_palette; }
    /// Opens a workspace folder; errors stand on the welcome page. Empty: nothing, the welcome page stays.
    void openWorkspace(const QString& folder);
    /// The sample workspace under $XDG_DATA_HOME/trainyard/sample, made when it is not there yet.
    void openSample();
    /// Opens the address now, or once the workspace is open.
    void openWhenReady(const Address& address);
    /// True once a workspace is open and its first page was painted.
    [[nodiscard]] bool isReady() const { return m_ready; }
    void exportChart(ChartView& chart) override;
    /// Everything that should survive is on disk; false when that took too long.
    bool flushState(int millis = 2000);

Q_SIGNALS:
    /// The first page of a workspace stands painted.
    void ready();

protected:
    void closeEvent(QCloseEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

private:
    class WindowShell;
    friend class WindowShell;

    void buildActions();
    void buildPaletteSources();
    void workspaceOpened();
    void workspaceClosed();
    bool openAddress(const Address& address, bool step);
    void showPage(Page* page);
    [[nodiscard]] Page* pageFor(const QString& id);
    [[nodiscard]] const PageEntry* entryFor(const QString& head) const;
    void pageMoved(Page* page);
    void saveSoon(Page* page);
    void savePages();
    void saveWindow();
    void refreshCounts();
    void holdOffSleep();
    /// Those that work on this machine, or are about to.
    [[nodiscard]] static base::Result<std::vector<store::RunRow>> localRuns(const store::Reader& index);
    void runEnded(const base::RunId& run, spec::RunState state, const QString& reason);
    void runWarned(const base::RunId& run, const QString& code, const QString& message);
    void tellAbout(const base::RunId& run, const QString& title, const QString& text);
    void createWorkspace();
    void chooseWorkspace();
    void showWorkspaceMenu();
    void showHelpMenu();
    void startWorkspaceCommand(std::string_view id, const base::Json& parameters);
    void askBeforeClosing();
    void stopRunsAndClose(const std::vector<std::string>& runs);
    void reallyClose();
    void openGuide();
    void copyAddress();

    WindowParts m_parts;
    std::unique_ptr<WorkList> m_work;
    std::unique_ptr<WindowShell> m_shell;
    std::unique_ptr<StateFile> m_state;
    Rail* m_rail;
    Header* m_header;
    QStackedWidget* m_stack;
    QuestionBar* m_question;
    NoticeBar* m_notices;
    StatusBar* m_status;
    TargetWatch* m_targetWatch;
    Palette* m_palette;
    WelcomePage* m_welcome;
    QHash<QString, Page*> m_pages;
    Page* m_page = nullptr;
    Navigator m_navigator;
    std::optional<Address> m_wanted;
    QList<QAction*> m_actions;
    QTimer m_saveTimer;
    QTimer m_countTimer;
    QList<QPointer<Page>> m_unsaved;
    std::size_t m_localRuns = 0;
    QElapsedTimer m_opened;  ///< Since the last address was opened.
    bool m_moving = false;
    bool m_ready = false;
    bool m_closing = false;
    bool m_closeAsked = false;
};

/// The guide's folder beside the program or in the source tree; empty when there is none.
[[nodiscard]] QString guideFolder();

}  // namespace trainyard::ui
