#include "ui/shell/MainWindow.h"

#include <QApplication>
#include <QBoxLayout>
#include <QClipboard>
#include <QCloseEvent>
#include <QScreen>
#include <QShortcut>
#include <QStackedWidget>
#include <QTimer>

#include <algorithm>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Header.h"
#include "ui/shell/HelpPage.h"
#include "ui/shell/Icons.h"
#include "ui/shell/NoticeBar.h"
#include "ui/shell/Palette.h"
#include "ui/shell/QuestionBar.h"
#include "ui/shell/Rail.h"
#include "ui/shell/Settings.h"
#include "ui/shell/SettingsPage.h"
#include "ui/shell/StatusBar.h"
#include "ui/shell/TargetWatch.h"
#include "ui/shell/Theme.h"
#include "ui/shell/WelcomePage.h"
#include "ui/shell/WindowShell.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {

constexpr int kSaveMillis = 400;
constexpr int kCountMillis = 120;
constexpr int kSettledMillis = 1200;
constexpr int kCollapseBelow = 900;

}  // namespace

MainWindow::MainWindow(WindowParts parts)
    : m_parts(std::move(parts)), m_work(std::make_unique<WorkList>()), m_shell(std::make_unique<WindowShell>(*this)) {
    setObjectName(QStringLiteral("mainWindow"));
    setWindowTitle(QStringLiteral("Trainyard"));
    setMinimumSize(720, 480);
    setAcceptDrops(true);
    resize(1280, 800);
    m_parts.pages.push_back(PageEntry{
        QStringLiteral("settings"),
        tr("Settings"),
        QStringLiteral("settings"),
        true,
        false,
        QKeySequence(Qt::CTRL | Qt::Key_Comma),
        {},
        [this](Shell& shell, QWidget* parent) -> Page* { return new SettingsPage(shell, m_parts.settings, parent); }});

    m_parts.pages.push_back(
        PageEntry{QStringLiteral("help"),
                  tr("Guide"),
                  QStringLiteral("help"),
                  false,
                  false,
                  {},
                  {},
                  [](Shell& shell, QWidget* parent) -> Page* { return new HelpPage(shell, parent); }});

    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(0);
    m_rail = new Rail(this);
    m_rail->setCollapsed(m_parts.settings.railCollapsed());
    line->addWidget(m_rail);
    auto* column = new QVBoxLayout;
    column->setSpacing(0);
    m_header = new Header(this);
    column->addWidget(m_header);
    m_question = new QuestionBar(m_parts.session, this);
    column->addWidget(m_question);
    m_stack = new QStackedWidget(this);
    m_welcome = new WelcomePage(m_stack);
    m_stack->addWidget(m_welcome);
    column->addWidget(m_stack, 1);
    m_notices = new NoticeBar(this);
    column->addWidget(m_notices);
    m_status = new StatusBar(*m_work, this);
    column->addWidget(m_status);
    line->addLayout(column, 1);
    m_palette = new Palette(this);
    m_palette->setAddressHandler([this](const QString& text) {
        const auto address = Address::fromString(text);
        return address && openAddress(*address, true);
    });

    buildActions();
    buildPaletteSources();
    connect(m_rail, &Rail::chosen, this, [this](const QString& id) {
        if (id == QLatin1String("help")) {
            m_rail->setCurrent(m_page != nullptr ? m_page->id() : QString());
            showHelpMenu();
        } else if (Page* known = m_pages.value(id); known != nullptr && known != m_page) {
            openAddress(known->address(), true);  // As it was left.
        } else {
            openAddress(Address{id}, true);
        }
    });
    connect(m_rail, &Rail::workspacePressed, this, &MainWindow::showWorkspaceMenu);
    const auto step = [this](bool back) {
        if (const auto address = back ? m_navigator.goBack() : m_navigator.goForward()) openAddress(*address, false);
    };
    connect(m_header, &Header::backPressed, this, [step] { step(true); });
    connect(m_header, &Header::forwardPressed, this, [step] { step(false); });
    connect(m_header, &Header::searchPressed, this, [this] { m_palette->openOver(); });
    connect(m_status, &StatusBar::activePressed, this, [this] { openAddress(Address{QStringLiteral("runs")}, true); });
    connect(m_status, &StatusBar::targetsPressed, this,
            [this] { openAddress(Address{QStringLiteral("targets")}, true); });
    m_targetWatch = new TargetWatch(m_parts.session, this);
    connect(m_targetWatch, &TargetWatch::changed, this,
            [this] { m_status->setTargets(summariseTargets(m_targetWatch->targets())); });
    m_targetWatch->setWatched(true);
    connect(m_welcome, &WelcomePage::samplePressed, this, &MainWindow::openSample);
    connect(m_welcome, &WelcomePage::createPressed, this, &MainWindow::createWorkspace);
    connect(m_welcome, &WelcomePage::openPressed, this, &MainWindow::chooseWorkspace);
    connect(m_welcome, &WelcomePage::recentPressed, this, &MainWindow::openWorkspace);
    connect(m_welcome, &WelcomePage::forgetPressed, this, [this](const QString& folder) {
        m_parts.session.start("workspace.forget", {{"folder", folder.toStdString()}}, this, [this](const auto& result) {
            if (!result.ok()) m_shell->warn(result.error());
            m_welcome->setRecent(commands::Session::recentWorkspaces());
        });
    });

    auto& session = m_parts.session;
    connect(&session, &commands::Session::workspaceOpened, this, &MainWindow::workspaceOpened);
    connect(&session, &commands::Session::workspaceClosed, this, &MainWindow::workspaceClosed);
    connect(&session, &commands::Session::runEnded, this, &MainWindow::runEnded);
    connect(&session, &commands::Session::runWarned, this, &MainWindow::runWarned);
    connect(&session, &commands::Session::troubled, this, [this](const QString& code, const QString& message) {
        m_status->setTrouble(code.isEmpty() ? QString() : message);
    });
    connect(&session, &commands::Session::runsChanged, this, [this](const QList<runs::RunChange>& changes) {
        constexpr auto kParts =
            runs::RunPart::Added | runs::RunPart::Removed | runs::RunPart::State | runs::RunPart::Meta;
        for (const runs::RunChange& change : changes) {
            if (change.parts & kParts) {
                if (!m_countTimer.isActive()) m_countTimer.start(kCountMillis);
                return;
            }
        }
    });
    connect(&m_parts.settings, &Settings::changed, this, [this] {
        Theme::current().setChoice(m_parts.settings.theme());
        Theme::current().setDensity(m_parts.settings.density());
        holdOffSleep();
    });
    connect(&m_parts.desktop, &Desktop::systemDarkChanged, &Theme::current(), &Theme::setSystemDark);
    m_saveTimer.setSingleShot(true);
    connect(&m_saveTimer, &QTimer::timeout, this, &MainWindow::savePages);
    m_countTimer.setSingleShot(true);
    connect(&m_countTimer, &QTimer::timeout, this, &MainWindow::refreshCounts);

    const base::Json size = m_parts.settings.file().value(QStringLiteral("window"));
    if (size.is_array() && size.size() == 2 && size[0].is_number_integer() && size[1].is_number_integer()) {
        const QSize room = screen() != nullptr ? screen()->availableSize() : QSize(1280, 800);
        resize(QSize(size[0].get<int>(), size[1].get<int>()).boundedTo(room).expandedTo(minimumSize()));
    }
    if (session.isOpen()) {
        workspaceOpened();
    } else {
        workspaceClosed();
    }
}

