#include "ui/shell/Theme.h"

#include <QApplication>
#include <QFile>
#include <QFontInfo>
#include <QPalette>
#include <QPixmapCache>
#include <QStringList>
#include <QToolTip>

#include <cmath>

#include "core/base/Json.h"
#include "ui/shell/Plurals.h"
#include "ui/shell/Style.h"

// Q_INIT_RESOURCE declares a function of the global namespace; without it a static library's resources are not linked.
static void initThemeResources() { Q_INIT_RESOURCE(trainyard); }

namespace trainyard::ui {
namespace {

Theme* s_current = nullptr;

constexpr std::array<const char*, kRoleCount> kRoleNames = {
    "background", "surface",     "raised",     "sunken",     "border",     "borderStrong", "text",
    "muted",      "accent",      "accentFill", "accentText", "accentSoft", "success",      "successSoft",
    "warning",    "warningSoft", "danger",     "dangerSoft", "dangerFill", "info",         "infoSoft",
    "selection",  "hover",       "focus",      "shadow"};
constexpr std::array<const char*, 8> kTypeNames = {"body",  "bodyStrong", "secondary", "section",
                                                   "title", "display",    "mono",      "monoSmall"};

/// The tokens are part of the program, so a mistake in them is a mistake of ours: loud, and found by tests.
const base::Json& tokens() {
    static const base::Json document = [] {
        QFile file(QStringLiteral(":/trainyard/themes/tokens.json"));
        const bool opened = file.open(QIODevice::ReadOnly);
        const QByteArray bytes = opened ? file.readAll() : QByteArray();
        auto parsed = base::parseJson(std::string_view(bytes.constData(), static_cast<std::size_t>(bytes.size())));
        if (!parsed.ok()) {
            qFatal("Theme tokens cannot be read: %s", parsed.error().message.c_str());
        }
        return std::move(parsed).value();
    }();
    return document;
}

QColor colorOf(const base::Json& value) { return QColor(QString::fromStdString(value.get<std::string>())); }

double luminance(const QColor& color) {
    const auto part = [](double c) { return c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); };
    return 0.2126 * part(color.redF()) + 0.7152 * part(color.greenF()) + 0.0722 * part(color.blueF());
}

}  // namespace

Theme& Theme::install(QApplication& application) {
    initThemeResources();
    auto* theme = new Theme(application);
    s_current = theme;
    QCoreApplication::installTranslator(new Plurals(theme));
    QApplication::setStyle(new Style);
    theme->load(theme->m_systemDark);
    theme->apply();
    return *theme;
}

Theme& Theme::current() {
    Q_ASSERT(s_current != nullptr);
    return *s_current;
}

Theme::Theme(QApplication& application) : QObject(&application), m_application(application) {
    m_systemDark = QApplication::palette().color(QPalette::Window).lightness() < 128;
    // Desktops set 10 or 11 points, 13 to 15 pixels; what is larger was chosen by somebody who needs it.
    constexpr double kUsualPixels = 15;
    m_textScale = std::clamp(QFontInfo(QApplication::font()).pixelSize() / kUsualPixels, 1.0, 2.0);
    for (const auto& family : tokens()["sans"]) m_sansFamilies << QString::fromStdString(family.get<std::string>());
    for (const auto& family : tokens()["mono"]) m_monoFamilies << QString::fromStdString(family.get<std::string>());
    for (const auto& step : tokens()["space"]) m_spaces.push_back(step.get<int>());
    for (std::size_t i = 0; i < kTypeNames.size(); ++i) m_typeSizes[i] = tokens()["type"][kTypeNames[i]].get<int>();
    m_radius = tokens()["radius"].get<int>();
    m_smallRadius = tokens()["smallRadius"].get<int>();
    connect(this, &QObject::destroyed, [] { s_current = nullptr; });
}

void Theme::load(bool dark) {
    m_dark = dark;
    const auto& colors = tokens()[dark ? "dark" : "light"];
    for (std::size_t i = 0; i < kRoleNames.size(); ++i) m_colors[i] = colorOf(colors[kRoleNames[i]]);
    m_runColors.clear();
    for (const auto& value : tokens()[dark ? "runColorsDark" : "runColorsLight"]) m_runColors.push_back(colorOf(value));
}

