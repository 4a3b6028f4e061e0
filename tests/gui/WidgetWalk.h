#pragma once
// Walks every widget of a window and tells what a person would trip over: clipped text, overlapping neighbours, text
// too faint, controls without a name, controls that Tab does not reach.
#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAbstractScrollArea>
#include <QAbstractSpinBox>
#include <QAccessible>
#include <QApplication>
#include <QComboBox>
#include <QHash>
#include <QImage>
#include <QLabel>
#include <QLayout>
#include <QLineEdit>
#include <QPainter>
#include <QRadioButton>
#include <QScrollArea>
#include <QSet>
#include <QSplitterHandle>
#include <QTest>
#include <QToolButton>

#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"

namespace trainyard::test {

class WidgetWalk {
public:
    explicit WidgetWalk(QWidget& window) : m_window(window) {}

    /// Everything that was found, one line each; empty when all is well.
    [[nodiscard]] QStringList findings(bool withTab = true) {
        m_findings.clear();
        checkClipping();
        checkOverlaps();
        checkContrast();
        checkNames();
        if (withTab) checkTab();
        m_findings.removeDuplicates();
        return m_findings;
    }

    /// How much was looked at, so that a test can show that it did look.
    int looked = 0;

    [[nodiscard]] static QString describe(const QWidget* widget) {
        QStringList path;
        for (const QWidget* at = widget; at != nullptr && path.size() < 5; at = at->parentWidget()) {
            QString name = QString::fromLatin1(at->metaObject()->className()).section(QStringLiteral("::"), -1);
            if (!at->objectName().isEmpty()) name += QLatin1Char('#') + at->objectName();
            path.prepend(name);
        }
        QString text;
        if (const auto* label = qobject_cast<const QLabel*>(widget)) text = label->text();
        if (const auto* button = qobject_cast<const QAbstractButton*>(widget)) text = button->text();
        return path.join(QStringLiteral(" > ")) +
               (text.isEmpty() ? QString() : QStringLiteral(" \"%1\"").arg(text.left(60)));
    }

private:
    void add(const char* what, const QWidget* widget, const QString& detail = {}) {
        m_findings << QStringLiteral("%1: %2 %3").arg(QLatin1String(what), describe(widget), detail);
    }

    [[nodiscard]] QList<QWidget*> seen() const {
        QList<QWidget*> list;
        for (QWidget* widget : m_window.findChildren<QWidget*>()) {
            if (widget->isVisible() && widget->width() > 0 && widget->height() > 0 && widget->window() == &m_window)
                list << widget;
        }
        return list;
    }

    void checkClipping() {
        for (QWidget* widget : seen()) {
            if (const auto* label = qobject_cast<QLabel*>(widget)) {
                if (label->text().isEmpty()) continue;
                // Names of a person's own may shorten, the name of a page never.
                if (label->objectName() == QLatin1String("pageTitle")) {
                    ++looked;
                    const int words = label->fontMetrics().horizontalAdvance(label->text());
                    if (words > label->contentsRect().width()) {
                        add("clipped", widget,
                            QStringLiteral("needs %1, has %2").arg(words).arg(label->contentsRect().width()));
                    }
                }
                if (qobject_cast<ui::ElidedLabel*>(widget) != nullptr) continue;
                ++looked;
                if (label->wordWrap()) {
                    if (label->heightForWidth(label->width()) > label->height() + 1) add("clipped in height", widget);
                } else if (label->sizeHint().width() > label->width() + 1 ||
                           label->sizeHint().height() > label->height() + 2) {
                    add("clipped", widget,
                        QStringLiteral("needs %1x%2, has %3x%4")
                            .arg(label->sizeHint().width())
                            .arg(label->sizeHint().height())
                            .arg(label->width())
                            .arg(label->height()));
                }
            } else if (const auto* button = qobject_cast<QAbstractButton*>(widget)) {
                if (button->objectName() == QLatin1String("searchButton")) {
                    // All of its words, or the mark alone.
                    ++looked;
                    constexpr int kMark = 40;
                    const int words = 34 + button->fontMetrics().horizontalAdvance(button->text());
                    if (button->width() > kMark && button->width() < words) {
                        add("clipped", widget, QStringLiteral("needs %1, has %2").arg(words).arg(button->width()));
                    }
                    continue;
                }
                // Our own painted buttons elide by design where they set a maximum width; standard ones must fit.
                const bool standard = qobject_cast<QPushButton*>(widget) != nullptr ||
                                      qobject_cast<QRadioButton*>(widget) != nullptr || widget->inherits("QCheckBox");
                if (!standard || button->text().isEmpty()) continue;
                ++looked;
                if (button->sizeHint().width() > button->width() + 1) {
                    add("clipped", widget,
                        QStringLiteral("needs %1, has %2").arg(button->sizeHint().width()).arg(button->width()));
                }
            } else if (widget->inherits("QLineEdit") || widget->inherits("QComboBox")) {
                ++looked;
                if (widget->height() + 1 < widget->minimumSizeHint().height()) add("clipped in height", widget);
            }
        }
    }

