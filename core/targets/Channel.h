#pragma once
// One life of the byte channel to `trainyard-agent serve`: a child process, ssh or the agent itself, from its start to
// its end. Host makes a new one after each end.
#include <sys/types.h>

#include <QProcess>
#include <QSocketNotifier>
#include <QTimer>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/Result.h"
#include "core/targets/Bootstrap.h"
#include "core/targets/Host.h"
#include "core/wire/Serve.h"

namespace trainyard::targets {

class AskServer;

/// Lives in one thread with an event loop; callbacks come from it. `ended` comes exactly once unless the channel is
/// destroyed before; nothing comes after it.
class Channel : public QObject {
    Q_OBJECT
public:
    struct Callbacks {
        std::function<void()> opened;  ///< The greeting was read.
        std::function<void(const wire::ServeFrameView&)> frame;
        std::function<void(base::Error)> ended;
        std::function<void(std::int64_t, std::int64_t)> deploying;  ///< Bytes of the agent done, bytes in all.
    };
    /// `share`: over the shared connection. `ask` may be null.
    Channel(const HostOptions& options, std::string label, bool share, AskServer* ask, Callbacks callbacks);
    ~Channel() override;

    void start();
    void send(const base::Json& header, std::string_view payload);
    /// Bytes that wait to be taken by the child.
    [[nodiscard]] std::int64_t pending() const { return m_process.bytesToWrite(); }
    /// Called when the child took bytes.
    std::function<void()> onWritten;
    /// While a person is asked, no time limit runs.
    void hold(bool held);
    /// No more callbacks; the child is told to end. For an owner that cannot destroy it here, inside its own signal.
    void abandon();
    /// Ends it for a reason; `ended` follows from the event loop.
    void fail(base::Error error);
    [[nodiscard]] const AgentFile& agent() const { return m_agent; }

private:
    [[nodiscard]] bool openOutput();
    void readOutput();
    /// One read; what came was taken. 0 or less: nothing did.
    [[nodiscard]] ssize_t readOnce();
    void readPreface(std::string_view bytes);
    void takeBoot(const BootWord& word);
    void pumpAgent();
    void readFrames();
    void processEnded(int code, QProcess::ExitStatus how);
    void restartWatch();
    [[nodiscard]] std::string lastWords() const;

    const HostOptions m_options;
    std::string m_label;
    bool m_share;
    AskServer* m_ask;
    Callbacks m_callbacks;
    QProcess m_process;
    // The child's standard output. Not QProcess's: it reads what is there as it comes, in pieces of a few KiB, and a
    // gigabyte is a hundred thousand turns of the event loop then.
    base::UniqueFd m_out;
    base::UniqueFd m_outOfChild;
    std::unique_ptr<QSocketNotifier> m_outNotifier;
    std::string m_block;  ///< Until the greeting; frames are read into the decoder.
    QTimer m_gather;      ///< While much comes: lets it come together.
    QTimer m_watch;       ///< Until the greeting: something must move.
    AgentFile m_agent;
    wire::ServeDecoder m_decoder{true};
    std::string m_preface;
    std::string m_skipped;  ///< Banner before a word of the script's.
    std::string m_words;    ///< The end of what came on stderr.
    base::UniqueFd m_agentFd;
    std::int64_t m_agentSent = 0;
    bool m_greeted = false;
    bool m_held = false;
    bool m_ended = false;
};

}  // namespace trainyard::targets
