#include "ui/runs/NewRunPage.h"

#include <QFile>
#include <QFileInfo>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QPointer>
#include <QResizeEvent>
#include <QScrollArea>
#include <QThread>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "core/base/Files.h"
#include "core/commands/Session.h"
#include "core/spec/DatasetLocation.h"
#include "core/spec/RunSpec.h"
#include "core/store/Reader.h"
#include "ui/datasets/AugmentPanel.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/EnvironmentPicker.h"
#include "ui/runs/NewRunPanels.h"
#include "ui/runs/PatternPanel.h"
#include "ui/runs/PreflightPanel.h"
#include "ui/runs/RunRef.h"
#include "ui/runs/WeightsPanel.h"
#include "ui/runs/WherePanels.h"
#include "ui/shell/Icons.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Focus.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr int kThreeColumnsFrom = 1060;
constexpr int kTwoColumnsFrom = 700;
constexpr int kSaveMillis = 300;
constexpr qsizetype kMostKeptSample = 8000;  ///< Of pasted lines, characters.
constexpr const char* kDraftKey = "new.draft";

bool isIn(const spec::Field& field, std::initializer_list<const char*> groups) {
    return std::any_of(groups.begin(), groups.end(), [&](const char* group) { return field.group == group; });
}

std::int64_t integerAt(const Json& document, std::string_view path, std::int64_t fallback) {
    const Json* value = spec::valueAt(document, path);
    return value && value->is_number_integer() ? value->get<std::int64_t>() : fallback;
}

std::string textAt(const Json& document, std::string_view path) {
    const Json* value = spec::valueAt(document, path);
    return value && value->is_string() ? value->get<std::string>() : std::string();
}

/// What of a document a check depends on.
Json triedOf(const Json& document) {
    return Json::array(
        {readObject(document, "task"), readObject(document, "distribution"), textAt(document, "target")});
}

}  // namespace

MachineFacts machineFacts() {
    MachineFacts facts;
    facts.cores = QThread::idealThreadCount();
    QFile memory(QStringLiteral("/proc/meminfo"));
    if (memory.open(QIODevice::ReadOnly)) {
        const QList<QByteArray> lines = memory.readAll().split('\n');
        for (const QByteArray& line : lines) {
            const std::int64_t bytes = line.simplified().split(' ').value(1).toLongLong() * 1024;
            if (line.startsWith("MemTotal:")) facts.memoryBytes = bytes;
            if (line.startsWith("MemAvailable:")) facts.memoryFreeBytes = bytes;
        }
    }
    double averages[1] = {0};
    if (::getloadavg(averages, 1) == 1) facts.load = averages[0];
    return facts;
}

