#pragma once
#include <QString>
#include <QWidget>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

class QTableWidget;

namespace trainyard::ui {

class InlineError;
class QuietButton;
class TextLabel;

/// What a target keeps: a line of sums, List and Clear…, and a table with sizes and last use. Whoever owns it does the
/// listing and clearing.
class KeptTable : public QWidget {
    Q_OBJECT
public:
    struct Entry {
        std::string key;
        std::string kind;
        QString name;  ///< As people know it.
        QString what;  ///< The kind in words; shown in a table of several kinds.
        QString host;
        std::int64_t bytes = 0;
        std::int64_t lastUse = 0;  ///< Microseconds UTC; 0 when not known.
        bool inUse = false;
    };

    /// Names its parts `prefix`ListButton, `prefix`ClearButton, `prefix`SumLabel, `prefix`Error and `prefix`Table.
    /// `unknown`: what stands there before anything was listed; `leading` (may be null) stands before the buttons.
    KeptTable(const QString& prefix, const QString& tableName, const QString& unknown, bool severalKinds,
              QWidget* leading, QWidget* parent);

    /// The entries of target.cache or environment.cache; null: not known.
    void setEntries(const base::Json& entries);
    /// While it is listed or cleared, neither can be asked for again.
    void setBusy(const QString& text);
    void setError(const base::Error& error);

Q_SIGNALS:
    void listWanted();
    /// What is selected, or everything that no run uses: never empty, nothing of it in use.
    void clearWanted(const std::vector<trainyard::ui::KeptTable::Entry>& entries, std::int64_t bytes);

private:
    void refresh();
    void askToClear();

    QString m_unknown;
    std::optional<std::vector<Entry>> m_entries;
    bool m_severalKinds;
    QuietButton* m_list;
    QuietButton* m_clear;
    TextLabel* m_sum;
    InlineError* m_error;
    QTableWidget* m_table;
};

}  // namespace trainyard::ui
