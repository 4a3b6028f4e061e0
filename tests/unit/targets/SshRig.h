#pragma once
// What tests of runs on SSH hosts share: a target on the lab, plans, and a reader of streams that looks for gaps and
// doubles.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Hash.h"
#include "core/targets/SshTarget.h"
#include "tests/helpers/Await.h"
#include "tests/helpers/LabTarget.h"
#include "tests/helpers/Wait.h"

namespace trainyard::test::ssh {

using namespace trainyard::targets;

inline Deadline soon() { return Deadline::inMillis(20'000); }

inline spec::TargetSpec labSpec(int hosts) { return labTarget("lab", 1, hosts); }

inline LaunchPlan planOf(std::vector<std::string> command, int nodes = 1) {
    LaunchPlan plan;
    plan.plan.run = RunId::make();
    plan.plan.nodes = nodes;
    plan.plan.command = std::move(command);
    plan.plan.graceSeconds = 1;
    plan.plan.diskReserveBytes = 1 << 20;
    plan.plan.cores = 1;
    return plan;
}

/// Takes the chunks of a run's first attempt and checks that each stream is without gaps and doubles.
class Streams {
public:
    /// Of logs only the number of lines and bytes is known then: for very many.
    bool countOnly = false;
    /// After a full disk a line may be torn; its record follows whole.
    bool mayBeTorn = false;

    void take(const StreamChunk& chunk) {
        Stream& stream = m_streams[{chunk.attempt, chunk.node}];
        if (!chunk.bytes.empty() && stream.at != std::pair(chunk.segment, chunk.offset)) {
            m_wrong = "Segment " + std::to_string(chunk.segment) + " at " + std::to_string(chunk.offset) +
                      " does not follow.";
        }
        stream.at = chunk.closed
                        ? std::pair(chunk.segment + 1, std::int64_t{0})
                        : std::pair(chunk.segment, chunk.offset + static_cast<std::int64_t>(chunk.bytes.size()));
        stream.rest += chunk.bytes;
        std::size_t begin = 0;
        for (std::size_t end; (end = stream.rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
            add(stream, std::string_view(stream.rest).substr(begin, end - begin));
        }
        stream.rest.erase(0, begin);
        m_caughtUp = chunk.caughtUp;
    }
    /// Records of a kind, in order.
    [[nodiscard]] std::vector<base::Json> records(const std::string& kind, int node = 0) const {
        const auto stream = m_streams.find({1, node});
        if (stream == m_streams.end() || !stream->second.records.contains(kind)) {
            return {};
        }
        return stream->second.records.at(kind);
    }
    [[nodiscard]] std::size_t lines(int node = 0) const { return ofNode(node).lines; }
    /// Of all lines' text.
    [[nodiscard]] std::size_t textBytes(int node = 0) const { return ofNode(node).textBytes; }
    [[nodiscard]] bool ended(int node = 0) const { return !records("ended", node).empty(); }
    /// The body of the record "ended"; null before.
    [[nodiscard]] base::Json end(int node = 0) const {
        return ended(node) ? records("ended", node).front() : base::Json();
    }
    /// What is wrong with the order of what came; empty when nothing is.
    [[nodiscard]] const std::string& wrong() const { return m_wrong; }
    [[nodiscard]] std::vector<StreamPosition> positions() const {
        std::vector<StreamPosition> all;
        for (const auto& [of, stream] : m_streams) {
            all.push_back({of.first, of.second, stream.at.first, stream.at.second});
        }
        return all;
    }
    [[nodiscard]] bool caughtUp() const { return m_caughtUp; }
    /// All lines of a node, each with a newline.
    [[nodiscard]] std::string log(int node = 0) const {
        std::string text;
        for (const base::Json& record : records("log", node)) {
            for (const base::Json& line : record.at("lines")) {
                text += line.get<std::string>() + "\n";
            }
        }
        return text;
    }

private:
    struct Stream {
        std::pair<int, std::int64_t> at{1, 0};
        std::string rest;
        std::int64_t seq = 0;
        std::size_t lines = 0;
        std::size_t textBytes = 0;
        std::map<std::string, std::vector<base::Json>> records;
    };

    void add(Stream& stream, std::string_view line) {
        auto json = base::parseJson(line);
        if (!json.ok() && mayBeTorn) {
            return;
        }
        if (!json.ok() || json->at("seq").get<std::int64_t>() != ++stream.seq) {
            m_wrong = "A record is torn or out of order after " + std::to_string(stream.seq) + ".";
            return;
        }
        const std::string kind = json->at("kind").get<std::string>();
        if (kind == "log") {
            for (const base::Json& text : json->at("lines")) {
                ++stream.lines;
                stream.textBytes += text.get_ref<const std::string&>().size();
            }
        }
        if (!countOnly || kind != "log") {
            stream.records[kind].push_back(std::move(*json));
        }
    }

    [[nodiscard]] const Stream& ofNode(int node) const {
        static const Stream kNone;
        const auto found = m_streams.find({1, node});
        return found == m_streams.end() ? kNone : found->second;
    }

    std::map<std::pair<int, int>, Stream> m_streams;
    std::string m_wrong;
    bool m_caughtUp = false;
};

/// Follows a run from now on.
class Following {
public:
    Following(SshTarget& target, const RunId& run) { start(target, run); }
    /// Anew from where it stands, as another workbench would.
    void start(SshTarget& target, const RunId& run) {
        m_operation.reset();
        m_operation = target.follow(
            run, streams.positions(), [this](const StreamChunk& chunk) { streams.take(chunk); },
            [this](const base::Error& error) { broken = error.code + ": " + error.message; });
    }
    /// All of the first `nodes` nodes have ended.
    [[nodiscard]] bool waitForEnd(int nodes = 1, int timeoutMillis = 30'000) {
        return waitFor(
                   [&] {
                       bool all = true;
                       for (int node = 0; node < nodes; ++node) {
                           all = all && streams.ended(node);
                       }
                       return all || !broken.empty();
                   },
                   timeoutMillis) &&
               broken.empty();
    }

    Streams streams;
    std::string broken;

private:
    OperationPtr m_operation;
};

/// Launches; error as the target says it.
inline Status launch(SshTarget& target, const LaunchPlan& plan, int timeoutMillis = 60'000) {
    return await<void>([&](DoneStatus done) { return target.launch(plan, {}, std::move(done)); }, timeoutMillis);
}

}  // namespace trainyard::test::ssh
