#include "ui/runs/WeightsPanel.h"

#include <QComboBox>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/RunRef.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Details.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kComparePauseMillis = 700;
/// Below so many a network that begins from nothing learns little.
constexpr std::int64_t kFewPictures = 5000;
constexpr int kMostRunsOffered = 20;
const QString kFamily = QStringLiteral("task.model.family");
const QString kWeightsSource = QStringLiteral("task.model.weights.source");

QString textValue(const FormDocument& document, const QString& path) {
    const Json value = document.value(path);
    return value.is_string() ? fromUtf8(value.get<std::string>()) : QString();
}

QString namesText(const Json& list) {
    constexpr std::size_t kNamed = 4;
    const Json names = readArray(list, "names");
    QStringList shown;
    for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i) shown << fromUtf8(names[i].get<std::string>());
    if (readInteger(list, "count") > static_cast<std::int64_t>(shown.size())) shown << QStringLiteral("…");
    return shown.join(QStringLiteral(", "));
}

}  // namespace

WeightsPanel::WeightsPanel(Shell& shell, FormDocument& document, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_document(document) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, theme.space(1), 0, 0);
    column->setSpacing(theme.space(0));
    m_choice = new QWidget(this);
    auto* line = new QVBoxLayout(m_choice);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(theme.space(0));
    line->addWidget(new TextLabel(tr("Weights at hand"), TextStyle::Body, Role::Text, m_choice));
    m_published = new QComboBox(m_choice);
    m_published->setObjectName(QStringLiteral("publishedWeights"));
    m_published->setAccessibleName(tr("Published weights and earlier trainings to start from"));
    m_published->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_published->setMinimumContentsLength(18);
    line->addWidget(m_published);
    column->addWidget(m_choice);
    m_told = new QWidget(this);
    m_told->setObjectName(QStringLiteral("weightsMatch"));
    m_lines = new QVBoxLayout(m_told);
    m_lines->setContentsMargins(0, theme.space(0), 0, 0);
    m_lines->setSpacing(theme.space(0));
    m_told->hide();
    column->addWidget(m_told);
    m_progress = new ProgressStrip(this);
    m_progress->setCancelable(true);
    m_progress->hide();
    column->addWidget(m_progress);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("weightsMatchError"));
    m_error->clear();
    column->addWidget(m_error);
    m_few = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_few->setObjectName(QStringLiteral("fewPicturesLabel"));
    m_few->setWordWrap(true);
    column->addWidget(m_few);
    m_fineTune = new LinkButton(tr("Set up for fine-tuning"), this);
    m_fineTune->setObjectName(QStringLiteral("fineTuneLink"));
    m_fineTune->setToolTip(tr("Trained weights, small batches, and a low rate that is lower still below the head"));
    column->addWidget(m_fineTune, 0, Qt::AlignLeft);

    m_pause.setSingleShot(true);
    m_pause.setInterval(kComparePauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &WeightsPanel::compare);
    connect(m_published, &QComboBox::activated, this,
            [this] { m_document.setValue(kWeightsSource, m_published->currentData().toString().toStdString()); });
    connect(m_fineTune, &LinkButton::clicked, this, [this] {
        const QString source = textValue(m_document, kWeightsSource);
        Q_EMIT fineTuneWanted(source.isEmpty() ? m_published->itemData(1).toString() : source);
    });
    connect(m_progress, &ProgressStrip::cancelRequested, this, [this] {
        if (m_fetch) m_fetch->cancel();
    });
    connect(&m_document, &FormDocument::documentReplaced, this, &WeightsPanel::followDocument);
    connect(&m_document, &FormDocument::documentEdited, this, &WeightsPanel::followDocument);
    readList();
}

void WeightsPanel::readList() {
    m_shell.session()->start("weights.list", Json::object(), this, [this](const Result<Json>& listed) {
        if (listed) m_weights = readArray(*listed, "weights");
        followDocument();
    });
    m_runsOf.clear();
    readRuns();
}

void WeightsPanel::readRuns() {
    const std::string family = textValue(m_document, kFamily).toStdString();
    if (family == m_runsOf) return;
    m_runsOf = family;
    m_runs.clear();
    m_shell.session()->query(
        this, QStringLiteral("new.weights"),
        [family](store::Reader& reader) -> Result<std::vector<store::RunRow>> {
            store::RunQuery query;
            query.filter = "task:train state:completed model:" + family;
            query.limit = kMostRunsOffered;
            auto page = reader.listRuns(query);
            if (!page) return page.error();
            return std::move(page->rows);
        },
        [this, family](Result<std::vector<store::RunRow>> rows) {
            if (!rows || family != m_runsOf) return;
            m_runs = std::move(*rows);
            followDocument();
        });
}

void WeightsPanel::refill() {
    const std::string family = textValue(m_document, kFamily).toStdString();
    m_published->clear();
    m_published->addItem(tr("None of these"), QString());
    for (const Json& one : m_weights) {
        if (readText(one, "family") != family) continue;
        const QString size = readFlag(one, "fetched") ? formatBytes(readInteger(one, "bytes")) : tr("not fetched yet");
        m_published->addItem(tr("%1 (%2)").arg(readString(one, "title"), size),
                             QString(QStringLiteral("pretrained:") + readString(one, "id")));
        m_published->setItemData(
            m_published->count() - 1,
            tr("%1\n%2. %3").arg(readString(one, "source"), readString(one, "licence"), readString(one, "remark")),
            Qt::ToolTipRole);
    }
    for (const store::RunRow& row : m_runs) {
        QString text = tr("Run #%1, %2").arg(row.number).arg(fromUtf8(row.name));
        if (const store::MetricSummary* metric = headMetric(row))
            text += tr(" (%1)").arg(formatMetric(metric->name, bestOf(*metric)));
        m_published->addItem(text, QString(QStringLiteral("run:") + fromUtf8(row.id.str())));
    }
}