MainWindow::~MainWindow() {
    savePages();
    // Pages refer to the shell and the session; they go first, while both still stand.
    qDeleteAll(m_pages);
    m_pages.clear();
    m_page = nullptr;
}

Shell& MainWindow::shell() { return *m_shell; }

void MainWindow::buildActions() {
    const auto add = [this](const QString& id, const QString& text, const QString& iconName, const QKeySequence& keys,
                            std::function<void()> work) {
        auto* action = new QAction(ui::icon(iconName), text, this);
        action->setObjectName(id);
        action->setShortcut(keys);
        action->setShortcutContext(Qt::WindowShortcut);
        connect(action, &QAction::triggered, this, std::move(work));
        addAction(action);
        m_actions << action;
        return action;
    };
    add(QStringLiteral("window.palette"), tr("Search or jump to…"), QStringLiteral("search"),
        QKeySequence(Qt::CTRL | Qt::Key_K), [this] { m_palette->openOver(); });
    add(QStringLiteral("window.back"), tr("Back"), QStringLiteral("chevron-left"), QKeySequence(Qt::ALT | Qt::Key_Left),
        [this] {
            if (const auto address = m_navigator.goBack()) openAddress(*address, false);
        });
    add(QStringLiteral("window.forward"), tr("Forward"), QStringLiteral("chevron-right"),
        QKeySequence(Qt::ALT | Qt::Key_Right), [this] {
            if (const auto address = m_navigator.goForward()) openAddress(*address, false);
        });
    add(QStringLiteral("window.copy_address"), tr("Copy address of this page"), QStringLiteral("link"),
        QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_C), [this] { copyAddress(); });
    add(QStringLiteral("window.collapse_rail"), tr("Collapse or widen the rail"), QStringLiteral("collapse"),
        QKeySequence(Qt::CTRL | Qt::Key_B), [this] {
            m_parts.settings.setRailCollapsed(!m_rail->isCollapsed());
            m_rail->setCollapsed(m_parts.settings.railCollapsed());
        });
    add(QStringLiteral("window.theme"), tr("Switch between light and dark"), QStringLiteral("moon"), {},
        [this] { m_parts.settings.setTheme(Theme::current().isDark() ? Theme::Choice::Light : Theme::Choice::Dark); });
    add(QStringLiteral("workspace.init"), tr("New workspace…"), QStringLiteral("new"), {},
        [this] { createWorkspace(); });
    add(QStringLiteral("workspace.open"), tr("Open workspace…"), QStringLiteral("folder"),
        QKeySequence(QKeySequence::Open), [this] { chooseWorkspace(); });
    add(QStringLiteral("workspace.sample"), tr("Open the sample workspace"), QStringLiteral("play"), {},
        [this] { openSample(); });
    add(QStringLiteral("workspace.close"), tr("Close workspace"), QStringLiteral("close"), {},
        [this] { startWorkspaceCommand("workspace.close", base::Json::object()); });
    add(QStringLiteral("help.guide"), tr("Open the guide"), QStringLiteral("book"),
        QKeySequence(QKeySequence::HelpContents), [this] { openGuide(); });
    add(QStringLiteral("window.quit"), tr("Quit"), QStringLiteral("close"), QKeySequence(QKeySequence::Quit),
        [this] { close(); });

    int number = 1;
    for (const PageEntry& entry : m_parts.pages) {
        QKeySequence keys = entry.shortcut;
        if (keys.isEmpty() && entry.onRail && number <= 9) keys = QKeySequence(QStringLiteral("Ctrl+%1").arg(number++));
        if (entry.onRail && entry.id == QLatin1String("settings")) {
            m_rail->add(QStringLiteral("help"), QStringLiteral("help"), tr("Help"), QStringLiteral("F1"), true)
                ->setCheckable(true);
        }
        if (entry.onRail) {
            m_rail->add(entry.id, entry.icon, entry.label, keys.toString(QKeySequence::NativeText),
                        entry.id == QLatin1String("settings"));
        }
        if (keys.isEmpty()) continue;
        auto* shortcut = new QShortcut(keys, this);
        connect(shortcut, &QShortcut::activated, this, [this, id = entry.id] { openAddress(Address{id}, true); });
    }
}

