#include "ui/runs/WherePanels.h"

#include <QComboBox>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/commands/Session.h"
#include "core/spec/Field.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kPickerLoadMillis = 5000;
constexpr int kPauseMillis = 600;

std::int64_t whole(const Json& document, std::string_view path, std::int64_t fallback) {
    const Json* value = spec::valueAt(document, path);
    return value && value->is_number_integer() ? value->get<std::int64_t>() : fallback;
}

std::string word(const Json& document, std::string_view path) {
    const Json* value = spec::valueAt(document, path);
    return value && value->is_string() ? value->get<std::string>() : std::string();
}

/// The smallest and largest figure of a name that the doctor found on the hosts; nothing where no probe could say.
std::optional<std::int64_t> found(const Json& doctor, std::string_view name) {
    std::optional<std::int64_t> least;
    for (const Json& line : readArray(doctor, "lines")) {
        const Json values = readObject(line, "values");
        const Json* value = member(values, name);
        if (!value || !value->is_number_integer() || readText(line, "finding") == "unknown") continue;
        const std::int64_t number = value->get<std::int64_t>();
        least = least ? std::min(*least, number) : number;
    }
    return least;
}

/// Whether the doctor looked for something on a host and found none of its versions.
bool lacks(const Json& doctor, std::string_view id, std::initializer_list<std::string_view> versions) {
    for (const Json& line : readArray(doctor, "lines")) {
        const std::string finding = readText(line, "finding");
        if (readText(line, "id") != id || (finding != "warning" && finding != "failure")) continue;
        const Json values = readObject(line, "values");
        if (std::all_of(versions.begin(), versions.end(),
                        [&](std::string_view name) { return readText(values, name).empty(); }))
            return true;
    }
    return false;
}

}  // namespace

QStringList unverified(const Json& document) {
    const std::string kind = word(document, "distribution.kind");
    const bool several = whole(document, "distribution.nodes", 1) * whole(document, "distribution.processes", 1) > 1;
    const bool gpus = whole(document, "distribution.gpus", 0) > 0 ||
                      (word(document, "task.kind") == "train" && word(document, "task.device") == "cuda");
    const std::string backend = word(document, "distribution.backend");
    QStringList names;
    if (gpus) names << QStringLiteral("CUDA");
    if (kind == "pytorch" && (backend == "nccl" || (gpus && several && backend != "gloo")))
        names << QStringLiteral("NCCL");
    if (kind == "mpi") names << QStringLiteral("Horovod");
    return names;
}

std::int64_t memoryOf(const Json& definition) {
    return found(readObject(definition, "doctor"), "memory_bytes").value_or(0);
}

