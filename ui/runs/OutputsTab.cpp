#include "ui/runs/OutputsTab.h"

#include <QHBoxLayout>
#include <QHash>
#include <QTreeWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/OutputPreview.h"
#include "ui/shell/Icons.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kPathRole = Qt::UserRole + 1;  ///< Of a file; empty for a folder.
constexpr int kHereRole = Qt::UserRole + 2;
constexpr int kFolderRole = Qt::UserRole + 3;  ///< Path of a folder.
constexpr int kMostUnfolded = 200;
constexpr std::size_t kMostListed = 5000;

void collectPaths(const QTreeWidgetItem* item, QSet<QString>& paths) {
    const QString path = item->data(0, kPathRole).toString();
    if (!path.isEmpty()) paths << path;
    for (int i = 0; i < item->childCount(); ++i) collectPaths(item->child(i), paths);
}

/// Sizes of folders are those of their files together.
std::int64_t sumUp(QTreeWidgetItem* item) {
    if (!item->data(0, kPathRole).toString().isEmpty()) return item->data(1, Qt::UserRole).toLongLong();
    std::int64_t bytes = 0;
    for (int i = 0; i < item->childCount(); ++i) bytes += sumUp(item->child(i));
    item->setText(1, formatBytes(bytes));
    item->setData(1, NumberRole, true);
    item->setData(1, MutedRole, true);
    return bytes;
}

}  // namespace

OutputsTab::OutputsTab(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(1));
    auto* bar = new QWidget(this);
    auto* flow = new FlowLayout(bar, theme.space(1), theme.space(0));
    m_sum = new TextLabel({}, TextStyle::Body, Role::Muted, bar);
    m_sum->setObjectName(QStringLiteral("outputsSumLabel"));
    m_sum->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_sum);
    const auto button = [&](const QString& text, const char* iconName, const char* object, const QString& hint) {
        auto* made = new QuietButton(text, QString::fromLatin1(iconName), bar);
        made->setObjectName(QString::fromLatin1(object));
        made->setToolTip(hint);
        flow->addWidget(made);
        return made;
    };
    m_look = button(tr("Look again"), "refresh", "outputsLookButton",
                    tr("Lists what lies in the run's outputs folder on its target now"));
    m_collect = button(tr("Collect again"), "refresh", "collectButton", tr("Brings here what was left on the target"));
    m_register = button(tr("Register…"), "models", "registerFilesButton",
                        tr("Keeps what is selected as a version of a model, whatever its kind"));
    m_download = button(tr("Copy selected to…"), "download", "copySelectedButton",
                        tr("Copies files and folders that are selected"));
    m_all = button(tr("Copy all to…"), "download", "copyAllButton", tr("Copies all outputs to a folder"));
    column->addWidget(bar);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("outputsError"));
    m_error->clear();
    column->addWidget(m_error);
    m_splitter = new Splitter(Qt::Horizontal, this);
    m_splitter->setFoldBelow(800);
    m_tree = new QTreeWidget(m_splitter);
    m_tree->setObjectName(QStringLiteral("outputsTree"));
    m_tree->setColumnCount(4);
    m_tree->setHeaderLabels({tr("File"), tr("Size"), tr("Where"), tr("SHA-256")});
    styleTree(m_tree, tr("Output files"));
    m_tree->setItemDelegate(new CellDelegate(m_tree));
    m_tree->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_tree->headerItem()->setTextAlignment(1, Qt::AlignRight | Qt::AlignVCenter);
    const int widths[] = {260, 100, 110, 200};
    for (int i = 0; i < 4; ++i) m_tree->setColumnWidth(i, widths[i]);
    m_splitter->addWidget(m_tree);
    m_preview = new OutputPreview(session, m_splitter);
    m_splitter->addWidget(m_preview);
    m_splitter->setSizes({640, 420});
    m_splitter->setStretchFactor(0, 3);
    m_splitter->setStretchFactor(1, 2);
    column->addWidget(m_splitter, 1);
    m_empty = new EmptyState(QStringLiteral("folder"), {}, {}, this);
    m_firstLook = m_empty->addSecondary(tr("Look on the target"), QStringLiteral("refresh"));
    m_firstLook->setObjectName(QStringLiteral("outputsFirstLookButton"));
    column->addWidget(m_empty, 1);
    connect(m_firstLook, &QPushButton::clicked, this, &OutputsTab::look);
    connect(m_look, &QuietButton::clicked, this, &OutputsTab::look);
    connect(m_collect, &QuietButton::clicked, this, &OutputsTab::collectRequested);
    connect(m_register, &QuietButton::clicked, this, [this] {
        QStringList paths;
        for (const QTreeWidgetItem* item : m_tree->selectedItems()) {
            // What lies in a chosen folder comes with it.
            bool inside = false;
            for (const QTreeWidgetItem* above = item->parent(); above; above = above->parent())
                inside = inside || above->isSelected();
            const QString file = item->data(0, kPathRole).toString();
            if (!inside) paths << (file.isEmpty() ? item->data(0, kFolderRole).toString() : file);
        }
        Q_EMIT registerRequested(paths);
    });
    connect(m_download, &QuietButton::clicked, this, [this] { Q_EMIT downloadRequested(chosenInOrder()); });
    connect(m_all, &QuietButton::clicked, this, [this] { Q_EMIT downloadRequested({}); });
    connect(m_tree, &QTreeWidget::itemSelectionChanged, this, [this] {
        showButtons();
        preview();
    });
}

