#pragma once
// What trying a run out before its launch came to: what it will need, what does not fit, the largest batch that does.
#include <QWidget>
#include <optional>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "ui/widgets/Basics.h"

class QVBoxLayout;

namespace trainyard::ui {

/// What the answer of run.check is held against.
struct PreflightPlace {
    QString elsewhere;               ///< The target when it is another machine than the one that tried; else empty.
    std::int64_t memoryBytes = 0;    ///< Of that target's smallest machine, as the doctor saw it; 0: not known.
    std::int64_t diskFreeBytes = 0;  ///< Where the run's files come to lie; 0: not known.
};

struct PreflightText {
    InlineError::Kind kind = InlineError::Kind::Success;
    QString headline;
    std::vector<std::pair<QString, QString>> lines;  ///< Finding ("warning", "failure"; "" for a mere remark) and text.
    std::optional<std::int64_t> batch;               ///< One that fits, where the one asked for does not.
};
/// `found`: the answer of run.check; members that it lacks are not spoken of.
[[nodiscard]] PreflightText preflightText(const base::Json& found, const PreflightPlace& place);

class PreflightPanel : public QWidget {
    Q_OBJECT

public:
    explicit PreflightPanel(QWidget* parent);
    void setText(const PreflightText& text);
    void setError(const base::Error& error);
    void clear();

Q_SIGNALS:
    void batchWanted(std::int64_t batch);

private:
    void clearLines();

    InlineError* m_headline;
    QVBoxLayout* m_lines;
};

}  // namespace trainyard::ui
