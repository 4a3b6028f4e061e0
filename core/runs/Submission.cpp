#include "core/runs/Submission.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

#include "core/base/Clock.h"
#include "core/datasets/Fetch.h"
#include "core/runs/Inputs.h"
#include "core/runs/Journal.h"
#include "core/runs/PretrainedWeights.h"
#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr const char* kNewPrefix = "new-";
constexpr std::int64_t kAbandonedMicros = 60'000'000;  // A folder without a lock that is younger is left alone.

/// Published weights that the lists know, for the run's own family.
Status checkPretrainedSource(const Json& document, const std::string& path, const std::string& source) {
    const auto weights = findPretrained(source, path);
    if (!weights.ok()) {
        return weights.error();
    }
    const Json* family = spec::valueAt(document, "task.model.family");
    if (family != nullptr && *family != Json(weights->family)) {
        return Error{"weights.other",
                     weights->id + " are weights of " + weights->family + ", and the model is " +
                         (family->is_string() ? family->get<std::string>() : "another") + ".",
                     path};
    }
    return {};
}

/// Files and folders that the spec names must be there, or the run would only fail later with the same words.
Status checkInputs(const Json& document, bool sourceIsKept) {
    for (const spec::Field& field : spec::runSpecFields()) {
        const bool file = field.type == spec::FieldType::File;
        if ((!file && field.type != spec::FieldType::Folder) || !spec::applies(field, document)) {
            continue;
        }
        const Json* value = spec::valueAt(document, field.path);
        if (value == nullptr || !value->is_string() || (sourceIsKept && field.path == "task.source_folder")) {
            continue;
        }
        const Path path = value->get<std::string>();
        if (field.path == "task.dataset.folder" &&
            (path.native().starts_with(kOnTargetPrefix) || datasets::isAddress(path.native()))) {
            const auto location = spec::parseInputLocation(path.native(), field.path);
            if (!location.ok()) {
                return Error{location.error().code, "Image folder: " + location.error().message, field.path};
            }
            continue;
        }
        if (path.empty() || spec::isElsewhere(field, path.native())) {
            if (path.native().starts_with(kPretrainedPrefix)) {
                TRAINYARD_TRY(checkPretrainedSource(document, field.path, path.native()));
            }
            continue;
        }
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) {
            return Error{errno == EACCES ? "spec.file_denied" : "spec.file_missing",
                         path.string() + (errno == EACCES ? " may not be read by you." : " is not there."), field.path};
        }
        if (file ? !S_ISREG(info.st_mode) : !S_ISDIR(info.st_mode)) {
            return Error{"spec.file_kind", path.string() + (file ? " is not a file." : " is not a folder."),
                         field.path};
        }
        if (::access(path.c_str(), R_OK) != 0) {
            return Error{"spec.file_denied", path.string() + " may not be read by you.", field.path};
        }
    }
    return {};
}

Status syncFolder(const Path& folder) {
    const base::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || ::fsync(fd.get()) != 0) {
        return base::errnoError(errno, "sync", folder);
    }
    return {};
}

}  // namespace

int usableCores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

Result<spec::RunSpec> checkForLaunch(const Json& document, bool sourceIsKept) {
    if (const std::vector<Error> errors = spec::validateRunSpec(document); !errors.empty()) {
        return errors.front();
    }
    Result<spec::RunSpec> spec = spec::runSpecFromJson(document);
    if (!spec.ok()) {
        return spec.error();
    }
    TRAINYARD_TRY(checkInputs(spec::toJson(*spec), sourceIsKept));
    return spec;
}

Status checkTarget(const spec::RunSpec& spec, const spec::TargetSpec& target) {
    if (target.disabled) {
        return Error{"target.disabled", "The target " + target.name + " is disabled; enable it, or choose another.",
                     "target"};
    }
    const std::int64_t nodes = spec.distribution.nodes;
    const auto refuse = [&](const std::string& why) { return Error{"spec.nodes", why, "distribution.nodes"}; };
    switch (target.kind) {
    case spec::TargetKind::Local:
        if (nodes > 1) {
            return refuse("This machine is one; for several a target with as many hosts is needed.");
        }
        break;
    case spec::TargetKind::Ssh:
        if (nodes > static_cast<std::int64_t>(target.hosts.size())) {
            return refuse("The target " + target.name + " has " + std::to_string(target.hosts.size()) +
                          " hosts, and the run asks for " + std::to_string(nodes) + ".");
        }
        break;
    case spec::TargetKind::Slurm:
        if (nodes < target.slurm.minNodes || nodes > target.slurm.maxNodes) {
            return refuse("The target " + target.name + " takes runs of " + std::to_string(target.slurm.minNodes) +
                          " to " + std::to_string(target.slurm.maxNodes) + " machines, and this one asks for " +
                          std::to_string(nodes) + ".");
        }
        break;
    }
    return {};
}