void Theme::apply() {
    QPalette palette;
    palette.setColor(QPalette::Window, color(Role::Background));
    palette.setColor(QPalette::WindowText, color(Role::Text));
    palette.setColor(QPalette::Base, color(Role::Surface));
    palette.setColor(QPalette::AlternateBase, color(Role::Background));
    palette.setColor(QPalette::Text, color(Role::Text));
    palette.setColor(QPalette::PlaceholderText, color(Role::Muted));
    palette.setColor(QPalette::Button, color(Role::Surface));
    palette.setColor(QPalette::ButtonText, color(Role::Text));
    palette.setColor(QPalette::BrightText, color(Role::AccentText));
    palette.setColor(QPalette::Highlight, color(Role::Selection));
    palette.setColor(QPalette::HighlightedText, color(Role::Text));
    palette.setColor(QPalette::Link, color(Role::Accent));
    palette.setColor(QPalette::LinkVisited, color(Role::Accent));
    palette.setColor(QPalette::ToolTipBase, color(Role::Raised));
    palette.setColor(QPalette::ToolTipText, color(Role::Text));
    palette.setColor(QPalette::Light, color(Role::Raised));
    palette.setColor(QPalette::Midlight, color(Role::Border));
    palette.setColor(QPalette::Mid, color(Role::Border));
    palette.setColor(QPalette::Dark, color(Role::BorderStrong));
    palette.setColor(QPalette::Shadow, color(Role::Shadow));
    const QColor faded = blend(color(Role::Surface), color(Role::Muted), 0.6);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText, QPalette::HighlightedText}) {
        palette.setColor(QPalette::Disabled, role, faded);
    }
    palette.setColor(QPalette::Disabled, QPalette::Highlight, color(Role::Sunken));
    QPixmapCache::clear();
    QApplication::setFont(font(TextStyle::Body));
    QApplication::setPalette(palette);
    QToolTip::setPalette(palette);
    QToolTip::setFont(font(TextStyle::Secondary));
    Q_EMIT changed();
}

void Theme::setChoice(Choice choice) {
    m_choice = choice;
    const bool dark = choice == Choice::Dark || (choice == Choice::System && m_systemDark);
    if (dark != m_dark) {
        load(dark);
        apply();
    }
}

void Theme::setSystemDark(bool dark) {
    m_systemDark = dark;
    setChoice(m_choice);
}

void Theme::setDensity(Density density) {
    if (density == m_density) return;
    m_density = density;
    // Sizes come from the style; a new one makes every widget ask again.
    QApplication::setStyle(new Style);
    apply();
}

QColor Theme::runColor(int index) const {
    const int n = static_cast<int>(m_runColors.size());
    return m_runColors[static_cast<std::size_t>(((index % n) + n) % n)];
}

QFont Theme::font(TextStyle style) const {
    const bool mono = style == TextStyle::Mono || style == TextStyle::MonoSmall;
    QFont font;
    font.setFamilies(mono ? m_monoFamilies : m_sansFamilies);
    if (mono) {
        // Code and logs are read sign by sign: a font that draws == as one sign must not.
        constexpr int kStrategy = int{QFont::PreferDefault} | int{QFont::PreferNoShaping};
        font.setStyleHint(QFont::Monospace, static_cast<QFont::StyleStrategy>(kStrategy));
    }
    font.setPixelSize(scaled(m_typeSizes[static_cast<std::size_t>(style)]));
    font.setHintingPreference(QFont::PreferVerticalHinting);
    if (style == TextStyle::BodyStrong || style == TextStyle::Section) font.setWeight(QFont::DemiBold);
    if (style == TextStyle::Title || style == TextStyle::Display) font.setWeight(QFont::DemiBold);
    return font;
}

int Theme::space(int step) const {
    return m_spaces[static_cast<std::size_t>(std::clamp(step, 0, static_cast<int>(m_spaces.size()) - 1))];
}

int Theme::rowHeight() const { return scaled(m_density == Density::Compact ? 28 : 36); }
int Theme::controlHeight() const { return scaled(m_density == Density::Compact ? 28 : 32); }

void Theme::setTextScale(double scale) {
    scale = std::clamp(scale, 1.0, 2.0);
    if (scale == m_textScale) return;
    m_textScale = scale;
    QApplication::setStyle(new Style);
    apply();
}

int Theme::scaled(int size) const { return static_cast<int>(std::lround(size * m_textScale)); }

double Theme::contrast(const QColor& a, const QColor& b) {
    const double la = luminance(a), lb = luminance(b);
    return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

QColor Theme::blend(const QColor& under, const QColor& over, double alpha) {
    const auto mix = [alpha](float u, float o) { return static_cast<float>(u + (o - u) * alpha); };
    return QColor::fromRgbF(mix(under.redF(), over.redF()), mix(under.greenF(), over.greenF()),
                            mix(under.blueF(), over.blueF()));
}

}  // namespace trainyard::ui