void OutputsTab::setDetail(const RunDetail& detail) {
    const bool other = detail.row.id != m_run;
    const bool live = !spec::isFinal(detail.row.state);
    const bool ended = m_live && !live;
    if (other && m_looking) m_looking->cancel();
    if (other || ended) m_error->clear();
    m_run = detail.row.id;
    m_live = live;
    std::vector<File> files;
    for (const store::OutputRow& one : detail.outputs)
        files.push_back({fromUtf8(one.path), one.size, fromUtf8(one.sha256), one.collected});
    // What was seen on the target stands until the run's own list comes.
    if (other || ended || !files.empty() || m_files.empty()) display(std::move(files));
}

void OutputsTab::look() {
    if (m_looking) return;
    m_error->clear();
    m_look->setEnabled(false);
    m_firstLook->setEnabled(false);
    m_looking = m_session.start("run.files", {{"run", m_run.str()}});
    connect(m_looking, &commands::Command::finished, this, [this, run = m_run](const Result<Json>& result) {
        m_looking = nullptr;
        m_look->setEnabled(true);
        m_firstLook->setEnabled(true);
        if (run != m_run) return;
        if (!result) {
            if (result.error().code != "canceled") m_error->setError(result.error());
            return;
        }
        std::vector<File> files;
        for (const Json& one : readArray(*result, "files")) {
            files.push_back({readString(one, "path"), readInteger(one, "size"), readString(one, "sha256"),
                             readFlag(one, "collected")});
        }
        QStringList silent;
        for (const Json& one : readArray(*result, "silent"))
            silent << tr("%1 does not answer (%2)").arg(readString(one, "host"), readString(one, "message"));
        if (!silent.isEmpty()) {
            m_error->setMessage(InlineError::Kind::Warning, silent.join(QStringLiteral("; ")) + QStringLiteral(". ") +
                                                                tr("What lies there is not listed."));
        } else if (files.empty()) {
            m_error->setMessage(InlineError::Kind::Info, tr("The run has not written anything into its outputs yet."));
        }
        display(std::move(files));
    });
}