QStringList misfits(const Json& document, const Json& definition) {
    QStringList wrong;
    if (!definition.is_object()) return wrong;
    if (readFlag(definition, "disabled")) wrong << TargetPicker::tr("This target is disabled: new runs are refused.");
    const std::int64_t nodes = whole(document, "distribution.nodes", 1);
    const std::int64_t processes = whole(document, "distribution.processes", 1);
    std::int64_t gpus = whole(document, "distribution.gpus", 0);
    if (gpus == 0 && word(document, "task.kind") == "train" && word(document, "task.device") == "cuda")
        gpus = processes;
    const bool slurm = readText(definition, "kind") == "slurm";
    const std::int64_t has = readInteger(definition, "nodes", 1);
    if (const std::int64_t least =
            slurm ? readInteger(readObject(readObject(definition, "spec"), "slurm"), "min_nodes", 1) : 1;
        nodes < least) {
        wrong << TargetPicker::tr("This target takes runs of at least %n machine(s), you ask for %1.", nullptr,
                                  static_cast<int>(least))
                     .arg(nodes);
    }
    if (nodes > has)
        wrong << TargetPicker::tr("This target has %n machine(s), you ask for %1.", nullptr, static_cast<int>(has))
                     .arg(nodes);
    const Json doctor = readObject(definition, "doctor");
    if (const auto there = found(doctor, "gpus"); there && gpus > *there) {
        wrong << TargetPicker::tr("This target has %n GPU(s) on a machine, you ask for %1.", nullptr,
                                  static_cast<int>(*there))
                     .arg(gpus);
    }
    if (const auto there = found(doctor, "cores"); there && processes > *there) {
        wrong << TargetPicker::tr("This target has %n core(s) on a machine, you ask for %1 processes.", nullptr,
                                  static_cast<int>(*there))
                     .arg(processes);
    }
    const bool mpi = word(document, "distribution.kind") == "mpi";
    const std::string launcher = word(document, "distribution.launcher");
    if (mpi && launcher == "srun" && !slurm) {
        wrong << TargetPicker::tr("srun is a part of Slurm, which this target is not; choose mpirun.");
    }
    if (mpi && slurm && launcher == "mpirun") {
        wrong << TargetPicker::tr("In a Slurm job MPI's processes are started by srun; choose srun or Automatic.");
    } else if (mpi && slurm && launcher != "srun" &&
               readText(readObject(readObject(definition, "spec"), "slurm"), "launcher") == "mpirun") {
        wrong << TargetPicker::tr("This target's definition asks for mpirun, which starts nothing in a Slurm job; "
                                  "choose srun, or edit and save the target.");
    }
    if (mpi && lacks(doctor, "mpi", {"mpirun", "srun"}))
        wrong << TargetPicker::tr("The doctor found no MPI that works there.");
    const std::string interpreter = word(document, "task.interpreter");
    if (word(document, "task.kind") == "command" && !word(document, "task.script").empty() && interpreter.empty() &&
        lacks(doctor, "python", {"version"})) {
        wrong << TargetPicker::tr("The doctor found no Python there that could run the script.");
    }
    return wrong;
}

TargetPicker::TargetPicker(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell), m_targets(Json::array()) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(0));
    auto* line = new QHBoxLayout;
    auto* label = new TextLabel(tr("Target"), TextStyle::Body, Role::Text, this);
    m_combo = new QComboBox(this);
    m_combo->setObjectName(QStringLiteral("targetInput"));
    m_combo->setAccessibleName(tr("Target"));
    m_combo->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_combo->setMinimumContentsLength(10);
    label->setBuddy(m_combo);
    layFieldLine(line, label, nullptr, m_combo);
    column->addLayout(line);
    m_load = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_load->setObjectName(QStringLiteral("targetLoadLabel"));
    m_load->setWordWrap(true);
    column->addWidget(m_load);
    m_launcher = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_launcher->setObjectName(QStringLiteral("targetLauncherLabel"));
    m_launcher->setWordWrap(true);
    m_launcher->hide();
    column->addWidget(m_launcher);
    m_advice = new InlineError(this);
    m_advice->setObjectName(QStringLiteral("targetAdvice"));
    m_advice->clear();
    column->addWidget(m_advice);
    m_unverified = new InlineError(this);
    m_unverified->setObjectName(QStringLiteral("unverifiedNote"));
    m_unverified->clear();
    column->addWidget(m_unverified);
    m_open = new LinkButton({}, this);
    m_open->setObjectName(QStringLiteral("openTargetLink"));
    column->addWidget(m_open, 0, Qt::AlignLeft);
    connect(m_combo, &QComboBox::activated, this,
            [this](int index) { Q_EMIT picked(m_combo->itemData(index).toString()); });
    connect(m_open, &LinkButton::clicked, this, [this] { m_shell.open({QStringLiteral("targets"), {m_target}}); });
    m_clock.setInterval(kPickerLoadMillis);
    connect(&m_clock, &QTimer::timeout, this, &TargetPicker::readLoad);
    connect(shell.session(), &commands::Session::targetsChanged, this, [this] {
        if (!m_active) return;
        readTargets();
        readTarget();
    });
    connect(shell.session(), &commands::Session::targetReachChanged, this, [this](const QString& target) {
        if (m_active && target == m_target) readLoad();
    });
}

void TargetPicker::setActive(bool active) {
    m_active = active;
    if (!active) return m_clock.stop();
    m_clock.start();
    readTargets();
    readTarget();
    readLoad();
}

