#include "core/engine/train/ClassScores.h"

#include <ATen/ATen.h>

namespace trainyard::engine {

using base::Json;

namespace {

constexpr std::int64_t kFive = 5;

Json share(double part, double whole) { return whole > 0 ? Json(part / whole) : Json(); }

std::string nameOf(const std::vector<std::string>& names, std::int64_t label) {
    const auto index = static_cast<std::size_t>(label);
    return index < names.size() ? names[index] : std::to_string(label);
}

}  // namespace

ClassScores::ClassScores(std::int64_t classes)
    : m_classes(classes),
      m_sums(static_cast<std::size_t>(1 + Parts * classes + (classes <= kMostMatrix ? classes * classes : 0)), 0.0) {}

std::size_t ClassScores::place(Part part, std::int64_t label) const {
    return static_cast<std::size_t>(1 + part * m_classes + label);
}

void ClassScores::add(const at::Tensor& logits, const at::Tensor& labels) {
    const at::Tensor values = logits.detach().to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor best = values.argmax(1).contiguous();
    const at::Tensor truths = labels.to(at::kCPU).contiguous();
    const float* row = values.data_ptr<float>();
    for (std::int64_t i = 0; i < values.size(0); ++i, row += m_classes) {
        const std::int64_t label = truths.data_ptr<std::int64_t>()[i];
        const std::int64_t predicted = best.data_ptr<std::int64_t>()[i];
        ++m_sums[place(Actual, label)];
        ++m_sums[place(Predicted, predicted)];
        m_sums[place(Correct, label)] += predicted == label ? 1 : 0;
        if (hasMatrix()) {
            ++m_sums[place(Parts, label * m_classes + predicted)];
        }
        std::int64_t before = 0;
        for (std::int64_t k = 0; k < m_classes; ++k) {
            // Written so that nothing is larger than a NaN but everything is before one.
            before += !(row[k] <= row[label]) || (row[k] == row[label] && k < label) ? 1 : 0;
        }
        m_sums[0] += before < kFive ? 1 : 0;
    }
}

double ClassScores::samples() const {
    double sum = 0;
    for (std::int64_t label = 0; label < m_classes; ++label) {
        sum += count(Actual, label);
    }
    return sum;
}

double ClassScores::top5() const {
    const double all = samples();
    return all > 0 ? m_sums[0] / all : 0;
}

double ClassScores::macroF1() const {
    double sum = 0;
    double present = 0;
    for (std::int64_t label = 0; label < m_classes; ++label) {
        const double both = count(Actual, label) + count(Predicted, label);
        present += both > 0 ? 1 : 0;
        sum += both > 0 ? 2 * count(Correct, label) / both : 0;
    }
    return present > 0 ? sum / present : 0;
}

Json ClassScores::table(const std::vector<std::string>& names) const {
    Json rows = Json::array();
    for (std::int64_t label = 0; label < m_classes; ++label) {
        const double actual = count(Actual, label);
        const double predicted = count(Predicted, label);
        const double correct = count(Correct, label);
        rows.push_back({nameOf(names, label), static_cast<std::int64_t>(actual), share(correct, predicted),
                        share(correct, actual), share(2 * correct, actual + predicted)});
    }
    return Json{{"columns", {"class", "samples", "precision", "recall", "F1"}}, {"rows", std::move(rows)}};
}

Json ClassScores::matrix(const std::vector<std::string>& names) const {
    Json columns = Json::array();
    Json rows = Json::array();
    for (std::int64_t label = 0; label < m_classes; ++label) {
        columns.push_back(nameOf(names, label));
        Json row = Json::array();
        for (std::int64_t predicted = 0; predicted < m_classes; ++predicted) {
            row.push_back(static_cast<std::int64_t>(count(Parts, label * m_classes + predicted)));
        }
        rows.push_back(std::move(row));
    }
    return Json{{"type", "confusion_matrix"}, {"columns", std::move(columns)}, {"rows", std::move(rows)}};
}

}  // namespace trainyard::engine
