#include "ui/shell/Fuzzy.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace trainyard::ui {
namespace {

constexpr int kHit = 10;
constexpr int kWordStart = 14;
constexpr int kRun = 12;
constexpr int kFirst = 8;
constexpr int kNone = std::numeric_limits<int>::min() / 2;

bool startsWord(const QString& text, qsizetype i) {
    if (i == 0) return true;
    const QChar before = text[i - 1], here = text[i];
    return !before.isLetterOrNumber() || (before.isLower() && here.isUpper()) || (before.isLetter() && here.isDigit());
}

/// Best placing of one word by dynamic programming: best[i][j] = word[0..i] placed with word[i] at text[j].
std::optional<FuzzyMatch> matchWord(const QString& word, const QString& text) {
    const qsizetype n = word.size(), m = text.size();
    if (n > m) return std::nullopt;
    const QString lowWord = word.toCaseFolded(), lowText = text.toCaseFolded();
    if (lowText.size() != m || lowWord.size() != n) {
        // Folding changed the length (ß → ss): positions would not fit, so only a plain search is offered.
        const qsizetype at = text.indexOf(word, 0, Qt::CaseInsensitive);
        if (at < 0) return std::nullopt;
        FuzzyMatch match{kHit * static_cast<int>(n), {}};
        for (qsizetype i = 0; i < n; ++i) match.positions << static_cast<int>(at + i);
        return match;
    }
    const auto cell = [m](qsizetype i, qsizetype j) { return static_cast<std::size_t>(i * m + j); };
    std::vector<int> best(static_cast<std::size_t>(n * m), kNone), from(static_cast<std::size_t>(n * m), -1);
    for (qsizetype i = 0; i < n; ++i) {
        int carried = kNone, carriedAt = -1;
        for (qsizetype j = i; j < m; ++j) {
            if (i > 0 && j > 0) {
                // A gap costs one a character, so what lies close together wins.
                carried -= 1;
                if (best[cell(i - 1, j - 1)] > carried)
                    carried = best[cell(i - 1, j - 1)], carriedAt = static_cast<int>(j - 1);
            }
            if (lowWord[i] != lowText[j]) continue;
            int score = kHit + (startsWord(text, j) ? kWordStart : 0) + (j == 0 ? kFirst : 0);
            if (i > 0) {
                if (carriedAt < 0) continue;
                const int run = best[cell(i - 1, j - 1)] > kNone ? best[cell(i - 1, j - 1)] + kRun : kNone;
                if (run >= carried) {
                    score += run;
                    from[cell(i, j)] = static_cast<int>(j - 1);
                } else {
                    score += carried;
                    from[cell(i, j)] = carriedAt;
                }
            }
            best[cell(i, j)] = score;
        }
    }
    qsizetype end = -1;
    int top = kNone;
    for (qsizetype j = n - 1; j < m; ++j) {
        if (best[cell(n - 1, j)] > top) top = best[cell(n - 1, j)], end = j;
    }
    if (end < 0 || top <= kNone / 2) return std::nullopt;
    FuzzyMatch match{top, {}};
    for (qsizetype i = n - 1; i >= 0; --i) {
        match.positions.prepend(static_cast<int>(end));
        end = from[cell(i, end)];
    }
    return match;
}

}  // namespace

std::optional<FuzzyMatch> fuzzyMatch(const QString& query, const QString& text) {
    FuzzyMatch whole;
    for (const QString& word : query.split(QLatin1Char(' '), Qt::SkipEmptyParts)) {
        const auto match = matchWord(word, text);
        if (!match) return std::nullopt;
        whole.score += match->score;
        whole.positions += match->positions;
    }
    std::sort(whole.positions.begin(), whole.positions.end());
    whole.positions.erase(std::unique(whole.positions.begin(), whole.positions.end()), whole.positions.end());
    if (!query.isEmpty()) whole.score -= static_cast<int>(text.size()) / 8;
    return whole;
}

}  // namespace trainyard::ui