void OutputsTab::display(std::vector<File> files) {
    const bool none = files.empty();
    m_splitter->setVisible(!none);
    m_empty->setVisible(none);
    m_empty->setTexts(
        m_live ? tr("No files yet") : tr("No files"),
        m_live ? tr("What the run writes into its outputs folder is brought here, with its hash, when it ends.")
               : tr("The run left nothing in its outputs folder."));
    m_firstLook->setVisible(m_live);
    if (files != m_files) {
        m_files = std::move(files);
        const QSignalBlocker quiet(m_tree);
        m_tree->clear();
        QHash<QString, QTreeWidgetItem*> folders;
        const auto folderOf = [&](auto&& self, const QString& path) -> QTreeWidgetItem* {
            if (path.isEmpty()) return m_tree->invisibleRootItem();
            if (QTreeWidgetItem* known = folders.value(path)) return known;
            const qsizetype slash = path.lastIndexOf(u'/');
            auto* item = new QTreeWidgetItem(self(self, slash < 0 ? QString() : path.left(slash)));
            item->setText(0, path.mid(slash + 1));
            item->setToolTip(0, path);
            item->setData(0, kFolderRole, path);
            item->setIcon(0, icon(QStringLiteral("folder"), Role::Muted));
            folders.insert(path, item);
            return item;
        };
        std::int64_t bytes = 0;
        std::size_t listed = 0;
        for (const File& one : m_files) {
            bytes += one.size;
            // Making many thousand lines would stop the window; "Copy all" takes them all.
            if (++listed > kMostListed) continue;
            const qsizetype slash = one.path.lastIndexOf(u'/');
            auto* item = new QTreeWidgetItem(folderOf(folderOf, slash < 0 ? QString() : one.path.left(slash)));
            item->setText(0, one.path.mid(slash + 1));
            item->setToolTip(0, one.path);
            item->setData(0, kPathRole, one.path);
            item->setData(0, kHereRole, one.here);
            item->setText(1, formatBytes(one.size));
            item->setToolTip(1, tr("%1 bytes").arg(formatExact(one.size)));
            item->setData(1, Qt::UserRole, QVariant::fromValue<qlonglong>(one.size));
            item->setData(1, NumberRole, true);
            item->setText(2, one.here ? tr("here") : tr("on the target"));
            item->setText(3, one.sha256);
            item->setToolTip(3, one.sha256);
            item->setData(3, MutedRole, true);
        }
        for (int i = 0; i < m_tree->topLevelItemCount(); ++i) sumUp(m_tree->topLevelItem(i));
        if (m_files.size() <= kMostUnfolded) m_tree->expandAll();
        m_tree->setRootIsDecorated(!folders.isEmpty());
        QString sum = tr("%n file(s), %1", nullptr, static_cast<int>(m_files.size())).arg(formatBytes(bytes));
        if (m_files.size() > kMostListed)
            sum += QStringLiteral(" · ") +
                   tr("the first %1 are listed").arg(formatExact(static_cast<std::int64_t>(kMostListed)));
        m_sum->setText(sum);
        preview();
    }
    showButtons();
}

void OutputsTab::showButtons() {
    const bool none = m_files.empty();
    const bool away = std::any_of(m_files.begin(), m_files.end(), [](const File& one) { return !one.here; });
    const QSet<QString> paths = chosen();
    m_sum->setVisible(!none);
    m_look->setVisible(!none && m_live);
    m_collect->setVisible(!m_live && away);
    m_register->setVisible(!none && !m_live);
    m_download->setVisible(!none);
    m_all->setVisible(!none);
    m_download->setEnabled(!paths.isEmpty());
    // Only what is here, with its hash checked, can become a model.
    m_register->setEnabled(!paths.isEmpty() && std::none_of(m_files.begin(), m_files.end(), [&](const File& one) {
        return !one.here && paths.contains(one.path);
    }));
    m_sum->parentWidget()->setVisible(!none);
}

void OutputsTab::preview() {
    const QList<QTreeWidgetItem*> items = m_tree->selectedItems();
    const QString path = items.size() == 1 ? items.first()->data(0, kPathRole).toString() : QString();
    if (path.isEmpty()) return m_preview->clear(tr("Choose a file to see what it holds."));
    if (!items.first()->data(0, kHereRole).toBool())
        return m_preview->clear(tr("This file is on the target; copy it to a folder to open it."));
    m_preview->showFile(m_session.workspace().layout.outputs(m_run) / path.toStdString(), path);
}

QSet<QString> OutputsTab::chosen() const {
    QSet<QString> paths;
    for (const QTreeWidgetItem* item : m_tree->selectedItems()) collectPaths(item, paths);
    return paths;
}

QStringList OutputsTab::chosenInOrder() const {
    const QSet<QString> wanted = chosen();
    QStringList paths;
    for (const File& one : m_files) {
        if (wanted.contains(one.path)) paths << one.path;
    }
    return paths;
}

}  // namespace trainyard::ui