const PageEntry* MainWindow::entryFor(const QString& head) const {
    const auto found = std::find_if(m_parts.pages.begin(), m_parts.pages.end(), [&head](const PageEntry& entry) {
        return entry.id == head || entry.addressHeads.contains(head);
    });
    return found == m_parts.pages.end() ? nullptr : &*found;
}

Page* MainWindow::pageFor(const QString& id) {
    if (Page* known = m_pages.value(id)) return known;
    const PageEntry* entry = entryFor(id);
    if (entry == nullptr || (entry->needsWorkspace && !m_parts.session.isOpen())) return nullptr;
    Page* page = entry->make(*m_shell, m_stack);
    m_pages.insert(entry->id, page);
    m_stack->addWidget(page);
    if (m_state) {
        const base::Json saved = m_state->value(QStringLiteral("pages.") + entry->id);
        if (saved.is_object()) page->restoreState(saved);
    }
    connect(page, &Page::addressChanged, this, [this, page] { pageMoved(page); });
    connect(page, &Page::stateChanged, this, [this, page] { saveSoon(page); });
    return page;
}

bool MainWindow::openAddress(const Address& address, bool step) {
    const PageEntry* entry = entryFor(address.head);
    Page* page = entry != nullptr ? pageFor(entry->id) : nullptr;
    if (page == nullptr) return false;
    m_moving = true;
    const bool opened = page->openAddress(address);
    m_moving = false;
    if (!opened) {
        m_shell->notice(tr("There is nothing at %1.").arg(address.toString()));
        return false;
    }
    if (step) m_navigator.visit(address);
    m_opened.start();
    showPage(page);
    return true;
}

