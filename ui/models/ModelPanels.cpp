#include "ui/models/ModelPanels.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QPointer>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/forms/JsonRead.h"
#include "ui/models/ModelFormat.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

CommandPanel::CommandPanel(Shell& shell, const std::string& command, Json fixed, const QString& button,
                           const QString& iconName, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_command(command), m_fixed(std::move(fixed)) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(1));
    m_error = new InlineError(this);
    m_error->setObjectName(fromUtf8(command) + QStringLiteral("Error"));
    m_error->clear();
    column->addWidget(m_error);
    std::vector<spec::Field> fields;
    if (const commands::CommandInfo* info = commands::allCommands().find(command)) {
        for (const spec::Field& field : info->parameters) {
            if (!m_fixed.contains(field.path)) fields.push_back(field);
        }
    }
    m_document = new FormDocument(std::move(fields), {}, this);
    m_document->setDocument(Json::object());
    m_form = new FormView(*m_document, &shell.questions(), {}, this);
    column->addWidget(m_form);
    m_progress = new ProgressStrip(this);
    m_progress->setCancelable(true);
    m_progress->hide();
    column->addWidget(m_progress);
    m_button = new QuietButton(button, iconName, this);
    m_button->setObjectName(fromUtf8(command) + QStringLiteral("Button"));
    column->addWidget(m_button, 0, Qt::AlignLeft);
    connect(m_button, &QuietButton::clicked, this, &CommandPanel::start);
}

void CommandPanel::setFixed(const Json& fixed) { m_fixed = fixed; }

void CommandPanel::setValue(const QString& name, const Json& value) { m_document->setValue(name, value); }

void CommandPanel::setButtonVisible(bool visible) { m_button->setVisible(visible); }

void CommandPanel::start() {
    if (m_running) return;
    const auto& errors = m_document->showAllErrors();
    if (!errors.empty()) {
        m_form->focusField(fromUtf8(errors.front().field));
        return;
    }
    Json parameters = m_document->document();
    for (const auto& [name, value] : m_fixed.items()) parameters[name] = value;
    m_error->clear();
    m_running = true;
    m_button->setEnabled(false);
    m_progress->setTitle(m_button->text());
    m_progress->setFraction(std::nullopt);
    m_progress->setDetail(QString());
    m_progress->show();
    commands::Command* command = m_shell.session()->start(m_command, std::move(parameters));
    QPointer<commands::Command> guard(command);
    connect(m_progress, &ProgressStrip::cancelRequested, command, [guard] {
        if (guard) guard->cancel();
    });
    connect(command, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        m_progress->setFraction(progress.fraction >= 0 ? std::optional(progress.fraction) : std::nullopt);
        m_progress->setDetail(fromUtf8(progress.text));
    });
    connect(command, &commands::Command::finished, this, [this](const Result<Json>& result) {
        m_running = false;
        m_button->setEnabled(true);
        m_progress->hide();
        if (result) {
            Q_EMIT succeeded(*result);
            return;
        }
        if (result.error().code == "canceled") return;
        if (m_document->field(fromUtf8(result.error().field))) m_document->setOutsideErrors({result.error()});
        m_error->setError(result.error());
        Q_EMIT failed(result.error());
    });
}

ProofPanel::ProofPanel(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(1));
    auto* head = new QHBoxLayout;
    m_title = new TextLabel({}, TextStyle::BodyStrong, Role::Text, this);
    m_download = new QuietButton(tr("Copy to…"), QStringLiteral("download"), this);
    m_download->setObjectName(QStringLiteral("exportDownloadButton"));
    head->addWidget(m_title, 1);
    head->addWidget(m_download);
    column->addLayout(head);
    m_verdict = new InlineError(this);
    m_verdict->setObjectName(QStringLiteral("proofVerdict"));
    column->addWidget(m_verdict);
    m_facts = new KeyValueGrid(this);
    column->addWidget(m_facts);
    m_table = new QTableWidget(0, 5, this);
    m_table->setObjectName(QStringLiteral("proofTable"));
    m_table->setHorizontalHeaderLabels({tr("Input"), tr("Batch"), tr("Difference"), tr("Allowed"), tr("Same class")});
    styleTable(m_table, tr("Trials of the proof"));
    m_table->setItemDelegate(new CellDelegate(m_table));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    for (int i = 1; i <= 3; ++i) m_table->horizontalHeaderItem(i)->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    const int widths[] = {56, 96, 84, 86};
    for (int i = 1; i < 5; ++i) m_table->setColumnWidth(i, theme.scaled(widths[i - 1]));
    m_table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    column->addWidget(m_table);
    connect(m_download, &QuietButton::clicked, this, [this] { Q_EMIT downloadRequested(); });
}

void ProofPanel::setExport(const Json& record, bool newest) {
    m_download->setVisible(newest);
    const Json proof = readObject(record, "proof");
    const ProofFacts facts = proofFacts(proof);
    m_title->setText(tr("ONNX, opset %1, %2")
                         .arg(readInteger(record, "opset", readInteger(proof, "opset")))
                         .arg(formatAgo(readInteger(record, "created_at"))));
    m_verdict->setMessage(facts.passed ? InlineError::Kind::Success : InlineError::Kind::Error,
                          facts.reasons.isEmpty() ? facts.verdict : facts.verdict + u' ' + facts.reasons.join(u' '));
    m_facts->clear();
    const Json file = readObject(record, "file");
    if (!facts.checker.isEmpty()) m_facts->add(tr("Checker"), facts.checker);
    if (!facts.runtime.isEmpty()) m_facts->add(tr("Run by"), facts.runtime);
    const bool dynamic = readFlag(record, "dynamic_batch", readFlag(proof, "dynamic_batch"));
    const Json* shape = member(record, "input_shape");
    if (!shape) shape = member(proof, "input_shape");
    if (shape)
        m_facts->add(tr("Input"), (dynamic ? tr("any batch × %1") : tr("fixed batch, %1")).arg(shapeText(*shape)));
    m_facts->add(tr("Largest difference"), facts.largest, {}, true);
    if (const std::int64_t real = readInteger(proof, "real_samples"); real > 0)
        m_facts->add(tr("Real pictures tried"), formatExact(real));
    if (!file.empty())
        m_facts->add(tr("File"),
                     formatBytes(readInteger(file, "size")) + QStringLiteral(" · ") +
                         readString(file, "sha256").left(16),
                     readString(file, "sha256"), true);
    const std::vector<ProofCase> cases = proofCases(proof);
    m_table->setVisible(!cases.empty());
    m_table->setRowCount(static_cast<int>(cases.size()));
    for (int i = 0; i < static_cast<int>(cases.size()); ++i) {
        const ProofCase& one = cases[static_cast<std::size_t>(i)];
        const QString texts[] = {one.input, QString::number(one.batch), one.difference, one.allowed, one.sameAnswer};
        for (int column = 0; column < 5; ++column) {
            auto* item = new QTableWidgetItem(texts[column]);
            item->setData(NumberRole, column >= 1 && column <= 3);
            item->setToolTip(texts[column]);
            m_table->setItem(i, column, item);
        }
    }
    const int rows = std::min(10, static_cast<int>(cases.size()));
    m_table->setFixedHeight(m_table->horizontalHeader()->sizeHint().height() + rows * Theme::current().rowHeight() + 6);
}

}  // namespace trainyard::ui
