// dataset.add: fetch, unpack, read, look at, keep. Each step is a piece of work of its own, so that it can be told of
// and stopped.
#include <QThreadPool>
#include <QUrl>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include "core/base/Clock.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/base/Text.h"
#include "core/commands/DatasetJson.h"
#include "core/commands/RunCommand.h"
#include "core/commands/Session.h"
#include "core/datasets/Content.h"
#include "core/datasets/Fetch.h"
#include "core/datasets/Problems.h"
#include "core/datasets/Samples.h"
#include "core/runs/EngineCall.h"
#include "core/runs/HashCache.h"
#include "core/targets/Operations.h"
#include "core/unpack/Archive.h"

namespace trainyard::commands {
namespace {

constexpr std::chrono::hours kForgotten{7 * 24};
constexpr int kMostLookMillis =
    24 * 3600 * 1000;  // A million pictures from a slow disk take hours; a person may cancel.

/// A folder in the workspace that is removed at the end of its life, wherever that is; the lock says that it is in use.
class WorkFolder {
public:
    static Result<std::shared_ptr<WorkFolder>> make(const wire::WorkspaceLayout& layout) {
        sweep(layout);
        const base::Path path = datasets::incomingFolder(layout) / base::newUuid7();
        TRAINYARD_TRY(base::makeDirs(path / "files"));
        auto lock = base::FileLock::tryExclusive(path / "lock");
        if (!lock.ok()) {
            return lock.error();
        }
        return std::shared_ptr<WorkFolder>(new WorkFolder(path, std::move(*lock)));
    }
    ~WorkFolder() {
        // What cannot be removed now is swept by the next one.
        [[maybe_unused]] const Status removed = base::removeTree(m_path);
    }
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;
    [[nodiscard]] base::Path files() const { return m_path / "files"; }

private:
    WorkFolder(base::Path path, base::FileLock lock) : m_path(std::move(path)), m_lock(std::move(lock)) {}

    /// Removes what programs that died left behind, and downloads that nobody went on with.
    static void sweep(const wire::WorkspaceLayout& layout) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(datasets::incomingFolder(layout), error)) {
            std::error_code none;
            if (entry.is_directory(none) && std::filesystem::exists(entry.path() / "lock", none) &&
                base::FileLock::tryExclusive(entry.path() / "lock").ok()) {
                [[maybe_unused]] const Status removed = base::removeTree(entry.path());
            } else if (entry.is_regular_file(none) &&
                       std::filesystem::file_time_type::clock::now() - entry.last_write_time(none) > kForgotten) {
                [[maybe_unused]] const Status removed = base::removeTree(entry.path());
            }
        }
    }

    base::Path m_path;
    base::FileLock m_lock;
};
using WorkFolderPtr = std::shared_ptr<WorkFolder>;

Result<std::string> cachedHash(const base::Path& file, const datasets::Report& report) {
    return runs::HashCache::shared().sha256(file, report);
}

Error withField(const Error& error, const char* field) {
    return {error.code, error.message, error.field.empty() ? field : error.field};
}

struct Read {
    datasets::Place place;
    datasets::Files files;
    std::optional<datasets::Dataset> same;  ///< The newest version, where it is this already.
};

class AddDatasetCommand final : public Command {
public:
    using Command::Command;
    ~AddDatasetCommand() override {
        // 100,000 files are not deleted in the window's thread.
        if (m_folder) {
            QThreadPool::globalInstance()->start([folder = std::move(m_folder)]() mutable { folder.reset(); });
        }
    }

private:
    void run(const Json& parameters) override {
        base::ObjectReader reader(parameters, "");
        m_dataset.source = reader.string("source");
        m_dataset.split = reader.number("split", 0.2);
        m_dataset.splitSeed = reader.integer("split_seed", 1);
        const std::string sha256 = reader.string("sha256");
        const auto name = spec::parseDatasetName(reader.string("name"), "name");
        if (!name.ok() || name->version != 0) {
            finish(name.ok()
                       ? Error{"spec.name", "A new version gets its number by itself; give the name alone.", "name"}
                       : name.error());
            return;
        }
        m_dataset.name = name->name;
        if (datasets::isAddress(m_dataset.source)) {
            const auto address = datasets::readAddress(m_dataset.source, sha256);
            if (!address.ok()) {
                finish(address.error());
                return;
            }
            m_dataset.source = address->url;
            m_dataset.sourceSha256 = address->sha256;
            fetch(*address);
            return;
        }
        begin(sha256);
    }

