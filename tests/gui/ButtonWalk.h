#pragma once
// Presses buttons and tells which of them did nothing that a person could notice.
//
// What a press does is looked for between the press and the next turn of the event loop: nothing but the press itself
// can happen there, so a page that refreshes itself by timers and answers hides no dead button, and nothing is waited
// for. What a press begins (a command, a question, a menu, a timer's work) has to show at once, as it has to for a
// person.
#include <QAbstractButton>
#include <QAbstractItemView>
#include <QApplication>
#include <QButtonGroup>
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

#include <algorithm>
#include <functional>

#include "tests/gui/WidgetWalk.h"
#include "tests/helpers/Wait.h"
#include "ui/charts/ChartView.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"

namespace trainyard::test {

/// What can be noticed of the program, as names and values.
using Notice = QHash<QString, QString>;

class ButtonWalk : public QObject {
public:
    /// `more` adds what does not show in widgets: the address, questions asked, commands started, settings.
    /// `busy` (may be empty) tells that the page still waits for an answer that may bring more buttons.
    ButtonWalk(QWidget& window, std::function<void(Notice&)> more, std::function<bool()> busy = {})
        : m_window(window), m_more(std::move(more)), m_busy(std::move(busy)) {
        m_closer.setInterval(5);
        QObject::connect(&m_closer, &QTimer::timeout, this, [this] { closeOverlays(); });
    }
    ~ButtonWalk() override { qApp->removeEventFilter(this); }

    /// Restores the state by `prepare` before each press, and presses everything in it that was not pressed before.
    /// States whose names are equal up to a comma are one page: what stands in all of them is pressed once. `within`
    /// (may be empty) chooses which buttons belong to this state. Returns those without effect.
    QStringList walk(const QString& state, const std::function<void()>& prepare,
                     const std::function<bool(const QWidget*)>& within = {}) {
        QStringList dead;
        const QString page = state.section(u',', 0, 0);
        QSet<QString>& done = m_done[page];
        for (int round = 0; round < kMostRounds; ++round) {
            prepare();
            QStringList waiting;
            QHash<QString, QString> kinds;
            // Nothing new is the last word only after a longer look.
            for (const int still : {kStillMillis, kSurelyStillMillis}) {
                settle(still, within);
                for (QWidget* button : buttons()) {
                    if (within && !within(button)) continue;
                    const QString name = identity(button);
                    if (done.contains(name)) continue;
                    done.insert(name);
                    kinds[name] = page + alike(button);
                    if (++m_alike[kinds[name]] <= kMostAlike) waiting << name;
                }
                if (!waiting.isEmpty()) break;
            }
            if (waiting.isEmpty()) return dead;
            bool fresh = true;
            for (const QString& name : waiting) {
                QWidget* button = fresh ? find(name) : nullptr;
                if (button == nullptr) {
                    prepare();
                    (void) waitFor([&] { return (button = find(name)) != nullptr; }, kReturnMillis);
                }
                if (button == nullptr) {
                    // The state was not restored whole: begin anew with what stands there now. The rest is pressed
                    // where it stands again.
                    for (qsizetype i = waiting.indexOf(name); i < waiting.size(); ++i) {
                        done.remove(waiting[i]);
                        --m_alike[kinds[waiting[i]]];
                        if (!missed.contains(waiting[i])) missed << waiting[i];
                    }
                    break;
                }
                missed.removeAll(name);
                ++pressed;
                const QString told =
                    WidgetWalk::describe(button) + QStringLiteral(" \"%1\"").arg(button->accessibleName());
                QString effect = press(button);
                if (effect.isEmpty()) {
                    // Pressed before the page had read what the button is about; that is over now.
                    prepare();
                    settle(kStillMillis, within);
                    if (QWidget* again = find(name)) effect = press(again);
                }
                if (qEnvironmentVariableIsSet("TRAINYARD_WALK_TELL"))
                    qInfo("%s | %s -> %s", qPrintable(state), qPrintable(told), qPrintable(effect));
                if (effect.isEmpty()) dead << state + QStringLiteral(" | no effect: ") + told;
                // What did nothing has left the state as it was.
                fresh = effect.isEmpty();
            }
        }
        dead << state + QStringLiteral(" | there is no end of buttons");
        return dead;
    }