Result<Path> checkpointOf(const wire::WorkspaceLayout& layout, const base::RunId& run, spec::TaskKind kind) {
    std::error_code none;
    if (kind == spec::TaskKind::Command) {
        const Path outputs = layout.outputs(run);
        if (!std::filesystem::is_directory(outputs, none) || std::filesystem::is_empty(outputs, none)) {
            return Error{"run.no_checkpoint", "The run left no outputs to go on from; start it anew instead.", "run"};
        }
        return outputs;
    }
    const Path path = layout.outputs(run) / "checkpoints" / "last.ckpt";
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
        return Error{"run.no_checkpoint", "The run has no checkpoint to go on from; start it anew instead.", "run"};
    }
    return path;
}

Result<base::FileLock> makeRunFolder(const wire::WorkspaceLayout& layout, const NewRun& run) {
    const Path temp = layout.trash() / (kNewPrefix + run.id.str());
    TRAINYARD_TRY(base::makeDirs(layout.runs()));
    TRAINYARD_TRY(base::makeDirs(temp));
    const auto undo = [&](Error error) {
        const Status removed = base::removeTree(temp);
        return removed.ok() ? error : removed.error();
    };
    // The lock comes first and moves along with the folder, so that from the moment the run is seen it is followed.
    Result<base::FileLock> lock =
        base::FileLock::tryExclusive(temp / layout.lock(run.id).filename(), "pid " + std::to_string(::getpid()));
    if (!lock.ok()) {
        return undo(lock.error());
    }
    Json submit{{"number", run.number}, {"experiment", run.spec.experiment}, {"name", run.name}};
    if (run.reproduces.isValid()) {
        submit["reproduces"] = run.reproduces.str();
    }
    Status status =
        base::writeFileAtomically(temp / layout.spec(run.id).filename(), base::dumpJsonPretty(run.document));
    if (status.ok() && run.snapshotFrom.isValid()) {
        for (const Path& file : {layout.snapshot(run.snapshotFrom), layout.patch(run.snapshotFrom)}) {
            std::error_code error;
            if (status.ok() && std::filesystem::exists(file, error)) {
                status = base::copyFile(file, temp / file.filename());
            }
        }
    }
    if (status.ok()) {
        status = appendJournal(temp / layout.journal(run.id).filename(), temp / layout.journalLock(run.id).filename(),
                               {{wire::kind::kSubmit, submit}, stateEntry(spec::RunState::Preparing, "")},
                               base::Deadline::inMillis(3000));
    }
    if (status.ok()) {
        status = syncFolder(temp);
    }
    if (status.ok() && ::rename(temp.c_str(), layout.run(run.id).c_str()) != 0) {
        status = base::errnoError(errno, "rename", layout.run(run.id));
    }
    if (status.ok()) {
        status = syncFolder(layout.runs());
    }
    if (!status.ok()) {
        return undo(status.error());
    }
    return lock;
}

Result<NewRun> readRun(const wire::WorkspaceLayout& layout, const store::Reader& reader, const base::RunId& id) {
    const auto row = reader.run(id);
    if (!row.ok()) {
        return row.error();
    }
    NewRun run;
    run.id = id;
    run.number = row->number;
    run.name = row->name;
    auto document = reader.spec(id);
    if (!document.ok()) {
        return document.error();
    }
    run.document = std::move(*document);
    auto spec = spec::runSpecFromJson(run.document);
    if (!spec.ok()) {
        return spec.error();
    }
    run.spec = std::move(*spec);
    if (!run.spec.resumeFrom.empty()) {
        auto checkpoint = checkpointOf(layout, base::RunId(run.spec.resumeFrom), run.spec.taskKind);
        if (!checkpoint.ok()) {
            return checkpoint.error();
        }
        run.resumeCheckpoint = std::move(*checkpoint);
    }
    return run;
}

void sweepTrash(const wire::WorkspaceLayout& layout) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(layout.trash(), error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(kNewPrefix)) {
            struct stat info {};
            const bool young = ::stat(entry.path().c_str(), &info) == 0 &&
                               base::wallMicros() - std::int64_t{info.st_mtim.tv_sec} * 1'000'000 < kAbandonedMicros;
            const auto lock = base::FileLock::tryExclusive(entry.path() / layout.lock(base::RunId{}).filename());
            if (young || !lock.ok()) {
                continue;
            }
        } else if (!base::isUuid7(name)) {
            continue;
        }
        // What cannot be removed now is tried again when the workspace is opened the next time.
        [[maybe_unused]] const Status removed = base::removeTree(entry.path());
    }
}

}  // namespace trainyard::runs
