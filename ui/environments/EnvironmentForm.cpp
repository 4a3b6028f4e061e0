#include "ui/environments/EnvironmentForm.h"

#include <QVBoxLayout>

#include "core/commands/Session.h"
#include "core/spec/EnvironmentSpec.h"
#include "ui/environments/EnvironmentPanels.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

namespace {
constexpr int kLookMillis = 500;
}

EnvironmentForm::EnvironmentForm(Shell& shell, QWidget* parent)
    : QWidget(parent), m_shell(shell),
      m_document(new FormDocument(spec::environmentSpecFields(), &spec::validateEnvironmentSpec, this)) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_title = new TextLabel({}, TextStyle::Title, Role::Text, this);
    m_title->setWordWrap(true);
    column->addWidget(m_title);
    const auto message = [&](const char* object) {
        auto* made = new InlineError(this);
        made->setObjectName(QString::fromLatin1(object));
        made->clear();
        column->addWidget(made);
        return made;
    };
    m_error = message("environmentFormError");
    m_notes = message("environmentFormNotes");
    m_form = new FormView(*m_document, &shell.questions(), {}, this);
    column->addWidget(m_form);
    auto* check = new Card(tr("What it needs"), this);
    m_target = new TargetChoice(shell, tr("On the target"), QStringLiteral("formTargetBox"), check);
    check->body()->addWidget(m_target);
    m_waiting = new TextLabel(tr("Told here once the fields above are right."), TextStyle::Body, Role::Muted, check);
    m_waiting->setWordWrap(true);
    check->body()->addWidget(m_waiting);
    m_findings = new EnvironmentFindings(check);
    check->body()->addWidget(m_findings);
    column->addWidget(check);
    column->addStretch(1);
    m_pause.setSingleShot(true);
    m_pause.setInterval(kLookMillis);
    connect(&m_pause, &QTimer::timeout, this, &EnvironmentForm::look);
    connect(m_target, &TargetChoice::chosen, this, &EnvironmentForm::look);
    connect(m_document, &FormDocument::documentEdited, this, [this] {
        m_error->clear();
        m_pause.start();
        Q_EMIT edited();
    });
}

const Json& EnvironmentForm::document() const { return m_document->document(); }

void EnvironmentForm::begin(const Json& document, const QString& title, bool isNew, const QStringList& notes) {
    m_isNew = isNew;
    m_name = readString(document, "name");
    m_title->setText(title);
    m_error->clear();
    m_notes->clear();
    if (!notes.isEmpty()) m_notes->setMessage(InlineError::Kind::Info, notes.join(u'\n'));
    Json start = document.is_object() ? document : Json::object();
    start["format"] = spec::kEnvironmentSpecFormat;
    start["version"] = spec::kEnvironmentSpecVersion;
    m_document->setDocument(std::move(start));
    if (FieldRow* row = m_form->row(QStringLiteral("name"))) row->setEnabled(isNew);
    m_target->read();
    look();
    if (isNew) m_form->focusField(QStringLiteral("name"));
}

void EnvironmentForm::look() {
    if (m_looking) m_looking->cancel();
    Json document = m_document->document();
    // Without a name yet, what it needs can be told all the same.
    if (readText(document, "name").empty()) document["name"] = "unnamed";
    m_looking = m_shell.session()->start("environment.validate",
                                         {{"spec", std::move(document)}, {"target", m_target->target().toStdString()}});
    commands::Command* mine = m_looking;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& answer) {
        if (m_looking != mine) return;
        m_looking = nullptr;
        const bool right = answer && readArray(*answer, "errors").empty();
        m_waiting->setVisible(!right);
        if (right) {
            m_findings->setAnswer(*answer);
        } else {
            m_findings->clear();
        }
    });
}

void EnvironmentForm::tell(const Error& error) {
    m_error->setMessage(InlineError::Kind::Error, fromUtf8(error.message));
    m_form->focusField(fromUtf8(error.field));
}

void EnvironmentForm::save() {
    if (m_saving) return;
    const auto& errors = m_document->showAllErrors();
    if (!errors.empty()) return tell(errors.front());
    m_saving = true;
    Json parameters{{"spec", m_document->document()}};
    if (!m_isNew) parameters["environment"] = m_name.toStdString();
    m_shell.session()->start(m_isNew ? "environment.create" : "environment.edit", std::move(parameters), this,
                             [this](const Result<Json>& result) {
                                 m_saving = false;
                                 if (result) {
                                     Q_EMIT saved(readString(*result, "environment"),
                                                  static_cast<int>(readInteger(*result, "version")),
                                                  readFlag(*result, "created"));
                                     return;
                                 }
                                 if (m_document->field(fromUtf8(result.error().field)))
                                     m_document->setOutsideErrors({result.error()});
                                 tell(result.error());
                             });
}

}  // namespace trainyard::ui