void WeightsPanel::followDocument() {
    readRuns();
    refill();
    const QString source = textValue(m_document, kWeightsSource);
    m_published->setCurrentIndex(std::max(0, m_published->findData(source)));
    const bool trains = textValue(m_document, QStringLiteral("task.kind")) != u"command";
    m_choice->setVisible(m_published->count() > 1);
    setVisible(trains && (m_published->count() > 1 || !source.isEmpty()));
    showAdvice();
    // The comparison is one of source, model and data.
    const Json* task = member(m_document.document(), "task");
    const QString wanted = source.isEmpty() || !trains || !task
                               ? QString()
                               : fromUtf8(base::dumpJson({readObject(*task, "model"), readObject(*task, "dataset")}));
    if (wanted == m_compared) return;
    m_compared = wanted;
    clearMatch();
    m_error->clear();
    if (m_match) m_match->cancel();
    if (wanted.isEmpty()) {
        m_pause.stop();
    } else {
        m_pause.start();
    }
}

void WeightsPanel::compare() {
    if (m_compared.isEmpty() || m_fetch) return;
    m_match = m_shell.session()->start("weights.match", {{"spec", m_document.document()}});
    connect(m_match, &commands::Command::finished, this, [this, of = m_compared](const Result<Json>& result) {
        if (of != m_compared) return;
        m_match = nullptr;
        if (result) {
            showMatch(*result);
            return;
        }
        const base::Error& error = result.error();
        // What is wrong with the data or the model is said at their fields.
        if (error.code == "canceled" || (!error.field.empty() && error.field != kWeightsSource.toStdString())) return;
        if (error.code == "weights.absent") {
            m_error->setMessage(InlineError::Kind::Info, fromUtf8(error.message));
            const QString source = textValue(m_document, kWeightsSource);
            m_error->setRemedy(tr("Fetch now"), [this, source] { fetch(source); });
        } else if (error.code == "weights.elsewhere") {
            m_error->setMessage(InlineError::Kind::Info, fromUtf8(error.message));
        } else {
            m_error->setError(error);
        }
    });
}

void WeightsPanel::takeFile(const QString& file) {
    const QString source = textValue(m_document, kWeightsSource);
    const auto absent = [&source](const Json& one) {
        return source == QStringLiteral("pretrained:") + readString(one, "id") && !readFlag(one, "fetched");
    };
    if (std::any_of(m_weights.begin(), m_weights.end(), absent)) {
        fetch(source, file);
    } else {
        m_document.setValue(kWeightsSource, file.toStdString());
    }
}

void WeightsPanel::fetch(const QString& id, const QString& file) {
    if (m_fetch) return;
    m_error->clear();
    m_progress->setTitle(file.isEmpty() ? tr("Fetching the weights") : tr("Checking the file"));
    m_progress->setFraction(std::nullopt);
    m_progress->show();
    m_fetch = m_shell.session()->start("weights.fetch", {{"weights", id.toStdString()}, {"file", file.toStdString()}});
    connect(m_fetch, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        m_progress->setFraction(progress.fraction >= 0 ? std::optional(progress.fraction) : std::nullopt);
    });
    connect(m_fetch, &commands::Command::finished, this, [this](const Result<Json>& result) {
        m_fetch = nullptr;
        m_progress->hide();
        if (result) {
            readList();
            compare();
        } else if (result.error().code != "canceled") {
            m_error->setError(result.error());
        }
    });
}

void WeightsPanel::clearMatch() {
    m_told->hide();
    emptyLayout(m_lines);
}

void WeightsPanel::showMatch(const Json& match) {
    clearMatch();
    const auto count = [&](const char* key) { return static_cast<int>(readInteger(readObject(match, key), "count")); };
    const auto add = [&](const FindingLook& look, const QString& text) {
        auto* line = new MarkedLine(look, m_told);
        line->say(text, TextStyle::Secondary, Role::Text);
        m_lines->addWidget(line);
    };
    const auto named = [&](const char* key, const FindingLook& look, const QString& text) {
        if (count(key) > 0) add(look, text.arg(namesText(readObject(match, key))));
    };
    const FindingLook anew{QStringLiteral("refresh"), tr("Begins anew"), Role::Accent};
    add(lookOfFinding(count("matched") > 0 ? QStringLiteral("ok") : QStringLiteral("failure")),
        tr("Taken over: %n tensor(s).", nullptr, count("matched")));
    named("reinitialised", anew,
          tr("Of another shape, begin anew: %n tensor(s), %1.", nullptr, count("reinitialised")));
    named("missing", anew, tr("Not in the file, begin anew: %n tensor(s), %1.", nullptr, count("missing")));
    named("unused", {QStringLiteral("minus"), tr("Not used"), Role::Muted},
          tr("Of the file not used: %n tensor(s), %1.", nullptr, count("unused")));
    m_told->show();
}

void WeightsPanel::setPictures(std::int64_t training) {
    m_pictures = training;
    showAdvice();
}

void WeightsPanel::showAdvice() {
    const bool random = textValue(m_document, kWeightsSource).isEmpty();
    m_fineTune->setVisible(m_pictures > 0);
    m_few->setVisible(m_pictures > 0 && m_pictures < kFewPictures && random);
    m_few->setText(tr("%1 pictures are few to learn from alone; trained weights know most of it already.")
                       .arg(formatExact(m_pictures)));
}

}  // namespace trainyard::ui