    /// A path here, or a file address of one.
    void begin(const std::string& sha256) {
        const QUrl url(QString::fromStdString(m_dataset.source));
        m_path = m_dataset.source.starts_with("file:") ? url.toLocalFile().toStdString() : m_dataset.source;
        std::error_code error;
        if (!m_path.is_absolute()) {
            finish(Error{"dataset.source", "A source is the absolute path of a folder or an archive, or an address.",
                         "source"});
            return;
        }
        m_path = m_path.lexically_normal();
        if (!m_path.has_filename()) {
            m_path = m_path.parent_path();
        }
        if (!sha256.empty() && !datasets::isSha256(sha256)) {
            finish(Error{"spec.input", "A SHA-256 has 64 digits 0-9 a-f.", "sha256"});
            return;
        }
        if (std::filesystem::is_directory(m_path, error)) {
            if (!sha256.empty()) {
                finish(Error{"spec.input", "A SHA-256 is that of an archive; this is a folder.", "sha256"});
                return;
            }
            read(m_path, 0.0, 0.2);
            return;
        }
        if (!std::filesystem::is_regular_file(m_path, error)) {
            finish(Error{"dataset.source",
                         m_path.string() + (std::filesystem::exists(m_path, error)
                                                ? " is no file or folder."
                                                : " is not there, or may not be read by you."),
                         "source"});
            return;
        }
        m_dataset.sourceSha256 = sha256;
        unpack(m_path, false, 0.0, 0.25);
    }

    // ------------------------------------------------------------------------------------------------ steps

    void fetch(const datasets::Address& address) {
        const base::Path incoming = datasets::incomingFolder(session().workspace().layout);
        m_part = incoming / (address.sha256 + ".part");
        if (const Status made = base::makeDirs(incoming); !made.ok()) {
            finish(made.error());
            return;
        }
        base::Path lockFile = m_part;
        lockFile += ".lock";
        auto lock = base::FileLock::tryExclusive(lockFile);
        if (!lock.ok()) {
            finish(lock.error().code == "lock.held"
                       ? Error{"dataset.busy", "This address is being fetched already.", "source"}
                       : lock.error());
            return;
        }
        m_partLock = std::move(*lock);
        m_fetch = new datasets::Fetch(address, m_part, this);
        connect(m_fetch, &datasets::Fetch::progressed, this, [this](std::int64_t done, std::int64_t total) {
            const double share = total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : -1;
            const std::string text =
                "Fetching, " + base::formatBytes(done) + (total > 0 ? " of " + base::formatBytes(total) : "");
            reportProgress(
                {share < 0 ? -1 : 0.3 * share, text, Json{{"phase", "fetch"}, {"done", done}, {"total", total}}});
        });
        connect(m_fetch, &datasets::Fetch::done, this, [this](const Status& status) {
            m_fetch->deleteLater();
            m_fetch = nullptr;
            if (!status.ok()) {
                finish(status.error());
                return;
            }
            unpack(m_part, true, 0.3, 0.5);
        });
        m_fetch->start();
        reportProgress({-1, "Fetching", Json{{"phase", "fetch"}, {"done", 0}, {"total", 0}}});
    }

    /// Checks the archive's hash where one is given, and unpacks it. A download goes once it is unpacked, or is not
    /// what was asked for.
    void unpack(const base::Path& archive, bool fetched, double from, double to) {
        m_dataset.managed = true;
        step<WorkFolderPtr>(
            "unpack", "Unpacking", from, to,
            [layout = session().workspace().layout, archive, fetched,
             wanted = m_dataset.sourceSha256](const datasets::Report& report) -> Result<WorkFolderPtr> {
                if (!wanted.empty()) {
                    const auto found = base::sha256File(archive, [&](std::int64_t) { return report(0); });
                    if (!found.ok()) {
                        return found.error();
                    }
                    if (*found != wanted) {
                        if (fetched) {
                            TRAINYARD_TRY(base::removeTree(archive));
                        }
                        return Error{"dataset.hash",
                                     "The SHA-256 of what " + std::string(fetched ? "arrived" : "lies there") + " is " +
                                         *found + ", not " + wanted + ": it was changed, or is something else.",
                                     "sha256"};
                    }
                }
                auto folder = WorkFolder::make(layout);
                if (!folder.ok()) {
                    return folder.error();
                }
                const auto unpacked = unpack::unpackArchive(archive, (*folder)->files(), {}, report);
                const bool useless =
                    !unpacked.ok() && unpacked.error().code != "file.full" && unpacked.error().code != "canceled";
                if (fetched && (unpacked.ok() || useless)) {
                    TRAINYARD_TRY(base::removeTree(archive));
                }
                if (!unpacked.ok()) {
                    return unpacked.error();
                }
                return *folder;
            },
            [this, to](WorkFolderPtr folder) {
                m_partLock.reset();
                m_folder = std::move(folder);
                read(m_folder->files(), to, to + 0.15);
            });
    }

