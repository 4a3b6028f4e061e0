// What the window does by itself: workspaces, palette sources, what is dropped on it, notifications, closing.
#include <QApplication>
#include <QCloseEvent>
#include <QDesktopServices>
#include <QDir>
#include <QDropEvent>
#include <QFileInfo>
#include <QMenu>
#include <QMimeData>
#include <QStandardPaths>
#include <QTimer>
#include <QUrl>
#include <optional>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Desktop.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Palette.h"
#include "ui/shell/Rail.h"
#include "ui/shell/Settings.h"
#include "ui/shell/WelcomePage.h"
#include "ui/shell/WindowShell.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {
namespace {

constexpr int kStopMillis = 20'000;

std::vector<PaletteItem> itemsOf(const QList<QAction*>& actions, const QString& section) {
    std::vector<PaletteItem> items;
    for (QAction* action : actions) {
        if (action == nullptr || !action->isEnabled() || !action->isVisible() || action->text().isEmpty()) continue;
        PaletteItem item;
        item.title = action->text();
        item.icon = action->icon().name();
        if (item.icon.isEmpty()) item.icon = QStringLiteral("chevron-right");
        item.section = section;
        item.shortcut = action->shortcut().toString(QKeySequence::NativeText);
        item.run = [guard = QPointer<QAction>(action)] {
            if (guard) guard->trigger();
        };
        items.push_back(std::move(item));
    }
    return items;
}

/// Those that match, best first, at most `limit`.
std::vector<PaletteItem> matching(const QString& query, std::size_t limit, std::vector<PaletteItem> items) {
    std::vector<std::pair<int, PaletteItem>> found;
    for (PaletteItem& item : items) {
        if (const auto match = fuzzyMatch(query, item.title)) found.emplace_back(match->score, std::move(item));
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<PaletteItem> best;
    for (auto& [score, item] : found) {
        if (best.size() < limit) best.push_back(std::move(item));
    }
    return best;
}

/// The page that a dropped folder or archive of pictures, or a file of weights, is for; nothing for anything else.
std::optional<Address> pageForDrop(const QMimeData& dropped) {
    if (!dropped.hasUrls() || dropped.urls().size() != 1) return {};
    const QString file = dropped.urls().first().toLocalFile();
    const QFileInfo info(file);
    if (file.isEmpty() || !info.isReadable()) return {};
    if (info.isDir()) return Address{QStringLiteral("new"), {}, QStringLiteral("folder=") + file};
    static const QStringList endings{QStringLiteral("zip"),  QStringLiteral("tar"), QStringLiteral("tgz"),
                                     QStringLiteral("tbz2"), QStringLiteral("txz"), QStringLiteral("tzst"),
                                     QStringLiteral("gz"),   QStringLiteral("bz2"), QStringLiteral("xz"),
                                     QStringLiteral("zst")};
    if (info.isFile() && endings.contains(info.suffix().toLower()))
        return Address{QStringLiteral("data"), {}, QStringLiteral("add=") + file};
    static const QStringList weights{QStringLiteral("pth"), QStringLiteral("pt"), QStringLiteral("safetensors")};
    if (info.isFile() && weights.contains(info.suffix().toLower()))
        return Address{QStringLiteral("new"), {}, QStringLiteral("weights=") + file};
    return {};
}

}  // namespace

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
    if (m_parts.session.isOpen() && pageForDrop(*event->mimeData())) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
    const auto address = pageForDrop(*event->mimeData());
    if (!address || !openAddress(*address, true)) return;
    event->acceptProposedAction();
    activateWindow();
}

QString guideFolder() {
    const QString programs = QString::fromStdString(base::executableFolder().string());
    for (const QString& place :
         {QStringLiteral("/../share/doc/trainyard/guide"), QStringLiteral("/../share/trainyard/guide"),
          QStringLiteral("/../../../resources/docs/guide")}) {
        const QDir folder(programs + place);
        if (folder.exists()) return folder.canonicalPath();
    }
    return {};
}

