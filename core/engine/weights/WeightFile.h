#pragma once
// Trained weights from a file of any of the usual kinds. Nothing in the file is executed.
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/model/Network.h"

namespace trainyard::engine {

struct WeightFile {
    /// "state_dict" (torch.save, zip or legacy, plain or nested), "module" (torch.save of a whole module),
    /// "safetensors", "torchscript".
    std::string kind;
    std::string under;     ///< Where in a checkpoint the tensors were: "state_dict"; empty at the top.
    std::string prefix;    ///< What was taken off every name: "module.".
    NamedTensors tensors;  ///< On the CPU, contiguous, in file order.
};

/// Tells the kind by content. Errors: "weights.kind" (none of them), "weights.pickle", "weights.zip", "weights.format",
/// "weights.code" (the file wants something called that no weights need; names it), "weights.empty" (no tensors),
/// "file.*".
[[nodiscard]] Result<WeightFile> readWeightFile(const base::Path& path);

/// What of a file fits a network.
struct WeightMatch {
    std::vector<std::string> matched;
    std::vector<std::string> reinitialised;  ///< In both, with another shape: the head for another number of classes.
    std::vector<std::string> missing;        ///< The network's, not in the file: keep their first values.
    std::vector<std::string> unused;         ///< The file's, not in the network.
};
/// Names as lists, cut to the first twenty each, with counts; for the form.
[[nodiscard]] base::Json toJson(const WeightFile& file, const WeightMatch& match);

/// Compares names and shapes. "weights.other" when less than half of the network's own tensors (running statistics'
/// counters aside) have a partner: then the file belongs to another architecture.
[[nodiscard]] Result<WeightMatch> matchWeights(const WeightFile& file, const Network& network);
/// Copies what matches into the network, converted to its types.
[[nodiscard]] Status applyWeights(const WeightFile& file, const WeightMatch& match, Network& network);

}  // namespace trainyard::engine
