#include "ui/seams/Questions.h"

#include <QBoxLayout>
#include <QDialog>
#include <QFileDialog>
#include <QLineEdit>
#include <QPointer>
#include <QPushButton>
#include <QTimer>

#include <memory>

#include "ui/shell/Icons.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {
namespace {

using Answer = std::function<void(const QString&)>;

/// Gives the answer at most once, and only while the context lives.
void answerWhenClosed(QDialog* dialog, QWidget* context, const std::function<QString(bool accepted)>& text,
                      Answer answer) {
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setWindowModality(Qt::WindowModal);
    QObject::connect(dialog, &QDialog::finished, context,
                     [text, answer = std::move(answer)](int code) { answer(text(code == QDialog::Accepted)); });
    dialog->open();
}

QDialog* makeDialog(QWidget* context, const QString& title) {
    auto* dialog = new QDialog(context->window());
    dialog->setWindowTitle(title);
    dialog->setAccessibleName(title);
    dialog->setMinimumWidth(420);
    return dialog;
}

void openFileDialog(QWidget* context, QFileDialog* dialog, const QStringList& filters, Answer answer) {
    // Qt's own dialog: the desktop's would spin an event loop of its own on some platforms.
    dialog->setOption(QFileDialog::DontUseNativeDialog);
    dialog->setObjectName(QStringLiteral("fileDialog"));
    if (!filters.isEmpty()) dialog->setNameFilters(filters);
    // So wide that times stand in whole.
    const Theme& theme = Theme::current();
    dialog->resize(theme.scaled(820), theme.scaled(520));
    answerWhenClosed(
        dialog, context,
        [dialog](bool accepted) {
            const QStringList files = dialog->selectedFiles();
            return accepted && !files.isEmpty() ? files.first() : QString();
        },
        std::move(answer));
}

}  // namespace

void DialogQuestions::ask(QWidget* context, const Question& question, Answer answer) {
    QDialog* dialog = makeDialog(context, question.title);
    dialog->setObjectName(question.id + QStringLiteral("Dialog"));
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(dialog);
    column->setContentsMargins(theme.space(4), theme.space(4), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(2));
    auto* line = new QHBoxLayout;
    line->setSpacing(theme.space(2));
    bool destructive = false;
    for (const auto& button : question.buttons) destructive = destructive || button.destructive;
    QString iconName = question.icon;
    if (iconName.isEmpty()) iconName = destructive ? QStringLiteral("warning") : QStringLiteral("help");
    auto* picture = new QLabel(dialog);
    picture->setPixmap(ui::icon(iconName, destructive ? Role::Danger : Role::Accent)
                           .pixmap(QSize(24, 24), dialog->devicePixelRatioF()));
    line->addWidget(picture, 0, Qt::AlignTop);
    auto* words = new QVBoxLayout;
    auto* headline = new TextLabel(question.title, TextStyle::Section, Role::Text, dialog);
    headline->setWordWrap(true);
    words->addWidget(headline);
    auto* text = new TextLabel(question.text, TextStyle::Body, Role::Muted, dialog);
    text->setWordWrap(true);
    text->setMinimumWidth(340);
    words->addWidget(text);
    line->addLayout(words, 1);
    column->addLayout(line);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch();
    auto chosen = std::make_shared<QString>();
    auto* cancel = new QuietButton(tr("Cancel"), {}, dialog);
    cancel->setObjectName(QStringLiteral("cancelButton"));
    QObject::connect(cancel, &QPushButton::clicked, dialog, &QDialog::reject);
    buttons->addWidget(cancel);
    for (std::size_t i = 0; i < question.buttons.size(); ++i) {
        const auto& wanted = question.buttons[i];
        QPushButton* button = nullptr;
        if (i + 1 == question.buttons.size()) {
            button = new PrimaryButton(wanted.label, {}, dialog);
            if (wanted.destructive) button->setProperty("look", QStringLiteral("danger"));
        } else {
            auto* quiet = new QuietButton(wanted.label, {}, dialog);
            quiet->setDestructive(wanted.destructive);
            button = quiet;
        }
        button->setObjectName(wanted.id + QStringLiteral("Button"));
        QObject::connect(button, &QPushButton::clicked, dialog, [dialog, chosen, id = wanted.id] {
            *chosen = id;
            dialog->accept();
        });
        buttons->addWidget(button);
        if (i + 1 == question.buttons.size()) {
            // Enter must never destroy by habit.
            (destructive ? cancel : button)->setDefault(true);
            (destructive ? static_cast<QWidget*>(cancel) : button)->setFocus();
        }
    }
    column->addLayout(buttons);
    answerWhenClosed(
        dialog, context, [chosen](bool accepted) { return accepted ? *chosen : QString(); }, std::move(answer));
}

