#pragma once
#include <QIcon>
#include <QObject>
#include <QString>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "ui/shell/Address.h"
#include "ui/shell/Page.h"

namespace trainyard::commands {
class Session;
}

namespace trainyard::ui {

class Questions;
class WorkList;

/// What the command palette can offer: an action, a page, a run, a model.
struct PaletteItem {
    QString title;
    QString detail{};    ///< Quieter, behind the title.
    QString icon{};      ///< Name in resources/icons.
    QString section{};   ///< "Actions", "Pages", "Runs", "Models"
    QString shortcut{};  ///< As text.
    std::function<void()> run;
};

/// Answers the palette's queries; may answer later, but on the GUI thread. An answer to an outdated query is dropped.
using PaletteSource =
    std::function<void(const QString& query, int limit, const std::function<void(std::vector<PaletteItem>)>& answer)>;

/// What a page may ask of the window. Pages hold a reference and outlive nothing of it. GUI thread.
class Shell : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;

    /// The open workspace's session; null while none is open (pages with needsWorkspace never see that).
    [[nodiscard]] virtual commands::Session* session() const = 0;

    /// Opens an address: chooses the page, makes it when needed, adds a step of history. False when nothing answers.
    virtual bool open(const Address& address) = 0;

    /// One line at the foot of the window that goes after some seconds; `undo` (may be empty) adds an Undo button.
    virtual void notice(const QString& text, const std::function<void()>& undo = {}) = 0;
    /// The same for something that went wrong; stays until it is closed.
    virtual void warn(const base::Error& error) = 0;

    /// Long work with progress, time left and cancel, shown at the foot of the window.
    [[nodiscard]] virtual WorkList& work() = 0;
    /// Modal questions and file dialogs; the only way to open one.
    [[nodiscard]] virtual Questions& questions() = 0;

    /// Small values that outlive the process (drafts, chosen columns), kept with the workspace; a set value is on disk
    /// within a second. Keys are dotted ("new.draft").
    [[nodiscard]] virtual base::Json stored(const QString& key) const = 0;
    virtual void store(const QString& key, const base::Json& value) = 0;

    /// Tells the desktop (when the window is not in front, and as the settings allow); a click opens `address`.
    virtual void notifyDesktop(const QString& title, const QString& text, const Address& address) = 0;

    virtual void addPaletteSource(PaletteSource source) = 0;
    /// Sets the number on a rail entry ("runs" → 2); 0 takes it away.
    virtual void setBadge(const QString& pageId, int count) = 0;

Q_SIGNALS:
    /// The session was replaced or closed; pages of the old one are gone by then.
    void sessionChanged();
};

}  // namespace trainyard::ui
