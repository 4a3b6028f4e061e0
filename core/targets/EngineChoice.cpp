#include "core/targets/EngineChoice.h"

#include <QPointer>
#include <algorithm>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/EngineBuild.h"
#include "core/targets/HostCalls.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Operations.h"

namespace trainyard::targets {
namespace {

constexpr const char* kBundleName = "trainyard-engine-cpu.tar.zst";

base::Path bundlePath() {
    const QByteArray chosen = qgetenv("TRAINYARD_ENGINE_BUNDLE");
    if (!chosen.isEmpty()) {
        return base::Path(chosen.toStdString());
    }
    const base::Path agent = LocalTarget::findProgram("trainyard-agent");
    const base::Path folder = agent.parent_path();
    std::error_code error;
    for (const base::Path& candidate : {folder / kBundleName, folder / ".." / "bundles" / kBundleName,
                                        folder / ".." / "lib" / "trainyard" / kBundleName}) {
        if (std::filesystem::is_regular_file(candidate, error)) {
            return candidate.lexically_normal();
        }
    }
    return {};
}

bool isHash(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Looks at the engines in the host's cache, newest first, until one fits.
class BuiltEngineSearch final : public Operation {
public:
    BuiltEngineSearch(Host& host, bool needsCuda, Deadline deadline, Done<ChosenEngine> done)
        : m_host(&host), m_needsCuda(needsCuda), m_deadline(deadline), m_done(std::move(done)) {
        if (const Result<EngineSources> sources = findEngineSources(); sources.ok()) {
            m_sources = sources->sha256;
        }
        m_step = cacheOfHost(host, deadline, [this](const Result<std::vector<CacheEntry>>& entries) {
            if (!entries.ok()) {
                end(entries.error());
                return;
            }
            for (const CacheEntry& entry : *entries) {
                if (entry.kind == "engine") {
                    m_engines.push_back(entry);
                }
            }
            std::sort(m_engines.begin(), m_engines.end(),
                      [](const CacheEntry& a, const CacheEntry& b) { return a.lastUse > b.lastUse; });
            next();
        });
    }

private:
    void next() {
        if (!m_host) {
            return;
        }
        if (m_at == m_engines.size()) {
            end(base::Error{
                "target.engine",
                m_seenOlder ? "The engine that was built on " + m_host->label() +
                                  " is another version's. Build it anew: trainyard-cli target build-engine " +
                                  m_host->options().target
                : m_needsCuda ? "No engine with CUDA was built on " + m_host->label() +
                                    " yet, and a run that asks for a GPU never falls back to the processor. Build it: "
                                    "trainyard-cli target build-engine " +
                                    m_host->options().target
                              : "No engine was built on " + m_host->label() +
                                    " yet. Build it: trainyard-cli target build-engine " + m_host->options().target});
            return;
        }
        const std::string folder = m_host->workFolder() + "/engines/" + m_engines[m_at].key;
        ExecRequest read;
        read.argv = {"cat", folder + "/engine.json"};
        read.repeat = true;
        m_step = m_host->exec(std::move(read), m_deadline, [this, folder](const Result<ExecResult>& said) {
            if (!said.ok()) {
                end(said.error());
                return;
            }
            const base::Result<base::Json> json = base::parseJson(said->out);
            const auto flag = [&json](const char* name) {
                return json.ok() && json->is_object() && json->contains(name) && json->at(name).is_boolean() &&
                       json->at(name).get<bool>();
            };
            if (said->exit == 0 && json.ok() && !flag("bundle") && (!m_needsCuda || flag("cuda"))) {
                // One of another version of Trainyard may understand another run specification.
                if (m_sources.empty() || !json->contains("sources") || json->at("sources") == base::Json(m_sources)) {
                    end(ChosenEngine{folder + "/bin/trainyard-engine", m_engines[m_at].key, false});
                    return;
                }
                m_seenOlder = true;
            }
            ++m_at;
            next();
        });
    }

    void end(const Result<ChosenEngine>& result) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(result);
        }
    }

    QPointer<Host> m_host;
    bool m_needsCuda;
    Deadline m_deadline;
    Done<ChosenEngine> m_done;
    std::vector<CacheEntry> m_engines;
    std::size_t m_at = 0;
    std::string m_sources;  ///< Hash of this version's sources; empty when they are not here.
    bool m_seenOlder = false;
    OperationPtr m_step;
};

}  // namespace

Result<EngineBundle> findEngineBundle() {
    EngineBundle bundle;
    bundle.archive = bundlePath();
    std::error_code error;
    const auto size = bundle.archive.empty() ? 0 : std::filesystem::file_size(bundle.archive, error);
    if (bundle.archive.empty() || error) {
        return base::Error{"target.program",
                           std::string("The engine's bundle ") + kBundleName +
                               " was found neither beside this program nor in ../lib/trainyard; a train task "
                               "needs it on another machine."};
    }
    bundle.size = static_cast<std::int64_t>(size);
    const base::Result<std::string> beside = base::readFile(base::Path(bundle.archive.string() + ".sha256"), 4096);
    if (beside.ok() && isHash(beside->substr(0, 64))) {
        bundle.key = beside->substr(0, 64);
        return bundle;
    }
    static std::mutex mutex;
    static std::pair<base::Path, std::filesystem::file_time_type> knownFile;
    static std::string knownHash;
    const auto changed = std::filesystem::last_write_time(bundle.archive, error);
    const std::lock_guard lock(mutex);
    if (knownHash.empty() || knownFile != std::pair(bundle.archive, changed)) {
        const base::Result<std::string> hash = base::sha256File(bundle.archive);
        if (!hash.ok()) {
            return hash.error();
        }
        knownFile = {bundle.archive, changed};
        knownHash = *hash;
    }
    bundle.key = knownHash;
    return bundle;
}

OperationPtr chooseEngine(Host& host, EngineChoice choice, Deadline deadline, Done<ChosenEngine> done) {
    if (choice.setting.starts_with("/")) {
        return postResult<ChosenEngine>(ChosenEngine{choice.setting, {}, false}, std::move(done));
    }
    if (choice.needsCuda || choice.setting == "built") {
        return std::make_unique<BuiltEngineSearch>(host, choice.needsCuda, deadline, std::move(done));
    }
    return std::make_unique<ThreadOperation<ChosenEngine>>(
        [work = host.workFolder()](const KeepGoing&) -> Result<ChosenEngine> {
            const Result<EngineBundle> bundle = findEngineBundle();
            if (!bundle.ok()) {
                return bundle.error();
            }
            return ChosenEngine{work + "/engines/" + bundle->key + "/bin/trainyard-engine", bundle->key, true};
        },
        std::function<void(std::int64_t)>{}, std::move(done));
}

}  // namespace trainyard::targets
