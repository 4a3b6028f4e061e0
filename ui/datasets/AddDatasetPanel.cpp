#include "ui/datasets/AddDatasetPanel.h"

#include <QDir>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QUrl>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/shell/WorkList.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kLongestDatasetName = 64;
/// Earlier the share of the work that is done says nothing about its length.
constexpr double kTellingShare = 0.02;
constexpr qint64 kTellingMillis = 1500;

const QStringList& archiveEndings() {
    static const QStringList endings{QStringLiteral(".zip"),    QStringLiteral(".tar"),     QStringLiteral(".tgz"),
                                     QStringLiteral(".tar.gz"), QStringLiteral(".tar.bz2"), QStringLiteral(".tbz2"),
                                     QStringLiteral(".tar.xz"), QStringLiteral(".txz"),     QStringLiteral(".tar.zst")};
    return endings;
}

bool isSourceAddress(const QString& source) {
    return source.startsWith(u"http://", Qt::CaseInsensitive) || source.startsWith(u"https://", Qt::CaseInsensitive) ||
           source.startsWith(u"file:", Qt::CaseInsensitive);
}

/// It has folders for training and for validation, so nothing has to be split off.
bool isDividedFolder(const QString& folder) {
    const auto has = [&folder](const char* name) { return QFileInfo(folder + u'/' + QLatin1String(name)).isDir(); };
    return has("train") && (has("val") || has("valid") || has("validation") || has("test"));
}

/// What decides which fields are shown.
std::string sourceKindWord(const QString& source) {
    switch (sourceKindOf(source)) {
    case SourceKind::Folder: return isDividedFolder(source.trimmed()) ? "divided" : "folder";
    case SourceKind::Archive: return "archive";
    case SourceKind::Address: return "address";
    default: return "";
    }
}

/// dataset.add's own parameters but for the place, each shown where it matters.
std::vector<spec::Field> addDatasetFields() {
    std::vector<spec::Field> fields;
    const commands::CommandInfo* info = commands::allCommands().find("dataset.add");
    if (info == nullptr) return fields;
    for (spec::Field field : info->parameters) {
        if (field.path == "source") continue;
        if (field.path == "sha256") field.onlyWhen.push_back({"kind", {"archive", "address"}});
        if (field.path.starts_with("split")) field.onlyWhen.push_back({"kind", {"", "folder", "archive", "address"}});
        fields.push_back(std::move(field));
    }
    return fields;
}

}  // namespace

SourceKind sourceKindOf(const QString& source) {
    const QString place = source.trimmed();
    if (place.isEmpty()) return SourceKind::None;
    if (isSourceAddress(place)) return SourceKind::Address;
    const QFileInfo info(place);
    if (info.isDir()) return SourceKind::Folder;
    const bool named = std::any_of(archiveEndings().begin(), archiveEndings().end(), [&place](const QString& ending) {
        return place.endsWith(ending, Qt::CaseInsensitive);
    });
    return named && info.isFile() ? SourceKind::Archive : SourceKind::Unknown;
}

QString suggestedName(const QString& source) {
    QString place = source.trimmed();
    if (isSourceAddress(place)) place = QUrl(place).path();
    while (place.endsWith(u'/')) place.chop(1);
    // Letters with marks lose them: "Vögel" → "vogel".
    QString file = place.section(u'/', -1).toLower().normalized(QString::NormalizationForm_KD);
    file.removeIf([](QChar c) { return c.isMark(); });
    for (const QString& ending : archiveEndings()) {
        if (file.endsWith(ending)) file.chop(ending.size());
    }
    QString name;
    for (const QChar c : file) {
        const bool plain = c.unicode() < 128 && (c.isLetterOrNumber() || c == u'.' || c == u'_' || c == u'-');
        if (plain) {
            name += c;
        } else if (!name.endsWith(u'-')) {
            name += u'-';
        }
    }
    while (!name.isEmpty() && !name.front().isLetterOrNumber()) name.remove(0, 1);
    name = name.left(kLongestDatasetName);
    while (!name.isEmpty() && !name.back().isLetterOrNumber()) name.chop(1);
    return name;
}

