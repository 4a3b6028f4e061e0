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

NewEnvironmentPanel::NewEnvironmentPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    column->addWidget(new TextLabel(tr("New environment"), TextStyle::Title, Role::Text, this));
    auto* what = new TextLabel(tr("What scripts find installed. It is built once on each target where a run needs it, and kept there."), TextStyle::Body,
                               Role::Muted, this);
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
    const auto add = [&](const char* object, const char* iconName, const QString& title, const QString& text, auto work) {
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
    add("newVenvCard", "environment", tr("Packages with pip"), tr("A virtual environment with the requirements that you list, from an index or a folder of wheels."),
        begin({{"kind", "venv"}}));
    add("newCondaCard", "environment", tr("Packages with conda"), tr("Channels and dependencies, built by micromamba, mamba or conda."), begin({{"kind", "conda"}}));
    add("newImageCard", "memory", tr("Container image"), tr("An image that the target has or can fetch, run by podman, docker or apptainer."),
        begin({{"kind", "container"}, {"container", {{"source", "image"}}}}));
    add("newContainerfileCard", "notes", tr("Containerfile"), tr("Text from which the target builds an image."),
        begin({{"kind", "container"}, {"container", {{"source", "containerfile"}}}}));
    add("newExistingCard", "folder", tr("What is there already"), tr("An interpreter, or the folder of an environment that the target has. Nothing is built."),
        begin({{"kind", "interpreter"}}));
    add("newSetupCard", "terminal", tr("Setup script"), tr("A script of yours that installs what is needed, run once."), begin({{"kind", "setup"}}));
    add("importFileCard", "export", tr("From a file…"), tr("environment.yml of conda, requirements.txt, a Containerfile, or a definition saved here."), [this] {
        m_shell.questions().chooseFile(this, tr("Make an environment from a file"), QString(),
                                       {tr("Definitions (*.yml *.yaml *.txt *.json Containerfile* Dockerfile*)"), tr("All files (*)")}, [this](const QString& file) {
                                           if (!file.isEmpty()) importFile(file);
                                       });
    });
}

void NewEnvironmentPanel::clearError() { m_error->clear(); }

void NewEnvironmentPanel::importFile(const QString& file) {
    m_error->clear();
    const QFileInfo info(file);
    // Conda's files and our own bring a name along; the rest gets its folder's until the form gives another.
    QString name;
    if (!QStringList{QStringLiteral("yml"), QStringLiteral("yaml"), QStringLiteral("json")}.contains(info.suffix().toLower())) {
        for (const QChar c : info.absoluteDir().dirName().toLower()) name += c.unicode() < 128 && (c.isLetterOrNumber() || QStringLiteral("._-").contains(c)) ? c : u'-';
        while (!name.isEmpty() && !name.front().isLetterOrNumber()) name.remove(0, 1);
        name = name.isEmpty() ? QStringLiteral("imported") : name.left(64);
    }
    m_shell.session()->start("environment.import", {{"file", file.toStdString()}, {"name", name.toStdString()}, {"keep", false}}, this, [this, file](const Result<Json>& found) {
        if (!found) {
            m_error->setMessage(InlineError::Kind::Error, tr("%1: %2").arg(QFileInfo(file).fileName(), fromUtf8(found.error().message)));
            return;
        }
        QStringList notes{tr("Read from %1; nothing is kept yet.").arg(QFileInfo(file).fileName())};
        for (const Json& note : readArray(*found, "notes")) {
            if (note.is_string()) notes << fromUtf8(note.get<std::string>());
        }
        Q_EMIT begun(readObject(*found, "spec"), notes);
    });
}

}  // namespace trainyard::ui
