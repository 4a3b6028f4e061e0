#pragma once
#include <QAction>
#include <QKeySequence>
#include <QList>
#include <QPointer>
#include <QWidget>

#include <functional>
#include <memory>

#include "core/base/Json.h"
#include "ui/shell/Address.h"

namespace trainyard::ui {

class Shell;

/// A page of the window: made when it is first opened, kept until the workspace closes, so it keeps its state when
/// left. The shell draws title, actions and back/forward; the page fills the rest. GUI thread.
class Page : public QWidget {
    Q_OBJECT
public:
    /// `id` is also the head of the page's own address ("runs") and its objectName.
    Page(QString id, QWidget* parent);

    [[nodiscard]] const QString& id() const { return m_id; }
    /// What stands in the header. May change with what is shown; emit titleChanged().
    [[nodiscard]] virtual QString title() const = 0;
    /// A second, quieter line or word behind the title ("12 runs"); empty for none.
    [[nodiscard]] virtual QString subtitle() const { return {}; }

    /// The only filled button, top right; null for none. The page owns the action.
    [[nodiscard]] QAction* primaryAction() const { return m_primary; }
    /// Further actions, drawn as quiet buttons left of the primary one; they also stand in the command palette.
    [[nodiscard]] const QList<QAction*>& contextActions() const { return m_context; }

    /// Shows what the address names. False when it is not this page's or its object does not exist here.
    virtual bool openAddress(const Address& address);
    /// What is shown now; goes into history, "Copy address" and the saved state.
    [[nodiscard]] virtual Address address() const { return Address{m_id}; }

    /// Splitters, sort order, filter, drafts. Asked for within a second after stateChanged() and restored before the
    /// page is first shown. Must survive kill -9, so save what a person typed, not only what was submitted.
    [[nodiscard]] virtual base::Json saveState() const { return base::Json::object(); }
    virtual void restoreState(const base::Json& state) { (void) state; }

    /// Shown / left. A hidden page should stop its timers and queries.
    virtual void activated() {}
    virtual void deactivated() {}
    /// Gets the focus when the page opens; null: the first in tab order.
    [[nodiscard]] virtual QWidget* firstFocus() { return nullptr; }

Q_SIGNALS:
    void titleChanged();
    void actionsChanged();
    /// `address()` differs; the shell writes a step of history.
    void addressChanged();
    /// `saveState()` differs; the shell saves it soon.
    void stateChanged();

protected:
    void setPrimaryAction(QAction* action);
    void setContextActions(const QList<QAction*>& actions);

private:
    QString m_id;
    QPointer<QAction> m_primary;
    QList<QAction*> m_context;
};

/// How the shell knows a page before it is made: pages are lazy.
struct PageEntry {
    QString id;
    QString label;  ///< On the rail, one short word.
    QString icon;   ///< Name in resources/icons.
    bool onRail = true;
    bool needsWorkspace = true;
    QKeySequence shortcut{};
    QStringList addressHeads{};  ///< Further heads it answers ("run" besides "runs").
    std::function<Page*(Shell& shell, QWidget* parent)> make;
    QString under{};  ///< Of a page that is not on the rail: the entry that lights up for it.
};

}  // namespace trainyard::ui
