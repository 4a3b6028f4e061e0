#include "ui/runs/CodeTab.h"

#include <QHash>
#include <QHeaderView>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "core/base/Files.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {
constexpr int kPathRole = Qt::UserRole + 1;
constexpr int kPatchRole = Qt::UserRole + 2;  ///< True of the line that stands for git's patch.
constexpr std::int64_t kMostPatch = 1 << 20;
}  // namespace

CodeTab::CodeTab(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(1));
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_facts->setObjectName(QStringLiteral("codeFactsLabel"));
    m_facts->setWordWrap(true);
    m_facts->setTextInteractionFlags(Qt::TextSelectableByMouse);
    column->addWidget(m_facts);
    m_error = new InlineError(this);
    m_error->clear();
    column->addWidget(m_error);
    auto* line = new QHBoxLayout;
    m_with = new QLineEdit(this);
    m_with->setObjectName(QStringLiteral("codeCompareLine"));
    m_with->setPlaceholderText(tr("Compare with run, such as #12, then Enter"));
    m_with->setAccessibleName(tr("Run to compare the code with"));
    m_with->setMaximumWidth(320);
    m_compared = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_compared->setWordWrap(true);
    line->addWidget(m_with, 1);
    line->addWidget(m_compared, 1);
    column->addLayout(line);
    m_splitter = new Splitter(Qt::Horizontal, this);
    m_splitter->setFoldBelow(800);
    m_tree = new QTreeWidget(m_splitter);
    m_tree->setObjectName(QStringLiteral("codeTree"));
    m_tree->setColumnCount(3);
    m_tree->setHeaderLabels({tr("File"), tr("Size"), tr("Compared")});
    styleTree(m_tree, tr("Files of the snapshot"));
    m_tree->setItemDelegate(new CellDelegate(m_tree));
    m_tree->setColumnWidth(0, 260);
    m_tree->setColumnWidth(1, 90);
    m_tree->setColumnHidden(2, true);
    auto* side = new QWidget(m_splitter);
    auto* sideLayout = new QVBoxLayout(side);
    sideLayout->setContentsMargins(theme.space(2), 0, 0, 0);
    m_title = new ElidedLabel(tr("Choose a file to read it."), TextStyle::BodyStrong, Role::Text, side);
    m_text = new QPlainTextEdit(side);
    m_text->setObjectName(QStringLiteral("codeText"));
    m_text->setReadOnly(true);
    m_text->setFont(theme.font(TextStyle::Mono));
    m_text->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_text->setTabChangesFocus(true);
    m_text->setAccessibleName(tr("The file's text"));
    sideLayout->addWidget(m_title);
    sideLayout->addWidget(m_text, 1);
    m_splitter->addWidget(m_tree);
    m_splitter->addWidget(side);
    m_splitter->setStretchFactor(0, 2);
    m_splitter->setStretchFactor(1, 3);
    column->addWidget(m_splitter, 1);
    m_empty = new EmptyState(QStringLiteral("file"), tr("No source folder"),
                             tr("This run was submitted without one, so there is no code to keep."), this);
    column->addWidget(m_empty, 1);
    connect(m_tree, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (item && item->data(0, kPatchRole).toBool()) {
            readPatch();
        } else if (item && !item->data(0, kPathRole).toString().isEmpty()) {
            readFile(item->data(0, kPathRole).toString());
        }
    });
    connect(m_with, &QLineEdit::returnPressed, this, &CodeTab::compare);
}

void CodeTab::setDetail(const RunDetail& detail) {
    if (detail.row.id == m_run) {
        if (isVisible()) read();
        return;
    }
    m_run = detail.row.id;
    m_read = false;
    const Json task = readObject(detail.spec, "task");
    m_script = !readText(task, "source_folder").empty();
    m_tree->clear();
    m_text->clear();
    m_with->clear();
    m_compared->clear();
    m_error->clear();
    m_title->setText(tr("Choose a file to read it."));
    m_facts->setVisible(m_script);
    m_with->setVisible(m_script);
    m_compared->setVisible(m_script);
    m_splitter->setVisible(m_script);
    m_empty->setVisible(!m_script);
    if (isVisible()) read();
}

void CodeTab::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    read();
}

void CodeTab::read() {
    if (m_read || !m_script) return;
    m_read = true;
    const base::RunId run = m_run;
    m_shell.session()->start("run.snapshot", {{"run", run.str()}}, this, [this, run](const Result<Json>& snapshot) {
        if (run != m_run) return;
        if (!snapshot) {
            // A run that has just been submitted gets its snapshot yet: looked for again with the next change.
            m_read = false;
            return m_error->setError(snapshot.error());
        }
        m_error->clear();
        take(*snapshot);
    });
}

