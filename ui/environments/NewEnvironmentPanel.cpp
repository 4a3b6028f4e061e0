#include "ui/environments/NewEnvironmentPanel.h"

#include <QDir>
#include <QFileInfo>
#include <QGridLayout>
#include <QLabel>
#include <QVBoxLayout>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr qsizetype kLongestEnvironmentName = 64;

/// A text of elsewhere as a name that an environment may have.
std::string environmentNameFrom(const QString& text) {
    QString name;
    for (const QChar c : text.toLower()) {
        name += c.unicode() < 128 && (c.isLetterOrNumber() || QStringLiteral("._-").contains(c)) ? c : u'-';
    }
    while (!name.isEmpty() && !name.front().isLetterOrNumber()) name.remove(0, 1);
    return name.isEmpty() ? "imported" : name.left(kLongestEnvironmentName).toStdString();
}

}  // namespace

NewEnvironmentPanel::NewEnvironmentPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    column->addWidget(new TextLabel(tr("New environment"), TextStyle::Title, Role::Text, this));
    auto* what = new TextLabel(
        tr("What scripts find installed. It is built once on each target where a run needs it, and kept there."),
        TextStyle::Body, Role::Muted, this);
    what->setWordWrap(true);
    column->addWidget(what);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("importError"));
    m_error->clear();
    column->addWidget(m_error);
    auto* grid = new QGridLayout;
    grid->setSpacing(theme.space(2));
    grid->setColumnStretch(0, 1);
    grid->setColumnStretch(1, 1);
    column->addLayout(grid);
    column->addStretch(1);
    int cell = 0;
    const auto add = [&](const char* object, const char* iconName, const QString& title, const QString& text,
                         auto work) {
        auto* card = new Card(this);
        card->setObjectName(QString::fromLatin1(object));
        card->setClickable(true, title);
        auto* line = new QHBoxLayout;
        line->setSpacing(theme.space(2));
        auto* mark = new QLabel(card);
        mark->setPixmap(icon(QString::fromLatin1(iconName), Role::Accent).pixmap(24, 24));
        line->addWidget(mark, 0, Qt::AlignTop);
        auto* texts = new QVBoxLayout;
        texts->setSpacing(2);
        auto* head = new TextLabel(title, TextStyle::BodyStrong, Role::Text, card);
        head->setWordWrap(true);
        auto* body = new TextLabel(text, TextStyle::Secondary, Role::Muted, card);
        body->setWordWrap(true);
        texts->addWidget(head);
        texts->addWidget(body);
        texts->addStretch(1);
        line->addLayout(texts, 1);
        card->body()->addLayout(line);
        connect(card, &Card::clicked, this, work);
        grid->addWidget(card, cell / 2, cell % 2);
        ++cell;
    };
    const auto begin = [this](Json document) {
        return [this, document = std::move(document)] { Q_EMIT begun(document, {}); };
    };
    add("newVenvCard", "environment", tr("Packages with pip"),
        tr("A virtual environment with the requirements that you list, from an index or a folder of wheels."),
        begin({{"kind", "venv"}}));
    add("newCondaCard", "environment", tr("Packages with conda"),
        tr("Channels and dependencies, built by micromamba, mamba or conda."), begin({{"kind", "conda"}}));
    add("newImageCard", "memory", tr("Container image"),
        tr("An image that the target has or can fetch, run by podman, docker or apptainer."),
        begin({{"kind", "container"}, {"container", {{"source", "image"}}}}));
    add("newContainerfileCard", "notes", tr("Containerfile"), tr("Text from which the target builds an image."),
        begin({{"kind", "container"}, {"container", {{"source", "containerfile"}}}}));
    add("newExistingCard", "folder", tr("What is there already"),
        tr("An interpreter, or the folder of an environment that the target has. Nothing is built."),
        begin({{"kind", "interpreter"}}));
    add("newSetupCard", "terminal", tr("Setup script"), tr("A script of yours that installs what is needed, run once."),
        begin({{"kind", "setup"}}));
    add("importFileCard", "export", tr("From a file…"),
        tr("environment.yml of conda, requirements.txt, a Containerfile, or a definition saved here."), [this] {
            m_shell.questions().chooseFile(
                this, tr("Make an environment from a file"), QString(),
                {tr("Definitions (*.yml *.yaml *.txt *.json Containerfile* Dockerfile*)"), tr("All files (*)")},
                [this](const QString& file) {
                    if (!file.isEmpty()) importFile(file);
                });
        });
    add("importImageCard", "link", tr("From an image name…"),
        tr("As podman and docker take it: registry, name, and tag or digest. It is fetched where a run needs it."),
        [this] {
            m_shell.questions().askText(
                this, tr("Make an environment from an image"), tr("Name of the image"), QString(),
                [](const QString& text) { return text.trimmed().isEmpty() ? tr("A name is needed.") : QString(); },
                [this](const QString& image) {
                    if (!image.trimmed().isEmpty()) importImage(image.trimmed());
                });
        });
}

void NewEnvironmentPanel::clearError() { m_error->clear(); }

void NewEnvironmentPanel::importFile(const QString& file) {
    const QFileInfo info(file);
    // Conda's files and our own bring a name along; the rest gets its folder's until the form gives another.
    const QStringList named{QStringLiteral("yml"), QStringLiteral("yaml"), QStringLiteral("json")};
    const bool hasName = named.contains(info.suffix().toLower());
    import({{"file", file.toStdString()},
            { "name",
              hasName ? "" : environmentNameFrom(info.absoluteDir().dirName()) }},
           info.fileName());
}

void NewEnvironmentPanel::importImage(const QString& image) {
    // "registry.example:5000/group/torch:2.6@sha256:…" is called torch until the form gives another name.
    const QString name = image.section(u'@', 0, 0).section(u'/', -1).section(u':', 0, 0);
    import({{"image", image.toStdString()}, { "name", environmentNameFrom(name) }}, image);
}

void NewEnvironmentPanel::import(Json parameters, const QString& from) {
    m_error->clear();
    parameters["keep"] = false;
    m_shell.session()->start(
        "environment.import", std::move(parameters), this, [this, from](const Result<Json>& found) {
            if (!found) {
                m_error->setMessage(InlineError::Kind::Error, tr("%1: %2").arg(from, fromUtf8(found.error().message)));
                return;
            }
            QStringList notes{tr("Read from %1; nothing is kept yet.").arg(from)};
            for (const Json& note : readArray(*found, "notes")) {
                if (note.is_string()) notes << fromUtf8(note.get<std::string>());
            }
            Q_EMIT begun(readObject(*found, "spec"), notes);
        });
}

}  // namespace trainyard::ui