NewRunPage::NewRunPage(Shell& shell, QWidget* parent)
    : Page(QStringLiteral("new"), parent), m_shell(shell),
      m_document(new FormDocument(spec::runSpecFields(), &spec::validateRunSpec, this)) {
    const Theme& theme = Theme::current();
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    buildColumns();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(3));
    column->setSpacing(theme.space(3));
    m_error = new InlineError(content);
    m_error->setObjectName(QStringLiteral("newRunError"));
    m_error->clear();
    column->addWidget(m_error);
    column->addWidget(m_columns);
    buildCopies();
    column->addWidget(m_copies);
    column->addStretch(1);
    outer->addWidget(makeScrollPage(content, 1680, this), 1);
    outer->addWidget(buildSummary());

    m_launch = new QAction(icon(QStringLiteral("play"), Role::AccentText), tr("Launch"), this);
    m_launch->setObjectName(QStringLiteral("launchAction"));
    m_launch->setShortcut(Qt::CTRL | Qt::Key_Return);
    m_launch->setToolTip(tr("Launch (Ctrl+Enter)"));
    connect(m_launch, &QAction::triggered, this, &NewRunPage::launch);
    setPrimaryAction(m_launch);
    auto* sample = new QAction(icon(QStringLiteral("image")), tr("Fill in the sample"), this);
    sample->setObjectName(QStringLiteral("sampleAction"));
    connect(sample, &QAction::triggered, this, &NewRunPage::loadSample);
    auto* clear = new QAction(icon(QStringLiteral("reset")), tr("Start over"), this);
    clear->setObjectName(QStringLiteral("startOverAction"));
    connect(clear, &QAction::triggered, this, [this] {
        const Json before = m_document->document();
        const QString origin = m_origin;
        load(spec::defaultRunSpecDocument(), {});
        m_shell.notice(tr("The form was cleared."), [this, before, origin] { load(before, origin); });
    });
    setContextActions({sample, clear});

    m_save.setSingleShot(true);
    m_save.setInterval(kSaveMillis);
    connect(&m_save, &QTimer::timeout, this,
            [this] { m_shell.store(QString::fromLatin1(kDraftKey), m_document->document()); });
    m_estimateSoon.setSingleShot(true);
    m_estimateSoon.setInterval(kSaveMillis);
    connect(&m_estimateSoon, &QTimer::timeout, this, &NewRunPage::estimate);
    connect(m_document, &FormDocument::documentEdited, this, &NewRunPage::edited);
    connect(m_document, &FormDocument::valueChanged, this, &NewRunPage::coupleDistribution);
    connect(m_document, &FormDocument::documentReplaced, this, &NewRunPage::refreshPanels);
    connect(m_document, &FormDocument::errorsChanged, this, &NewRunPage::refreshSummary);
    connect(m_data, &DatasetPanel::read, this, [this](const std::vector<Error>& problems) {
        m_dataProblems = problems;
        takeProblems();
        refreshPanels();
    });
    connect(m_data, &DatasetPanel::picked, this, &NewRunPage::useDataset);
    connect(m_model, &ModelPanel::refused, this, [this](const std::vector<Error>& problems) {
        m_modelProblems = problems;
        takeProblems();
    });

    const Json draft = shell.stored(QString::fromLatin1(kDraftKey));
    load(draft.is_object() && !draft.empty() ? draft : spec::defaultRunSpecDocument(), {});
}

NewRunPage::~NewRunPage() {
    if (m_save.isActive()) m_shell.store(QString::fromLatin1(kDraftKey), m_document->document());
}

void NewRunPage::buildColumns() {
    const Theme& theme = Theme::current();
    Questions* questions = &m_shell.questions();
    m_columns = new QWidget(this);
    m_grid = new QGridLayout(m_columns);
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setHorizontalSpacing(theme.space(3));
    m_grid->setVerticalSpacing(theme.space(1));
    m_what = new FormView(
        *m_document, questions,
        [](const spec::Field& f) {
            return isIn(f, {"Run", "Script", "Data", "Model"});
        },
        m_columns);
    m_how = new FormView(
        *m_document, questions,
        [](const spec::Field& f) {
            return isIn(f, {"Optimizer", "Schedule", "Training", "Augmentation"});
        },
        m_columns);
    m_where = new FormView(
        *m_document, questions,
        [](const spec::Field& f) {
            return f.path != "target" && f.path != "environment" && isIn(f, {"Where", "Limits"});
        },
        m_columns);
    const QString titles[] = {tr("What"), tr("How"), tr("Where")};
    for (int i = 0; i < 3; ++i) m_titles[i] = new SectionTitle(titles[i], m_columns);

    // The column is called so already.
    if (Card* card = m_where->groupCard(QStringLiteral("Where"))) card->setTitleVisible(false);

    m_data = new DatasetPanel(m_shell, m_what);
    if (QVBoxLayout* header = m_what->groupHeader(QStringLiteral("Data"))) header->addWidget(m_data);
    m_patterns = new PatternPanel(m_shell, m_what);
    if (QVBoxLayout* footer = m_what->groupFooter(QStringLiteral("Script"))) footer->addWidget(m_patterns);
    connect(m_patterns, &PatternPanel::patternAdded, this, &NewRunPage::addPattern);
    // The patterns themselves are a field among the folded ones.
    connect(m_patterns, &PatternPanel::opened, this,
            [this] { m_what->setUnfolded(m_what->unfolded() << QStringLiteral("Script")); });
    connect(m_patterns, &PatternPanel::sampleChanged, this, &NewRunPage::stateChanged);
    m_model = new ModelPanel(m_what);
    m_weights = new WeightsPanel(m_shell, *m_document, m_what);
    if (QVBoxLayout* footer = m_what->groupFooter(QStringLiteral("Model"))) {
        footer->addWidget(m_weights);
        footer->addWidget(m_model);
    }
    connect(m_weights, &WeightsPanel::fineTuneWanted, this, &NewRunPage::fineTune);
    if (QVBoxLayout* footer = m_how->groupFooter(QStringLiteral("Augmentation")))
        footer->addWidget(new AugmentPanel(m_shell, *m_document, m_how));
    m_target = new TargetPicker(m_shell, m_where);
    m_environment = new EnvironmentPicker(m_shell, m_where);
    // What the other kind of target refuses at launch is not offered.
    connect(m_target, &TargetPicker::kindChanged, this, [this](const QString& kind) {
        std::vector<std::string> launchers;
        if (!kind.isEmpty()) launchers = {"auto", kind == u"slurm" ? "srun" : "mpirun"};
        m_where->offer(QStringLiteral("distribution.launcher"), launchers);
    });
    m_drawing = new DistributionDrawing(m_where);
    m_upload = new UploadPanel(m_shell, m_where);
    if (QVBoxLayout* header = m_where->groupHeader(QStringLiteral("Where"))) {
        header->addWidget(m_target);
        header->addWidget(m_environment);
        header->addWidget(m_drawing);
    }
    if (QVBoxLayout* footer = m_where->groupFooter(QStringLiteral("Where"))) footer->addWidget(m_upload);
    connect(m_target, &TargetPicker::picked, this,
            [this](const QString& target) { m_document->setValue(QStringLiteral("target"), target.toStdString()); });
    connect(m_environment, &EnvironmentPicker::picked, this, [this](const QString& environment) {
        m_document->setValue(QStringLiteral("environment"), environment.toStdString());
    });
}

