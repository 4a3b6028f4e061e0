#pragma once
#include <QObject>
#include <QString>
#include <QTimer>

#include <memory>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::ui {

/// A JSON object in a file that outlives kill -9: a changed value is on disk, whole, within half a second. Writing
/// (with its fsync) happens in a worker, one write at a time; reading happens once. GUI thread.
class StateFile : public QObject {
    Q_OBJECT
public:
    /// `format` and version 1 are written into the file; a file of another format or a newer version is left alone:
    /// nothing of it is read and nothing is written over it.
    StateFile(base::Path path, QString format, QObject* parent = nullptr);
    /// Writes what is still due, waiting at most two seconds for the disk.
    ~StateFile() override;

    /// Null when unset. Keys are dotted.
    [[nodiscard]] base::Json value(const QString& key) const;
    void setValue(const QString& key, const base::Json& value);
    /// Waits until everything is on disk, at most `millis`; false when it is not.
    bool flush(int millis = 2000);

private:
    void write();
    struct Shared;
    std::shared_ptr<Shared> m_shared;
    base::Path m_path;
    QString m_format;
    base::Json m_values = base::Json::object();
    QTimer m_timer;
    bool m_foreign = false;
    bool m_dirty = false;
};

}  // namespace trainyard::ui
