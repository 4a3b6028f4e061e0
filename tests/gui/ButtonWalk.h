#pragma once
// Presses buttons and tells which of them did nothing that a person could notice.
#include <QAbstractButton>
#include <QAbstractItemView>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QElapsedTimer>
#include <QHash>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPointer>
#include <QProgressBar>
#include <QScrollArea>
#include <QScrollBar>
#include <QSet>
#include <QStyleOptionButton>
#include <QTabBar>
#include <QTest>
#include <QTimer>
#include <QTreeView>

#include <functional>

#include "tests/gui/WidgetWalk.h"
#include "tests/helpers/Wait.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"

namespace trainyard::test {

/// What can be noticed of the program, as names and values; what changes by itself (clocks, load) is told apart by
/// looking twice without doing anything.
using Notice = QHash<QString, QString>;

class ButtonWalk {
public:
    /// `more` adds what does not show in widgets: the address, questions asked, commands started, settings.
    ButtonWalk(QWidget& window, std::function<void(Notice&)> more) : m_window(window), m_more(std::move(more)) {
        m_closer.setInterval(15);
        QObject::connect(&m_closer, &QTimer::timeout, &m_closer, [this] { closeOverlays(); });
    }

    /// Restores the state by `prepare` before each press, and presses everything in it that was not pressed before.
    /// States whose names are equal up to a comma are one page: what stands in all of them is pressed once. `within` (may be
    /// empty) chooses which buttons belong to this state. Returns those without effect.
    QStringList walk(const QString& state, const std::function<void()>& prepare,
                     const std::function<bool(const QWidget*)>& within = {}) {
        QStringList dead;
        prepare();
        waitUntilStill({});
        // What changes twice changes by itself; what changes once was still being drawn.
        const Notice first = unrest(), second = unrest();
        Notice noise;
        for (auto it = first.cbegin(); it != first.cend(); ++it) {
            if (second.contains(it.key())) noise.insert(it.key(), {});
        }
        const QString page = state.section(u',', 0, 0);
        QSet<QString>& done = m_done[page];
        for (int presses = 0; presses < kMostPresses; ++presses) {
            if (presses > 0) {
                prepare();
                waitUntilStill(noise);
            }
            QWidget* next = nullptr;
            for (QWidget* button : buttons()) {
                if (within && !within(button)) continue;
                const QString name = identity(button);
                if (done.contains(name)) continue;
                done.insert(name);
                if (++m_alike[page + alike(button)] > kMostAlike) continue;
                next = button;
                break;
            }
            if (next == nullptr) return dead;
            const QString wanted = identity(next);
            const QString name = WidgetWalk::describe(next) + QStringLiteral(" \"%1\"").arg(next->accessibleName());
            ++pressed;
            // A page that read something anew may have made the button anew under the press, so that only the third is the last word.
            Effect effect = press(next, noise);
            for (int tries = 0; effect != Effect::Some && tries < 2; ++tries) {
                prepare();
                waitUntilStill(noise);
                for (QWidget* button : buttons()) {
                    if (identity(button) == wanted) {
                        effect = press(button, noise);
                        break;
                    }
                }
            }
            if (effect == Effect::None) dead << state + QStringLiteral(" | no effect: ") + name;
        }
        dead << state + QStringLiteral(" | there is no end of buttons");
        return dead;
    }

    enum class Effect { None, Some, Gone };

    /// Presses one and looks until something has changed or the deadline is over. Gone: it went before it was pressed.
    Effect press(QWidget* button, const Notice& noise) {
        QPointer<QWidget> guard(button);
        QGuiApplication::clipboard()->setText(QStringLiteral("before the press"));
        // What a press always does is no effect: the focus comes, and with it the place that scrolls into view.
        if ((button->focusPolicy() & Qt::ClickFocus) || qobject_cast<QAbstractButton*>(button) == nullptr)
            button->setFocus(Qt::TabFocusReason);
        // What a press changes is looked for where it can be seen.
        for (QWidget* at = button->parentWidget(); at != nullptr; at = at->parentWidget()) {
            if (auto* area = qobject_cast<QScrollArea*>(at)) area->ensureWidgetVisible(button, 20, 220);
        }
        QTest::qWait(30);
        if (guard.isNull() || !guard->isVisible()) return Effect::Gone;
        m_overlays = 0;
        const QString own = keyOf(button);
        const Notice before = look(own, false);
        const Notice picture = look(own, true);
        m_closer.start();
        if (qobject_cast<QAbstractButton*>(button) != nullptr) {
            QTest::mouseClick(button, Qt::LeftButton, {}, spotOf(button));
        } else {
            // A chip that can only be taken away has nothing to open.
            QTest::keyClick(button, Qt::Key_Return);
            if (guard) QTest::keyClick(button, Qt::Key_Delete);
        }
        bool found = false;
        QElapsedTimer passed;
        passed.start();
        while (!found && passed.elapsed() < kPatienceMillis) {
            found = m_overlays > 0 || guard.isNull() || !guard->isVisible() || !guard->isEnabled() ||
                    differs(before, look(own, false), noise) ||
                    (passed.elapsed() > kPictureMillis && differs(picture, look(own, true), noise));
            if (!found) QTest::qWait(20);
        }
        m_closer.stop();
        closeOverlays();
        return found ? Effect::Some : Effect::None;
    }

