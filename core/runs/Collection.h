#pragma once
// What follows when a run's outputs have come: the journal's word on them, and the models that its records asked for.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/base/Ids.h"
#include "core/runs/Journal.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "core/targets/Operations.h"
#include "core/targets/Target.h"

namespace trainyard::runs {

/// Registers what a run's records "model" ask for, of outputs that are here, and says what it did: entries
/// "registered", and a warning for each that cannot be. Asked again for the same run it registers nothing twice. In a
/// pool thread.
using RegisterModels = std::function<std::vector<JournalEntry>(
    const base::RunId& run, const std::vector<targets::OutputFile>& here, const targets::KeepGoing& report)>;

/// `nodesLeft`: nodes of which nothing was heard at the end; what they left is still there.
[[nodiscard]] JournalEntry collectedEntry(int attempt, const std::vector<targets::OutputFile>& brought,
                                          const std::set<int>& nodesLeft = {});
/// "node 1", "nodes 1 and 2"
[[nodiscard]] std::string nodesText(const std::set<int>& nodes);
/// Whether what some nodes left was not brought at the last collection.
[[nodiscard]] bool areNodesLeft(const store::Reader& reader, const base::RunId& run);

/// Carries out what the run asked for and tells the index; `done` gets what belongs into the journal. Null when nothing
/// was asked for.
[[nodiscard]] targets::OperationPtr startRegistering(const RegisterModels& work, const store::Reader& reader,
                                                     store::Writer& writer, const base::RunId& run,
                                                     const std::vector<targets::OutputFile>& here,
                                                     std::function<void(std::vector<JournalEntry>)> done);

}  // namespace trainyard::runs
