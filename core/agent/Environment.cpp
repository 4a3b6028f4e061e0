#include "core/agent/Environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/agent/BuildWords.h"
#include "core/agent/ImageBuild.h"
#include "core/agent/ProcessTree.h"
#include "core/agent/ServeStore.h"
#include "core/base/Clock.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr const char* kReadyFormat = "trainyard.environment-ready";
constexpr std::int64_t kRemoveMillis = 60'000;
constexpr std::int64_t kRemoveFileBytes = 1 << 20;
constexpr std::int64_t kLogBytes = 16 << 10;
constexpr std::int64_t kBuildLogDrainBytes = 512 << 10;
/// With less than this left, a failed step failed for want of disk.
constexpr std::int64_t kFullBytes = 4 << 20;
/// In the environment of all that a build starts, with the folder that is built, so that it can be ended when its
/// keeper is gone.
constexpr const char* kBuildVariable = kBuildMark;
constexpr int kEndTries = 50;
constexpr unsigned kEndPauseMicros = 20'000;
constexpr unsigned kOrphanPauseMicros = 2'000;
constexpr int kFullExit = 28;  ///< Of our own processes: the disk is full.
constexpr const char* kRoom = "Clear the target's cache, or give it another work folder.";

std::string killed(int signal) {
    const std::string how = "it was killed by " + signalName(signal);
    return signal == SIGKILL
               ? how + ", by hand or by the kernel for want of memory. Start the run again; it builds anew."
               : how + ". Start the run again; it builds anew.";
}

base::Error canceled() { return {"canceled", "The run was canceled while its environment was being built."}; }

/// Programs of a build whose keeper was killed, also those in containers of it: nobody else may have them, since the
/// lock is ours. What they start meanwhile is met by the next look.
void endOldBuild(const Path& folder) {
    const std::set<FileIdentity> mounted = filesOfContainers(folder / "tmp");
    const std::string mark = std::string(kBuildVariable) + "=" + folder.string();
    for (int tries = 0; tries < kEndTries; ++tries) {
        bool found = false;
        std::error_code error;
        for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
            const std::string name = it->path().filename().string();
            if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(::getpid()))
                continue;
            const auto pid = static_cast<pid_t>(std::stol(name));
            const std::vector<std::string> variables =
                base::split(base::readFile(it->path() / "environ").valueOr({}), '\0');
            if (std::find(variables.begin(), variables.end(), mark) == variables.end() &&
                !livesInContainer(pid, mounted))
                continue;
            found = ::kill(pid, SIGKILL) == 0 || found;
        }
        if (!found) return;
        ::usleep(kEndPauseMicros);
    }
}

/// What a killed keeper left is ours now, since we are a subreaper; while an environment is built we have nothing else
/// below us. Programs in a container do not have the build's variable.
void endOrphans() {
    for (int tries = 0; tries < kEndTries; ++tries) {
        bool found = false;
        for (const pid_t pid : descendantsOf(::getpid())) found = ::kill(pid, SIGKILL) == 0 || found;
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        if (!found) return;
        ::usleep(kOrphanPauseMicros);
    }
}

/// What killed builds of other environments left, whose agents and keepers are all gone: they would lie there until the
/// same environment is asked for again.
void removeOldBuilds(const wire::WorkLayout& work, const Path& ours) {
    std::error_code error;
    for (fs::directory_iterator it(work.environments(), error), end; !error && it != end; it.increment(error)) {
        const Path& folder = it->path();
        const std::string hash = folder.filename().string();
        if (folder == ours || !fs::is_directory(it->symlink_status()) || isReadyEnvironment(folder, hash)) continue;
        const auto lock = base::FileLock::tryExclusive(environmentLock(work, hash), "the clearing of a broken build");
        if (!lock.ok() || isReadyEnvironment(folder, hash)) continue;
        endOldBuild(folder);
        if (const auto removed = removeEnvironment(folder); !removed.ok())
            std::fprintf(stderr, "trainyard-agent: %s\n", removed.error().message.c_str());
    }
}

