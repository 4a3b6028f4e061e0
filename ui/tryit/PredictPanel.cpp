#include "ui/tryit/PredictPanel.h"

#include <QCoreApplication>
#include <QFile>
#include <QFileInfo>
#include <QStackedWidget>
#include <QThreadPool>
#include <QVBoxLayout>
#include <algorithm>
#include <utility>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/PictureView.h"
#include "ui/runs/Pictures.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Shell.h"
#include "ui/tryit/TryItParts.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Splitter.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

/// More than anybody looks through; the rest is for the command line.
constexpr std::size_t kMostShown = 2000;
constexpr int kTop = 5;

QString lineOf(const Json& prediction) {
    const QString name = QFileInfo(readString(prediction, "file")).fileName();
    const Json top = readArray(prediction, "top");
    if (top.empty()) return QObject::tr("%1\nnot readable").arg(name);
    return QObject::tr("%1\n%2 %3")
        .arg(name, readString(top[0], "label"), formatPercent(readNumber(top[0], "probability")));
}

}  // namespace

PredictPanel::PredictPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(1));
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("predictError"));
    m_error->clear();
    column->addWidget(m_error);
    m_progress = new ProgressStrip(this);
    m_progress->setTitle(tr("Looking at the pictures"));
    m_progress->setCancelable(true);
    m_progress->hide();
    column->addWidget(m_progress);
    m_stack = new QStackedWidget(this);
    column->addWidget(m_stack, 1);

    m_empty = new EmptyState(
        QStringLiteral("tryit"), tr("What does it see?"),
        tr("Drop pictures or a folder of them here. JPEG and PNG files are shown to the model as it was validated: "
           "resized, the centre cut out, normalised."),
        m_stack);
    auto* first = m_empty->addPrimary(tr("Choose a picture…"), QStringLiteral("tryit"));
    first->setObjectName(QStringLiteral("tryChoosePicture"));
    connect(first, &QPushButton::clicked, this, &PredictPanel::choosePicture);
    connect(m_empty->addSecondary(tr("Choose a folder…"), QStringLiteral("folder")), &QPushButton::clicked, this,
            &PredictPanel::chooseFolder);
    m_stack->addWidget(m_empty);

    auto* splitter = new Splitter(Qt::Horizontal, m_stack);
    splitter->setFoldBelow(760);
    m_content = splitter;
    auto* left = new QWidget(splitter);
    auto* leftColumn = new QVBoxLayout(left);
    leftColumn->setContentsMargins(0, 0, 0, 0);
    leftColumn->setSpacing(theme.space(1));
    auto* buttons = new QHBoxLayout;
    buttons->setSpacing(theme.space(1));
    m_count = new TextLabel({}, TextStyle::Secondary, Role::Muted, left);
    buttons->addWidget(m_count, 1);
    auto* folder = new QuietButton(tr("Folder…"), QStringLiteral("folder"), left);
    folder->setObjectName(QStringLiteral("tryAddFolder"));
    connect(folder, &QuietButton::clicked, this, &PredictPanel::chooseFolder);
    buttons->addWidget(folder);
    auto* none = new QuietButton(tr("Clear"), QStringLiteral("close"), left);
    none->setObjectName(QStringLiteral("tryClear"));
    connect(none, &QuietButton::clicked, this, &PredictPanel::clearPictures);
    buttons->addWidget(none);
    leftColumn->addLayout(buttons);
    m_list = new PictureList(false, tr("Pictures that were looked at"), left);
    m_list->setObjectName(QStringLiteral("tryPictures"));
    connect(m_list, &QListWidget::currentRowChanged, this, &PredictPanel::show);
    leftColumn->addWidget(m_list, 1);
    splitter->addWidget(left);

    auto* card = new Card(splitter);
    m_file = new ElidedLabel({}, TextStyle::Section, Role::Text, card);
    m_file->setElideMode(Qt::ElideMiddle);
    m_file->setObjectName(QStringLiteral("tryFileLabel"));
    card->body()->addWidget(m_file);
    m_picture = new PictureView(card);
    m_picture->setAccessibleName(tr("The picture"));
    card->body()->addWidget(m_picture, 1);
    m_bad = new InlineError(card);
    m_bad->setObjectName(QStringLiteral("tryBadPicture"));
    m_bad->clear();
    card->body()->addWidget(m_bad);
    m_bars = new ProbabilityBars(card);
    m_bars->setObjectName(QStringLiteral("tryBars"));
    card->body()->addWidget(m_bars);
    m_time = new TextLabel({}, TextStyle::Secondary, Role::Muted, card);
    m_time->setObjectName(QStringLiteral("tryTimeLabel"));
    card->body()->addWidget(m_time);
    splitter->addWidget(card);
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 2);
    splitter->setSizes({340, 720});
    m_stack->addWidget(splitter);
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        m_waiting.clear();
        if (m_command) m_command->cancel();
    });
}

void PredictPanel::setModel(const QString& model) {
    if (model == m_model) return;
    m_model = model;
    m_error->clear();
    QStringList files;
    for (const Json& one : m_predictions) files << readString(one, "file");
    files << m_waiting;
    m_waiting.clear();
    if (m_command) {
        m_command->disconnect(this);
        m_command->cancel();
        m_command = nullptr;
    }
    m_predictions.clear();
    m_list->clearEntries();
    m_progress->hide();
    if (files.isEmpty() || m_model.isEmpty()) {
        m_stack->setCurrentWidget(m_empty);
        Q_EMIT changed();
    } else {
        predict(files);
    }
}