AddDatasetPanel::AddDatasetPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    column->addWidget(new TextLabel(tr("Add a dataset"), TextStyle::Title, Role::Text, this));
    auto* what = new TextLabel(tr("Pictures in folders, one for each class; with train/ and val/ above them, or "
                                  "without. A folder stays where it is; "
                                  "what comes from an archive or an address is unpacked into the workspace."),
                               TextStyle::Body, Role::Muted, this);
    what->setWordWrap(true);
    column->addWidget(what);

    auto* card = new Card(tr("Where the pictures are"), this);
    auto* line = new QHBoxLayout;
    line->setSpacing(theme.space(1));
    m_source = new QLineEdit(card);
    m_source->setObjectName(QStringLiteral("datasetSourceInput"));
    m_source->setAccessibleName(tr("Folder, archive or address"));
    m_source->setPlaceholderText(tr("Folder, archive or https://…"));
    m_source->setClearButtonEnabled(true);
    line->addWidget(m_source, 1);
    m_folder = new QuietButton(tr("Folder…"), QStringLiteral("folder"), card);
    m_folder->setObjectName(QStringLiteral("chooseFolderButton"));
    m_archive = new QuietButton(tr("Archive…"), QStringLiteral("archive"), card);
    m_archive->setObjectName(QStringLiteral("chooseArchiveButton"));
    line->addWidget(m_folder);
    line->addWidget(m_archive);
    card->body()->addLayout(line);
    m_sourceError = new InlineError(card);
    m_sourceError->setObjectName(QStringLiteral("datasetSourceError"));
    m_sourceError->clear();
    card->body()->addWidget(m_sourceError);
    m_judged = new TextLabel({}, TextStyle::Secondary, Role::Muted, card);
    m_judged->setObjectName(QStringLiteral("datasetSourceLabel"));
    m_judged->setWordWrap(true);
    card->body()->addWidget(m_judged);
    column->addWidget(card);

    std::vector<spec::Field> fields = addDatasetFields();
    m_document = new FormDocument(
        fields, [fields](const Json& document) { return spec::checkDocument(fields, document, {"kind"}); }, this);
    m_document->setDocument({{"kind", ""}});
    m_form = new FormView(*m_document, &shell.questions(), {}, this);
    column->addWidget(m_form);
    m_version = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_version->setObjectName(QStringLiteral("datasetVersionLabel"));
    m_version->setWordWrap(true);
    m_version->hide();
    column->addWidget(m_version);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("addDatasetError"));
    m_error->clear();
    column->addWidget(m_error);
    m_progress = new ProgressStrip(this);
    m_progress->setObjectName(QStringLiteral("addDatasetProgress"));
    m_progress->setCancelable(true);
    m_progress->hide();
    column->addWidget(m_progress);
    column->addStretch(1);

    connect(m_source, &QLineEdit::textChanged, this, &AddDatasetPanel::sourceEdited);
    connect(m_source, &QLineEdit::returnPressed, this, &AddDatasetPanel::start);
    connect(m_document, &FormDocument::valueChanged, this, [this](const QString& path) {
        if (path == u"name" && !m_filling) m_nameTyped = !readText(m_document->document(), "name").empty();
        judge();
    });
    connect(m_document, &FormDocument::documentEdited, this, &AddDatasetPanel::edited);
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        if (m_command) m_command->cancel();
    });
    connect(m_folder, &QuietButton::clicked, this, [this] {
        m_shell.questions().chooseFolder(this, tr("Folder of pictures"), m_source->text(),
                                         [this](const QString& folder) {
                                             if (!folder.isEmpty()) m_source->setText(folder);
                                         });
    });
    connect(m_archive, &QuietButton::clicked, this, [this] {
        QStringList patterns;
        for (const QString& ending : archiveEndings()) patterns << u'*' + ending;
        m_shell.questions().chooseFile(this, tr("Archive of pictures"), QString(),
                                       {tr("Archives (%1)").arg(patterns.join(u' ')), tr("All files (*)")},
                                       [this](const QString& file) {
                                           if (!file.isEmpty()) m_source->setText(file);
                                       });
    });
    judge();
}

void AddDatasetPanel::setKnown(const QMap<QString, int>& known) {
    m_known = known;
    judge();
}

void AddDatasetPanel::begin(const QString& source, const Json& values) {
    if (isRunning()) return;
    m_error->clear();
    m_sourceError->clear();
    m_filling = true;
    Json document = values;
    document["kind"] = sourceKindWord(source);
    m_document->setDocument(std::move(document));
    m_nameTyped = !readText(values, "name").empty();
    m_filling = false;
    if (m_source->text() == source) {
        sourceEdited();
    } else {
        m_source->setText(source);
    }
}

void AddDatasetPanel::sourceEdited() {
    m_sourceError->clear();
    m_error->clear();
    m_filling = true;
    const SourceKind kind = sourceKindOf(m_source->text());
    m_document->setValue(QStringLiteral("kind"), sourceKindWord(m_source->text()));
    if (!m_nameTyped) {
        const QString name =
            kind == SourceKind::None || kind == SourceKind::Unknown ? QString() : suggestedName(m_source->text());
        m_document->setValue(QStringLiteral("name"), name.isEmpty() ? Json() : Json(name.toStdString()));
    }
    m_filling = false;
    judge();
    Q_EMIT edited();
}