bool isFull(const base::Error& error) { return error.code == "file.full"; }

std::int64_t bytesIn(const Path& folder) {
    std::int64_t bytes = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) == 0) bytes += static_cast<std::int64_t>(info.st_blocks) * 512;
    }
    return bytes;
}

/// In a process of its own: what was built reaches the disk before anything says that it is whole.
int writeReady(const Path& folder, Json ready) {
    if (!base::removeTree(folder / "tmp").ok()) return 1;
    ready["bytes"] = bytesIn(folder);
    const base::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto failed = [] { return errno == ENOSPC || errno == EDQUOT ? kFullExit : 1; };
    if (!fd.valid() || ::syncfs(fd.get()) != 0) return failed();
    const base::UniqueFd used(::open((folder / "used").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!used.valid()) return failed();
    const auto written = base::writeFileAtomically(environmentReady(folder), base::dumpJsonPretty(ready));
    return written.ok() ? 0 : isFull(written.error()) ? kFullExit : 1;
}

}  // namespace

Path environmentLock(const wire::WorkLayout& work, const std::string& hash) {
    return work.environments() / (hash + ".lock");
}

Path environmentReady(const Path& folder) { return folder / "ready.json"; }

bool isReadyEnvironment(const Path& folder, const std::string& hash) {
    const auto ready = readJsonFile(environmentReady(folder));
    return ready.ok() && ready->is_object() && ready->value("format", Json()) == kReadyFormat &&
           ready->value("hash", Json()) == hash;
}

Status removeEnvironment(const Path& folder) {
    // Not usable any more, whatever happens next.
    std::error_code error;
    const bool wasReady = fs::remove(environmentReady(folder), error);
    const auto text = base::readFile(folder / "remove.json", kRemoveFileBytes);
    const auto json = text.ok() ? base::parseJson(*text) : Result<Json>(text.error());
    if (json.ok() && json->is_object()) {
        base::ObjectReader reader(*json, "");
        for (const Json& command : reader.array("commands")) {
            ChildSpec spec;
            for (const Json& word : command) {
                if (word.is_string()) spec.argv.push_back(word.get<std::string>());
            }
            const ProgramResult result = runProgram(spec, kRemoveMillis);
            if (!result.succeeded()) {
                std::fprintf(stderr, "trainyard-agent: %s\n",
                             result.trouble(spec.argv.empty() ? "an empty command" : spec.argv.front()).c_str());
            }
        }
        if (const std::string builder = reader.string("builder"); !wasReady && !builder.empty())
            removeHalfBuilt(builder, folder);
    }
    return removeReadOnlyTree(folder);
}

Variables environmentNames(const NodeLayout& layout, const wire::Plan& plan) {
    Variables names;
    if (!plan.environment.hash.empty())
        names["TRAINYARD_ENVIRONMENT"] = wire::WorkLayout{plan.workFolder}.environment(plan.environment.hash).string();
    names["TRAINYARD_WORK"] = plan.workFolder;
    names["TRAINYARD_WORKING_FOLDER"] = workingFolderOf(layout, plan).string();
    names["TRAINYARD_UID"] = std::to_string(::geteuid());
    names["TRAINYARD_GID"] = std::to_string(::getegid());
    names["HOME"] = base::homeFolder().string();
    return names;
}

EnvironmentBuild::EnvironmentBuild(const NodeLayout& layout, const wire::Plan& plan, Values secrets,
                                   const Masker& masker, std::string holder)
    : m_environment(plan.environment), m_work{plan.workFolder}, m_folder(m_work.environment(plan.environment.hash)),
      m_names(environmentNames(layout, plan)), m_secrets(std::move(secrets)), m_masker(masker),
      m_holder(std::move(holder)) {
    if (m_environment.name.empty()) m_environment.name = m_environment.hash.substr(0, 12);
}

