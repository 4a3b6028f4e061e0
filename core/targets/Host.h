#pragma once
// One machine on which `trainyard-agent serve` is spoken to (wire/Serve.h): this one over a pipe, another over the
// system's OpenSSH client. Keeps the channel, makes it anew after a cut, and carries requests, files and streams across
// cuts.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <QObject>
#include <QTimer>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/spec/TargetSpec.h"
#include "core/targets/Target.h"
#include "core/wire/Serve.h"

namespace trainyard::targets {

class AskServer;
class Channel;

struct HostOptions {
    std::string target;       ///< Name of the target it belongs to, for questions.
    bool overSsh = false;     ///< false: this machine, over a pipe.
    spec::HostSpec where;     ///< Over ssh.
    std::string workFolder;   ///< There: absolute, "~/…" or empty (~/.local/share/trainyard/work).
    std::string slotsFolder;  ///< There; empty: the agent's default.
    std::int64_t connectSeconds = 10;
    std::int64_t aliveSeconds = 5;
    /// After a refused login of which nobody was asked anything; doubled each time, up to 32 times it: programs that
    /// ban an address count the logins that fail in ten minutes.
    int refusedPauseMillis = 30'000;
    base::Path agent;  ///< The agent's program here; empty: looked for beside the running program.
    std::string ssh;   ///< The ssh program; empty: $TRAINYARD_SSH, else "ssh".
};

/// One request. `header` has "verb" and its members, not "id". Payload above 1 MiB goes in several frames.
struct HostRequest {
    base::Json header;
    std::string payload;
    bool repeat =
        true;  ///< Sent again when the channel broke before the answer came. False: "target.unreachable" then.
    bool patient = false;       ///< Waits for an unreachable host until its deadline; otherwise it fails with it.
    bool inWorkFolder = false;  ///< "cwd" becomes <work>, which is known only on the channel.
    std::function<void(const base::Json& event, std::string payload)> onEvent;
};

struct ExecRequest {
    std::vector<std::string> argv;  ///< Started without a shell; the first is looked up in PATH there.
    std::string folder;             ///< Empty: the agent's own, the home folder.
    bool inWorkFolder = false;      ///< `folder` is <work> there.
    std::vector<std::pair<std::string, std::string>> environment;  ///< Added.
    std::string input;
    std::function<void(bool isError, std::string bytes)> onOutput;  ///< As it comes; `out` and `err` stay empty then.
    bool repeat = false;                                            ///< May be done twice without harm.
};

struct ExecResult {
    int exit = -1;  ///< -1 when a signal ended it.
    int signal = 0;
    std::string out;  ///< 1 MiB each at most.
    std::string err;
    bool truncated = false;
};

/// A file that is brought there. Where it goes is told by `to`.
struct HostUpload {
    enum class To { Object, Data, Engine };
    To to = To::Object;
    base::Path local;
    std::string sha256;
    std::int64_t size = 0;
    bool executable = false;
    std::string entry;  ///< Data: the content hash. Engine: the key.
    std::string path;   ///< Data: inside the entry.
};

/// One file of a run's outputs that is brought here.
struct HostDownload {
    RunId run;
    std::string path;        ///< In the outputs folder.
    base::Path to;           ///< The file here. Until it is whole and checked it lies beside it as ".<name>.part".
    std::int64_t size = -1;  ///< -1: not known.
    std::string sha256;      ///< Empty: not known; what the agent says of the whole file counts then.
};

/// Lives in one thread with an event loop; all calls and callbacks are in it. Connects when the first operation wants
/// it and keeps trying, with pauses from 1 s to 60 s, as long as one waits. An unreachable host fails ordinary requests
/// at once with its reason while a pause runs ("target.unreachable"); after the pause a request tries anew. A refusal
/// (wrong key, user or host key) fails everything that waits and is only tried again by connectNow(). Destroying the
/// host ends its operations without callbacks; what it started there goes on.
class Host : public QObject {
    Q_OBJECT
public:
    explicit Host(HostOptions options, QObject* parent = nullptr);
    ~Host() override;

    /// The destination, or this machine's name.
    [[nodiscard]] const std::string& label() const { return m_label; }
    [[nodiscard]] const HostOptions& options() const { return m_options; }
    [[nodiscard]] const Reach& reach() const { return m_reach; }
    /// Called on each change of reach(), from the event loop. One listener.
    void onReachChanged(std::function<void(const Reach&)> listener) { m_onReach = std::move(listener); }
    /// Told while the agent's program is sent there: bytes done, bytes in all. One listener.
    void onDeploy(std::function<void(std::int64_t, std::int64_t)> listener) { m_onDeploy = std::move(listener); }
    void setAsk(AskPerson ask);