void TargetPicker::setDocument(const Json& document) {
    m_document = document;
    const QString target = fromUtf8(word(document, "target"));
    if (target != m_target) {
        m_target = target;
        m_shown = Json();
        m_load->clear();
        showTargets();
        if (m_active) {
            readTarget();
            readLoad();
        }
    }
    showAdvice();
}

void TargetPicker::readTargets() {
    m_shell.session()->start("target.list", Json::object(), this, [this](const Result<Json>& list) {
        if (!list) return;
        m_targets = readArray(*list, "targets");
        showTargets();
    });
}

void TargetPicker::showTargets() {
    const QSignalBlocker quiet(m_combo);
    m_combo->clear();
    for (const Json& one : m_targets) {
        const QString name = readString(one, "target");
        QString text = name == u"local" ? tr("This machine") : name;
        if (readFlag(one, "disabled")) text += tr(" (disabled)");
        m_combo->addItem(text, name);
    }
    int index = m_combo->findData(m_target);
    if (index < 0 && !m_target.isEmpty()) {
        m_combo->addItem(m_target == u"local" ? tr("This machine") : m_target, m_target);
        index = m_combo->count() - 1;
    }
    m_combo->setCurrentIndex(index);
}

void TargetPicker::readTarget() {
    const QString target = m_target;
    if (target.isEmpty()) return;
    m_shell.session()->start("target.show", {{"target", target.toStdString()}}, this,
                             [this, target](const Result<Json>& shown) {
                                 if (target != m_target) return;
                                 m_shown = shown ? *shown : Json();
                                 if (!shown && shown.error().code != "canceled") {
                                     m_advice->setError(shown.error());
                                     return;
                                 }
                                 showAdvice();
                             });
}

void TargetPicker::readLoad() {
    if (!m_active || m_loading || m_target.isEmpty()) return;
    const targets::Reach reach = m_shell.session()->reach(m_target.toStdString());
    // Looking opens no connection: that may ask for a password.
    if (m_target != u"local" && reach.state != targets::Reach::State::Connected) {
        m_load->setText(reach.state == targets::Reach::State::Unreachable
                            ? tr("Cannot be reached: %1").arg(fromUtf8(reach.reason))
                            : tr("Not connected; the launch connects."));
        return;
    }
    const QString target = m_target;
    m_loading = m_shell.session()->start("target.load", {{"target", target.toStdString()}});
    connect(m_loading, &commands::Command::finished, this, [this, target](const Result<Json>& load) {
        m_loading = nullptr;
        if (target != m_target) return readLoad();
        if (!load) {
            if (load.error().code != "canceled") m_load->setText(fromUtf8(load.error().message));
            return;
        }
        std::int64_t cores = 0;
        std::int64_t busy = 0;
        std::int64_t memory = 0;
        std::int64_t used = 0;
        int gpus = 0;
        int waiting = 0;
        const Json hosts = readArray(*load, "hosts");
        for (const Json& host : hosts) {
            cores += readInteger(host, "cores");
            busy += readInteger(host, "cores_busy");
            memory += readInteger(host, "memory_bytes");
            used += readInteger(host, "memory_used_bytes");
            gpus += static_cast<int>(readArray(host, "gpus").size());
            waiting += static_cast<int>(readArray(host, "waiting").size());
        }
        QStringList parts;
        if (hosts.size() > 1) parts << tr("%n machine(s)", nullptr, static_cast<int>(hosts.size()));
        parts << tr("%1 of %n core(s) free", nullptr, static_cast<int>(cores))
                     .arg(std::max<std::int64_t>(0, cores - busy));
        if (memory > 0) parts << tr("%1 of %2 memory free").arg(formatBytes(memory - used), formatBytes(memory));
        if (gpus > 0) parts << tr("%n GPU(s)", nullptr, gpus);
        if (waiting > 0) parts << tr("%n waiting", nullptr, waiting);
        m_load->setText(parts.join(QStringLiteral(" · ")));
    });
}