    static void collect(QLayout* layout, QList<QWidget*>& into) {
        for (int i = 0; i < layout->count(); ++i) {
            QLayoutItem* item = layout->itemAt(i);
            if (item->widget() != nullptr && item->widget()->isVisible()) into << item->widget();
            if (item->layout() != nullptr) collect(item->layout(), into);
        }
    }

    /// Siblings that one layout placed; free overlays (the palette) are meant to lie above others.
    void checkOverlaps() {
        QList<QWidget*> parents = seen();
        parents.prepend(&m_window);
        for (QWidget* parent : parents) {
            if (parent->layout() == nullptr || parent->inherits("QStackedWidget")) continue;
            QList<QWidget*> placed;
            collect(parent->layout(), placed);
            for (qsizetype i = 0; i < placed.size(); ++i) {
                for (qsizetype j = i + 1; j < placed.size(); ++j) {
                    if (placed[i]->parentWidget() != placed[j]->parentWidget()) continue;
                    const QRect common = placed[i]->geometry().intersected(placed[j]->geometry());
                    if (common.width() > 1 && common.height() > 1) {
                        add("overlap", placed[i], QStringLiteral("with %1").arg(describe(placed[j])));
                    }
                }
            }
        }
    }

    /// The strongest contrast among a region's pixels against its most frequent colour. Text drawn at three times its
    /// size has whole pixels of its ink.
    [[nodiscard]] static double strongest(const QImage& image, const QRect& region) {
        QHash<QRgb, int> counts;
        const QRect inside = region.intersected(image.rect());
        for (int y = inside.top(); y <= inside.bottom(); ++y) {
            const auto* line = reinterpret_cast<const QRgb*>(image.constScanLine(y));
            for (int x = inside.left(); x <= inside.right(); ++x) ++counts[line[x] | 0xff000000U];
        }
        QRgb ground = 0;
        int most = 0;
        for (auto it = counts.cbegin(); it != counts.cend(); ++it) {
            if (it.value() > most) most = it.value(), ground = it.key();
        }
        double best = 1;
        for (auto it = counts.cbegin(); it != counts.cend(); ++it)
            best = std::max(best, ui::Theme::contrast(QColor(it.key()), QColor(ground)));
        return best;
    }

    void checkContrast() {
        constexpr int kScale = 3;
        QImage image(m_window.size() * kScale, QImage::Format_RGB32);
        image.setDevicePixelRatio(kScale);
        m_window.render(&image);
        const auto region = [&](const QWidget* widget, QRect rect) {
            rect.moveTopLeft(widget->mapTo(&m_window, rect.topLeft()));
            // What scroll areas hide is not drawn, so there is nothing to judge.
            for (const QWidget* at = widget; at != nullptr && at != &m_window; at = at->parentWidget()) {
                rect = rect.intersected(QRect(at->mapTo(&m_window, QPoint()), at->size()));
            }
            return QRect(rect.topLeft() * kScale, rect.size() * kScale);
        };
        for (QWidget* widget : seen()) {
            if (!widget->isEnabled()) continue;
            QList<QRect> texts;
            if (const auto* label = qobject_cast<QLabel*>(widget)) {
                if (!label->text().trimmed().isEmpty()) texts << widget->rect();
            } else if (const auto* button = qobject_cast<QAbstractButton*>(widget)) {
                if (!button->text().isEmpty()) texts << widget->rect().adjusted(4, 4, -4, -4);
            } else if (const auto* edit = qobject_cast<QLineEdit*>(widget)) {
                if (!edit->text().isEmpty() || !edit->placeholderText().isEmpty())
                    texts << widget->rect().adjusted(6, 5, -6, -5);
            } else if (qobject_cast<QComboBox*>(widget) != nullptr) {
                texts << widget->rect().adjusted(8, 5, -30, -5);
            } else if (const auto* view = qobject_cast<QAbstractItemView*>(widget);
                       view != nullptr && view->model() != nullptr) {
                for (int row = 0; row < std::min(6, view->model()->rowCount()); ++row) {
                    for (int column = 0; column < std::min(6, view->model()->columnCount()); ++column) {
                        const QModelIndex index = view->model()->index(row, column);
                        const QRect cell = view->visualRect(index).intersected(view->viewport()->rect());
                        if (index.data().toString().trimmed().isEmpty() || cell.width() < 30 || cell.height() < 16)
                            continue;
                        if (!(index.flags() & Qt::ItemIsEnabled)) continue;
                        QRect inWidget = cell;
                        inWidget.moveTopLeft(view->viewport()->mapTo(widget, cell.topLeft()));
                        texts << inWidget.adjusted(4, 3, -4, -3);
                    }
                }
            }
            for (const QRect& text : texts) {
                const QRect pixels = region(widget, text);
                if (pixels.width() < 6 * kScale || pixels.height() < 9 * kScale) continue;
                // Of a line that the edge of a scroll area cuts, only blank space may be left.
                if (pixels.height() < text.height() * kScale * 8 / 10) continue;
                ++looked;
                const double ratio = strongest(image, pixels);
                if (ratio < 4.5) add("faint", widget, QStringLiteral("contrast %1").arg(ratio, 0, 'f', 2));
            }
        }
    }