void MainWindow::buildPaletteSources() {
    m_palette->addSource([this](const QString& query, int limit, const auto& answer) {
        std::vector<PaletteItem> all;
        int number = 1;
        for (const PageEntry& entry : m_parts.pages) {
            QString keys = entry.shortcut.toString(QKeySequence::NativeText);
            if (keys.isEmpty() && entry.onRail) keys = QStringLiteral("Ctrl+%1").arg(number++);
            if (!entry.onRail || (entry.needsWorkspace && !m_parts.session.isOpen())) continue;
            all.push_back({entry.label, {}, entry.icon, tr("Pages"), keys, [this, id = entry.id] {
                               openAddress(Address{id}, true);
                           }});
        }
        answer(matching(query, static_cast<std::size_t>(limit), std::move(all)));
    });
    m_palette->addSource([this](const QString& query, int limit, const auto& answer) {
        std::vector<PaletteItem> all;
        if (m_page != nullptr) {
            if (QAction* primary = m_page->primaryAction()) all = itemsOf({primary}, tr("Actions"));
            for (PaletteItem& item : itemsOf(m_page->contextActions(), tr("Actions"))) all.push_back(std::move(item));
        }
        for (PaletteItem& item : itemsOf(m_actions, tr("Actions"))) {
            if (item.run && item.title != tr("Search or jump to…")) all.push_back(std::move(item));
        }
        // An empty line shows the ways through the program first, not every action there is.
        answer(matching(query, query.isEmpty() ? 5 : static_cast<std::size_t>(limit), std::move(all)));
    });
    m_palette->addSource([this](const QString& query, int limit, const auto& answer) {
        if (!m_parts.session.isOpen()) return;
        store::RunQuery wanted;
        // As a plain text search: quotes keep colons and signs from being read as the filter's language.
        QString text = query;
        text.remove(QLatin1Char('"'));
        if (!text.isEmpty()) wanted.filter = QStringLiteral("\"%1\"").arg(text).toStdString();
        wanted.limit = query.isEmpty() ? 5 : limit;
        wanted.withMetrics = false;
        m_parts.session.query(
            m_palette, QStringLiteral("palette.runs"),
            [wanted](store::Reader& index) { return index.listRuns(wanted); },
            [this, answer](const base::Result<store::RunPage>& found) {
                if (!found.ok()) return;
                std::vector<PaletteItem> items;
                for (const store::RunRow& row : found.value().rows) {
                    const StateLook look = lookOf(row.state);
                    items.push_back({QStringLiteral("#%1 %2").arg(row.number).arg(fromUtf8(row.name)),
                                     QStringLiteral("%1 · %2").arg(look.word, formatAgo(row.createdAt)),
                                     look.icon,
                                     tr("Runs"),
                                     {},
                                     [this, number = row.number] {
                                         openAddress(Address{QStringLiteral("run"), {QString::number(number)}}, true);
                                     }});
                }
                answer(std::move(items));
            });
    });
    m_palette->addSource([this](const QString& query, int limit, const auto& answer) {
        if (!m_parts.session.isOpen() || query.isEmpty() || entryFor(QStringLiteral("models")) == nullptr) return;
        m_parts.session.query(
            m_palette, QStringLiteral("palette.models"), [](store::Reader& index) { return index.models(); },
            [this, query, limit, answer](const base::Result<std::vector<store::ModelRow>>& found) {
                if (!found.ok()) return;
                std::vector<PaletteItem> items;
                for (const store::ModelRow& row : found.value()) {
                    const QString name = fromUtf8(row.name);
                    items.push_back({name,
                                     tr("%n version(s)", nullptr, row.versions),
                                     QStringLiteral("models"),
                                     tr("Models"),
                                     {},
                                     [this, name] {
                                         openAddress(Address{QStringLiteral("models"), {name}}, true);
                                     }});
                }
                answer(matching(query, static_cast<std::size_t>(limit), std::move(items)));
            });
    });
    m_palette->addSource([this](const QString& query, int limit, const auto& answer) {
        if (!m_parts.session.isOpen() || query.isEmpty() || entryFor(QStringLiteral("data")) == nullptr) return;
        m_parts.session.start(
            "dataset.list", base::Json::object(), m_palette,
            [this, query, limit, answer](const base::Result<base::Json>& found) {
                std::vector<PaletteItem> items{
                    {tr("Add a dataset…"), {}, QStringLiteral("plus"), tr("Actions"), {}, [this] {
                         openAddress(Address{QStringLiteral("data"), {}, QStringLiteral("add")}, true);
                     }}};
                for (const base::Json& one : found.ok() ? readArray(found.value(), "datasets") : base::Json::array()) {
                    const QString name = readString(one, "name");
                    items.push_back({name,
                                     tr("%1 pictures").arg(formatCount(readInteger(one, "images"))),
                                     QStringLiteral("data"),
                                     tr("Datasets"),
                                     {},
                                     [this, name] {
                                         openAddress(Address{QStringLiteral("data"), {name}}, true);
                                     }});
                }
                answer(matching(query, static_cast<std::size_t>(limit), std::move(items)));
            });
    });
}

void MainWindow::startWorkspaceCommand(std::string_view id, const base::Json& parameters) {
    m_welcome->clearError();
    const int work = m_work->begin(tr("Opening the workspace"));
    auto* command = m_parts.session.start(id, parameters, this, [this, work](const base::Result<base::Json>& result) {
        m_work->finish(work);
        if (result.ok()) return;
        if (m_parts.session.isOpen()) {
            m_shell->warn(result.error());
        } else {
            m_welcome->setError(result.error());
        }
    });
    connect(command, &commands::Command::progressed, this,
            [this, work](const commands::CommandProgress& progress) { m_work->progress(work, progress.fraction); });
}

