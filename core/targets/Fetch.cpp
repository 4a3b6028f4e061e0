// A run's outputs from a host into a local folder.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QPointer>
#include <memory>
#include <utility>

#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/targets/Deploy.h"
#include "core/targets/Operations.h"

namespace trainyard::targets {
namespace {

constexpr std::size_t kFetchesAtOnce = 8;

bool canNeverBeBrought(const base::Error& error) {
    return error.code == "target.missing" || error.code == "target.hash" || error.code == "target.path" ||
           error.code == "file.kind";
}

/// What lies here already with the right hash; what has a name that leads elsewhere.
struct Sorted {
    FetchReport report;
    std::vector<OutputFile> wanted;
    std::int64_t bytesHere = 0;
};

Result<Sorted> sortFiles(const std::vector<OutputFile>& files, const base::Path& into, const KeepGoing& report) {
    Sorted sorted;
    for (const OutputFile& file : files) {
        if (!base::isPlainRelativePath(file.path)) {
            sorted.report.lost.push_back(
                {"target.path", "The output \"" + file.path + "\" has a name that leads out of its folder."});
            continue;
        }
        struct stat info {};
        if (!file.sha256.empty() && ::lstat((into / file.path).c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
            info.st_size == file.size) {
            const Result<std::string> hash = base::sha256File(
                into / file.path, [&](std::int64_t bytes) { return report(sorted.bytesHere + bytes); });
            if (!hash.ok() && hash.error().code == "canceled") {
                return hash.error();
            }
            if (hash.ok() && *hash == file.sha256) {
                sorted.report.brought.push_back(file);
                sorted.bytesHere += file.size;
                continue;
            }
        }
        sorted.wanted.push_back(file);
    }
    return sorted;
}

class FetchOperation final : public Operation {
public:
    FetchOperation(Host& host, RunId run, std::vector<OutputFile> files, base::Path into,
                   std::function<void(std::int64_t)> onProgress, Done<FetchReport> done)
        : m_host(&host), m_run(std::move(run)), m_into(std::move(into)), m_onProgress(std::move(onProgress)),
          m_done(std::move(done)) {
        m_step = std::make_unique<ThreadOperation<Sorted>>(
            [files = std::move(files), into = m_into](const KeepGoing& report) {
                return sortFiles(files, into, report);
            },
            m_onProgress,
            [this](const Result<Sorted>& sorted) {
                if (!sorted.ok()) {
                    end(sorted.error());
                    return;
                }
                m_report = sorted->report;
                m_wanted = sorted->wanted;
                m_base = sorted->bytesHere;
                m_bytes.assign(m_wanted.size(), 0);
                m_running.resize(m_wanted.size());
                if (m_onProgress) {
                    m_onProgress(m_base);
                }
                more();
            });
    }

private:
    void more() {
        if (!m_host) {
            return;
        }
        while (m_next < m_wanted.size() && m_underWay < kFetchesAtOnce) {
            const std::size_t at = m_next++;
            ++m_underWay;
            HostDownload download;
            download.run = m_run;
            download.path = m_wanted[at].path;
            download.to = m_into / m_wanted[at].path;
            download.size = m_wanted[at].sha256.empty() ? -1 : m_wanted[at].size;
            download.sha256 = m_wanted[at].sha256;
            m_running[at] = m_host->download(
                std::move(download), [this, at](std::int64_t bytes) { progress(at, bytes); },
                [this, at](const Result<OutputFile>& file) { ended(at, file); });
        }
        if (m_arrived == m_wanted.size()) {
            m_step = std::make_unique<ThreadOperation<void>>(
                [into = m_into](const KeepGoing&) -> Status {
                    // Once for all files: what is here may now be removed there.
                    const base::UniqueFd folder(::open(into.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                    if (folder.valid() && ::syncfs(folder.get()) != 0) {
                        return base::errnoError(errno, "The outputs cannot be written to the disk", into);
                    }
                    return {};
                },
                std::function<void(std::int64_t)>{},
                [this](const Status& synced) {
                    if (synced.ok()) {
                        end(std::move(m_report));
                    } else {
                        end(synced.error());
                    }
                });
        }
    }

    void ended(std::size_t at, const Result<OutputFile>& file) {
        if (file.ok()) {
            m_report.brought.push_back(*file);
            progress(at, file->size);
        } else if (canNeverBeBrought(file.error())) {
            m_report.lost.push_back(file.error());
        } else {
            end(file.error());
            return;
        }
        m_last = std::move(m_running[at]);  // It is on the stack below us.
        --m_underWay;
        ++m_arrived;
        more();
    }

    void progress(std::size_t at, std::int64_t bytes) {
        m_base += bytes - m_bytes[at];
        m_bytes[at] = bytes;
        if (m_onProgress) {
            m_onProgress(m_base);
        }
    }

    void end(Result<FetchReport> result) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(std::move(result));
        }
    }

    QPointer<Host> m_host;
    RunId m_run;
    base::Path m_into;
    std::function<void(std::int64_t)> m_onProgress;
    Done<FetchReport> m_done;
    FetchReport m_report;
    std::vector<OutputFile> m_wanted;
    std::vector<std::int64_t> m_bytes;
    std::int64_t m_base = 0;
    std::vector<OperationPtr> m_running;
    OperationPtr m_last;
    std::size_t m_next = 0;
    std::size_t m_underWay = 0;
    std::size_t m_arrived = 0;
    OperationPtr m_step;
};

}  // namespace

OperationPtr fetchOutputs(Host& host, const RunId& run, std::vector<OutputFile> files, const base::Path& into,
                          std::function<void(std::int64_t)> onProgress, Done<FetchReport> done) {
    return std::make_unique<FetchOperation>(host, run, std::move(files), into, std::move(onProgress), std::move(done));
}

}  // namespace trainyard::targets
