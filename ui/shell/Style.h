#pragma once
#include <QProxyStyle>

#include "ui/shell/Theme.h"

namespace trainyard::ui {

/// Draws every standard control from the theme's tokens; Fusion stays behind it for what is left. No style sheet: they
/// cost start-up time and fight with item views. Variants of a button by its dynamic property "look": "primary",
/// "danger", "ghost" (no outline), "link"; none is the outlined one.
class Style final : public QProxyStyle {
    Q_OBJECT
public:
    Style();

    void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
                       const QWidget* widget = nullptr) const override;
    void drawControl(ControlElement element, const QStyleOption* option, QPainter* painter,
                     const QWidget* widget = nullptr) const override;
    void drawComplexControl(ComplexControl control, const QStyleOptionComplex* option, QPainter* painter,
                            const QWidget* widget = nullptr) const override;
    QSize sizeFromContents(ContentsType type, const QStyleOption* option, const QSize& size,
                           const QWidget* widget = nullptr) const override;
    QRect subControlRect(ComplexControl control, const QStyleOptionComplex* option, SubControl sub,
                         const QWidget* widget = nullptr) const override;
    QRect subElementRect(SubElement element, const QStyleOption* option,
                         const QWidget* widget = nullptr) const override;
    int pixelMetric(PixelMetric metric, const QStyleOption* option = nullptr,
                    const QWidget* widget = nullptr) const override;
    int styleHint(StyleHint hint, const QStyleOption* option = nullptr, const QWidget* widget = nullptr,
                  QStyleHintReturn* returned = nullptr) const override;
    QIcon standardIcon(StandardPixmap standard, const QStyleOption* option = nullptr,
                       const QWidget* widget = nullptr) const override;
    QPalette standardPalette() const override;
    using QProxyStyle::polish;
    void polish(QWidget* widget) override;
    using QProxyStyle::unpolish;
    void unpolish(QWidget* widget) override;

private:
    /// Keeps the wheel from changing a choice that is merely under the pointer while the page scrolls.
    bool eventFilter(QObject* watched, QEvent* event) override;
    void drawButton(const class QStyleOptionButton& option, QPainter& painter, const QWidget* widget) const;
    void drawButtonLabel(const class QStyleOptionButton& option, QPainter& painter, const QWidget* widget) const;
    void drawMenuItem(const class QStyleOptionMenuItem& option, QPainter& painter) const;
    void drawTab(const class QStyleOptionTab& option, QPainter& painter) const;
    void drawHeader(const class QStyleOptionHeader& option, QPainter& painter) const;
    void drawProgress(const class QStyleOptionProgressBar& option, QPainter& painter) const;
    void drawComboBox(const class QStyleOptionComboBox& option, QPainter& painter, const QWidget* widget) const;
    void drawSpinBox(const class QStyleOptionSpinBox& option, QPainter& painter, const QWidget* widget) const;
    void drawScrollBar(const class QStyleOptionSlider& option, QPainter& painter, const QWidget* widget) const;
    void drawSlider(const class QStyleOptionSlider& option, QPainter& painter, const QWidget* widget) const;
};

/// Parts that self-painting widgets share with the style.
namespace draw {
/// Ground and outline on crisp pixels; an invalid colour leaves that part out.
void box(QPainter& painter, const QRectF& rect, qreal radius, const QColor& fill, const QColor& outline,
         qreal width = 1.0);
/// Whether a widget should show its focus: it has it, and the keyboard was used last. A mouse user sees no rings on
/// buttons; fields show theirs always.
bool showsFocus(const QWidget* widget);
/// The focus ring, 2 px, just inside `rect`.
void focusRing(QPainter& painter, const QRectF& rect, qreal radius);
/// An icon of the set, centred in `rect`.
void icon(QPainter& painter, const QRect& rect, const QString& name, Role role, int size = 16, bool enabled = true);
}  // namespace draw

}  // namespace trainyard::ui
