#pragma once
#include <QImage>
#include <QListWidget>
#include <QString>
#include <QWidget>

#include <atomic>
#include <memory>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::ui {

/// The most probable classes of one picture as bars, one a line, the first strongest.
class ProbabilityBars : public QWidget {
    Q_OBJECT
public:
    explicit ProbabilityBars(QWidget* parent);
    /// "top" of a prediction: [{label, probability}].
    void setTop(const base::Json& top);
    [[nodiscard]] int count() const { return static_cast<int>(m_bars.size()); }
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override { return {160, sizeHint().height()}; }

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Bar {
        QString label;
        double probability = 0;
    };
    [[nodiscard]] int lineHeight() const;
    std::vector<Bar> m_bars;
};

/// Pictures with a line of text each. Files are decoded in the thread pool when they come into sight.
class PictureList : public QListWidget {
    Q_OBJECT
public:
    /// `grid`: side by side with the text below; else one below the other.
    PictureList(bool grid, const QString& accessibleName, QWidget* parent);
    ~PictureList() override;
    struct Entry {
        QString file;  ///< Empty where `image` has the picture.
        QImage image{};
        QString text;
        QString hover;
    };
    void addEntry(const Entry& entry);
    void setEntryText(int row, const QString& text, const QString& hover);
    [[nodiscard]] QString fileOf(int row) const;
    void clearEntries();

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    void loadVisible();
    const int m_side;
    int m_loading = 0;
    /// Replaced on clearEntries(): work of older lists ends by itself and is not shown.
    std::shared_ptr<std::atomic<bool>> m_wanted = std::make_shared<std::atomic<bool>>(true);
};

/// A model as people call it: "Run #3, its model" of "run:3", else its own name.
[[nodiscard]] QString modelText(const QString& model);

/// The picture of a mistake's "pixels", or a null image.
[[nodiscard]] QImage imageFromPixels(const base::Json& pixels);

}  // namespace trainyard::ui
