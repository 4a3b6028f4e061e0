#pragma once
// Samples of the chosen data as training will get them, each beside its original; follows the form.
#include <QImage>
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include <vector>

#include "core/base/Json.h"
#include "core/commands/Command.h"

class QThreadPool;

namespace trainyard::ui {

class FormDocument;
class InlineError;
class LinkButton;
class Shell;
class TextLabel;

/// Originals with what became of them, in as many columns as fit. Painted.
class SamplePairs : public QWidget {
    Q_OBJECT

public:
    struct Pair {
        QImage original{};
        QImage changed{};
        QString label{};
        QString file{};     ///< Empty where samples have no files of their own.
        QString problem{};  ///< Why there are no pictures; empty when there are.
        QString change{};   ///< In words.
        QRectF part{};      ///< Of the original that is kept, as shares of its sides; null: all.
    };

    explicit SamplePairs(QWidget* parent);
    void setPairs(std::vector<Pair> pairs);
    [[nodiscard]] const std::vector<Pair>& pairs() const { return m_pairs; }
    /// Others are on their way: what is shown steps back.
    void setOutdated(bool outdated);
    [[nodiscard]] bool hasHeightForWidth() const override { return true; }
    [[nodiscard]] int heightForWidth(int width) const override;
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Shape {
        int columns = 1;
        int pairWidth = 0;
        int side = 0;  ///< Of one picture's square.
        int rowHeight = 0;
    };
    [[nodiscard]] Shape shapeFor(int width) const;
    [[nodiscard]] QRect pairRect(int index) const;
    void paintPair(QPainter& painter, const Pair& pair, const QRect& area, int side) const;

    std::vector<Pair> m_pairs;
    bool m_outdated = false;
};

/// Below the augmentation of a new run. Asks dataset.preview a moment after what it hangs on was changed, for the
/// newest state alone, and only while it is in sight. Hidden where nothing is changed at random.
class AugmentPanel : public QWidget {
    Q_OBJECT

public:
    AugmentPanel(Shell& shell, FormDocument& document, QWidget* parent);
    /// Waits for pictures that are being decoded, some milliseconds.
    ~AugmentPanel() override;
    /// Samples of another state than the form's are on their way, or will be.
    [[nodiscard]] bool isDrawing() const { return m_wanted != m_shown; }

protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    void follow();
    void refresh();
    void draw();
    void take(const base::Json& answer);
    void present(std::vector<SamplePairs::Pair> pairs, const base::Json& answer);
    void fail(const base::Error& error);
    void drop();
    /// Nothing more is wanted for now: the engine that draws goes.
    void rest();

    Shell& m_shell;
    FormDocument& m_document;
    QString m_data;    ///< What the samples hang on in the document.
    QString m_wanted;  ///< The same with epoch and place; empty: nothing is to be drawn.
    QString m_shown;   ///< What the pictures or the error belong to.
    std::int64_t m_epoch = 1;
    std::int64_t m_skip = 0;
    QTimer m_pause;
    QPointer<commands::Command> m_command;
    QPointer<commands::Session> m_session;  ///< That draws.
    QThreadPool* m_pool;
    TextLabel* m_title;
    SamplePairs* m_pairs;
    TextLabel* m_told;
    QWidget* m_links;
    LinkButton* m_again;
    LinkButton* m_others;
    InlineError* m_error;
};

}  // namespace trainyard::ui
