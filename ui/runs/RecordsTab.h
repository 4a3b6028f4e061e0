#pragma once
#include <QWidget>
#include <memory>

#include "ui/runs/Records.h"
#include "ui/runs/RunDetail.h"

class QPlainTextEdit;
class QSlider;
class QTreeWidget;

namespace trainyard::ui {

class ElidedLabel;
class EmptyState;
class IconButton;
class InlineError;
class PictureList;
class PictureView;
class QuietButton;
class RecordTable;
class SearchField;
class SegmentedControl;
class Shell;
class Splitter;
class TextLabel;

/// What the run reported beside numbers, by name and step: pictures, tables, histograms, confusion matrices, texts.
/// Only the record in sight is read, in a pool thread, and only while the tab is shown.
class RecordsTab : public QWidget {
    Q_OBJECT

public:
    RecordsTab(Shell& shell, QWidget* parent);
    /// True when there is anything to show. `attempt`: 0 is all of them.
    bool setDetail(const RunDetail& detail, int attempt);
    [[nodiscard]] const std::vector<RecordSeries>& series() const { return m_series; }
    /// Shows a series by its name, of the first kind and rank that has it.
    bool open(const QString& name);
    /// The record that is shown now.
    [[nodiscard]] const RecordContent& content() const { return m_content; }

protected:
    void showEvent(QShowEvent* event) override;

private:
    QWidget* buildList();
    QWidget* buildRecord();
    QWidget* buildMatrix();
    void listSeries();
    void chooseSeries(const QString& key);
    void chooseIndex(std::size_t index);
    void load();
    void loadHistograms();
    void display(RecordContent content);
    void showPlace();
    void showCell(int row, int column);
    void showSample();
    void copyTable();
    void saveTable();
    [[nodiscard]] const RecordSeries* current() const;

    Shell& m_shell;
    base::RunId m_run;
    std::vector<RecordSeries> m_series;
    QString m_key;            ///< Of the series that is shown.
    std::size_t m_index = 0;  ///< Of its record.
    bool m_newest = true;     ///< Stays at the newest record while more come.
    bool m_stale = true;      ///< What is shown is not what is chosen.
    RecordContent m_content;
    std::shared_ptr<const TableContent> m_table;
    QString m_shownKey;  ///< Series and place of what is shown.
    RecordPlace m_shownPlace;
    QString m_histogramsOf;  ///< Series and number of records that the map was made of.

    SearchField* m_search;
    QTreeWidget* m_tree;
    Splitter* m_splitter;
    ElidedLabel* m_title;
    TextLabel* m_description;
    QWidget* m_steps;
    IconButton* m_previous;
    IconButton* m_next;
    QSlider* m_slider;
    ElidedLabel* m_place;
    QWidget* m_bar;
    IconButton* m_smaller;
    IconButton* m_larger;
    QuietButton* m_fit;
    QuietButton* m_pixels;
    TextLabel* m_zoom;
    QuietButton* m_copy;
    QuietButton* m_save;
    SegmentedControl* m_cells;
    TextLabel* m_sum;
    InlineError* m_error;
    PictureView* m_picture;
    RecordTable* m_rows;
    HistogramChart* m_histogram;
    QPlainTextEdit* m_text;
    EmptyState* m_nothing;
    Splitter* m_matrixPart;
    ConfusionMatrix* m_matrix;
    TextLabel* m_meaning;
    PictureList* m_samples;
    PictureView* m_sample;
};

}  // namespace trainyard::ui