void MainWindow::openWorkspace(const QString& folder) {
    if (folder.isEmpty()) return;
    startWorkspaceCommand("workspace.open", {{"folder", folder.toStdString()}});
}

void MainWindow::openSample() {
    const QString folder = QString::fromStdString((base::xdgDataHome() / "trainyard" / "sample").string());
    if (QFileInfo::exists(folder + QStringLiteral("/trainyard.json"))) {
        openWorkspace(folder);
    } else {
        startWorkspaceCommand("workspace.init",
                              {{"folder", folder.toStdString()}, {"name", "Sample"}, {"sample", true}});
    }
}

void MainWindow::createWorkspace() {
    QString place = m_parts.settings.workspaceFolder();
    if (place.isEmpty()) place = QDir::homePath();
    m_parts.questions.askText(
        this, tr("New workspace"), tr("Folder, which is made if it is not there yet"),
        place + QStringLiteral("/trainyard"),
        [](const QString& text) {
            const QString path = text.trimmed();
            if (path.isEmpty()) return tr("Name a folder.");
            if (!QDir::isAbsolutePath(path)) return tr("Name the whole path, from / on.");
            const QFileInfo info(path);
            if (info.exists() && !info.isDir()) return tr("There is a file of this name.");
            if (info.isDir() && !QDir(path).isEmpty()) return tr("This folder is not empty.");
            return QString();
        },
        [this](const QString& path) {
            if (path.isEmpty()) return;
            startWorkspaceCommand("workspace.init", {{"folder", path.trimmed().toStdString()}});
        });
}

void MainWindow::chooseWorkspace() {
    QString place = m_parts.settings.workspaceFolder();
    if (place.isEmpty()) place = QDir::homePath();
    m_parts.questions.chooseFolder(this, tr("Open workspace"), place,
                                   [this](const QString& folder) { openWorkspace(folder); });
}

void MainWindow::showWorkspaceMenu() {
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->setAccessibleName(tr("Workspaces"));
    const QString here =
        m_parts.session.isOpen() ? fromUtf8(m_parts.session.workspace().layout.root.string()) : QString();
    for (const runs::RecentWorkspace& one : commands::Session::recentWorkspaces()) {
        const QString folder = fromUtf8(one.root.string());
        QAction* action = menu->addAction(fromUtf8(one.name));
        action->setToolTip(folder);
        action->setCheckable(true);
        action->setChecked(folder == here);
        connect(action, &QAction::triggered, this, [this, folder, here] {
            if (folder != here) openWorkspace(folder);
        });
    }
    menu->addSeparator();
    for (const char* id : {"workspace.init", "workspace.open", "workspace.sample", "workspace.close"}) {
        for (QAction* action : std::as_const(m_actions)) {
            const bool closing = action->objectName() == QLatin1String("workspace.close");
            if (action->objectName() == QLatin1String(id) && (!closing || m_parts.session.isOpen()))
                menu->addAction(action);
        }
    }
    const QAbstractButton* button = m_rail->workspaceButton();
    menu->popup(button->mapToGlobal(QPoint(8, button->height())));
}

void MainWindow::showHelpMenu() {
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->setAccessibleName(tr("Help"));
    for (const char* id : {"help.guide", "window.palette", "window.copy_address"}) {
        for (QAction* action : std::as_const(m_actions)) {
            if (action->objectName() == QLatin1String(id)) menu->addAction(action);
        }
    }
    menu->addSeparator();
    menu->addAction(ui::icon(QStringLiteral("info")), tr("Trainyard %1").arg(QStringLiteral(TRAINYARD_VERSION)), this,
                    [this] { openAddress(Address{QStringLiteral("settings")}, true); });
    const auto* button = m_rail->findChild<QAbstractButton*>(QStringLiteral("helpRailButton"));
    menu->popup(button->mapToGlobal(QPoint(button->width() - 8, -20)));
}

void MainWindow::exportChart(ChartView& chart) {
    QString name = chart.title().toLower();
    name.replace(QLatin1Char('/'), QLatin1Char('-')).replace(QLatin1Char(' '), QLatin1Char('-'));
    m_parts.questions.chooseSaveFile(
        this, tr("Export picture"), QDir::homePath() + QLatin1Char('/') + name + QStringLiteral(".png"),
        {tr("PNG picture (*.png)"), tr("SVG drawing (*.svg)"), tr("PDF (*.pdf)")},
        [this, guard = QPointer<ChartView>(&chart)](const QString& path) {
            if (path.isEmpty() || !guard) return;
            if (guard->exportImage(path)) {
                m_shell->notice(tr("The chart is in %1").arg(path));
            } else {
                m_shell->warn({"chart.write", "The picture could not be written to " + path.toStdString() + "."});
            }
        });
}

