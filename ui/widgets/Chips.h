#pragma once
#include <QString>
#include <QWidget>

#include "core/spec/RunState.h"
#include "ui/shell/Theme.h"

class QPainter;

namespace trainyard::ui {

/// How a state looks everywhere: icon, word, colours. Never colour alone.
struct StateLook {
    QString icon;
    QString word;
    Role ink;
    Role ground;
};
[[nodiscard]] StateLook lookOf(spec::RunState state);

/// A small rounded label with an optional icon.
class Chip : public QWidget {
    Q_OBJECT
public:
    explicit Chip(const QString& text = {}, QWidget* parent = nullptr);
    void setText(const QString& text);
    [[nodiscard]] const QString& text() const { return m_text; }
    /// Name in resources/icons, "" for none.
    void setIcon(const QString& name);
    void setColors(Role ink, Role ground);
    /// Shows a cross; it emits removed(). The chip then takes the focus and Delete removes it as well.
    void setRemovable(bool removable);
    /// Emits clicked() on press and Enter, and takes the focus.
    void setClickable(bool clickable);

    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

Q_SIGNALS:
    void removed();
    void clicked();

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    [[nodiscard]] QRect crossRect() const;
    void updateFocusPolicy();
    QString m_text;
    QString m_icon;
    Role m_ink = Role::Muted;
    Role m_ground = Role::Sunken;
    bool m_removable = false;
    bool m_clickable = false;
};

/// The chip of a run's state.
class StateChip : public Chip {
    Q_OBJECT
public:
    explicit StateChip(spec::RunState state = spec::RunState::Draft, QWidget* parent = nullptr);
    void setState(spec::RunState state);
    [[nodiscard]] spec::RunState state() const { return m_state; }

private:
    spec::RunState m_state;
};

/// The same look for item delegates: paints into `rect`, left aligned, vertically centred; returns the width used.
int paintChip(QPainter& painter, const QRect& rect, const QString& text, const QString& iconName, Role ink, Role ground,
              qreal devicePixelRatio);
int chipWidth(const QString& text, bool withIcon);

}  // namespace trainyard::ui