    /// Presses one and tells what that did, before anything else can; empty: nothing.
    QString press(QWidget* button) {
        QPointer<QWidget> guard(button);
        QGuiApplication::clipboard()->setText(QStringLiteral("before the press"));
        // What a press always does is no effect: the focus comes, and with it the place that scrolls into view.
        if ((button->focusPolicy() & Qt::ClickFocus) || qobject_cast<QAbstractButton*>(button) == nullptr)
            button->setFocus(Qt::TabFocusReason);
        for (QWidget* at = button->parentWidget(); at != nullptr; at = at->parentWidget()) {
            if (auto* area = qobject_cast<QScrollArea*>(at)) area->ensureWidgetVisible(button, 20, 220);
        }
        m_pressed = button;
        m_own = keyOf(button);
        m_group = groupOf(button);
        m_opened.clear();
        const Notice before = look();
        qApp->installEventFilter(this);
        m_closer.start();
        if (qobject_cast<QAbstractButton*>(button) != nullptr) {
            QTest::mouseClick(button, Qt::LeftButton, {}, spotOf(button));
        } else {
            // A chip that can only be taken away has nothing to open.
            QTest::keyClick(button, Qt::Key_Return);
            if (guard) QTest::keyClick(button, Qt::Key_Delete);
        }
        m_closer.stop();
        qApp->removeEventFilter(this);
        QString effect = m_opened.isEmpty() ? QString() : QStringLiteral("opened ") + m_opened;
        if (effect.isEmpty() && guard.isNull()) effect = QStringLiteral("it went");
        if (effect.isEmpty() && (!guard->isVisible() || !guard->isEnabled()))
            effect = QStringLiteral("it was hidden or disabled");
        if (effect.isEmpty()) effect = difference(before, look());
        closeOverlays();
        return effect;
    }

    int pressed = 0;
    QStringList missed;  ///< Seen, but gone again whenever it was their turn.

protected:
    bool eventFilter(QObject* watched, QEvent* event) override {
        auto* widget = qobject_cast<QWidget*>(watched);
        if (widget != nullptr && event->type() == QEvent::Show && widget->isWindow() &&
            !widget->inherits("QTipLabel") && m_opened.isEmpty()) {
            m_opened = QLatin1String(widget->metaObject()->className()) + u' ' + widget->windowTitle();
        }
        return false;
    }

private:
    static constexpr int kMostRounds = 40;
    static constexpr int kMostAlike = 1;
    static constexpr int kPatienceMillis = 10'000;
    static constexpr int kReturnMillis = 600;
    static constexpr int kStillMillis = 80;
    static constexpr int kSurelyStillMillis = 250;

    /// Where a person presses: a box to tick is wider than what it takes clicks on.
    [[nodiscard]] static QPoint spotOf(const QWidget* button) {
        const bool box = button->inherits("QCheckBox"), radio = button->inherits("QRadioButton");
        if (!box && !radio) return button->rect().center();
        QStyleOptionButton option;
        option.initFrom(button);
        const auto part = box ? QStyle::SE_CheckBoxIndicator : QStyle::SE_RadioButtonIndicator;
        return button->style()->subElementRect(part, &option, button).center();
    }

    static void closeOverlays() {
        if (QWidget* popup = QApplication::activePopupWidget()) popup->close();
        if (QWidget* dialog = QApplication::activeModalWidget()) dialog->close();
    }

    /// Until the page has answered and its buttons stay the same for a moment; both within the patience.
    void settle(int stillMillis, const std::function<bool(const QWidget*)>& within) {
        QStringList last;
        QElapsedTimer still;
        still.start();
        (void) waitFor(
            [&] {
                QStringList now;
                for (const QWidget* button : buttons()) {
                    if (!within || within(button)) now << identity(button);
                }
                if (now != last || (m_busy && m_busy())) still.start();
                last = std::move(now);
                return still.elapsed() > stillMillis;
            },
            kPatienceMillis);
    }

    [[nodiscard]] QList<QWidget*> buttons() const {
        QList<QWidget*> list;
        for (QWidget* widget : m_window.findChildren<QWidget*>()) {
            if (!widget->isVisible() || !widget->isEnabled() || widget->window() != &m_window) continue;
            if (const auto* button = qobject_cast<QAbstractButton*>(widget)) {
                // What is chosen already stays chosen.
                if (button->isChecked() && (isOneOfMany(button) || widget->inherits("trainyard::ui::RailButton")))
                    continue;
                list << widget;
            } else if ((qobject_cast<ui::Card*>(widget) != nullptr || qobject_cast<ui::Chip*>(widget) != nullptr) &&
                       (widget->focusPolicy() & Qt::TabFocus)) {
                list << widget;
            }
        }
        return list;
    }
    [[nodiscard]] QWidget* find(const QString& name) const {
        for (QWidget* button : buttons()) {
            if (identity(button) == name) return button;
        }
        return nullptr;
    }