    void read(const base::Path& folder, double from, double to) {
        m_lookFrom = to;
        step<Read>(
            "read", "Reading the files", from, to,
            [layout = session().workspace().layout, folder,
             wanted = m_dataset](const datasets::Report& report) -> Result<Read> {
                Read done;
                auto place = datasets::findPlace(folder);
                if (!place.ok()) {
                    return place.error();
                }
                done.place = std::move(*place);
                auto files = datasets::readPlace(done.place, cachedHash, report);
                if (!files.ok()) {
                    return withField(files.error(), "source");
                }
                done.files = std::move(*files);
                const auto newest = datasets::readDataset(layout, {wanted.name, 0});
                if (newest.ok() && isSame(*newest, wanted, done)) {
                    done.same = *newest;
                }
                return done;
            },
            [this](Read done) {
                m_read = std::move(done);
                if (m_read.same) {
                    Json answer = datasetJson(*m_read.same);
                    answer["changed"] = false;
                    finish(std::move(answer));
                    return;
                }
                look();
            });
    }

    static bool isSame(const datasets::Dataset& newest, const datasets::Dataset& wanted, const Read& now) {
        const bool splits = now.place.kind == "images" && now.place.layout.validation.empty();
        std::error_code error;
        return newest.sha256 == now.files.sha256 && newest.kind == now.place.kind && newest.managed == wanted.managed &&
               newest.source == wanted.source && (wanted.managed || newest.path == now.place.folder) &&
               std::filesystem::is_directory(newest.path, error) &&
               (!splits || (newest.split == wanted.split && newest.splitSeed == wanted.splitSeed));
    }

    /// The trainer's own decoder, in a process of its own: a picture that brings it down brings nothing else down.
    void look() {
        Json dataset{{"kind", m_read.place.kind}};
        if (m_read.place.kind == "images") {
            dataset["folder"] = m_read.place.folder.string();
            dataset["val_fraction"] = m_dataset.split;
            dataset["split_seed"] = m_dataset.splitSeed;
        }
        for (const auto& [key, name] : m_read.place.files) {
            dataset[key] = (m_read.place.folder / name).string();
        }
        m_call = new runs::EngineCall({}, this);
        connect(m_call, &runs::EngineCall::progressed, this, [this](const Json& body) {
            base::ObjectReader reader(body, "");
            const double total = reader.number("total");
            const double share = total > 0 ? reader.number("done") / total : 0.0;
            reportProgress(
                {m_lookFrom + (0.98 - m_lookFrom) * share, "Looking at the pictures",
                 Json{{"phase", "look"}, {"done", reader.integer("done")}, {"total", reader.integer("total")}}});
        });
        connect(m_call, &runs::EngineCall::done, this, [this](const Result<Json>& result) {
            m_call->deleteLater();
            m_call = nullptr;
            if (!result.ok()) {
                // The engine names fields of a specification; here there is the source alone.
                finish(
                    Error{result.error().code, result.error().message, result.error().field.empty() ? "" : "source"});
                return;
            }
            keep(*result);
        });
        m_call->start("dataset", Json{{"dataset", std::move(dataset)}}, kMostLookMillis);
        reportProgress({m_lookFrom, "Looking at the pictures", Json{{"phase", "look"}, {"done", 0}, {"total", 0}}});
    }

    void keep(const Json& answer) {
        m_keeping = true;
        m_work = std::make_unique<targets::ThreadOperation<datasets::Dataset>>(
            [layout = session().workspace().layout, dataset = m_dataset, now = m_read,
             answer](const targets::KeepGoing&) { return kept(layout, dataset, now, answer); },
            std::function<void(std::int64_t)>{}, ifWanted([this](const Result<datasets::Dataset>& dataset) {
                if (!dataset.ok()) {
                    finish(dataset.error());
                    return;
                }
                session().noteDatasetsChanged();
                Json shown = datasetJson(*dataset);
                shown["changed"] = true;
                finish(std::move(shown));
            }));
    }