void MainWindow::openGuide() { openAddress(Address{QStringLiteral("help")}, true); }

void MainWindow::runEnded(const base::RunId& run, spec::RunState state, const QString& reason) {
    const QString title = state == spec::RunState::Completed ? tr("Run completed")
                          : state == spec::RunState::Failed  ? tr("Run failed")
                                                             : tr("Run canceled");
    tellAbout(run, title, reason);
}

void MainWindow::runWarned(const base::RunId& run, const QString& code, const QString& message) {
    if (code == QLatin1String("train.nan")) tellAbout(run, tr("A run meets NaN"), message);
}

void MainWindow::tellAbout(const base::RunId& run, const QString& title, const QString& text) {
    m_parts.session.query(
        m_shell.get(), QStringLiteral("window.tell.") + fromUtf8(run.str()),
        [run](store::Reader& index) { return index.run(run); },
        [this, title, text](const base::Result<store::RunRow>& row) {
            if (!row.ok()) return;
            QString body = QStringLiteral("#%1 %2").arg(row.value().number).arg(fromUtf8(row.value().name));
            if (!text.isEmpty()) body += QStringLiteral(": ") + text;
            m_shell->notifyDesktop(title, body, Address{QStringLiteral("run"), {QString::number(row.value().number)}});
        });
}

void MainWindow::closeEvent(QCloseEvent* event) {
    if (m_closing || !m_parts.session.isOpen() || m_localRuns == 0) {
        flushState();
        event->accept();
        return;
    }
    event->ignore();
    if (!m_closeAsked) askBeforeClosing();
}

base::Result<std::vector<store::RunRow>> MainWindow::localRuns(const store::Reader& index) {
    store::RunQuery wanted;
    wanted.filter = "state:active -state:lost target:local";
    wanted.withMetrics = false;
    auto found = index.listRuns(wanted);
    if (!found.ok()) return found.error();
    // The filter takes every target with such a part in its name.
    std::erase_if(found->rows, [](const store::RunRow& row) { return row.target != "local"; });
    return std::move(found->rows);
}

void MainWindow::askBeforeClosing() {
    m_closeAsked = true;
    m_parts.session.query(
        this, QStringLiteral("window.closing"), &MainWindow::localRuns,
        [this](const base::Result<std::vector<store::RunRow>>& found) {
            std::vector<std::string> ids;
            QStringList names;
            if (found.ok()) {
                for (const store::RunRow& row : *found) {
                    ids.push_back(row.id.str());
                    if (names.size() < 3) names << QStringLiteral("#%1 %2").arg(row.number).arg(fromUtf8(row.name));
                }
            }
            if (ids.empty()) {
                reallyClose();
                return;
            }
            QString list = names.join(QStringLiteral(", "));
            if (static_cast<std::size_t>(names.size()) < ids.size()) list += QStringLiteral(" …");
            const int count = static_cast<int>(ids.size());
            m_parts.questions.ask(
                this,
                Question{
                    QStringLiteral("window.close"),
                    tr("%n run(s) still work on this machine", nullptr, count),
                    tr("%1. Kept, they go on without this window, and it shows everything when it is opened again.")
                        .arg(list),
                    {{QStringLiteral("stop"), count == 1 ? tr("Stop it") : tr("Stop them"), false},
                     {QStringLiteral("keep"), tr("Keep running"), false}},
                    QStringLiteral("running")},
                [this, ids](const QString& choice) {
                    m_closeAsked = false;
                    if (choice == QLatin1String("keep")) reallyClose();
                    if (choice == QLatin1String("stop")) stopRunsAndClose(ids);
                });
        });
}

void MainWindow::stopRunsAndClose(const std::vector<std::string>& runs) {
    const int work = m_work->begin(tr("Stopping %n run(s)", nullptr, static_cast<int>(runs.size())));
    auto left = std::make_shared<std::size_t>(runs.size());
    for (const std::string& run : runs) {
        m_parts.session.start("run.cancel", {{"run", run}}, this,
                              [this, left, work](const base::Result<base::Json>& result) {
                                  if (!result.ok()) m_shell->warn(result.error());
                                  if (--*left == 0) {
                                      m_work->finish(work);
                                      reallyClose();
                                  }
                              });
    }
    // The agents carry a cancel out by themselves; nobody has to wait for a rank that dies slowly.
    QTimer::singleShot(kStopMillis, this, [this] { reallyClose(); });
}

void MainWindow::reallyClose() {
    m_closing = true;
    close();
}

}  // namespace trainyard::ui
