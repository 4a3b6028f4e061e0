#include "ui/targets/TargetForm.h"

#include <QVBoxLayout>

#include "core/commands/Session.h"
#include "core/spec/TargetSpec.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/targets/HostsEditor.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

namespace {
/// mpirun is refused when the job is made (slurm.launcher), so the form does not offer it.
constexpr const char* kMpiLauncherPath = "slurm.launcher";
}  // namespace

TargetForm::TargetForm(Shell& shell, QWidget* parent)
    : QWidget(parent), m_shell(shell),
      m_document(new FormDocument(spec::targetSpecFields(), &spec::validateTargetSpec, this)) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(3), theme.space(1), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_title = new TextLabel({}, TextStyle::Title, Role::Text, this);
    m_title->setWordWrap(true);
    column->addWidget(m_title);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("targetFormError"));
    m_error->clear();
    column->addWidget(m_error);
    // Whether a target takes runs is switched on its page, not in its form; and of MPI's launchers a Slurm job takes
    // one.
    m_form = new FormView(
        *m_document, &shell.questions(),
        [](const spec::Field& field) { return field.path != "disabled" && field.path != kMpiLauncherPath; }, this);
    if (QVBoxLayout* footer = m_form->groupFooter(QStringLiteral("Software"))) {
        auto* unseen = new TextLabel(
            tr("Not verified on real hardware: CUDA, NCCL between several GPUs, Horovod. MPI's processes are "
               "started by mpirun on SSH hosts and by srun on Slurm."),
            TextStyle::Secondary, Role::Muted, m_form);
        unseen->setObjectName(QStringLiteral("targetUnverifiedNote"));
        unseen->setWordWrap(true);
        unseen->setToolTip(
            tr("Built against the documented interfaces and tested up to the command line. On a machine with GPUs, "
               "trainyard-engine selftest --gpu tells whether it works there."));
        footer->addWidget(unseen);
    }
    m_hosts = new HostsEditor(m_form);
    if (QVBoxLayout* header = m_form->groupHeader(QStringLiteral("Hosts"))) header->addWidget(m_hosts);
    column->addWidget(m_form);
    column->addStretch(1);
    connect(m_hosts, &HostsEditor::edited, this,
            [this](const Json& hosts) { m_document->setValue(QStringLiteral("hosts"), hosts); });
    connect(m_document, &FormDocument::errorsChanged, this, &TargetForm::showErrors);
    connect(m_document, &FormDocument::documentEdited, this, [this] {
        m_error->clear();
        Q_EMIT edited();
    });
}

const Json& TargetForm::document() const { return m_document->document(); }

void TargetForm::begin(const Json& document, const QString& title, bool isNew) {
    m_isNew = isNew;
    m_asked = false;
    m_name = readString(document, "name");
    m_title->setText(title);
    m_error->clear();
    Json start = document.is_object() ? document : Json::object();
    start["format"] = spec::kTargetSpecFormat;
    start["version"] = spec::kTargetSpecVersion;
    if (const base::Json* launcher = spec::valueAt(start, kMpiLauncherPath); launcher && *launcher == "mpirun")
        spec::setValueAt(start, kMpiLauncherPath, "srun");
    m_document->setDocument(std::move(start));
    m_hosts->display(readArray(m_document->document(), "hosts"));
    if (FieldRow* row = m_form->row(QStringLiteral("name"))) row->setEnabled(isNew);
    if (FieldRow* row = m_form->row(QStringLiteral("kind"))) row->setEnabled(isNew);
    showErrors();
    if (isNew) m_form->focusField(QStringLiteral("name"));
}

void TargetForm::showErrors() { m_hosts->setErrors(m_document->errors(), m_asked); }

void TargetForm::tell(const Error& error) {
    m_error->setMessage(InlineError::Kind::Error, fromUtf8(error.message));
    if (error.field.starts_with("hosts")) {
        m_hosts->focusFirst();
    } else {
        m_form->focusField(fromUtf8(error.field));
    }
}

void TargetForm::save() {
    if (m_saving) return;
    m_asked = true;
    const auto& errors = m_document->showAllErrors();
    if (!errors.empty()) return tell(errors.front());
    m_saving = true;
    Json parameters{{"spec", m_document->document()}};
    if (!m_isNew) parameters["target"] = m_name.toStdString();
    m_shell.session()->start(m_isNew ? "target.add" : "target.edit", std::move(parameters), this,
                             [this](const Result<Json>& result) {
                                 m_saving = false;
                                 if (result) {
                                     Q_EMIT saved(readString(*result, "target"));
                                     return;
                                 }
                                 if (m_document->field(fromUtf8(result.error().field)))
                                     m_document->setOutsideErrors({result.error()});
                                 tell(result.error());
                             });
}

}  // namespace trainyard::ui