void CodeTab::take(const Json& snapshot) {
    const Json files = readArray(snapshot, "files");
    const Json git = readObject(snapshot, "git");
    QStringList facts{
        tr("%n file(s), %1", nullptr, static_cast<int>(files.size())).arg(formatBytes(readInteger(snapshot, "bytes")))};
    if (const QString folder = readString(snapshot, "folder"); !folder.isEmpty()) facts << tr("from %1").arg(folder);
    if (const QString ignore = readString(snapshot, "ignore_file"); !ignore.isEmpty())
        facts << tr("less what %1 leaves out").arg(ignore);
    if (const QString commit = readString(git, "commit"); !commit.isEmpty())
        facts << tr("commit %1").arg(commit.left(12));
    if (const QString branch = readString(git, "branch"); !branch.isEmpty()) facts << tr("branch %1").arg(branch);
    if (const QString remote = readString(git, "remote"); !remote.isEmpty()) facts << remote;
    const bool dirty = readFlag(git, "dirty");
    if (dirty)
        facts << (readFlag(git, "patch_cut")
                      ? tr("with changes that were not committed, too large to be kept as a patch")
                      : tr("with changes that were not committed"));
    if (const QString warning = readString(git, "warning"); !warning.isEmpty()) facts << warning;
    m_facts->setText(facts.join(QStringLiteral(" · ")));
    m_facts->setToolTip(readString(git, "commit"));
    m_tree->clear();
    if (dirty && !readFlag(git, "patch_cut")) {
        auto* patch = new QTreeWidgetItem(m_tree);
        patch->setText(0, tr("Changes that were not committed"));
        patch->setIcon(0, icon(QStringLiteral("edit"), Role::Muted));
        patch->setData(0, kPatchRole, true);
    }
    QHash<QString, QTreeWidgetItem*> folders;
    const auto folderOf = [&](auto&& self, const QString& path) -> QTreeWidgetItem* {
        if (path.isEmpty()) return m_tree->invisibleRootItem();
        if (QTreeWidgetItem* known = folders.value(path)) return known;
        const qsizetype slash = path.lastIndexOf(u'/');
        auto* item = new QTreeWidgetItem(self(self, slash < 0 ? QString() : path.left(slash)));
        item->setText(0, path.mid(slash + 1));
        item->setIcon(0, icon(QStringLiteral("folder"), Role::Muted));
        folders.insert(path, item);
        return item;
    };
    for (const Json& file : files) {
        const QString path = readString(file, "path");
        const qsizetype slash = path.lastIndexOf(u'/');
        auto* item = new QTreeWidgetItem(folderOf(folderOf, slash < 0 ? QString() : path.left(slash)));
        item->setText(0, path.mid(slash + 1));
        item->setToolTip(0, path);
        item->setText(1, formatBytes(readInteger(file, "size")));
        item->setData(1, NumberRole, true);
        item->setData(0, kPathRole, path);
    }
}

void CodeTab::readFile(const QString& path) {
    m_title->setText(path);
    const base::RunId run = m_run;
    m_shell.session()->start(
        "run.snapshot", {{"run", run.str()}, {"path", path.toStdString()}}, this,
        [this, run, path](const Result<Json>& file) {
            if (run != m_run || m_title->text() != path) return;
            if (!file) return m_text->setPlainText(fromUtf8(file.error().message));
            if (readFlag(*file, "binary")) return m_text->setPlainText(tr("This file holds no text."));
            m_text->setPlainText(shortLines(readString(*file, "text")) +
                                 (readFlag(*file, "cut") ? u'\n' + tr("… only the beginning is shown") : QString()));
        });
}

void CodeTab::readPatch() {
    const QString title = tr("Changes that were not committed");
    m_title->setText(title);
    const base::RunId run = m_run;
    m_shell.session()->query(
        this, QStringLiteral("code.patch"),
        [file = m_shell.session()->workspace().layout.patch(run)](store::Reader&) -> Result<QString> {
            auto bytes = base::readFileRange(file, 0, kMostPatch);
            if (!bytes) return bytes.error();
            QString text = shortLines(fromUtf8(*bytes));
            if (static_cast<std::int64_t>(bytes->size()) == kMostPatch)
                text += u'\n' + tr("… only the beginning is shown");
            return text;
        },
        [this, run, title](const Result<QString>& text) {
            if (run != m_run || m_title->text() != title) return;
            m_text->setPlainText(text ? *text : fromUtf8(text.error().message));
        });
}

void CodeTab::compare() {
    const QString with = m_with->text().trimmed();
    if (with.isEmpty()) return;
    const base::RunId run = m_run;
    m_shell.session()->start(
        "run.snapshot", {{"run", run.str()}, {"with", with.toStdString()}}, this,
        [this, run, with](const Result<Json>& found) {
            if (run != m_run) return;
            if (!found) return m_compared->setText(fromUtf8(found.error().message));
            const Json changes = readArray(*found, "changes");
            QHash<QString, QString> words;
            QStringList gone;
            for (const Json& change : changes) {
                const QString what = readString(change, "change");
                const QString path = readString(change, "path");
                words.insert(path, what == u"removed" ? tr("only here")
                                   : what == u"added" ? tr("only there")
                                                      : tr("differs"));
                if (what == u"added") gone << path;
            }
            const auto walk = [&](auto&& self, QTreeWidgetItem* item) -> void {
                item->setText(2, words.value(item->data(0, kPathRole).toString()));
                for (int i = 0; i < item->childCount(); ++i) self(self, item->child(i));
            };
            walk(walk, m_tree->invisibleRootItem());
            m_tree->setColumnHidden(2, false);
            QString text = changes.empty()
                               ? tr("The code is the same as that of %1.").arg(with)
                               : tr("%n file(s) differ from %1.", nullptr, static_cast<int>(changes.size())).arg(with);
            if (!gone.isEmpty()) text += u' ' + tr("Only there: %1").arg(gone.mid(0, 5).join(QStringLiteral(", ")));
            m_compared->setText(text);
        });
}

}  // namespace trainyard::ui
