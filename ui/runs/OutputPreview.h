#pragma once
#include <QImage>
#include <QWidget>

#include "core/base/Files.h"

class QLabel;
class QPlainTextEdit;
class QTableWidget;

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class TextLabel;

/// What an output file holds, as far as it is text, JSON, a table or a picture. Read in a pool thread and never run.
class OutputPreview : public QWidget {
    Q_OBJECT

public:
    OutputPreview(commands::Session& session, QWidget* parent);
    /// A file here.
    void showFile(const base::Path& file, const QString& name);
    /// No file, or none that is here: `why` is said instead.
    void clear(const QString& why);

    struct Content {
        enum class Kind { Text, Table, Picture, None };
        Kind kind = Kind::None;
        QString text;  ///< Of Text, and why there is nothing to see for None.
        QList<QStringList> rows;
        QImage picture;
        bool cut = false;  ///< Only its beginning.
    };
    /// Reads at most a part of the file. Called in a pool thread.
    [[nodiscard]] static Content read(const base::Path& file, const QString& name);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void display(const Content& content);
    void showPicture();

    commands::Session& m_session;
    TextLabel* m_title;
    TextLabel* m_note;
    QPlainTextEdit* m_text;
    QTableWidget* m_table;
    QLabel* m_picture;
    QImage m_image;
};

}  // namespace trainyard::ui
