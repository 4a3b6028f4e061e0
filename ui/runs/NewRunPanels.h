#pragma once
// What stands inside the New run form beside its fields: the data as it is, the model as it will be, the processes as
// they will stand.
#include <QImage>
#include <QTimer>
#include <QWidget>
#include <optional>

#include "core/commands/DatasetPreview.h"
#include "core/spec/models/LayerTable.h"

class QComboBox;
class QGridLayout;
class QThreadPool;

namespace trainyard::ui {

class InlineError;
class KeyValueGrid;
class LinkButton;
class Shell;
class TextLabel;

/// One picture of each class with its name and share. Painted, so a hundred classes cost nothing.
class SampleStrip : public QWidget {
    Q_OBJECT

public:
    explicit SampleStrip(QWidget* parent);
    /// `pictures`: one a class where the preview itself holds no pixels.
    void setData(const commands::DatasetPreview& preview, const QStringList& names, std::vector<QImage> pictures = {});
    void clear();
    [[nodiscard]] bool hasHeightForWidth() const override { return true; }
    [[nodiscard]] int heightForWidth(int width) const override;
    [[nodiscard]] QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    [[nodiscard]] int columns(int width) const;
    [[nodiscard]] QRect cell(int index) const;

    commands::DatasetPreview m_preview;
    std::vector<QImage> m_pictures;
    QStringList m_names;
};

/// The workspace's datasets to choose from; reads the files in a worker when they change and shows what is in them.
class DatasetPanel : public QWidget {
    Q_OBJECT

public:
    DatasetPanel(Shell& shell, QWidget* parent);
    ~DatasetPanel() override;
    /// Shown: reads the names of the datasets now and when they change.
    void setActive(bool active);
    /// A spec's task.dataset. Reads again only when a path changed.
    void setDataset(const base::Json& dataset);
    [[nodiscard]] const std::optional<commands::DatasetPreview>& preview() const { return m_preview; }
    [[nodiscard]] bool isReading() const { return m_reading; }

Q_SIGNALS:
    /// With the fields' errors, none when all is well.
    void read(const std::vector<trainyard::base::Error>& problems);
    /// A dataset by its name; empty: files that the fields name.
    void picked(const QString& dataset);

private:
    void readNames();
    void showNames();
    void begin();
    void show(const QStringList& names);

    Shell& m_shell;
    bool m_active = false;
    QStringList m_names;
    QString m_chosen;  ///< NAME or NAME:VERSION of the dataset that the fields name; empty when it is none.
    base::Json m_dataset;
    QString m_key;
    std::optional<commands::DatasetPreview> m_preview;
    std::vector<QImage> m_pictures;  ///< Of an image folder.
    QString m_elsewhere;             ///< Why there is nothing to show and nothing wrong; mostly empty.
    quint64 m_generation = 0;
    bool m_reading = false;
    QTimer m_pause;
    QThreadPool* m_pool;
    QWidget* m_choice;
    QComboBox* m_box;
    TextLabel* m_summary;
    SampleStrip* m_strip;
};

/// Layers, parameters and work of the model that the options make.
class ModelPanel : public QWidget {
    Q_OBJECT

public:
    explicit ModelPanel(QWidget* parent);
    void setModel(const std::string& family, const base::Json& options, const std::vector<std::int64_t>& inputShape,
                  std::int64_t classes);
    [[nodiscard]] const std::optional<spec::LayerTable>& table() const { return m_table; }

Q_SIGNALS:
    /// An option that the layer table refuses; nothing when it can be built.
    void refused(const std::vector<trainyard::base::Error>& problems);

private:
    void showLayers();

    std::optional<spec::LayerTable> m_table;
    TextLabel* m_summary;
    LinkButton* m_more;
    QWidget* m_layers;
    QGridLayout* m_grid;
    bool m_open = false;
};

/// Nodes × processes, drawn small.
class DistributionDrawing : public QWidget {
    Q_OBJECT

public:
    explicit DistributionDrawing(QWidget* parent);
    void setShape(int nodes, int processes, int cores, bool here);
    [[nodiscard]] QSize sizeHint() const override { return {220, 74}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {120, 74}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    int m_nodes = 1;
    int m_processes = 1;
    int m_cores = 0;
    bool m_here = true;  ///< This machine, not a target elsewhere.
};

}  // namespace trainyard::ui