void MainWindow::showPage(Page* page) {
    if (page != m_page) {
        if (m_page != nullptr) m_page->deactivated();
        m_page = page;
        m_stack->setCurrentWidget(page);
        m_header->setPage(page);
        page->activated();
        if (QWidget* first = page->firstFocus()) first->setFocus(Qt::OtherFocusReason);
    }
    const PageEntry* entry = entryFor(page->id());
    m_rail->setCurrent(entry != nullptr && !entry->under.isEmpty() ? entry->under : page->id());
    m_header->setCanGo(m_navigator.canGoBack(), m_navigator.canGoForward());
    saveWindow();
}

void MainWindow::pageMoved(Page* page) {
    if (page != m_page || m_moving) return;
    // Right after an address was opened a page finds its final form ("run/12" becomes the run's id): no step of its
    // own.
    if (m_opened.isValid() && m_opened.elapsed() < kSettledMillis) {
        m_navigator.replace(page->address());
    } else {
        m_navigator.visit(page->address());
    }
    m_header->setCanGo(m_navigator.canGoBack(), m_navigator.canGoForward());
    saveWindow();
}

void MainWindow::openWhenReady(const Address& address) {
    m_wanted = address;
    if (m_parts.session.isOpen() && openAddress(address, true)) m_wanted.reset();
}

void MainWindow::workspaceOpened() {
    const auto& workspace = m_parts.session.workspace();
    m_state = std::make_unique<StateFile>(workspace.layout.views() / "window.json", QStringLiteral("trainyard.window"));
    const QString name = fromUtf8(workspace.name);
    setWindowTitle(QStringLiteral("%1 – Trainyard").arg(name));
    m_rail->setWorkspaceName(name);
    m_status->setOpen(true);
    for (const PageEntry& entry : m_parts.pages) m_rail->setEntryEnabled(entry.id, true);
    Q_EMIT m_shell->sessionChanged();

    const base::Json last = m_state->value(QStringLiteral("address"));
    std::optional<Address> first = std::exchange(m_wanted, std::nullopt);
    if (!first && last.is_string()) first = Address::fromString(fromUtf8(last.get<std::string>()));
    if (!first || !openAddress(*first, true)) {
        for (const PageEntry& entry : m_parts.pages) {
            if (openAddress(Address{entry.id}, true)) break;
        }
    }
    refreshCounts();
    if (workspace.readOnly) {
        m_shell->warn({"workspace.read_only", "This workspace can only be read: " + workspace.readOnlyReason});
    }
    m_ready = true;
    QTimer::singleShot(0, this, [this] { Q_EMIT ready(); });
}

