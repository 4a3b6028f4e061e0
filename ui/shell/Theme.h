#pragma once
#include <QColor>
#include <QFont>
#include <QObject>
#include <QString>

#include <array>
#include <vector>

class QApplication;

namespace trainyard::ui {

/// Colours by meaning. The values stand in resources/themes/tokens.json, once for light and once for dark.
enum class Role {
    Background,    ///< The window behind everything.
    Surface,       ///< Pages' cards, tables, input fields.
    Raised,        ///< Menus, popups, tooltips, the command palette.
    Sunken,        ///< Rail, code blocks, tracks of progress bars.
    Border,        ///< Hairlines between things.
    BorderStrong,  ///< Outline of what can be edited or pressed; 3:1 against its ground.
    Text,
    Muted,       ///< Secondary text; still 4.5:1 on Background, Surface, Raised and Sunken.
    Accent,      ///< Links, active marks, lines: readable as text.
    AccentFill,  ///< Ground of the one filled button.
    AccentText,  ///< Text on AccentFill and DangerFill.
    AccentSoft,  ///< Ground of an accented chip; Accent is readable on it.
    Success,
    SuccessSoft,
    Warning,
    WarningSoft,
    Danger,
    DangerSoft,
    DangerFill,
    Info,
    InfoSoft,
    Selection,  ///< Ground of the selected row; Text and Muted are readable on it.
    Hover,
    Focus,   ///< The focus ring; 3:1 against every ground.
    Shadow,  ///< Drawn around popups, with alpha.
};
inline constexpr int kRoleCount = static_cast<int>(Role::Shadow) + 1;

enum class TextStyle { Body, BodyStrong, Secondary, Section, Title, Display, Mono, MonoSmall };

/// Colours, spacing, radius, type. One exists per application, owned by it; GUI thread only.
/// Widgets that paint themselves ask `Theme::current()` in paintEvent and need not listen to `changed`, because a
/// change repaints the whole window; listen only where a colour was copied (chart series, rich text).
class Theme : public QObject {
    Q_OBJECT
public:
    enum class Choice { System, Light, Dark };
    enum class Density { Comfortable, Compact };

    /// Loads the tokens and gives the application its style, palette, fonts and English plurals.
    static Theme& install(QApplication& application);
    /// The installed theme. Precondition: install() was called.
    [[nodiscard]] static Theme& current();

    [[nodiscard]] Choice choice() const { return m_choice; }
    void setChoice(Choice choice);
    [[nodiscard]] Density density() const { return m_density; }
    void setDensity(Density density);
    /// What the desktop prefers, as its settings portal told; used while the choice is System.
    void setSystemDark(bool dark);
    [[nodiscard]] bool isDark() const { return m_dark; }

    [[nodiscard]] QColor color(Role role) const { return m_colors[static_cast<std::size_t>(role)]; }
    /// The run palette, 10 colours that colour-blind people can tell apart; index wraps around.
    [[nodiscard]] QColor runColor(int index) const;
    [[nodiscard]] static int runColorCount() { return 10; }

    [[nodiscard]] QFont font(TextStyle style) const;
    /// Spacing steps in logical pixels: space(0)…space(5) = 4, 8, 12, 16, 24, 32.
    [[nodiscard]] int space(int step) const;
    [[nodiscard]] int radius() const { return m_radius; }
    [[nodiscard]] int smallRadius() const { return m_smallRadius; }
    /// Height of a table row and of a form control, by density.
    [[nodiscard]] int rowHeight() const;
    [[nodiscard]] int controlHeight() const;
    /// How much larger than usual the system's own text is, 1…2: taken from the application's font at the start.
    [[nodiscard]] double textScale() const { return m_textScale; }
    void setTextScale(double scale);
    /// A size in logical pixels that has to grow with the text in it.
    [[nodiscard]] int scaled(int size) const;

    /// WCAG 2 contrast ratio of two opaque colours, 1…21.
    [[nodiscard]] static double contrast(const QColor& a, const QColor& b);
    /// `over` with its alpha laid on an opaque `under`.
    [[nodiscard]] static QColor blend(const QColor& under, const QColor& over, double alpha);

Q_SIGNALS:
    /// After style, palette and fonts have changed.
    void changed();

private:
    explicit Theme(QApplication& application);
    void load(bool dark);
    void apply();

    QApplication& m_application;
    Choice m_choice = Choice::System;
    Density m_density = Density::Comfortable;
    bool m_systemDark = false;
    bool m_dark = false;
    std::array<QColor, kRoleCount> m_colors;
    std::vector<QColor> m_runColors;
    std::vector<int> m_spaces;
    int m_radius = 6;
    int m_smallRadius = 4;
    std::array<int, 8> m_typeSizes{};
    double m_textScale = 1;
    QStringList m_sansFamilies;
    QStringList m_monoFamilies;
};

}  // namespace trainyard::ui