void AddDatasetPanel::judge() {
    const QString place = m_source->text().trimmed();
    QString text;
    switch (sourceKindOf(place)) {
    case SourceKind::None: text = tr("Folders and archives can be dropped on the window, too."); break;
    case SourceKind::Folder:
        text = isDividedFolder(place)
                   ? tr("A folder with its own division into training and validation.")
                   : tr("A folder. Validation pictures are taken from each class by the share below.");
        break;
    case SourceKind::Archive: text = tr("An archive of %1.").arg(formatBytes(QFileInfo(place).size())); break;
    case SourceKind::Address:
        text = tr("Fetched once and kept in the workspace; what arrives must have this SHA-256.");
        break;
    case SourceKind::Unknown:
        text = QFileInfo::exists(place) ? tr("Neither a folder nor an archive by its name.")
                                        : tr("There is nothing at this place.");
        break;
    }
    m_judged->setText(text);
    const QString name = QString::fromStdString(readText(m_document->document(), "name"));
    const int newest = m_known.value(name, 0);
    m_version->setText(
        newest > 0 ? tr("%1 is there already: what differs becomes its version %2; runs keep the one that they used.")
                         .arg(name)
                         .arg(newest + 1)
                   : QString());
    m_version->setVisible(newest > 0);
}

Json AddDatasetPanel::draft() const {
    return {{"source", m_source->text().toStdString()}, {"document", m_document->document()}, {"typed", m_nameTyped}};
}

void AddDatasetPanel::restore(const Json& draft) {
    {
        const QSignalBlocker quiet(m_source);
        m_source->setText(readString(draft, "source"));
    }
    m_nameTyped = readFlag(draft, "typed");
    m_document->setDocument(readObject(draft, "document"));
    sourceEdited();
}

void AddDatasetPanel::start() {
    if (isRunning()) return;
    m_error->clear();
    m_sourceError->clear();
    if (m_source->text().trimmed().isEmpty()) {
        m_sourceError->setMessage(InlineError::Kind::Error, tr("Name the folder, archive or address of the pictures."));
        m_source->setFocus();
        return;
    }
    if (const auto& errors = m_document->showAllErrors(); !errors.empty()) {
        m_form->focusField(fromUtf8(errors.front().field));
        return;
    }
    Json parameters{{"source", m_source->text().trimmed().toStdString()}};
    for (const spec::Field& field : m_document->fields()) {
        const Json value = m_document->value(fromUtf8(field.path));
        if (m_document->applies(field) && !value.is_null() && value != "") parameters[field.path] = value;
    }
    const QString name = QString::fromStdString(readText(m_document->document(), "name"));
    m_since.start();
    m_progress->setTitle(tr("Adding %1").arg(name));
    m_progress->setFraction(std::nullopt);
    m_progress->setDetail(QString());
    m_progress->show();
    commands::Command* command = m_shell.session()->start("dataset.add", std::move(parameters));
    m_command = command;
    for (QWidget* input : {static_cast<QWidget*>(m_source), static_cast<QWidget*>(m_folder),
                           static_cast<QWidget*>(m_archive), static_cast<QWidget*>(m_form)})
        input->setEnabled(false);
    // At the foot of the window as well, for those who go on with something else meanwhile.
    WorkList& work = m_shell.work();
    const int entry = work.begin(tr("Adding the dataset %1").arg(name), [guard = m_command] {
        if (guard) guard->cancel();
    });
    connect(command, &commands::Command::progressed, &work, [&work, entry](const commands::CommandProgress& progress) {
        if (progress.fraction >= 0) work.progress(entry, progress.fraction);
    });
    connect(command, &commands::Command::finished, &work, [&work, entry] { work.finish(entry); });
    connect(command, &commands::Command::progressed, this, &AddDatasetPanel::showProgress);
    connect(command, &commands::Command::finished, this, &AddDatasetPanel::finished);
    Q_EMIT runningChanged();
}

void AddDatasetPanel::showProgress(const commands::CommandProgress& progress) {
    m_progress->setFraction(progress.fraction >= 0 ? std::optional(progress.fraction) : std::nullopt);
    QStringList parts;
    if (!progress.text.empty()) parts << fromUtf8(progress.text);
    if (progress.fraction > kTellingShare && progress.fraction < 1 && m_since.elapsed() > kTellingMillis) {
        const double left = static_cast<double>(m_since.nsecsElapsed()) * (1 - progress.fraction) / progress.fraction;
        parts << tr("%1 left").arg(formatDuration(static_cast<std::int64_t>(left)));
    }
    m_progress->setDetail(parts.join(QStringLiteral(" · ")));
}

void AddDatasetPanel::finished(const Result<Json>& result) {
    m_command = nullptr;
    m_progress->hide();
    for (QWidget* input : {static_cast<QWidget*>(m_source), static_cast<QWidget*>(m_folder),
                           static_cast<QWidget*>(m_archive), static_cast<QWidget*>(m_form)})
        input->setEnabled(true);
    Q_EMIT runningChanged();
    if (result) {
        Q_EMIT added(*result);
        return;
    }
    const base::Error& error = result.error();
    if (error.code == "canceled")
        return m_error->setMessage(InlineError::Kind::Info, tr("Canceled. Nothing was added."));
    if (error.field == "source") {
        m_sourceError->setError(error);
        m_source->setFocus();
    } else if (m_document->field(fromUtf8(error.field)) != nullptr) {
        m_document->setOutsideErrors({error});
        m_form->focusField(fromUtf8(error.field));
    } else {
        m_error->setError(error);
    }
}

}  // namespace trainyard::ui
