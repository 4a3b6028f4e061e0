#pragma once
#include <QObject>
#include <QString>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace trainyard::ui {

/// Long work that is going on in this window: copies, exports, checks. Shown in the status bar. GUI thread.
class WorkList : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;

    struct Entry {
        int id = 0;
        QString title;                         ///< "Copying model to /home/…"
        std::optional<double> fraction;        ///< 0…1, nothing while unknown.
        std::optional<std::int64_t> etaNanos;  ///< Measured from the fractions so far unless set.
        std::function<void()> cancel;          ///< Empty: cannot be canceled.
        std::int64_t startedNanos = 0;
    };

    /// Adds an entry and returns its id.
    int begin(const QString& title, std::function<void()> cancel = {});
    /// Unknown ids are ignored, so late progress of canceled work is harmless.
    void progress(int id, double fraction, std::optional<std::int64_t> etaNanos = {});
    void finish(int id);
    [[nodiscard]] const std::vector<Entry>& entries() const { return m_entries; }

Q_SIGNALS:
    void changed();

private:
    std::vector<Entry> m_entries;
    int m_nextId = 1;
};

}  // namespace trainyard::ui
