#pragma once
#include <QWidget>

#include "core/base/Json.h"
#include "core/commands/Command.h"

namespace trainyard::ui {

class InlineError;
class Shell;

/// The ways to begin an environment: a form of each kind, or a file of another program.
class NewEnvironmentPanel : public QWidget {
    Q_OBJECT

public:
    NewEnvironmentPanel(Shell& shell, QWidget* parent);
    /// Reads a file and hands its definition out, or tells what is wrong with it.
    void importFile(const QString& file);
    /// The same of an image that exists somewhere.
    void importImage(const QString& image);
    void clearError();

Q_SIGNALS:
    /// A document to go on with in the form, and what there is to say about it.
    void begun(const trainyard::base::Json& document, const QStringList& notes);

private:
    void import(base::Json parameters, const QString& from);

    Shell& m_shell;
    InlineError* m_error;
};

}  // namespace trainyard::ui