    static Result<datasets::Dataset> kept(const wire::WorkspaceLayout& layout, datasets::Dataset dataset,
                                          const Read& now, const Json& answer) {
        dataset.kind = now.place.kind;
        dataset.path = now.place.folder;
        dataset.layout = now.place.layout;
        dataset.files = now.place.files;
        dataset.sha256 = now.files.sha256;
        dataset.bytes = now.files.bytes;
        dataset.createdAt = base::wallMicros();
        TRAINYARD_TRY(datasets::takeLook(dataset, answer));
        const bool pictures = dataset.kind == "images";
        const datasets::SampleList samples =
            pictures ? datasets::arrangeSamples(dataset, now.place.classFolders, now.files.files)
                     : datasets::SampleList();
        dataset.problems = datasets::findProblems(dataset, now.place, samples, answer);
        if (dataset.managed) {
            const base::Path home = datasets::dataFolder(layout, dataset.sha256);
            std::error_code error;
            if (!std::filesystem::is_directory(home, error)) {
                TRAINYARD_TRY(base::makeDirs(home.parent_path()));
                std::filesystem::rename(now.place.folder, home, error);
                if (error && !std::filesystem::is_directory(home)) {
                    return base::errnoError(error.value(), "rename", now.place.folder);
                }
            }
        }
        const auto version = datasets::writeDataset(layout, dataset, now.files.files);
        if (!version.ok()) {
            return version.error();
        }
        return datasets::readDataset(layout, {dataset.name, *version});
    }

    // ------------------------------------------------------------------------------------------------ machinery

    /// Work in a pool thread that reports thousandths; its failure ends the command.
    template <class T>
    void step(const char* phase, const char* text, double from, double to,
              std::function<Result<T>(const datasets::Report&)> work, std::function<void(T)> then) {
        m_work = std::make_unique<targets::ThreadOperation<T>>(
            [work = std::move(work)](const targets::KeepGoing& keepGoing) { return work(keepGoing); },
            [this, phase, text, from, to](std::int64_t permille) {
                reportProgress({from + (to - from) * static_cast<double>(permille) / 1000.0, text,
                                Json{{"phase", phase}, {"done", permille}, {"total", 1000}}});
            },
            ifWanted([this, then = std::move(then)](const Result<T>& result) {
                if (!result.ok()) {
                    finish(result.error());
                    return;
                }
                then(*result);
            }));
        reportProgress({from, text, Json{{"phase", phase}, {"done", 0}, {"total", 1000}}});
    }

    void abort() override {
        if (m_fetch != nullptr) {
            m_fetch->cancel();
        } else if (m_call != nullptr) {
            m_call->cancel();
        } else if (!m_keeping) {
            m_work.reset();
            Command::abort();
        }
    }

    datasets::Dataset m_dataset;
    base::Path m_path;
    base::Path m_part;
    std::optional<base::FileLock> m_partLock;
    WorkFolderPtr m_folder;
    Read m_read;
    double m_lookFrom = 0;
    targets::OperationPtr m_work;
    datasets::Fetch* m_fetch = nullptr;
    runs::EngineCall* m_call = nullptr;
    bool m_keeping = false;  ///< Too late to cancel.
};

}  // namespace

void addDatasetAddCommand(CommandTable& table) {
    using spec::FieldType;
    spec::Field source = parameter("source", "Source", FieldType::Text, Json(),
                                   "A folder (a class a folder, also below train/ and val/; or IDX files), an archive "
                                   "of one, or the address of an archive.",
                                   true);
    spec::Field split = parameter("split", "Validation share", FieldType::Number, 0.2,
                                  "Share of each class that is kept for validation when there is no val/.");
    split.minimum = 0;
    split.minimumExclusive = true;
    split.maximum = 0.9;
    spec::Field seed = parameter("split_seed", "Split seed", FieldType::Integer, 1,
                                 "Which samples are kept for validation; the same seed takes the same.");
    seed.minimum = 0;
    seed.maximum = 2'147'483'647;
    seed.advanced = true;
    CommandInfo info = commandInfo(
        "dataset.add", "Add data set",
        "Looks at all samples of a folder, an archive or an address and keeps it under a name; again under the same "
        "name: its next version.",
        {parameter("name", "Name", FieldType::Text, Json(), "Small letters, digits, '.', '-' and '_'.", true), source,
         parameter("sha256", "SHA-256", FieldType::Text, "", "Of the archive; an address needs one."), split, seed});
    info.writes = true;
    table.add<AddDatasetCommand>(std::move(info));
}

}  // namespace trainyard::commands