Result<bool> EnvironmentBuild::advance(StreamSink& sink) {
    if (m_environment.hash.empty()) return true;
    if (m_child) {
        if (m_stage == Stage::Step) {
            readLog(sink, false);
            if (m_limit && m_limit->passed() && !m_timedOut) {
                m_timedOut = true;
                m_child->ask();
            }
        }
        const auto end = m_child->end();
        if (!end) return false;
        if (m_stage == Stage::Step) {
            const auto done = afterStep(*end, sink);
            m_child.reset();
            if (!done.ok()) discard(done.error());
        } else {
            const bool good = end->exit == 0 && end->signal == 0;
            m_child.reset();
            if (m_stage == Stage::Discard) return *m_error;
            const std::string kept = "Building " + title() + " failed after its last step, while it was kept: ";
            if (m_canceled) {
                discard(canceled());
            } else if (!good && m_stage == Stage::Clear) {
                return base::Error{"environment.folder",
                                   "What an earlier build left in " + m_folder.string() +
                                       " could not be removed. Remove it by hand, then start the run again."};
            } else if (end->exit == kFullExit) {
                discard({"environment.disk", kept + "the disk of " + m_folder.string() + " is full. " + kRoom});
            } else if (end->signal != 0) {
                discard({"environment.step", kept + killed(end->signal)});
            } else if (!good) {
                discard(
                    {"environment.folder",
                     kept + m_folder.string() + " could not be written to the end. Look at the disk of this machine."});
            } else {
                m_stage = m_stage == Stage::Clear ? Stage::Make : Stage::Look;
            }
        }
        return false;
    }
    if (m_canceled && m_stage != Stage::Discard) {
        if (m_stage == Stage::Look || m_stage == Stage::Clear) return canceled();
        discard(canceled());
        return false;
    }
    Status done;
    switch (m_stage) {
    case Stage::Look: {
        auto ready = look();
        if (ready.ok() || !isFull(ready.error())) return ready;
        return base::Error{"environment.disk", "Building " + title() + " failed before it began: the disk of " +
                                                   m_work.environments().string() + " is full. " + kRoom};
    }
    case Stage::Clear: TRAINYARD_TRY(clear()); return false;
    case Stage::Make: done = make(); break;
    case Stage::Step: done = m_step < m_environment.steps.size() ? startStep() : finish(); break;
    case Stage::Finish: done = finish(); break;
    case Stage::Discard: return *m_error;  // No process could be made to remove it: the next build will.
    }
    if (!done.ok()) discard(done.error());
    return false;
}

