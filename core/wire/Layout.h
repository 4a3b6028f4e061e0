#pragma once
// Names of files and folders, on both sides. No other file spells them.
#include <string>

#include "core/base/Files.h"
#include "core/base/Ids.h"

namespace trainyard::wire {

using base::Path;
using base::RunId;

/// workspace/
struct WorkspaceLayout {
    Path root;
    [[nodiscard]] Path marker() const { return root / "trainyard.json"; }
    [[nodiscard]] Path index() const { return root / "history.sqlite"; }
    [[nodiscard]] Path objects() const { return root / "objects"; }
    [[nodiscard]] Path object(const std::string& sha256) const { return objects() / sha256; }
    [[nodiscard]] Path runs() const { return root / "runs"; }
    [[nodiscard]] Path run(const RunId& id) const { return runs() / id.str(); }
    [[nodiscard]] Path spec(const RunId& id) const { return run(id) / "spec.json"; }
    [[nodiscard]] Path journal(const RunId& id) const { return run(id) / "journal.jsonl"; }
    [[nodiscard]] Path journalLock(const RunId& id) const {
        return run(id) / "journal.lock";
    }  ///< Held for one append.
    [[nodiscard]] Path stream(const RunId& id, int attempt, int node) const {
        return run(id) / "stream" / ("a" + std::to_string(attempt) + "-n" + std::to_string(node));
    }
    [[nodiscard]] Path outputs(const RunId& id) const { return run(id) / "outputs"; }
    [[nodiscard]] Path snapshot(const RunId& id) const { return run(id) / "snapshot.json"; }
    [[nodiscard]] Path patch(const RunId& id) const { return run(id) / "uncommitted.patch"; }
    [[nodiscard]] Path lock(const RunId& id) const { return run(id) / "lock"; }
    [[nodiscard]] Path models() const { return root / "models"; }
    [[nodiscard]] Path modelVersion(const std::string& name, int version) const {
        return models() / name / std::to_string(version);
    }
    [[nodiscard]] Path modelCard(const std::string& name, int version) const {
        return modelVersion(name, version) / "card.json";
    }
    [[nodiscard]] Path views() const { return root / "views"; }
    [[nodiscard]] Path datasets() const { return root / "datasets"; }
    [[nodiscard]] Path targets() const { return root / "targets"; }
    [[nodiscard]] Path target(const std::string& name, int version) const {
        return targets() / name / (std::to_string(version) + ".json");
    }
    /// What the doctor found last, with its time. Not part of the definition.
    [[nodiscard]] Path targetDoctor(const std::string& name) const { return targets() / name / "doctor.json"; }
    [[nodiscard]] Path environments() const { return root / "environments"; }
    [[nodiscard]] Path environmentVersion(const std::string& name, int version) const {
        return environments() / name / (std::to_string(version) + ".json");
    }
    [[nodiscard]] Path drafts() const { return root / "views" / "drafts"; }
    [[nodiscard]] Path trash() const { return root / "trash"; }
};

/// The queue of a machine, one for all its users so that their runs do not fight. The target's definition may name
/// another.
inline constexpr const char* kSharedSlots = "/var/tmp/trainyard-slots";

/// <work>/ on a target
struct WorkLayout {
    Path root;
    /// Where a queue of this work folder alone would lie; runs use kSharedSlots.
    [[nodiscard]] Path slots() const { return root / "slots"; }
    [[nodiscard]] Path bin(const std::string& sha256) const { return root / "bin" / sha256; }
    [[nodiscard]] Path agentProgram(const std::string& sha256) const { return bin(sha256) / "trainyard-agent"; }
    /// An unpacked CPU bundle or one built here: bin/trainyard-engine inside.
    [[nodiscard]] Path engines() const { return root / "engines"; }
    [[nodiscard]] Path engine(const std::string& key) const { return engines() / key; }
    [[nodiscard]] Path environments() const { return root / "environments"; }
    [[nodiscard]] Path environment(const std::string& hash) const { return environments() / hash; }
    [[nodiscard]] Path data() const { return root / "data"; }
    /// A folder `files` with the data, read-only, and `info.json` once it is complete.
    [[nodiscard]] Path dataEntry(const std::string& sha256) const { return data() / sha256; }
    [[nodiscard]] Path objects() const { return root / "objects"; }
    [[nodiscard]] Path object(const std::string& sha256) const { return objects() / sha256; }
    [[nodiscard]] Path incoming() const { return root / "incoming"; }  ///< Uploads under way, by hash.
    [[nodiscard]] Path runs() const { return root / "runs"; }
    [[nodiscard]] Path run(const RunId& id) const { return runs() / id.str(); }
    [[nodiscard]] Path outputs(const RunId& id) const { return run(id) / "outputs"; }
    [[nodiscard]] Path attemptNode(const RunId& id, int attempt, int node) const {
        return run(id) / ("a" + std::to_string(attempt)) / ("n" + std::to_string(node));
    }
};

/// <work>/runs/<id>/a<attempt>/n<node>/ — what an agent is started on.
struct NodeLayout {
    Path root;
    [[nodiscard]] Path plan() const { return root / "plan.json"; }
    [[nodiscard]] Path control() const { return root / "control"; }  ///< Commands: files renamed into it.
    [[nodiscard]] Path ranks() const { return root / "ranks"; }
    [[nodiscard]] Path stream() const { return root / "stream"; }
    [[nodiscard]] Path agent() const { return root / "agent.json"; }  ///< ProcessIdentity of the agent.
    [[nodiscard]] Path agentLock() const { return root / "agent.lock"; }
    [[nodiscard]] Path agentLog() const { return root / "agent.log"; }  ///< The agent's own stderr.
    [[nodiscard]] Path lead() const {
        return root / "lead.json";
    }                                                          ///< Node 0: {"address","port"} its agent listens on.
    [[nodiscard]] Path code() const { return root / "code"; }  ///< The source snapshot, the ranks' working folder.
    [[nodiscard]] Path rendezvous() const { return root / "rendezvous.json"; }
    [[nodiscard]] Path rankOut(int rank) const { return ranks() / ("r" + std::to_string(rank) + ".out"); }
    [[nodiscard]] Path rankErr(int rank) const { return ranks() / ("r" + std::to_string(rank) + ".err"); }
    [[nodiscard]] Path rankStream(int rank) const { return ranks() / ("r" + std::to_string(rank) + ".stream"); }
    [[nodiscard]] Path rankShim(int rank) const { return ranks() / ("r" + std::to_string(rank) + ".shim.json"); }
    [[nodiscard]] Path rankExit(int rank) const { return ranks() / ("r" + std::to_string(rank) + ".exit.json"); }
};

/// Names of files inside control/.
namespace control {
inline constexpr const char* kCancel = "cancel";
inline constexpr const char* kCheckpoint = "checkpoint";
}  // namespace control

}  // namespace trainyard::wire