void DialogQuestions::chooseFolder(QWidget* context, const QString& title, const QString& start, Answer answer) {
    auto* dialog = new QFileDialog(context->window(), title, start);
    dialog->setFileMode(QFileDialog::Directory);
    dialog->setOption(QFileDialog::ShowDirsOnly);
    openFileDialog(context, dialog, {}, std::move(answer));
}

void DialogQuestions::chooseFile(QWidget* context, const QString& title, const QString& start,
                                 const QStringList& filters, Answer answer) {
    auto* dialog = new QFileDialog(context->window(), title, start);
    dialog->setFileMode(QFileDialog::ExistingFile);
    openFileDialog(context, dialog, filters, std::move(answer));
}

void DialogQuestions::chooseSaveFile(QWidget* context, const QString& title, const QString& suggested,
                                     const QStringList& filters, Answer answer) {
    const QFileInfo place(suggested);
    auto* dialog = new QFileDialog(context->window(), title, place.path());
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setFileMode(QFileDialog::AnyFile);
    dialog->setDefaultSuffix(place.suffix());
    dialog->selectFile(place.fileName());
    openFileDialog(context, dialog, filters, std::move(answer));
}

void DialogQuestions::askText(QWidget* context, const QString& title, const QString& label, const QString& text,
                              std::function<QString(const QString&)> check, Answer answer) {
    QDialog* dialog = makeDialog(context, title);
    dialog->setObjectName(QStringLiteral("textDialog"));
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(dialog);
    column->setContentsMargins(theme.space(4), theme.space(4), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(1));
    column->addWidget(new TextLabel(title, TextStyle::Section, Role::Text, dialog));
    column->addWidget(new TextLabel(label, TextStyle::Secondary, Role::Muted, dialog));
    auto* edit = new QLineEdit(text, dialog);
    edit->setAccessibleName(label);
    edit->selectAll();
    column->addWidget(edit);
    auto* wrong = new TextLabel({}, TextStyle::Secondary, Role::Danger, dialog);
    wrong->setWordWrap(true);
    wrong->setMinimumHeight(wrong->fontMetrics().height());
    column->addWidget(wrong);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch();
    auto* cancel = new QuietButton(tr("Cancel"), {}, dialog);
    cancel->setAutoDefault(false);
    auto* accept = new PrimaryButton(tr("OK"), {}, dialog);
    accept->setObjectName(QStringLiteral("okButton"));
    accept->setDefault(true);
    buttons->addWidget(cancel);
    buttons->addWidget(accept);
    column->addLayout(buttons);
    const auto look = [edit, wrong, accept, check] {
        const QString problem = check ? check(edit->text()) : QString();
        wrong->setText(problem);
        edit->setProperty("invalid", !problem.isEmpty());
        edit->update();
        accept->setEnabled(problem.isEmpty());
    };
    QObject::connect(edit, &QLineEdit::textChanged, dialog, look);
    look();
    QObject::connect(cancel, &QPushButton::clicked, dialog, &QDialog::reject);
    QObject::connect(accept, &QPushButton::clicked, dialog, &QDialog::accept);
    edit->setFocus();
    answerWhenClosed(
        dialog, context, [edit](bool accepted) { return accepted ? edit->text() : QString(); }, std::move(answer));
}

void PreparedQuestions::reply(QWidget* context, const QString& name, const QString& text, Answer answer) {
    m_asked << name;
    m_texts << text;
    QString next;
    if (!m_answers.empty()) {
        next = m_answers.front();
        m_answers.pop_front();
    }
    QTimer::singleShot(0, context, [answer = std::move(answer), next] { answer(next); });
}

void PreparedQuestions::ask(QWidget* context, const Question& question, Answer answer) {
    reply(context, question.id, question.text, std::move(answer));
}

void PreparedQuestions::chooseFolder(QWidget* context, const QString& title, const QString& start, Answer answer) {
    reply(context, title, start, std::move(answer));
}

void PreparedQuestions::chooseFile(QWidget* context, const QString& title, const QString& start, const QStringList&,
                                   Answer answer) {
    reply(context, title, start, std::move(answer));
}

void PreparedQuestions::chooseSaveFile(QWidget* context, const QString& title, const QString& suggested,
                                       const QStringList&, Answer answer) {
    reply(context, title, suggested, std::move(answer));
}

void PreparedQuestions::askText(QWidget* context, const QString& title, const QString& label, const QString&,
                                std::function<QString(const QString&)>, Answer answer) {
    reply(context, title, label, std::move(answer));
}

}  // namespace trainyard::ui