void TargetPicker::showAdvice() {
    const QString kind = readString(m_shown, "kind");
    if (kind != m_kind) {
        m_kind = kind;
        Q_EMIT kindChanged(kind);
    }
    const QStringList wrong = misfits(m_document, m_shown);
    if (!wrong.isEmpty()) {
        m_advice->setMessage(InlineError::Kind::Warning, wrong.join(u' '));
    } else {
        m_advice->clear();
    }
    const QStringList unseen = unverified(m_document);
    if (!unseen.isEmpty()) {
        m_unverified->setMessage(InlineError::Kind::Info,
                                 tr("Not verified on real hardware: %1.").arg(unseen.join(QStringLiteral(", "))));
        m_unverified->setToolTip(
            tr("Built against the documented interfaces and tested up to the command line. On a machine with GPUs, "
               "trainyard-engine selftest --gpu tells whether it works there."));
    } else {
        m_unverified->clear();
    }
    const bool mpi = word(m_document, "distribution.kind") == "mpi" && m_shown.is_object();
    m_launcher->setVisible(mpi);
    if (mpi) {
        QString launcher = fromUtf8(word(m_document, "distribution.launcher"));
        if (launcher.isEmpty() || launcher == u"auto") {
            launcher = kind == u"slurm" ? QStringLiteral("srun") : QStringLiteral("mpirun");
        }
        m_launcher->setText(tr("MPI's processes are started by %1 there.").arg(launcher));
    }
    if (!m_shown.is_object()) return m_open->hide();
    const Json findings = readObject(m_shown, "findings");
    const std::int64_t at = readInteger(m_shown, "doctor_at");
    const int failures = static_cast<int>(readInteger(findings, "failure"));
    const int warnings = static_cast<int>(readInteger(findings, "warning"));
    m_open->setText(at == 0        ? tr("Not examined yet")
                    : failures > 0 ? tr("Doctor: %n failure(s), %1", nullptr, failures).arg(formatAgo(at))
                    : warnings > 0 ? tr("Doctor: %n warning(s), %1", nullptr, warnings).arg(formatAgo(at))
                                   : tr("Doctor: all well, %1").arg(formatAgo(at)));
    m_open->setToolTip(tr("Opens the target's page"));
    m_open->show();
}

UploadText uploadText(const Json& estimate) {
    UploadText text;
    QStringList parts;
    const Json source = readObject(estimate, "source");
    if (!source.empty()) {
        parts << UploadPanel::tr("Source: %n file(s), %1", nullptr, static_cast<int>(readInteger(source, "files")))
                     .arg(formatBytes(readInteger(source, "bytes")));
    }
    for (const Json& warning : readArray(source, "warnings")) {
        if (warning.is_string()) text.warnings << fromUtf8(warning.get<std::string>());
    }
    const Json upload = readObject(estimate, "upload");
    if (upload.empty()) {
        if (const QString why = readString(estimate, "upload_error"); !why.isEmpty()) {
            parts << UploadPanel::tr("what the target lacks is not known: %1").arg(why);
        }
        text.line = parts.join(QStringLiteral(" · "));
        return text;
    }
    QStringList fetches;
    for (const Json& input : readArray(upload, "fetches")) {
        if (input.is_string()) fetches << fromUtf8(input.get<std::string>());
    }
    const std::int64_t bytes = readInteger(upload, "bytes");
    const double rate = readNumber(upload, "bytes_per_second");
    if (bytes > 0) {
        QString sent = UploadPanel::tr("%n file(s), %1 travel", nullptr, static_cast<int>(readInteger(upload, "files")))
                           .arg(formatBytes(bytes));
        if (rate > 0) {
            sent += UploadPanel::tr(", about %1")
                        .arg(formatDuration(static_cast<std::int64_t>(static_cast<double>(bytes) / rate * 1e9)));
        } else if (readText(estimate, "target") != "local") {
            sent += UploadPanel::tr(", how long is not known yet");
        }
        parts << sent;
    } else {
        parts << (fetches.isEmpty() ? UploadPanel::tr("everything is there already")
                                    : UploadPanel::tr("nothing travels from here"));
    }
    if (!fetches.isEmpty()) {
        const std::int64_t fetched = readInteger(upload, "fetch_bytes");
        parts << UploadPanel::tr("the target fetches %1 itself").arg(fetches.join(QStringLiteral(", "))) +
                     (fetched > 0 ? UploadPanel::tr(" (%1)").arg(formatBytes(fetched)) : QString());
    }
    if (const Json disk = readObject(upload, "disk"); !disk.empty()) {
        const QString host = readString(disk, "host");
        const std::int64_t free = readInteger(disk, "free_bytes");
        const std::int64_t needed = readInteger(disk, "needed_bytes");
        parts << UploadPanel::tr("%1 free on %2").arg(formatBytes(free), host);
        if (needed > free) {
            text.noRoom = UploadPanel::tr("The run needs %1 on %2 in %3, and %4 are free there. Make room, clear the "
                                          "target's cache or choose "
                                          "another work folder.")
                              .arg(formatBytes(needed), host, readString(disk, "folder"), formatBytes(free));
        }
    }
    if (const QString says = readString(upload, "queue_says"); !says.isEmpty())
        text.warnings << UploadPanel::tr("The queue says: %1").arg(says);
    text.line = parts.join(QStringLiteral(" · "));
    return text;
}