Result<bool> EnvironmentBuild::look() {
    m_lock.reset();
    TRAINYARD_TRY(base::makeDirs(m_work.environments()));
    TRAINYARD_TRY(base::checkOwnedByUs(m_work.environments()));
    const Path lock = environmentLock(m_work, m_environment.hash);
    auto shared = base::FileLock::tryShared(lock);
    if (shared.ok() && isReadyEnvironment(m_folder, m_environment.hash)) {
        m_lock = std::move(shared).value();
        ::utimensat(AT_FDCWD, file("used").c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
        return true;
    }
    if (!shared.ok() && shared.error().code != "lock.held") return shared.error();
    if (shared.ok()) shared->release();
    auto alone = base::FileLock::tryExclusive(lock, m_holder);
    if (alone.ok()) {
        m_lock = std::move(alone).value();
        m_cached = false;
        m_begun = base::monotonicNanos();
        m_reason = "Building " + title();
        m_stage = Stage::Clear;
        return false;
    }
    if (alone.error().code != "lock.held") return alone.error();
    const std::string who =
        base::stripControl(base::toValidUtf8(base::trim(base::readFileRange(lock, 0, 300).valueOr({}))));
    m_reason = "Waiting for another run that builds " + title() +
               (who.empty() || who == m_holder ? std::string() : " (" + who + ")");
    return false;
}

Status EnvironmentBuild::work(std::function<int()> what) {
    TreeSpec spec;
    spec.held = m_lock ? m_lock->fd() : -1;
    spec.abandoned = whenAbandoned();
    auto child = TreeChild::call(spec, std::move(what));
    if (!child.ok()) return child.error();
    m_child.emplace(std::move(child).value());
    return {};
}

std::function<void()> EnvironmentBuild::whenAbandoned() const {
    return [folder = m_folder, hash = m_environment.hash] {
        if (isReadyEnvironment(folder, hash)) return;
        endOldBuild(folder);
        // What cannot be removed is the next build's to remove.
        if (const auto removed = removeEnvironment(folder); !removed.ok())
            std::fprintf(stderr, "trainyard-agent: %s\n", removed.error().message.c_str());
    };
}

Status EnvironmentBuild::clear() {
    return work([folder = m_folder, layout = m_work] {
        endOldBuild(folder);
        const bool removed = removeEnvironment(folder).ok();
        removeOldBuilds(layout, folder);
        return removed ? 0 : 1;
    });
}

Status EnvironmentBuild::make() {
    const auto space = base::diskSpace(m_work.environments());
    if (space.ok() && space->freeBytes < m_environment.needBytes) {
        return base::Error{"environment.disk", "Building " + title() + " needs " +
                                                   base::formatBytes(m_environment.needBytes) + " of disk; " +
                                                   m_work.environments().string() + " has " +
                                                   base::formatBytes(space->freeBytes) +
                                                   " free. Clear the target's cache, or give it another work folder."};
    }
    if (const auto written = writeFiles(); !written.ok()) {
        if (!isFull(written.error())) return written.error();
        return base::Error{"environment.disk",
                           "Building " + title() +
                               " failed before its first step, while its files were written: the disk of " +
                               m_folder.string() + " is full. " + kRoom};
    }
    m_log.emplace(file("build.log"), wire::kNoRank, "environment");
    m_log->maskWith(&m_masker);
    m_step = 0;
    m_stage = Stage::Step;
    return {};
}

Status EnvironmentBuild::writeFiles() {
    TRAINYARD_TRY(base::makeDirs(file("tmp")));
    for (const wire::PlanBuildFile& one : m_environment.files) {
        const Path path = m_folder / one.name;
        TRAINYARD_TRY(base::makeDirs(path.parent_path()));
        TRAINYARD_TRY(base::writeFileAtomically(path, one.text));
    }
    return {};
}

Status EnvironmentBuild::startStep() {
    const wire::PlanBuildStep& step = m_environment.steps[m_step];
    m_reason = "Building " + title() + ": " + step.title + " (" + std::to_string(m_step + 1) + " of " +
               std::to_string(m_environment.steps.size()) + ")";
    Variables variables = currentEnvironment();
    std::erase_if(variables, [](const auto& entry) {
        return entry.first.starts_with("TRAINYARD_") || entry.first.starts_with("AZ_BATCHAI_");
    });
    for (const auto& [name, value] : m_names) variables[name] = value;
    variables["TMPDIR"] = file("tmp").string();
    variables[kBuildVariable] = m_folder.string();
    for (const auto& [name, value] : m_secrets) variables[name] = value;
    for (const auto& [name, value] : step.variables) variables[name] = expandVariables(value, m_names);
    TreeSpec spec;
    for (const std::string& argument : step.command) spec.argv.push_back(expandVariables(argument, m_names));
    spec.environment = environmentStrings(variables);
    spec.folder = m_folder.string();
    spec.log = file("build.log").string();
    spec.held = m_lock->fd();
    spec.abandoned = whenAbandoned();
    auto child = TreeChild::start(spec);
    if (!child.ok()) return child.error();
    m_child.emplace(std::move(child).value());
    m_limit = base::Deadline::inMillis(step.maxSeconds * 1000);
    m_timedOut = false;
    return {};
}

Status EnvironmentBuild::afterStep(const ChildEnd& end, StreamSink& sink) {
    readLog(sink, true);
    if (m_canceled) return canceled();
    const wire::PlanBuildStep& step = m_environment.steps[m_step];
    const std::string what = "Building " + title() + " failed at \"" + step.title + "\" (step " +
                             std::to_string(m_step + 1) + " of " + std::to_string(m_environment.steps.size()) + "): ";
    if (const int error = m_child->notStarted(); error != 0) {
        const std::string program = expandVariables(step.command.front(), m_names);
        if (error == ENOSPC || error == EDQUOT)
            return base::Error{"environment.disk", what + "the disk is full. " + kRoom};
        if (error == ENOENT)
            return base::Error{"environment.program",
                               what + "the program " + program +
                                   " is not on this machine. Install it there, or choose another kind of environment."};
        return base::Error{"environment.program", what + program + " cannot be started: " + std::strerror(error) + "."};
    }
    if (m_timedOut) {
        return base::Error{"environment.time",
                           what + "it took longer than " + base::formatDuration(step.maxSeconds * 1'000'000'000) + "."};
    }
    if (end.signal != 0 || end.exit != 0) {
        const std::string said = lastWords();
        const auto space = base::diskSpace(m_folder);
        const std::string told = said.empty() ? std::string() : said + ". ";
        // Its own cache, or a container engine's storage, may lie on another disk than the environment.
        if (saysDiskIsFull(said))
            return base::Error{"environment.disk", what + "the disk is full: " + told + remedyOf(said)};
        if (space.ok() && space->freeBytes < kFullBytes)
            return base::Error{"environment.disk", what + "the disk is full. " + told + kRoom};
        if (end.signal != 0) return base::Error{"environment.step", what + killed(end.signal)};
        return base::Error{"environment.step", what + "exit status " + std::to_string(end.exit) +
                                                   (told.empty() ? ". " : ": " + told) + remedyOf(said)};
    }
    ++m_step;
    return {};
}

Status EnvironmentBuild::finish() {
    m_stage = Stage::Finish;
    m_reason = "Building " + title() + ": keeping what was built";
    Json ready = Json::object();
    ready["format"] = kReadyFormat;
    ready["version"] = 1;
    ready["hash"] = m_environment.hash;
    ready["name"] = m_environment.name;
    ready["type"] = m_environment.kind;
    ready["t"] = base::wallMicros();
    ready["build_ns"] = base::monotonicNanos() - m_begun;
    return work([folder = m_folder, ready] { return writeReady(folder, ready); });
}

void EnvironmentBuild::discard(base::Error error) {
    m_error = std::move(error);
    m_stage = Stage::Discard;
    m_reason = "Removing what was built of " + title();
    m_child.reset();
    endOrphans();
    const auto remove = [folder = m_folder] {
        endOldBuild(folder);  // Left where the keeper itself was killed.
        return removeEnvironment(folder).ok() ? 0 : 1;
    };
    if (const auto started = work(remove); !started.ok()) m_child.reset();
}

void EnvironmentBuild::cancel() {
    if (m_canceled) return;
    m_canceled = true;
    if (m_child && m_stage == Stage::Step) m_child->ask();
}

void EnvironmentBuild::readLog(StreamSink& sink, bool final) {
    do {
        while (m_log->drain(sink, kBuildLogDrainBytes, false) >= kBuildLogDrainBytes && sink.mayTakeMore()) {
        }
        m_log->flushPartial(sink, final, false);
        sink.flush();
    } while (final && !m_log->atEnd() && sink.mayTakeMore());
}

std::string EnvironmentBuild::lastWords() const {
    std::error_code error;
    const auto size = static_cast<std::int64_t>(fs::file_size(file("build.log"), error));
    if (error) return {};
    const std::int64_t from = std::max<std::int64_t>(0, size - kLogBytes);
    std::vector<std::string> lines;
    for (const std::string& line :
         base::split(base::readFileRange(file("build.log"), from, kLogBytes).valueOr({}), '\n')) {
        lines.push_back(base::stripControl(base::toValidUtf8(base::trim(m_masker.mask(line)))));
    }
    std::string said = whatWentWrong(lines);
    while (said.ends_with('.')) said.pop_back();
    return said;
}

}  // namespace trainyard::agent