    /// What changes although nobody does anything.
    Notice unrest() {
        const Notice structure = look({}, false), picture = look({}, true);
        QTest::qWait(kUnrestMillis);
        Notice changed;
        const auto gather = [&changed](const Notice& before, const Notice& after) {
            for (auto it = after.cbegin(); it != after.cend(); ++it) {
                if (before.value(it.key()) != it.value()) changed.insert(it.key(), {});
            }
        };
        gather(structure, look({}, false));
        gather(picture, look({}, true));
        return changed;
    }

    int pressed = 0;

private:
    static constexpr int kMostPresses = 120;
    static constexpr int kMostAlike = 1;
    static constexpr int kUnrestMillis = 1150;
    static constexpr int kPictureMillis = 400;
    static constexpr int kPatienceMillis = 6000;
    static constexpr int kStillMillis = 70;
    static constexpr int kTile = 32;

    /// Where a person presses: a box to tick is wider than what it takes clicks on.
    [[nodiscard]] static QPoint spotOf(const QWidget* button) {
        const bool box = button->inherits("QCheckBox"), radio = button->inherits("QRadioButton");
        if (!box && !radio) return button->rect().center();
        QStyleOptionButton option;
        option.initFrom(button);
        return button->style()->subElementRect(box ? QStyle::SE_CheckBoxIndicator : QStyle::SE_RadioButtonIndicator, &option, button).center();
    }

    void closeOverlays() {
        if (QWidget* popup = QApplication::activePopupWidget()) {
            ++m_overlays;
            popup->close();
        }
        if (QWidget* dialog = QApplication::activeModalWidget()) {
            ++m_overlays;
            dialog->close();
        }
    }

    [[nodiscard]] QList<QWidget*> buttons() const {
        QList<QWidget*> list;
        for (QWidget* widget : m_window.findChildren<QWidget*>()) {
            if (!widget->isVisible() || !widget->isEnabled() || widget->window() != &m_window) continue;
            if (const auto* button = qobject_cast<QAbstractButton*>(widget)) {
                // What is chosen already stays chosen.
                const bool one = button->autoExclusive() || (button->group() && button->group()->exclusive()) || widget->inherits("trainyard::ui::RailButton");
                if (button->isChecked() && one) continue;
                list << widget;
            } else if ((qobject_cast<ui::Card*>(widget) != nullptr || qobject_cast<ui::Chip*>(widget) != nullptr) &&
                       (widget->focusPolicy() & Qt::TabFocus)) {
                list << widget;
            }
        }
        return list;
    }

    /// The same button of the same page, whatever its place in a list.
    [[nodiscard]] static QString alike(const QWidget* widget) {
        QStringList path;
        for (const QWidget* at = widget; at != nullptr; at = at->parentWidget())
            path.prepend(QLatin1String(at->metaObject()->className()) + u'#' + at->objectName());
        const auto* button = qobject_cast<const QPushButton*>(widget);
        // Links and icons repeat with the data; a button with a word is one of its own.
        if (button != nullptr && qobject_cast<const ui::LinkButton*>(widget) == nullptr) path << button->text();
        return path.join(u'/');
    }
    [[nodiscard]] static QString identity(const QWidget* widget) {
        QString text = widget->accessibleName();
        if (const auto* button = qobject_cast<const QAbstractButton*>(widget)) text += u'|' + button->text();
        return alike(widget) + u'|' + text;
    }

    [[nodiscard]] QString keyOf(const QWidget* wanted) const {
        QString found;
        visit([&](const QWidget* widget, const QString& key) {
            if (widget == wanted) found = key;
        });
        return found;
    }

    /// Calls `each` for every visible widget with a name that stays when widgets are made anew.
    void visit(const std::function<void(const QWidget*, const QString&)>& each) const {
        const std::function<void(const QWidget*, const QString&)> step = [&](const QWidget* widget, const QString& key) {
            each(widget, key);
            QHash<QString, int> seen;
            for (QObject* child : widget->children()) {
                auto* one = qobject_cast<QWidget*>(child);
                if (one == nullptr || !one->isVisible() || (one->isWindow() && one->inherits("QTipLabel"))) continue;
                const QString kind = QLatin1String(one->metaObject()->className()) + u'#' + one->objectName();
                step(one, QStringLiteral("%1/%2:%3").arg(key, kind).arg(seen[kind]++));
            }
        };
        step(&m_window, QStringLiteral("window"));
    }