void NewRunPage::buildCopies() {
    m_copies = new Card(tr("The same run elsewhere"), this);
    m_copyKind = new SegmentedControl(m_copies);
    m_copyKind->setObjectName(QStringLiteral("copyKindControl"));
    m_copyKind->setAccessibleName(tr("How to show the run"));
    m_copyKind->addSegment(tr("As JSON"));
    m_copyKind->addSegment(tr("As command line"));
    m_copyKind->setFixedWidth(280);
    m_copies->trailing()->addWidget(m_copyKind);
    m_copy = new CopyField(tr("The run as text"), m_copies);
    m_copy->setObjectName(QStringLiteral("copyField"));
    m_copy->setMultiline(true);
    m_copy->setMinimumHeight(200);
    m_copies->body()->addWidget(m_copy);
    connect(m_copyKind, &SegmentedControl::picked, this, &NewRunPage::refreshSummary);
}

QWidget* NewRunPage::buildSummary() {
    const Theme& theme = Theme::current();
    auto* bar = new QWidget(this);
    auto* column = new QVBoxLayout(bar);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(new Separator(Qt::Horizontal, bar));
    auto* inner = new QVBoxLayout;
    inner->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(1));
    inner->setSpacing(theme.space(1));
    m_preflight = new PreflightPanel(bar);
    inner->addWidget(m_preflight);
    m_checking = new ProgressStrip(bar);
    m_checking->setTitle(tr("Trying real steps"));
    m_checking->setCancelable(true);
    m_checking->hide();
    inner->addWidget(m_checking);
    auto* line = new QHBoxLayout;
    line->setSpacing(theme.space(3));
    const auto figure = [&](const char* name) {
        auto* label = new ElidedLabel({}, TextStyle::Body, Role::Text, bar);
        label->setObjectName(QString::fromLatin1(name));
        line->addWidget(label, 1);
        return label;
    };
    m_parameters = figure("summaryParametersLabel");
    m_steps = figure("summaryStepsLabel");
    m_estimate = figure("summaryEstimateLabel");
    m_check = new QuietButton(tr("Check"), QStringLiteral("check"), bar);
    m_check->setObjectName(QStringLiteral("checkButton"));
    m_check->setToolTip(tr("Tries real steps on this machine and tells memory, time, disk, what does not fit and the "
                           "largest batch that does"));
    line->addWidget(m_check);
    inner->addLayout(line);
    column->addLayout(inner);
    connect(m_check, &QuietButton::clicked, this, &NewRunPage::check);
    connect(m_preflight, &PreflightPanel::batchWanted, this, &NewRunPage::useBatch);
    connect(m_checking, &ProgressStrip::cancelRequested, this, [this] {
        if (m_checkCommand) m_checkCommand->cancel();
    });
    return bar;
}

