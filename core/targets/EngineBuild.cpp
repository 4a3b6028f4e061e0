#include "core/targets/EngineBuild.h"

#include <QPointer>
#include <array>
#include <memory>
#include <system_error>
#include <utility>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Operations.h"

namespace trainyard::targets {
namespace {

constexpr const char* kSourcesName = "trainyard-engine-src.tar.gz";
constexpr std::int64_t kBuildConnectMillis = 60'000;
constexpr std::int64_t kBuildMillis = 3 * 60 * 60 * 1000;
constexpr std::size_t kLongestLine = 8192;

/// Arguments: work folder, the archive's hash, then those of build-engine.sh. The sources are unpacked once; the folder
/// appears whole or not at all.
constexpr const char* kUnpackAndBuild = R"(set -eu
umask 077
work=$1
hash=$2
shift 2
sources=$work/build/sources-$hash
mkdir -p "$work/build"
# What older versions left, and builds that were killed.
find "$work/build" -mindepth 1 -maxdepth 1 -mtime +1 ! -name "sources-$hash" -exec rm -rf {} +
if [ ! -f "$sources/build-engine.sh" ]; then
    fresh=$sources.$$
    mkdir -p "$fresh"
    tar -xzf "$work/objects/$hash" -C "$fresh" || { echo "ERROR target.program tar cannot unpack the engine's sources there."; exit 1; }
    [ -e "$sources" ] || mv "$fresh" "$sources"
    rm -rf "$fresh"
fi
exec sh "$sources/build-engine.sh" --work "$work" --sources "$hash" "$@"
)";

class EngineBuildOperation final : public Operation {
public:
    EngineBuildOperation(Host& host, EngineBuildOptions options, std::function<void(std::string)> onLine,
                         Done<base::Json> done)
        : m_host(&host), m_options(std::move(options)), m_onLine(std::move(onLine)), m_done(std::move(done)) {
        m_step = host.connect(Deadline::inMillis(kBuildConnectMillis), [this](const Status& connected) {
            if (!connected.ok()) {
                end(connected.error());
                return;
            }
            send();
        });
    }

private:
    void send() {
        const Result<EngineSources> sources = findEngineSources();
        if (!sources.ok()) {
            end(sources.error());
            return;
        }
        m_hash = sources->sha256;
        HostUpload upload;
        upload.local = sources->archive;
        upload.sha256 = sources->sha256;
        upload.size = sources->size;
        say("Sending the engine's sources to " + m_host->label());
        m_step = m_host->upload(std::move(upload), {}, [this](const Status& sent) {
            if (!sent.ok()) {
                end(sent.error());
                return;
            }
            build();
        });
    }

    void build() {
        ExecRequest request;
        request.argv = {"sh",   "-c",       kUnpackAndBuild, "trainyard-build", m_host->workFolder(),
                        m_hash, "--python", m_options.python};
        if (!m_options.torch.empty()) {
            request.argv.insert(request.argv.end(), {"--torch", m_options.torch});
        }
        if (m_options.cuda) {
            request.argv.emplace_back("--cuda");
        }
        request.onOutput = [this](bool isError, const std::string& bytes) { take(m_partial[isError ? 1 : 0], bytes); };
        m_step = m_host->exec(std::move(request), Deadline::inMillis(kBuildMillis),
                              [this](const Result<ExecResult>& result) {
                                  if (!result.ok()) {
                                      end(result.error());
                                      return;
                                  }
                                  for (std::string& rest : m_partial) {
                                      if (!rest.empty()) {
                                          line(std::exchange(rest, {}));
                                      }
                                  }
                                  finish(*result);
                              });
    }

    void take(std::string& partial, const std::string& bytes) {
        for (const char byte : bytes) {
            if (byte == '\n' || byte == '\r' || partial.size() >= kLongestLine) {
                if (!partial.empty()) {
                    line(std::exchange(partial, {}));
                }
            }
            if (byte != '\n' && byte != '\r') {
                partial += byte;
            }
        }
    }

    void line(const std::string& bytes) {
        const std::string text = base::stripControl(base::toValidUtf8(bytes));
        if (text.starts_with("RESULT ")) {
            m_result = text.substr(7);
        } else if (text.starts_with("ERROR ")) {
            const std::size_t space = text.find(' ', 6);
            if (space != std::string::npos) {
                m_error = {text.substr(6, space - 6), text.substr(space + 1)};
            }
        } else {
            m_last = text;
            say(text);
        }
    }

    void finish(const ExecResult& result) {
        if (result.exit == 0 && !m_result.empty()) {
            end(base::parseJson(m_result));
        } else if (!m_error.code.empty()) {
            end(m_error);
        } else {
            end(base::Error{"engine.compile", "The build on " + m_host->label() + " ended with " +
                                                  (result.signal != 0 ? "signal " + std::to_string(result.signal)
                                                                      : "status " + std::to_string(result.exit)) +
                                                  (m_last.empty() ? "." : ": " + m_last)});
        }
    }

    void say(const std::string& text) {
        if (m_onLine) {
            m_onLine(text);
        }
    }

    void end(const Result<base::Json>& result) {
        const auto done = std::exchange(m_done, {});
        if (done) {
            done(result);
        }
    }

    QPointer<Host> m_host;
    EngineBuildOptions m_options;
    std::function<void(std::string)> m_onLine;
    Done<base::Json> m_done;
    std::string m_hash;
    std::array<std::string, 2> m_partial;  ///< Of stdout and of stderr.
    std::string m_last;
    std::string m_result;
    base::Error m_error;
    OperationPtr m_step;
};

}  // namespace

Result<EngineSources> findEngineSources() {
    const QByteArray chosen = qgetenv("TRAINYARD_ENGINE_SOURCES");
    const base::Path folder = LocalTarget::findProgram("trainyard-agent").parent_path();
    std::vector<base::Path> candidates{folder / kSourcesName, folder / ".." / "bundles" / kSourcesName,
                                       folder / ".." / "lib" / "trainyard" / kSourcesName};
    if (!chosen.isEmpty()) {
        candidates = {base::Path(chosen.toStdString())};
    }
    for (const base::Path& candidate : candidates) {
        std::error_code missing;
        const auto size = std::filesystem::file_size(candidate, missing);
        if (missing) {
            continue;
        }
        // Under 2 MB: hashed in no time.
        const Result<std::string> hash = base::sha256File(candidate);
        if (!hash.ok()) {
            return hash.error();
        }
        return EngineSources{candidate.lexically_normal(), *hash, static_cast<std::int64_t>(size)};
    }
    const std::string missing =
        std::string("The engine's sources, ") + kSourcesName +
        ", were found neither beside this program nor in ../lib/trainyard; they are built on the target for its GPUs.";
    return base::Error{"target.program", missing};
}

OperationPtr buildEngine(Host& host, EngineBuildOptions options, std::function<void(std::string)> onLine,
                         Done<base::Json> done) {
    return std::make_unique<EngineBuildOperation>(host, std::move(options), std::move(onLine), std::move(done));
}

}  // namespace trainyard::targets
