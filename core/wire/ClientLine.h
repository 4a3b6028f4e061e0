#pragma once
// What a rank reports by appending lines to the file named in TRAINYARD_STREAM: JSON objects with a "kind" and that
// kind's members; t and step may be absent. The agent turns them into records. Text: resources/docs/protocol/client.md.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/wire/RunStream.h"

namespace trainyard::wire {

namespace kind {
inline constexpr const char* kConclusion = "conclusion";  // message: the run's reason once it has completed
}

/// Client-side writer: each call is one write(2) to an O_APPEND file; an error drops the record and counts it.
/// Thread-safe; safe after fork. Without a path every call does nothing.
class ClientWriter {
public:
    /// From TRAINYARD_STREAM.
    static ClientWriter fromEnvironment();
    explicit ClientWriter(const Path& file);
    ClientWriter(ClientWriter&&) noexcept = default;
    ClientWriter& operator=(ClientWriter&&) noexcept = default;

    void metrics(const std::vector<SeriesPoints>& series);
    void metric(std::string_view name, double value, std::int64_t step);
    void params(const Json& values);
    void progress(const Json& body);
    void warning(std::string_view code, std::string_view message);
    /// The last words of a rank that is about to fail: a warning marked "fatal", which becomes the run's reason.
    void failure(std::string_view code, std::string_view message);
    /// The last words of a rank that is about to end well.
    void conclusion(std::string_view message);
    void text(std::string_view name, std::string_view text);
    void artifact(std::string_view path);
    /// Any kind.
    void write(std::string_view kind, Json body);
    [[nodiscard]] std::int64_t dropped() const { return m_counters->dropped; }
    [[nodiscard]] bool enabled() const { return m_fd.valid(); }

private:
    struct Counters {
        std::atomic<std::int64_t> dropped = 0;
        std::atomic<bool> lineOpen = false;  ///< The last write failed within a line.
    };
    base::UniqueFd m_fd;
    std::unique_ptr<Counters> m_counters = std::make_unique<Counters>();  ///< Atomics cannot move.
};

/// Turns one client line of a rank into a record body with steps and times filled in. Keeps the next step of each
/// (rank, name), which begins at 0. Accepts {"kind":"metric","name":N,"value":V,"step"?:S,"t"?:T}, several values of
/// one step {"kind":"metrics","values":{N:V,…},"step"?:S,"t"?:T} and the batched {"kind":"metrics","series":[…]};
/// numeric strings are numbers. Kinds that only the agent or the workspace may say are refused. Not thread-safe.
class ClientLineTranslator {
public:
    /// `now` is the agent's stream clock; used where the line has no t. Errors: "client.line" (kept as a warning by the
    /// caller).
    [[nodiscard]] Result<Record> translate(int rank, std::string_view line, std::int64_t now);
    /// The same of a line that was parsed already.
    [[nodiscard]] Result<Record> translateParsed(int rank, const Json& object, std::int64_t now);
    /// For a restarted agent, and for points from elsewhere: what had been numbered before.
    void noteStep(int rank, const std::string& name, std::int64_t step);
    /// The step that a point without one would get.
    [[nodiscard]] std::int64_t nextStep(int rank, const std::string& name) const;
    /// False for a name that is too long, or a new one when there are kMaxNames already.
    [[nodiscard]] bool admits(int rank, const std::string& name) const;

    static constexpr std::size_t kMaxNameBytes = 1000;
    static constexpr std::size_t kMaxNames = 100'000;  ///< Over all ranks of the node.

private:
    std::map<std::pair<int, std::string>, std::int64_t> m_nextStep;
};

}  // namespace trainyard::wire
