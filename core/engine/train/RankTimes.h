#pragma once
// Where the time of a step goes, rank by rank, and which rank the others wait for.
#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::engine {

/// Seconds a step, mean over the steps between two reports.
struct StepTimes {
    double step = 0;
    double data = 0;      ///< Waiting for the batch.
    double exchange = 0;  ///< Waiting for other ranks: what of the exchange is not hidden under the backward pass.

    /// What the rank needs by itself.
    [[nodiscard]] double own() const { return step - exchange; }
};

/// Finds the rank that holds the others up: training goes at the pace of the slowest, so all steps take equally long
/// and only the share of waiting tells them apart. One thread.
class SlowRanks {
public:
    /// `times` by rank. A sentence naming a rank whose own work took half as long again as the others' median in three
    /// looks in a row, once for each rank; empty otherwise, and always for a single rank.
    [[nodiscard]] std::string look(const std::vector<StepTimes>& times);

private:
    std::vector<int> m_inARow;  ///< By rank; -1 once it has been named.
};

}  // namespace trainyard::engine