void NewRunPage::resizeEvent(QResizeEvent* event) {
    Page::resizeEvent(event);
    arrange(event->size().width());
}

void NewRunPage::arrange(int width) {
    // How a script trains is its own affair: its form has no such column.
    const bool train = textAt(m_document->document(), "task.kind") != "command";
    const int columns = std::min(width >= kThreeColumnsFrom ? 3 : width >= kTwoColumnsFrom ? 2 : 1, train ? 3 : 2);
    const int wanted = 2 * columns + (train ? 1 : 0);
    if (wanted == m_arranged) return;
    m_arranged = wanted;
    while (QLayoutItem* item = m_grid->takeAt(0)) delete item;
    FormView* const views[] = {m_what, m_how, m_where};
    const std::pair<int, int> places3[] = {{0, 0}, {0, 1}, {0, 2}};
    const std::pair<int, int> places2[] = {{0, 0}, {0, 1}, {1, 1}};
    const std::pair<int, int> placesScript[] = {{0, 0}, {1, 0}, {0, 1}};
    const std::pair<int, int> places1[] = {{0, 0}, {1, 0}, {2, 0}};
    const auto* places = columns == 3 ? places3 : columns == 1 ? places1 : train ? places2 : placesScript;
    m_titles[1]->setVisible(train);
    m_how->setVisible(train);
    for (int i = 0; i < 3; ++i) m_grid->setColumnStretch(i, i < columns ? 1 : 0);
    for (int i = 0; i < 3; ++i) {
        if (i == 1 && !train) continue;
        const auto [row, col] = places[i];
        const int span = columns == 2 && train && i == 0 ? 3 : 1;
        m_grid->addWidget(m_titles[i], 2 * row, col);
        m_grid->addWidget(views[i], 2 * row + 1, col, span, 1, Qt::AlignTop);
    }
}

void NewRunPage::edited() {
    m_save.start();
    m_preflight->clear();
    m_triedSeconds = 0;
    refreshPanels();
}

void NewRunPage::coupleDistribution(const QString& path) {
    const Json& document = m_document->document();
    if (path == u"distribution.processes" || path == u"distribution.nodes") {
        const bool several =
            integerAt(document, "distribution.processes", 1) * integerAt(document, "distribution.nodes", 1) > 1;
        if (several && textAt(document, "distribution.kind") == "none")
            m_document->setValue(QStringLiteral("distribution.kind"), "pytorch");
    } else if (path == u"distribution.kind" && textAt(document, "distribution.kind") == "none") {
        m_document->setValue(QStringLiteral("distribution.processes"), 1);
        m_document->setValue(QStringLiteral("distribution.nodes"), 1);
    }
}

