#pragma once
// Parts of a model's card and of an export's proof as the page shows them.
#include <QString>
#include <QStringList>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::ui {

/// One case of a proof: an input, a batch size, how far the two outputs are apart.
struct ProofCase {
    QString input;
    std::int64_t batch = 0;
    QString difference;  ///< "3.1e-07", or what went wrong.
    QString allowed;
    QString sameAnswer;  ///< "yes", "no", or empty when it does not apply.
    bool well = false;
};
[[nodiscard]] std::vector<ProofCase> proofCases(const base::Json& proof);

struct ProofFacts {
    bool passed = false;
    QString verdict;  ///< One sentence.
    QString checker;
    QString runtime;      ///< "ONNX Runtime 1.20, through Node.js"
    QString largest;      ///< Largest difference, exact.
    QStringList reasons;  ///< Why it failed.
};
[[nodiscard]] ProofFacts proofFacts(const base::Json& proof);

/// {1, 28, 28} as "1×28×28".
[[nodiscard]] QString shapeText(const base::Json& shape);
/// "3.1e-07"; the spelling of NaN and infinities stays.
[[nodiscard]] QString differenceText(const base::Json& value);

}  // namespace trainyard::ui
