#include "core/engine/serve/Tally.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard::engine {

using base::Json;

namespace {

constexpr std::int64_t kBestFive = 5;

Json ratio(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? Json(static_cast<double>(part) / static_cast<double>(whole)) : Json();
}

}  // namespace

Tally::Tally(std::int64_t classes) : m_classes(classes), m_confusion(static_cast<std::size_t>(classes * classes), 0) {}

void Tally::add(const at::Tensor& logits, const at::Tensor& labels, const std::vector<std::int64_t>& samples) {
    const at::Tensor logOf = logits.log_softmax(1).contiguous();
    const at::Tensor best = logits.argmax(1).contiguous();
    const float* values = logOf.data_ptr<float>();
    const std::int64_t* predictions = best.data_ptr<std::int64_t>();
    const std::int64_t* truths = labels.data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const float* row = values + static_cast<std::int64_t>(i) * m_classes;
        const std::int64_t label = truths[i];
        const std::int64_t predicted = predictions[i];
        ++m_samples;
        ++m_confusion[static_cast<std::size_t>(label * m_classes + predicted)];
        m_lossSum -= row[label];
        // Of equals the earlier class stands before, as argmax has it.
        std::int64_t before = 0;
        for (std::int64_t k = 0; k < m_classes; ++k) {
            before += row[k] > row[label] || (row[k] == row[label] && k < label) ? 1 : 0;
        }
        m_inFive += before < kBestFive ? 1 : 0;
        if (predicted != label) {
            m_mistakes.push_back({samples[i], label, predicted, std::exp(row[predicted]), std::exp(row[label])});
        }
    }
}

double Tally::loss() const {
    return m_samples > 0 ? m_lossSum / static_cast<double>(m_samples) : std::numeric_limits<double>::quiet_NaN();
}

double Tally::accuracy() const {
    const std::int64_t right = m_samples - static_cast<std::int64_t>(m_mistakes.size());
    return m_samples > 0 ? static_cast<double>(right) / static_cast<double>(m_samples) : 0;
}

Json Tally::top5() const { return m_classes > kBestFive ? ratio(m_inFive, m_samples) : Json(); }

Json Tally::confusion() const {
    Json matrix = Json::array();
    for (std::int64_t label = 0; label < m_classes; ++label) {
        const auto row = m_confusion.begin() + label * m_classes;
        matrix.push_back(std::vector<std::int64_t>(row, row + m_classes));
    }
    return matrix;
}

Json Tally::classes() const {
    Json rows = Json::array();
    for (std::int64_t label = 0; label < m_classes; ++label) {
        std::int64_t samples = 0;
        std::int64_t predicted = 0;
        for (std::int64_t other = 0; other < m_classes; ++other) {
            samples += at(label, other);
            predicted += at(other, label);
        }
        const std::int64_t correct = at(label, label);
        rows.push_back({{"label", label},
                        {"samples", samples},
                        {"correct", correct},
                        {"predicted", predicted},
                        {"precision", ratio(correct, predicted)},
                        {"recall", ratio(correct, samples)},
                        {"f1", ratio(2 * correct, samples + predicted)}});
    }
    return rows;
}

std::vector<Tally::Mistake> Tally::worst(std::size_t most) const {
    std::vector<Mistake> sorted = m_mistakes;
    const auto kept = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(most, sorted.size()));
    // NaN, of a model gone wrong, would break the order: it counts as no probability at all.
    const auto key = [](const Mistake& one) {
        return std::pair(std::isnan(one.trueProbability) ? -1.0 : one.trueProbability, one.sample);
    };
    std::partial_sort(sorted.begin(), kept, sorted.end(),
                      [&](const Mistake& a, const Mistake& b) { return key(a) < key(b); });
    sorted.erase(kept, sorted.end());
    return sorted;
}

}  // namespace trainyard::engine