    [[nodiscard]] Notice look(const QString& own, bool picture) const {
        Notice seen;
        if (picture) {
            QImage image = m_window.grab().toImage().convertToFormat(QImage::Format_RGB32);
            for (const char* moving : {"statusBar"}) {
                if (const auto* part = m_window.findChild<QWidget*>(QLatin1String(moving)))
                    blacken(image, part);
            }
            visit([&](const QWidget* widget, const QString& key) {
                if (!own.isEmpty() && key == own) blacken(image, widget);
            });
            for (int y = 0; y < image.height(); y += kTile) {
                for (int x = 0; x < image.width(); x += kTile) {
                    const QImage tile = image.copy(x, y, kTile, kTile);
                    seen.insert(QStringLiteral("tile %1 %2").arg(x).arg(y),
                                QString::number(qHashBits(tile.constBits(), static_cast<std::size_t>(tile.sizeInBytes()))));
                }
            }
            return seen;
        }
        visit([&](const QWidget* widget, const QString& key) {
            if (widget->objectName() == QLatin1String("loadLabel")) return;
            if (!own.isEmpty() && key.startsWith(own)) return;
            const QRect where = widget->geometry();
            seen.insert(key, QStringLiteral("%1 %2 %3 %4 %5").arg(where.x()).arg(where.y()).arg(where.width()).arg(where.height()).arg(widget->isEnabled()));
            note(widget, key, seen);
        });
        if (const QWidget* focus = m_window.focusWidget()) {
            const QString key = keyOf(focus);
            if (own.isEmpty() || !key.startsWith(own)) seen.insert(QStringLiteral("focus"), key);
        }
        seen.insert(QStringLiteral("clipboard"), QGuiApplication::clipboard()->text());
        m_more(seen);
        return seen;
    }

    void blacken(QImage& image, const QWidget* part) const {
        QPainter painter(&image);
        painter.fillRect(QRect(part->mapTo(&m_window, QPoint()), part->size()).adjusted(-3, -3, 3, 3), Qt::black);
    }

    static void note(const QWidget* widget, const QString& key, Notice& seen) {
        if (const auto* label = qobject_cast<const QLabel*>(widget)) seen.insert(key + u'T', label->text());
        if (const auto* chip = qobject_cast<const ui::Chip*>(widget)) seen.insert(key + u'T', chip->text());
        if (const auto* button = qobject_cast<const QAbstractButton*>(widget))
            seen.insert(key + u'T', button->text() + (button->isChecked() ? QStringLiteral(" on") : QString()));
        if (const auto* edit = qobject_cast<const QLineEdit*>(widget)) seen.insert(key + u'T', edit->text());
        if (const auto* edit = qobject_cast<const QPlainTextEdit*>(widget)) seen.insert(key + u'T', edit->toPlainText());
        if (const auto* box = qobject_cast<const QComboBox*>(widget)) seen.insert(key + u'T', box->currentText());
        if (const auto* bar = qobject_cast<const QTabBar*>(widget)) seen.insert(key + u'T', QString::number(bar->currentIndex()));
        if (const auto* bar = qobject_cast<const QProgressBar*>(widget)) seen.insert(key + u'T', QString::number(bar->value()));
        if (const auto* bar = qobject_cast<const QScrollBar*>(widget)) seen.insert(key + u'T', QString::number(bar->value()));
        if (const auto* header = qobject_cast<const QHeaderView*>(widget)) {
            seen.insert(key + u'T', QStringLiteral("%1 %2").arg(header->sortIndicatorSection()).arg(header->sortIndicatorOrder()));
        }
        const auto* view = qobject_cast<const QAbstractItemView*>(widget);
        if (view == nullptr || view->model() == nullptr) return;
        seen.insert(key + QStringLiteral("rows"), QString::number(view->model()->rowCount()));
        if (view->selectionModel() != nullptr) {
            QStringList rows;
            for (const QModelIndex& index : view->selectionModel()->selectedRows()) rows << QString::number(index.row());
            seen.insert(key + QStringLiteral("selected"), rows.join(u','));
        }
        for (int row = 0; row < std::min(30, view->model()->rowCount()); ++row) {
            for (int column = 0; column < std::min(6, view->model()->columnCount()); ++column) {
                const QModelIndex index = view->model()->index(row, column);
                seen.insert(QStringLiteral("%1 %2 %3").arg(key).arg(row).arg(column), index.data().toString());
            }
        }
    }

    [[nodiscard]] static bool differs(const Notice& before, const Notice& after, const Notice& noise) {
        for (auto it = after.cbegin(); it != after.cend(); ++it) {
            if (!noise.contains(it.key()) && (!before.contains(it.key()) || before.value(it.key()) != it.value())) return true;
        }
        for (auto it = before.cbegin(); it != before.cend(); ++it) {
            if (!noise.contains(it.key()) && !after.contains(it.key())) return true;
        }
        return false;
    }

    void waitUntilStill(const Notice& noise) {
        Notice last = look({}, false);
        QElapsedTimer still;
        still.start();
        (void) waitFor(
            [&] {
                Notice now = look({}, false);
                if (differs(last, now, noise)) still.start();
                last = std::move(now);
                return still.elapsed() > kStillMillis;
            },
            kPatienceMillis);
    }

    QWidget& m_window;
    std::function<void(Notice&)> m_more;
    QTimer m_closer;
    QHash<QString, QSet<QString>> m_done;
    QHash<QString, int> m_alike;
    int m_overlays = 0;
};

}  // namespace trainyard::test
