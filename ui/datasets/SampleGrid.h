#pragma once
// Pictures in a grid that scrolls: painted, so a hundred thousand cost what is in sight.
#include <QAbstractScrollArea>
#include <QTimer>

#include "ui/datasets/SampleWindows.h"

namespace trainyard::ui {

class Thumbnails;

class SampleGrid : public QAbstractScrollArea {
    Q_OBJECT

public:
    SampleGrid(Shell& shell, QWidget* parent);

    /// As SampleWindows::setQuery; scrolls to the beginning.
    void setQuery(const QString& dataset, const QString& label, const QString& split);
    [[nodiscard]] const SampleWindows& samples() const { return *m_samples; }
    /// The sample that the keyboard stands on; null when there is none or it was not read yet.
    [[nodiscard]] const Sample* current() const { return m_samples->at(m_current); }
    [[nodiscard]] qint64 currentIndex() const { return m_current; }
    /// Makes it current and scrolls it into view.
    void setCurrentIndex(qint64 index);
    /// Of a sample, in the viewport.
    [[nodiscard]] QRect cellRect(qint64 index) const;
    /// Bytes of the pictures that are kept.
    [[nodiscard]] qint64 pictureBytes() const;
    [[nodiscard]] QSize sizeHint() const override { return {640, 420}; }

Q_SIGNALS:
    void currentChanged();
    void totalChanged();
    void failed(const trainyard::base::Error& error);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void scrollContentsBy(int dx, int dy) override;
    void keyPressEvent(QKeyEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool viewportEvent(QEvent* event) override;

private:
    struct Range {
        qint64 first;
        qint64 last;
    };
    [[nodiscard]] qint64 count() const { return m_samples->total().value_or(0); }
    [[nodiscard]] int captionHeight() const;
    [[nodiscard]] qint64 indexAt(QPoint position) const;
    /// Samples in sight, and with `screens` more so many screens after them.
    [[nodiscard]] Range inSight(int screens = 0) const;
    void arrange();
    void look();
    void paintCell(QPainter& painter, qint64 index, const QRect& cell) const;
    [[nodiscard]] QString nameOf(const Sample& sample, qint64 index) const;
    [[nodiscard]] QString describe(qint64 index) const;

    SampleWindows* m_samples;
    Thumbnails* m_thumbnails;
    QTimer m_look;
    QString m_label;
    qint64 m_current = 0;
    int m_columns = 1;
    int m_cellWidth = 0;
    int m_rowHeight = 0;
};

}  // namespace trainyard::ui