    /// What the agent said of itself on the last connection (the answer to "hello"); null before the first.
    [[nodiscard]] const base::Json& hello() const { return m_hello; }
    /// <work> there, absolute; empty before the first connection.
    [[nodiscard]] std::string workFolder() const;
    /// Round trip of the last ping, and the clock there minus the clock here; -1 and 0 before the first.
    [[nodiscard]] std::int64_t latencyNanos() const { return m_latencyNanos; }
    [[nodiscard]] std::int64_t clockOffsetMicros() const { return m_clockOffset; }

    /// Bytes a second of the last upload that was large enough to tell; 0 before it.
    [[nodiscard]] std::int64_t uploadBytesPerSecond() const { return m_uploadRate; }
    void noteUpload(std::int64_t bytes, std::int64_t nanos) {
        if (bytes >= (1 << 20) && nanos > 0) {
            m_uploadRate = static_cast<std::int64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(nanos));
        }
    }

    /// Tries to connect now, whatever pause runs. No-op when connected.
    void connectNow();
    /// Connects if need be. Errors: "target.unreachable", "target.refused", "target.program", "target.protocol",
    /// "target.disk_full", "target.deadline", with the reason and what to do.
    [[nodiscard]] OperationPtr connect(Deadline deadline, DoneStatus done);

    /// Errors: those of connect(), and the agent's own ("file.full" of it becomes "target.disk_full").
    [[nodiscard]] OperationPtr request(HostRequest request, Deadline deadline, Done<base::Json> done);
    [[nodiscard]] OperationPtr exec(ExecRequest request, Deadline deadline, Done<ExecResult> done);
    /// Goes on after a cut from what has arrived; "target.unreachable" after two minutes without a byte. `onProgress`
    /// gets bytes that are there.
    [[nodiscard]] OperationPtr upload(HostUpload file, std::function<void(std::int64_t)> onProgress, DoneStatus done);
    /// As upload. Errors also: "target.missing", "target.hash" (the file is not what was expected), file.* of this
    /// machine.
    [[nodiscard]] OperationPtr download(HostDownload file, std::function<void(std::int64_t)> onProgress,
                                        Done<OutputFile> done);
    /// As Target::follow. Goes on by itself after cuts from its last positions: no byte twice, none left out. Only a
    /// refusal, a protocol error or the agent's own error ends it.
    [[nodiscard]] OperationPtr follow(const RunId& run, std::vector<StreamPosition> from,
                                      std::function<void(StreamChunk)> onChunk,
                                      std::function<void(base::Error)> onError);

    /// What goes over the channel. Not for use outside this room.
    class Task;

private:
    void add(Task* task);
    void remove(Task* task);
    void sendTo(Task& task);
    void begin();
    void dropChannel();
    void channelOpened();
    void channelSaid(const wire::ServeFrameView& frame);
    void channelEnded(base::Error error);
    void helloAnswered(const wire::ServeFrameView& frame);
    void failWaiting(const base::Error& error, bool alsoPatient);
    void setReach(Reach::State state, std::string reason, std::int64_t nextTryAt = 0);
    void ping();
    void send(const base::Json& header, std::string_view payload = {});
    [[nodiscard]] bool someoneWaits() const;

    HostOptions m_options;
    std::string m_label;
    Reach m_reach;
    base::Error m_lastError;
    bool m_refused = false;  ///< The last login was. Nothing tries again by itself; what asks later may, after a pause.
    bool m_asked = false;    ///< A person was asked during the last login: nobody asks again until connectNow().
    std::function<void(const Reach&)> m_onReach;
    std::function<void(std::int64_t, std::int64_t)> m_onDeploy;
    std::unique_ptr<AskServer> m_ask;
    std::unique_ptr<Channel> m_channel;
    bool m_ready = false;  ///< hello was answered.
    base::Json m_hello;
    std::int64_t m_latencyNanos = -1;
    std::int64_t m_clockOffset = 0;
    std::int64_t m_uploadRate = 0;
    std::int64_t m_nextId = 1;
    std::int64_t m_helloId = 0;
    std::int64_t m_pingSentAt = 0;
    std::int64_t m_lastHeard = 0;
    int m_failures = 0;           ///< Tries in a row that did not reach the agent.
    int m_flaps = 0;              ///< Channels in a row that carried nothing.
    bool m_useful = false;        ///< This channel has carried an answer.
    std::int64_t m_mayTryAt = 0;  ///< Monotonic nanoseconds.
    QTimer m_retry;
    QTimer m_ping;
    std::set<Task*> m_tasks;
    std::map<std::int64_t, Task*> m_byId;
};

}  // namespace trainyard::targets