UploadPanel::UploadPanel(Shell& shell, QWidget* parent) : QWidget(parent), m_shell(shell) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(Theme::current().space(0));
    m_text = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_text->setObjectName(QStringLiteral("uploadLabel"));
    m_text->setWordWrap(true);
    column->addWidget(m_text);
    m_warning = new InlineError(this);
    m_warning->setObjectName(QStringLiteral("uploadWarning"));
    m_warning->clear();
    column->addWidget(m_warning);
    m_pause.setSingleShot(true);
    m_pause.setInterval(kPauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &UploadPanel::ask);
    hide();
}

void UploadPanel::setDocument(const Json& document, bool valid) {
    // What changes how a script is told its settings moves no file.
    const bool script = word(document, "task.kind") == "command";
    const bool there = word(document, "target") != "local" || !word(document, "task.source_folder").empty() ||
                       !readObject(document, "inputs").empty();
    if (!valid || !there) {
        m_pause.stop();
        if (m_command) m_command->cancel();
        m_document = Json();
        return hide();
    }
    const Json before = std::exchange(m_document, document);
    const auto same = [&](std::string_view path) {
        const Json* a = spec::valueAt(before, path);
        const Json* b = spec::valueAt(document, path);
        return a && b ? *a == *b : a == b;
    };
    if (before.is_object() && same("target") && same("environment") && same("inputs") && same("distribution") &&
        same("task.kind") &&
        (script ? same("task.source_folder")
                : same("task.dataset") && same("task.device") && same("task.model.weights"))) {
        return;
    }
    // What stands there is of another run.
    if (m_command) m_command->cancel();
    m_text->setText(tr("Measuring what travels…"));
    m_text->show();
    m_warning->clear();
    m_pause.start();
}

void UploadPanel::refresh() {
    // What could not be asked is left: it may need a password.
    if (m_known && m_document.is_object()) m_pause.start();
}

void UploadPanel::ask() {
    if (m_command) m_command->cancel();
    m_text->setText(tr("Measuring what travels…"));
    m_warning->clear();
    show();
    m_command = m_shell.session()->start("run.estimate", {{"spec", m_document}});
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& answer) {
        if (m_command != mine) return;
        m_command = nullptr;
        if (!answer) {
            if (answer.error().code == "canceled") return;
            m_text->setText(tr("What travels is not known: %1").arg(fromUtf8(answer.error().message)));
            return;
        }
        const UploadText text = uploadText(*answer);
        m_known = !readObject(*answer, "upload").empty();
        m_text->setText(text.line);
        m_text->setVisible(!text.line.isEmpty());
        QStringList said = text.warnings;
        if (!text.noRoom.isEmpty()) said.prepend(text.noRoom);
        if (said.isEmpty()) return;
        const QString target = fromUtf8(word(m_document, "target"));
        m_warning->setRemedy(text.noRoom.isEmpty() ? QString() : tr("Open the target"), [this, target] {
            m_shell.open({QStringLiteral("targets"), {target}});
        });
        m_warning->setMessage(text.noRoom.isEmpty() ? InlineError::Kind::Warning : InlineError::Kind::Error,
                              said.join(u' '));
    });
}

}  // namespace trainyard::ui
