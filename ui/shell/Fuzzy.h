#pragma once
#include <QList>
#include <QString>

#include <optional>

namespace trainyard::ui {

struct FuzzyMatch {
    int score = 0;           ///< Higher is better.
    QList<int> positions{};  ///< Of the matched characters, ascending.
};

/// Whether the letters of `query` stand in `text` in that order, case apart. Starts of words and runs of letters score
/// high, late and scattered matches low; every word of a query is looked for by itself. An empty query matches with 0.
[[nodiscard]] std::optional<FuzzyMatch> fuzzyMatch(const QString& query, const QString& text);

}  // namespace trainyard::ui
