#pragma once
#include <QImage>
#include <QStringList>
#include <QWidget>
#include <vector>

namespace trainyard::ui {

/// Counts of samples by true class (row) and predicted class (column).
struct ConfusionData {
    struct Sample {
        int row = 0;
        int column = 0;
        QString path;
        double probability = -1;  ///< Of the prediction; below 0: not told.
    };
    QStringList classes;
    std::vector<double> counts;  ///< classes × classes, row by row; none negative or NaN.
    std::vector<Sample> samples{};

    [[nodiscard]] int size() const { return static_cast<int>(classes.size()); }
    [[nodiscard]] double count(int row, int column) const;
    [[nodiscard]] double ofRow(int row) const;        ///< Samples of a true class.
    [[nodiscard]] double ofColumn(int column) const;  ///< Samples taken for a class.
    [[nodiscard]] double all() const;
    [[nodiscard]] double right() const;  ///< Of the diagonal.
    /// What a cell says, in a sentence; row or column -1: of the class as a whole (what was found of it, how much of
    /// what was taken for it was right).
    [[nodiscard]] QString meaning(int row, int column) const;
    /// Of all samples: how many, how many right.
    [[nodiscard]] QString summary() const;
};

/// A heat map: the diagonal in the accent colour, mistakes in the warning one, both by the share of the true class. One
/// Tab stop; arrows move the chosen cell.
class ConfusionMatrix : public QWidget {
    Q_OBJECT

public:
    explicit ConfusionMatrix(QWidget* parent);
    void setData(const ConfusionData& matrix);
    [[nodiscard]] const ConfusionData& data() const { return m_data; }
    /// Counts in the cells instead of percentages.
    void setShowCounts(bool counts);
    [[nodiscard]] int chosenRow() const { return m_row; }
    [[nodiscard]] int chosenColumn() const { return m_column; }
    void choose(int row, int column);
    /// Where a cell stands, for tests.
    [[nodiscard]] QRectF cellRect(int row, int column) const;
    /// The text in a cell.
    [[nodiscard]] QString cellText(int row, int column) const;
    [[nodiscard]] QSize sizeHint() const override { return {520, 480}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {200, 180}; }

Q_SIGNALS:
    void cellChosen(int row, int column);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    /// Row and column under a point; -1 for what stands beside the cells.
    [[nodiscard]] std::pair<int, int> cellAt(const QPointF& position) const;
    /// 0…1 of the true class; 0 where the class has no samples.
    [[nodiscard]] double share(int row, int column) const;
    [[nodiscard]] QColor fill(int row, int column) const;
    [[nodiscard]] QImage makeMap() const;
    void layOut();
    void describe();
    void paintLabels(QPainter& painter) const;

    ConfusionData m_data;
    std::vector<double> m_rowSums;
    QImage m_map;  ///< A pixel a cell, where cells are that small; in one theme's colours.
    bool m_mapDark = false;
    bool m_counts = false;
    int m_row = -1;
    int m_column = -1;
    int m_hoverRow = -1;
    int m_hoverColumn = -1;
    QPointF m_origin;  ///< Of the first cell.
    double m_side = 0;
    int m_labelEvery = 1;
    bool m_turned = false;  ///< Names over the columns stand upright.
    int m_top = 0;          ///< Room for them.
};

}  // namespace trainyard::ui