    [[nodiscard]] static bool isOneOfMany(const QAbstractButton* button) {
        return button->autoExclusive() || (button->group() != nullptr && button->group()->exclusive());
    }
    /// The others of which one is chosen: that the choice has moved is no effect by itself.
    [[nodiscard]] static QSet<const QWidget*> groupOf(const QWidget* widget) {
        QSet<const QWidget*> group;
        const auto* button = qobject_cast<const QAbstractButton*>(widget);
        if (button == nullptr || !isOneOfMany(button)) return group;
        const QList<QAbstractButton*> others = button->group() != nullptr
                                                   ? button->group()->buttons()
                                                   : button->parentWidget()->findChildren<QAbstractButton*>();
        for (const QAbstractButton* other : others) {
            if (other->group() == button->group() && isOneOfMany(other)) group.insert(other);
        }
        return group;
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
        const std::function<void(const QWidget*, const QString&)> step = [&](const QWidget* widget,
                                                                             const QString& key) {
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

    /// Everything but the pressed button itself, which always looks pressed, ticked or chosen.
    [[nodiscard]] Notice look() const {
        Notice seen;
        visit([&](const QWidget* widget, const QString& key) {
            if (key == m_own || key.startsWith(m_own + u'/') || m_group.contains(widget)) return;
            const QRect where = widget->geometry();
            seen.insert(key, QStringLiteral("%1 %2 %3 %4 %5")
                                 .arg(where.x())
                                 .arg(where.y())
                                 .arg(where.width())
                                 .arg(where.height())
                                 .arg(widget->isEnabled()));
            note(widget, key, seen);
        });
        const QWidget* focus = m_window.focusWidget();
        if (focus != nullptr && focus != m_pressed && !m_group.contains(focus))
            seen.insert(QStringLiteral("focus"), keyOf(focus));
        seen.insert(QStringLiteral("clipboard"), QGuiApplication::clipboard()->text());
        m_more(seen);
        return seen;
    }

    static void note(const QWidget* widget, const QString& key, Notice& seen) {
        QString text;
        if (const auto* label = qobject_cast<const QLabel*>(widget)) text = label->text();
        if (const auto* chip = qobject_cast<const ui::Chip*>(widget)) text = chip->text();
        if (const auto* button = qobject_cast<const QAbstractButton*>(widget))
            text = button->text() + (button->isChecked() ? QStringLiteral(" on") : QString());
        if (const auto* edit = qobject_cast<const QLineEdit*>(widget)) text = edit->text() + edit->selectedText();
        if (const auto* edit = qobject_cast<const QPlainTextEdit*>(widget)) text = edit->toPlainText();
        if (const auto* box = qobject_cast<const QComboBox*>(widget)) text = box->currentText();
        if (const auto* bar = qobject_cast<const QTabBar*>(widget)) text = QString::number(bar->currentIndex());
        if (const auto* bar = qobject_cast<const QProgressBar*>(widget)) text = QString::number(bar->value());
        if (const auto* bar = qobject_cast<const QScrollBar*>(widget)) text = QString::number(bar->value());
        if (const auto* chart = qobject_cast<const ui::ChartView*>(widget)) {
            text = QString::fromStdString(chart->saveState().dump()) + chart->seriesKeys().join(u' ');
        }
        if (const auto* header = qobject_cast<const QHeaderView*>(widget)) {
            text = QStringLiteral("%1 %2").arg(header->sortIndicatorSection()).arg(header->sortIndicatorOrder());
        }
        if (!text.isEmpty()) seen.insert(key + u'T', text);
        const auto* view = qobject_cast<const QAbstractItemView*>(widget);
        if (view == nullptr || view->model() == nullptr) return;
        seen.insert(key + QStringLiteral("rows"), QString::number(view->model()->rowCount()));
        if (view->selectionModel() != nullptr) {
            QStringList rows;
            for (const QModelIndex& index : view->selectionModel()->selectedRows())
                rows << QString::number(index.row());
            seen.insert(key + QStringLiteral("selected"), rows.join(u','));
        }
        for (int row = 0; row < std::min(30, view->model()->rowCount()); ++row) {
            for (int column = 0; column < std::min(6, view->model()->columnCount()); ++column) {
                const QModelIndex index = view->model()->index(row, column);
                seen.insert(QStringLiteral("%1 %2 %3").arg(key).arg(row).arg(column), index.data().toString());
            }
        }
    }

    /// The first name whose value differs, with both; empty when none does.
    [[nodiscard]] static QString difference(const Notice& before, const Notice& after) {
        for (auto it = after.cbegin(); it != after.cend(); ++it) {
            if (before.value(it.key(), QStringLiteral("nothing")) != it.value())
                return QStringLiteral("%1: %2, was %3").arg(it.key(), it.value(), before.value(it.key()));
        }
        for (auto it = before.cbegin(); it != before.cend(); ++it) {
            if (!after.contains(it.key())) return QStringLiteral("%1 is gone").arg(it.key());
        }
        return {};
    }

    QWidget& m_window;
    std::function<void(Notice&)> m_more;
    std::function<bool()> m_busy;
    QTimer m_closer;
    QHash<QString, QSet<QString>> m_done;
    QHash<QString, int> m_alike;
    QWidget* m_pressed = nullptr;
    QString m_own;
    QSet<const QWidget*> m_group;
    QString m_opened;
};

}  // namespace trainyard::test