void MainWindow::workspaceClosed() {
    savePages();
    m_header->setPage(nullptr);
    m_page = nullptr;
    m_navigator.clear();
    m_ready = false;
    m_unsaved.clear();
    for (Page* page : std::as_const(m_pages)) {
        m_stack->removeWidget(page);
        delete page;
    }
    m_pages.clear();
    m_state.reset();
    setWindowTitle(QStringLiteral("Trainyard"));
    m_rail->setWorkspaceName({});
    m_rail->setCurrent({});
    m_status->setOpen(false);
    for (const PageEntry& entry : m_parts.pages) {
        m_rail->setEntryEnabled(entry.id, !entry.needsWorkspace);
        m_rail->setBadge(entry.id, 0);
    }
    m_welcome->setRecent(commands::Session::recentWorkspaces());
    m_stack->setCurrentWidget(m_welcome);
    m_header->setPage(m_welcome);
    m_header->setCanGo(false, false);
    m_localRuns = 0;
    holdOffSleep();
    Q_EMIT m_shell->sessionChanged();
}

void MainWindow::saveSoon(Page* page) {
    if (!m_unsaved.contains(page)) m_unsaved << page;
    if (!m_saveTimer.isActive()) m_saveTimer.start(kSaveMillis);
}

void MainWindow::savePages() {
    if (!m_state) return;
    for (const QPointer<Page>& page : std::exchange(m_unsaved, {})) {
        if (page) m_state->setValue(QStringLiteral("pages.") + page->id(), page->saveState());
    }
}

void MainWindow::saveWindow() {
    if (m_state && m_page != nullptr) {
        m_state->setValue(QStringLiteral("address"), m_page->address().toString().toStdString());
    }
}

bool MainWindow::flushState(int millis) {
    savePages();
    saveWindow();
    const bool kept = !m_state || m_state->flush(millis);
    return m_parts.settings.file().flush(millis) && kept;
}

void MainWindow::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    m_rail->setCollapsed(m_parts.settings.railCollapsed() || width() < kCollapseBelow);
    if (isVisible() && !isMaximized() && !isFullScreen()) {
        m_parts.settings.file().setValue(QStringLiteral("window"), base::Json::array({width(), height()}));
    }
}

void MainWindow::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::WindowStateChange) m_targetWatch->setWatched(!isMinimized());
    if (event->type() == QEvent::ApplicationPaletteChange) update();
}

void MainWindow::copyAddress() {
    if (m_page == nullptr) return;
    const QString text = m_page->address().toString();
    QApplication::clipboard()->setText(text);
    m_shell->notice(tr("Copied %1").arg(text));
}

void MainWindow::refreshCounts() {
    if (!m_parts.session.isOpen()) return;
    using Told = std::pair<store::Counts, std::size_t>;
    m_parts.session.query(
        this, QStringLiteral("window.counts"),
        [](store::Reader& index) -> base::Result<Told> {
            const auto counts = index.counts();
            if (!counts.ok()) return counts.error();
            const auto local = localRuns(index);
            if (!local.ok()) return local.error();
            return Told{*counts, local->size()};
        },
        [this](const base::Result<Told>& told) {
            if (!told.ok()) return;
            const store::Counts& n = told->first;
            m_status->setCounts(n.running, n.queued + n.preparing, n.all);
            m_rail->setBadge(QStringLiteral("runs"), static_cast<int>(n.running));
            m_localRuns = told->second;
            holdOffSleep();
        });
}

void MainWindow::holdOffSleep() {
    m_parts.desktop.keepAwake(m_localRuns > 0 && m_parts.settings.holdOffSleep(), tr("Runs are training"));
}

}  // namespace trainyard::ui