    /// What a person operates: it takes focus by the keyboard and is not a part of a larger control.
    [[nodiscard]] static bool isInteractive(const QWidget* widget) {
        if (!(widget->focusPolicy() & Qt::TabFocus) || !widget->isEnabled() || widget->focusProxy() != nullptr)
            return false;
        for (const QWidget* at = widget->parentWidget(); at != nullptr; at = at->parentWidget()) {
            if (qobject_cast<const QComboBox*>(at) != nullptr || qobject_cast<const QAbstractSpinBox*>(at) != nullptr ||
                qobject_cast<const QAbstractItemView*>(at) != nullptr) {
                return false;
            }
        }
        return true;
    }

    void checkNames() {
        for (QWidget* widget : seen()) {
            if (!isInteractive(widget)) continue;
            ++looked;
            QAccessibleInterface* face = QAccessible::queryAccessibleInterface(widget);
            if (face == nullptr || face->text(QAccessible::Name).trimmed().isEmpty()) add("no accessible name", widget);
        }
    }

    void checkTab() {
        QSet<QWidget*> reached;
        QWidget* first = nullptr;
        bool left = false;  // A page of text takes many steps of Tab, one a link, before it lets go.
        for (int step = 0; step < 600; ++step) {
            QWidget* now = m_window.focusWidget();
            QTest::keyClick(now != nullptr ? now : &m_window, Qt::Key_Tab);
            now = m_window.focusWidget();
            if (now == nullptr) break;
            if (first == nullptr) first = now;
            if (now == first && left) break;
            left = left || now != first;
            reached.insert(now);
        }
        for (QWidget* widget : seen()) {
            if (!isInteractive(widget) || reached.contains(widget)) continue;
            // Of a group of radio buttons Tab reaches the chosen one, and arrows the rest.
            const auto* button = qobject_cast<QAbstractButton*>(widget);
            if (button != nullptr && !button->isChecked() && (button->group() != nullptr || button->autoExclusive()))
                continue;
            // A scroll area scrolls by what is inside it.
            if (qobject_cast<QScrollArea*>(widget) != nullptr || qobject_cast<QSplitterHandle*>(widget) != nullptr)
                continue;
            add("Tab does not reach", widget);
        }
    }

    QWidget& m_window;
    QStringList m_findings;
};

/// Notes every event that kept the GUI thread busy for too long. What counts is the processor time of that thread, so a
/// loaded machine blames nobody; and the limit grows on a processor that is slower than the one it was set on.
class BlockWatch : public QApplication {
public:
    using QApplication::QApplication;
    bool notify(QObject* receiver, QEvent* event) override {
        if (m_depth > 0) return QApplication::notify(receiver, event);
        ++m_depth;
        const std::int64_t before = cpuMicros();
        const QString name = QString::fromLatin1(receiver->metaObject()->className());
        const int type = event->type();
        const bool handled = QApplication::notify(receiver, event);
        const std::int64_t spent = cpuMicros() - before;
        --m_depth;
        worst = std::max(worst, spent / 1000);
        // Measured now, for what slows this moment down (a hot processor, a neighbour on its core) slows both.
        if (spent > kLimitMicros) {
            if (const double slower = slowness(); spent > static_cast<std::int64_t>(kLimitMicros * slower)) {
                blocks << QStringLiteral(
                              "%1 event %2: %3 ms of processor time, on a processor %4 times slower than the reference")
                              .arg(name)
                              .arg(type)
                              .arg(spent / 1000)
                              .arg(slower, 0, 'f', 1);
            }
        }
        return handled;
    }

    /// How much longer a fixed piece of drawing takes here and now than where the limit was set; at least 1.
    [[nodiscard]] static double slowness() {
        const std::int64_t before = cpuMicros();
        QImage image(512, 512, QImage::Format_RGB32);
        image.fill(Qt::white);
        QPainter painter(&image);
        painter.setRenderHint(QPainter::Antialiasing);
        for (int i = 0; i < 400; ++i) {
            painter.setPen(QPen(QColor::fromHsv(i % 360, 200, 200), 1.5));
            painter.drawEllipse(QPoint(256, 256), i / 2 + 20, 250 - i / 2);
        }
        painter.end();
        return std::max(1.0, static_cast<double>(cpuMicros() - before) / kReferenceMicros);
    }

    QStringList blocks;
    std::int64_t worst = 0;  ///< Milliseconds.

private:
    static constexpr std::int64_t kLimitMicros = 100'000;
    static constexpr double kReferenceMicros = 35'000;

    static std::int64_t cpuMicros() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
    }
    int m_depth = 0;
};

}  // namespace trainyard::test