void NewRunPage::refreshPanels() {
    const Json& document = m_document->document();
    const bool train = textAt(document, "task.kind") != "command";
    arrange(width());
    m_data->setDataset(train ? readObject(readObject(document, "task"), "dataset") : Json::object());
    if (train) {
        // Until the files are read the model is reckoned for what most samples are.
        std::vector<std::int64_t> shape{1, 28, 28};
        std::int64_t classes = 10;
        if (const auto& preview = m_data->preview()) {
            shape = {preview->channels, preview->height, preview->width};
            classes = preview->classes;
        }
        const Json* options = spec::valueAt(document, "task.model.options");
        Json own = Json::object();
        const std::string family = textAt(document, "task.model.family");
        for (const spec::ModelFamily& one : spec::modelFamilies()) {
            if (one.id != family || !options) continue;
            for (const spec::Field& field : one.options) {
                if (const Json* value = spec::valueAt(*options, field.path)) spec::setValueAt(own, field.path, *value);
            }
        }
        m_model->setModel(family, own, shape, classes);
    }
    const bool own = train && textAt(document, "task.dataset.kind") == "images";
    m_weights->setPictures(own && m_data->preview() ? m_data->preview()->training : 0);
    std::vector<std::string> patterns;
    for (const Json& one : readArray(readObject(document, "task"), "patterns")) {
        if (one.is_string()) patterns.push_back(one.get<std::string>());
    }
    m_patterns->setPatterns(patterns);
    const bool local = textAt(document, "target") == "local";
    m_drawing->setShape(
        static_cast<int>(std::clamp<std::int64_t>(integerAt(document, "distribution.nodes", 1), 1, 10'000)),
        static_cast<int>(std::clamp<std::int64_t>(integerAt(document, "distribution.processes", 1), 1, 10'000)),
        local ? machineFacts().cores : 0, local);
    m_target->setDocument(document);
    m_environment->setDocument(document);
    m_estimateSoon.start();
    refreshSummary();
}

void NewRunPage::addPattern(const QString& pattern) {
    const QString path = QStringLiteral("task.patterns");
    Json all = m_document->value(path);
    if (!all.is_array()) all = Json::array();
    const Json one = pattern.toStdString();
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
    m_document->setValue(path, all);
}

void NewRunPage::takeProblems() {
    std::vector<Error> all = m_dataProblems;
    all.insert(all.end(), m_modelProblems.begin(), m_modelProblems.end());
    // What the form's own check says about a field is said better there.
    std::erase_if(all, [this](const Error& error) {
        const Json* value = spec::valueAt(m_document->document(), error.field);
        return error.field.starts_with("task.dataset.") && (!value || *value == "");
    });
    m_document->setOutsideErrors(std::move(all));
}

void NewRunPage::refreshSummary() {
    const Json& document = m_document->document();
    const bool train = textAt(document, "task.kind") != "command";
    m_parameters->setVisible(train);
    m_steps->setVisible(train);
    m_check->setEnabled(train && !m_checkCommand);
    m_parameters->setText(m_model->table() ? tr("%1 parameters").arg(formatCount(m_model->table()->parameters()))
                                           : tr("– parameters"));
    const std::int64_t limit = integerAt(document, "task.dataset.train_limit", 0);
    std::int64_t samples = m_data->preview() ? m_data->preview()->training : 0;
    if (limit > 0) samples = samples > 0 ? std::min(samples, limit) : limit;
    const std::int64_t batch = integerAt(document, "task.batch_size", 0);
    const std::int64_t epochs = integerAt(document, "task.epochs", 0);
    if (samples > 0 && batch > 0 && epochs > 0) {
        const std::int64_t perEpoch = (samples + batch - 1) / batch;
        m_steps->setText(
            tr("%1 steps in %n epoch(s)", nullptr, static_cast<int>(epochs)).arg(formatExact(perEpoch * epochs)));
    } else {
        m_steps->setText(tr("– steps"));
    }
    if (!train) {
        const bool script = !textAt(document, "task.script").empty();
        m_estimate->setText(script ? tr("A script: its length is not known beforehand.")
                                   : tr("A command: its length is not known beforehand."));
    } else if (m_triedSeconds > 0) {
        m_estimate->setText(
            tr("about %1, as tried").arg(formatDuration(static_cast<std::int64_t>(m_triedSeconds * 1e9))));
    } else if (m_pastRate > 0 && samples > 0 && epochs > 0) {
        const double seconds = static_cast<double>(samples * epochs) / static_cast<double>(m_pastRate);
        m_estimate->setText(tr("about %1, as in %n past run(s)", nullptr, m_pastRuns)
                                .arg(formatDuration(static_cast<std::int64_t>(seconds * 1e9))));
    } else {
        m_estimate->setText(tr("No past run to go by; try Check"));
    }
    const auto& errors = m_document->errors();
    m_upload->setDocument(document, errors.empty());
    m_environment->setError(m_document->errorText(QStringLiteral("environment")));
    m_launch->setToolTip(errors.empty() ? tr("Launch (Ctrl+Enter)") : fromUtf8(errors.front().message));
    m_copy->setText(m_copyKind->current() == 0 ? fromUtf8(base::dumpJsonPretty(document)) : commandLine());
}

QString NewRunPage::commandLine() const {
    return QStringLiteral("trainyard-cli run submit --file - --wait <<'SPEC'\n") +
           fromUtf8(base::dumpJsonPretty(m_document->document())) + QStringLiteral("SPEC\n");
}

void NewRunPage::estimate() {
    const Json& document = m_document->document();
    const std::string family = textAt(document, "task.model.family");
    const std::int64_t processes = integerAt(document, "distribution.processes", 1);
    struct Past {
        double rate = 0;
        int runs = 0;
    };
    m_shell.session()->query(
        this, QStringLiteral("new.estimate"),
        [family, processes](store::Reader& reader) -> Result<Past> {
            store::RunQuery query;
            query.filter = "task:train state:completed model:" + family;
            query.archived = store::Archived::Include;
            query.limit = 20;
            auto page = reader.listRuns(query);
            if (!page) return page.error();
            Past past;
            for (const store::RunRow& row : page->rows) {
                const store::MetricSummary* rate = metricOf(row, "train/samples_per_second");
                if (!rate || row.processes != processes || !std::isfinite(rate->last) || rate->last <= 0) continue;
                past.rate += rate->last * row.processes;
                if (++past.runs == 5) break;
            }
            if (past.runs > 0) past.rate /= past.runs;
            return past;
        },
        [this](Result<Past> past) {
            m_pastRate = past ? static_cast<std::int64_t>(past->rate) : 0;
            m_pastRuns = past ? past->runs : 0;
            refreshSummary();
        });
}

void NewRunPage::load(const Json& document, const QString& origin) {
    m_origin = origin;
    m_preflight->clear();
    m_triedSeconds = 0;
    m_error->clear();
    m_document->setDocument(document);
    m_save.start();
    Q_EMIT titleChanged();
}

void NewRunPage::loadSample() {
    m_shell.session()->start("workspace.sample", Json::object(), this, [this](const Result<Json>& made) {
        if (!made) {
            m_error->setError(made.error());
            return;
        }
        const auto bytes = base::readFile(readText(*made, "draft"), 1 << 20);
        const auto draft = bytes ? base::parseJson(*bytes) : Result<Json>(bytes.error());
        if (!draft) {
            m_error->setError(draft.error());
            return;
        }
        load(readObject(*draft, "spec"), tr("from the sample %1").arg(readString(*draft, "title")));
    });
}

void NewRunPage::loadFrom(const QString& run, bool onward) {
    m_shell.session()->start("run.duplicate", {{"run", run.toStdString()}}, this,
                             [this, run, onward](const Result<Json>& made) {
                                 if (!made) {
                                     m_error->setError(made.error());
                                     return;
                                 }
                                 Json document = readObject(*made, "spec");
                                 if (onward) spec::setValueAt(document, "resume_from", run.toStdString());
                                 load(document, onward ? tr("goes on from a run's outputs") : tr("duplicate of a run"));
                             });
}

void NewRunPage::useDataset(const QString& dataset) {
    if (dataset.isEmpty()) {
        std::vector<std::pair<std::string, Json>> values;
        for (const char* key : {"folder", "train_images", "train_labels", "val_images", "val_labels"}) {
            const std::string path = std::string("task.dataset.") + key;
            if (spec::isDatasetLocation(textAt(m_document->document(), path))) values.emplace_back(path, "");
        }
        return fillData(values, {});
    }
    m_shell.session()->start(
        "dataset.show", {{"dataset", dataset.toStdString()}}, this, [this, dataset](const Result<Json>& found) {
            if (!found) return m_error->setError(found.error());
            const Json task = readObject(*found, "task_dataset");
            // The kind first: which fields there are hangs on it.
            std::vector<std::pair<std::string, Json>> values{{"task.dataset.kind", readText(task, "kind")}};
            // Whoever names no version means the newest one, also when the form is launched later.
            const QString pinned = QStringLiteral("dataset:") + readString(*found, "dataset");
            for (const auto& [key, value] : task.items()) {
                if (key == "kind") continue;
                QString text = value.is_string() ? fromUtf8(value.get<std::string>()) : QString();
                const bool place = text == pinned || text.startsWith(pinned + u'/');
                if (place) text.replace(0, pinned.size(), QStringLiteral("dataset:") + dataset);
                values.emplace_back("task.dataset." + key, place ? Json(text.toStdString()) : value);
            }
            fillData(values, dataset);
        });
}

void NewRunPage::useFolder(const QString& folder) {
    const QString name = QFileInfo(folder).fileName();
    fillData({{"task.dataset.kind", "images"},
              {"task.dataset.folder", folder.toStdString()},
              {"task.dataset.name", name.toStdString()}},
             name);
}

void NewRunPage::fillData(const std::vector<std::pair<std::string, Json>>& values, const QString& what) {
    std::vector<std::pair<std::string, Json>> all{{"task.kind", "train"}};
    all.insert(all.end(), values.begin(), values.end());
    const auto kind =
        std::find_if(all.begin(), all.end(), [](const auto& one) { return one.first == "task.dataset.kind"; });
    const std::string family = textAt(m_document->document(), "task.model.family");
    // What MNIST's digits are learned with is too small for photographs.
    if (kind != all.end() && kind->second == "images" && (family == "cnn" || family == "mlp"))
        all.emplace_back("task.model.family", "resnet18");
    fill(all, what.isEmpty() ? QString() : tr("The form takes its data from %1 now; the rest is as it was.").arg(what));
}

void NewRunPage::fineTune(const QString& source) {
    constexpr int kEpochs = 30;
    constexpr int kBatch = 16;
    constexpr double kHeadRate = 0.01;
    constexpr double kRestOfIt = 0.1;
    fill({{"task.model.weights.source", source.toStdString()},
          {"task.model.weights.freeze", false},
          {"task.model.weights.backbone_rate", kRestOfIt},
          // The kind before the fields that hang on it.
          {"task.optimizer.kind", "sgd"},
          {"task.optimizer.learning_rate", kHeadRate},
          {"task.optimizer.momentum", 0.9},
          {"task.schedule.kind", "cosine"},
          {"task.epochs", kEpochs},
          {"task.batch_size", kBatch},
          {"task.augmentation.crop", true},
          {"task.augmentation.flip", 0.5}},
         tr("Set up for fine-tuning: %1 epochs in batches of %2, rate %3 for the head and a tenth of it for the rest.")
             .arg(kEpochs)
             .arg(kBatch)
             .arg(kHeadRate));
}

void NewRunPage::fill(const std::vector<std::pair<std::string, Json>>& values, const QString& told) {
    const Json before = m_document->document();
    for (const auto& [path, value] : values) m_document->setValue(fromUtf8(path), value);
    if (told.isEmpty()) return;
    m_shell.notice(told, [this, before, origin = m_origin] { load(before, origin); });
}

bool NewRunPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    if (address.query.startsWith(u"dataset=")) {
        useDataset(address.query.mid(8));
    } else if (address.query.startsWith(u"folder=")) {
        useFolder(address.query.mid(7));
    } else if (address.query.startsWith(u"weights=")) {
        m_document->setValue(QStringLiteral("task.kind"), "train");
        m_weights->takeFile(address.query.mid(8));
    } else if (address.query == u"sample") {
        loadSample();
    } else if (address.query.startsWith(u"from=")) {
        loadFrom(address.query.mid(5), false);
    } else if (address.query.startsWith(u"after=")) {
        loadFrom(address.query.mid(6), true);
    }
    return true;
}

void NewRunPage::activated() {
    m_data->setActive(true);
    m_target->setActive(true);
    m_environment->setActive(true);
    m_weights->readList();
    m_upload->refresh();
}

void NewRunPage::deactivated() {
    m_data->setActive(false);
    m_target->setActive(false);
    m_environment->setActive(false);
}

QWidget* NewRunPage::firstFocus() {
    FieldRow* row = m_what->row(QStringLiteral("experiment"));
    return row ? row->input() : nullptr;
}

bool NewRunPage::ready() {
    const auto& errors = m_document->showAllErrors();
    if (errors.empty()) {
        m_error->clear();
        return true;
    }
    focusError(errors.front());
    return false;
}

void NewRunPage::focusError(const Error& error) {
    const QString path = fromUtf8(error.field);
    const auto& errors = m_document->errors();
    const int others = std::max(0, static_cast<int>(errors.size()) - 1);
    QString text = fromUtf8(error.message);
    if (others > 0) text += u' ' + tr("(and %n more)", nullptr, others);
    m_error->setMessage(InlineError::Kind::Error, text);
    for (FormView* view : {m_what, m_how, m_where}) {
        if (view->focusField(path)) return;
    }
}

void NewRunPage::launch() {
    if (m_launching || !ready()) return;
    m_launching = true;
    m_launch->setEnabled(false);
    m_shell.session()->start("run.submit", {{"spec", m_document->document()}}, this, [this](const Result<Json>& made) {
        m_launching = false;
        m_launch->setEnabled(true);
        if (!made) {
            if (!made.error().field.empty()) m_document->setOutsideErrors({made.error()});
            focusError(made.error());
            return;
        }
        // The next run begins from these settings, under a name of its own.
        m_document->setValue(QStringLiteral("name"), nullptr);
        m_origin.clear();
        Q_EMIT titleChanged();
        m_shell.open({QStringLiteral("run"), {readString(*made, "run")}});
    });
}

void NewRunPage::check() {
    if (m_checkCommand || !ready()) return;
    m_preflight->clear();
    m_checking->setFraction(std::nullopt);
    m_checking->show();
    m_checkCommand = m_shell.session()->start("run.check", {{"spec", m_document->document()}});
    handFocus(m_check, m_checking);
    m_check->setEnabled(false);
    connect(m_checkCommand, &commands::Command::progressed, this, [this](const commands::CommandProgress& progress) {
        if (progress.fraction >= 0) m_checking->setFraction(progress.fraction);
        if (!progress.text.empty()) m_checking->setDetail(fromUtf8(progress.text));
    });
    connect(m_checkCommand, &commands::Command::finished, this,
            [this, asked = triedOf(m_document->document())](const Result<Json>& result) {
                m_checkCommand = nullptr;
                m_check->setEnabled(true);
                handFocus(m_checking, m_check);
                m_checking->hide();
                // What was changed meanwhile was not tried.
                if (asked == triedOf(m_document->document())) showCheck(result);
            });
}

void NewRunPage::showCheck(const Result<Json>& result) {
    if (!result) {
        if (result.error().code == "canceled") return m_preflight->clear();
        if (!result.error().field.empty()) m_document->setOutsideErrors({result.error()});
        return m_preflight->setError(result.error());
    }
    PreflightPlace place;
    const bool here = textAt(m_document->document(), "target") == "local";
    m_triedSeconds = here ? readNumber(*result, "seconds_total", readNumber(*result, "total_seconds")) : 0;
    refreshSummary();
    if (!here) {
        place.elsewhere = m_target->target();
        place.memoryBytes = memoryOf(m_target->definition());
        return m_preflight->setText(preflightText(*result, place));
    }
    m_shell.session()->query(
        this, QStringLiteral("new.disk"),
        [root = m_shell.session()->workspace().layout.root](store::Reader&) -> Result<std::int64_t> {
            std::error_code error;
            const auto space = std::filesystem::space(root, error);
            return error ? 0 : static_cast<std::int64_t>(space.available);
        },
        [this, found = *result, place,
         asked = triedOf(m_document->document())](const Result<std::int64_t>& free) mutable {
            if (asked != triedOf(m_document->document())) return;
            place.diskFreeBytes = free ? *free : 0;
            m_preflight->setText(preflightText(found, place));
        });
}

void NewRunPage::useBatch(std::int64_t batch) {
    fill({{"task.batch_size", batch}}, tr("The batch size is %1 now.").arg(formatExact(batch)));
}

Json NewRunPage::saveState() const {
    Json open = Json::array();
    for (FormView* view : {m_what, m_how, m_where}) {
        for (const QString& group : view->unfolded()) open.push_back(group.toStdString());
    }
    return {{"open", open},
            {"copy", m_copyKind->current()},
            {"sample", m_patterns->sample().left(kMostKeptSample).toStdString()}};
}

void NewRunPage::restoreState(const Json& state) {
    QStringList open;
    for (const Json& group : readArray(state, "open")) {
        if (group.is_string()) open << fromUtf8(group.get<std::string>());
    }
    for (FormView* view : {m_what, m_how, m_where}) view->setUnfolded(open);
    m_copyKind->setCurrent(readInteger(state, "copy") == 1 ? 1 : 0);
    if (const QString sample = readString(state, "sample"); !sample.isEmpty()) m_patterns->setSample(sample);
    refreshSummary();
}

}  // namespace trainyard::ui