void PredictPanel::addPictures(const QStringList& paths) {
    QStringList fresh;
    for (const QString& path : paths) {
        const auto known = std::find_if(m_predictions.begin(), m_predictions.end(),
                                        [&](const Json& one) { return readString(one, "file") == path; });
        if (known == m_predictions.end()) {
            fresh << path;
        } else {
            m_list->setCurrentRow(static_cast<int>(known - m_predictions.begin()));
        }
    }
    if (fresh.isEmpty()) return;
    if (!m_model.isEmpty()) return predict(fresh);
    // The model is still being looked at.
    m_waiting << fresh;
    m_progress->setFraction(std::nullopt);
    m_progress->show();
}

void PredictPanel::choosePicture() {
    m_shell.questions().chooseFile(this, tr("Choose a picture"), QString(),
                                   {tr("Pictures (*.jpg *.jpeg *.png *.JPG *.JPEG *.PNG)")},
                                   [this](const QString& file) {
                                       if (!file.isEmpty()) addPictures({file});
                                   });
}

void PredictPanel::chooseFolder() {
    m_shell.questions().chooseFolder(this, tr("Choose a folder of pictures"), QString(), [this](const QString& folder) {
        if (!folder.isEmpty()) addPictures({folder});
    });
}

void PredictPanel::clearPictures() {
    m_waiting.clear();
    if (m_command) m_command->cancel();
    m_predictions.clear();
    m_list->clearEntries();
    m_shownFile.clear();
    m_error->clear();
    m_stack->setCurrentWidget(m_empty);
    Q_EMIT changed();
}

void PredictPanel::predict(const QStringList& paths) {
    if (m_command) {
        m_waiting << paths;
        return;
    }
    m_error->clear();
    Json files = Json::array();
    for (const QString& path : paths) files.push_back(path.toStdString());
    m_progress->setFraction(std::nullopt);
    m_progress->setDetail(QString());
    m_progress->show();
    m_command = m_shell.session()->start(
        "model.predict", {{"model", m_model.toStdString()}, {"files", std::move(files)}, {"top", kTop}});
    connect(m_command, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        m_progress->setFraction(progress.fraction >= 0 ? std::optional(progress.fraction) : std::nullopt);
    });
    connect(m_command, &commands::Command::finished, this, &PredictPanel::take);
    Q_EMIT changed();
}

void PredictPanel::take(const Result<Json>& result) {
    m_command = nullptr;
    m_progress->hide();
    if (result) {
        int first = -1;
        bool cut = false;
        for (const Json& one : readArray(*result, "predictions")) {
            const QString file = readString(one, "file");
            const auto known = std::find_if(m_predictions.begin(), m_predictions.end(),
                                            [&](const Json& shown) { return readString(shown, "file") == file; });
            const auto row = static_cast<int>(known - m_predictions.begin());
            if (known != m_predictions.end()) {
                *known = one;
                m_list->setEntryText(row, lineOf(one), file);
            } else if (m_predictions.size() < kMostShown) {
                m_predictions.push_back(one);
                m_list->addEntry({file, {}, lineOf(one), file});
            } else {
                cut = true;
                continue;
            }
            first = first < 0 ? row : first;
        }
        m_count->setText(tr("%n picture(s)", nullptr, static_cast<int>(m_predictions.size())));
        if (cut) {
            m_error->setMessage(
                InlineError::Kind::Info,
                tr("Only the first %1 pictures are shown. The command line tells all: trainyard-cli model predict.")
                    .arg(formatExact(static_cast<std::int64_t>(kMostShown))));
        }
        m_stack->setCurrentWidget(m_content);
        m_list->setCurrentRow(first);
        show(first);
    } else if (result.error().code != "canceled") {
        m_error->setError(result.error());
    }
    if (m_predictions.empty()) m_stack->setCurrentWidget(m_empty);
    Q_EMIT changed();
    if (!m_waiting.isEmpty()) predict(std::exchange(m_waiting, {}));
}

void PredictPanel::show(int row) {
    if (row < 0 || row >= static_cast<int>(m_predictions.size())) return;
    const Json& prediction = m_predictions[static_cast<std::size_t>(row)];
    const QString file = readString(prediction, "file");
    m_file->setText(QFileInfo(file).fileName());
    m_file->setToolTip(file);
    m_bars->setTop(readArray(prediction, "top"));
    const Json error = readObject(prediction, "error");
    if (error.empty()) {
        m_bad->clear();
    } else {
        m_bad->setMessage(InlineError::Kind::Error, readString(error, "message"));
    }
    m_bars->setVisible(error.empty());
    m_time->setVisible(error.empty());
    m_time->setText(tr("%1 from the file to the answer")
                        .arg(formatDuration(static_cast<std::int64_t>(readNumber(prediction, "seconds") * 1e9))));
    showPicture(file);
}

void PredictPanel::showPicture(const QString& file) {
    m_shownFile = file;
    const QPointer<PredictPanel> self(this);
    QThreadPool::globalInstance()->start([self, file] {
        QImage image;
        QFile source(file);
        if (source.open(QIODevice::ReadOnly) && source.size() <= kMostPictureBytes) {
            if (auto decoded = decodePicture(source.readAll())) image = std::move(*decoded);
        }
        QMetaObject::invokeMethod(
            qApp,
            [self, file, image] {
                if (self && self->m_shownFile == file) self->m_picture->setPicture(image);
            },
            Qt::QueuedConnection);
    });
}

}  // namespace trainyard::ui
