#include "core/engine/train/RankTimes.h"

#include <algorithm>
#include <cstdio>

namespace trainyard::engine {

namespace {

constexpr double kSlower = 1.5;
/// Below this a difference is the machine's unrest.
constexpr double kLeastSeconds = 0.02;
constexpr int kLooks = 3;

double medianOfOthers(const std::vector<StepTimes>& times, std::size_t except) {
    std::vector<double> others;
    for (std::size_t i = 0; i < times.size(); ++i) {
        if (i != except) {
            others.push_back(times[i].own());
        }
    }
    std::ranges::sort(others);
    return others[others.size() / 2];
}

}  // namespace

std::string SlowRanks::look(const std::vector<StepTimes>& times) {
    if (times.size() < 2) {
        return {};
    }
    m_inARow.resize(times.size(), 0);
    for (std::size_t rank = 0; rank < times.size(); ++rank) {
        if (m_inARow[rank] < 0) {
            continue;
        }
        const double own = times[rank].own();
        const double others = medianOfOthers(times, rank);
        m_inARow[rank] = own > kSlower * others && own - others > kLeastSeconds ? m_inARow[rank] + 1 : 0;
        if (m_inARow[rank] == kLooks) {
            m_inARow[rank] = -1;
            char text[240];
            std::snprintf(text, sizeof text,
                          "Rank %zu is slow, and the others wait for it: by itself a step takes it %.0f ms, of that "
                          "%.0f ms waiting for "
                          "data; the others %.0f ms. Look at what else its machine does, and at its disk.",
                          rank, own * 1e3, times[rank].data * 1e3, others * 1e3);
            return text;
        }
    }
    return {};
}

}  // namespace trainyard::engine
