#pragma once
// The samples of a dataset, asked for in windows: only those near what is looked at are kept.
#include <QHash>
#include <QImage>
#include <QObject>
#include <QPointer>
#include <QString>

#include <optional>
#include <vector>

#include "core/base/Result.h"
#include "core/commands/Command.h"

namespace trainyard::ui {

class Shell;

struct Sample {
    QString path;  ///< Empty where samples have no files of their own.
    QString label;
    QString split;
    QImage image{};  ///< Instead of a file.
};

/// Main thread. One command at a time is under way, always for what was needed last.
class SampleWindows : public QObject {
    Q_OBJECT

public:
    SampleWindows(Shell& shell, QObject* parent);
    ~SampleWindows() override;

    /// NAME:VERSION; empty: nothing. A class or split that is empty stands for all of them. Begins anew.
    void setQuery(const QString& dataset, const QString& label, const QString& split);
    /// Nothing while it is not known yet.
    [[nodiscard]] std::optional<qint64> total() const { return m_total; }
    /// Null while its window was not read.
    [[nodiscard]] const Sample* at(qint64 index) const;
    /// Makes samples [first, last] known, unless something else is needed before.
    void need(qint64 first, qint64 last);

Q_SIGNALS:
    /// `total()` is another or was made unknown.
    void reset();
    void arrived(qint64 first, qint64 count);
    void failed(const trainyard::base::Error& error);

private:
    struct Window {
        std::vector<Sample> samples;
        quint64 used = 0;
    };
    void ask();
    void take(qint64 number, const base::Json& answer);

    Shell& m_shell;
    QString m_dataset;
    QString m_label;
    QString m_split;
    std::optional<qint64> m_total;
    QHash<qint64, Window> m_windows;
    quint64 m_clock = 0;
    qint64 m_first = 0;
    qint64 m_last = -1;
    QPointer<commands::Command> m_command;
};

}  // namespace trainyard::ui
